#include "slaves/test/serve.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "base/log.h"
#include "forge/outcome.h"
#include "forge/spec.h"
#include "loop/lines.h"
#include "loop/loop.h"
#include "slaves/test/builds.h"
#include "slaves/test/errand.h"
#include "slaves/tree/check.h"
#include "slaves/common/ending.h"
#include "slaves/test/follow.h"
#include "slaves/test/listing.h"
#include "slaves/common/output.h"
#include "slaves/common/peers.h"
#include "slaves/test/pool.h"
#include "slaves/test/premade.h"
#include "slaves/test/running.h"
#include "slaves/tree/tidy.h"

#define SERVE_SWEEP_MS (3600 * 1000)
#define SERVE_KEEP_MS (14 * 86400 * 1000LL) /* reap removes ended builds after that */

struct server {
	const struct program *program; /* `own` */
	const struct program *first;   /* with the configuration that we began with */
	struct program own;
	struct loop *loop;
	struct peers peers;
	struct trash *trash;
	struct running *running;
	struct premade *premade;
	struct pool *pool;
	struct tidy *tidy;
	bool stopping; /* connections end because we do */
	LIST_HEAD(, session) sessions;
};

struct session {
	LIST_ENTRY(session) link;
	struct server *server;
	struct lines *lines;
	struct follow *follow;
	struct errand *errand; /* of this connection */
	json_t *reply;         /* when it is done, as far as it is known */
	bool cancel_on_close;
};

static void session_end(struct session *session)
{
	LIST_REMOVE(session, link);
	follow_free(session->follow);
	errand_free(session->errand);
	json_decref(session->reply);
	free(session);
}

static const char *kind_word(const struct err *err)
{
	switch (err->kind) {
	case ERR_BUSY:
		return "busy";
	case ERR_REFUSED:
		return "refused";
	case ERR_USAGE:
	case ERR_INPUT:
	case ERR_NOT_FOUND:
		return "input";
	case ERR_NONE:
	case ERR_CONFIG:
	case ERR_SYSTEM:
	case ERR_CONFLICT:
	case ERR_MOVED:
	case ERR_FULL:
	case ERR_TIMEOUT:
	case ERR_NETWORK:
		break;
	}
	return "infrastructure";
}

/* What is wrong may quote what came from outside. */
static json_t *error_json(const struct err *err)
{
	struct arena *arena = arena_new();
	json_t *json = json_pack(
		"{s:s, s:s}", "error", output_line(arena, err->text, strlen(err->text), sizeof err->text), "kind", kind_word(err));

	arena_free(arena);
	return json;
}

/* One operation: a reply, or NULL with err; or NULL without when the connection goes on by itself. */
typedef json_t *operation_fn(struct session *session, struct arena *arena, const json_t *message, struct err *err);

static const char *build_of(const json_t *message, struct err *err)
{
	const char *build = NULL;

	if (jsonget_string(message, "build", &build, err) < 0)
		return NULL;
	if (spec_build_valid(build))
		return build;
	err_set(err, ERR_INPUT, "build: must be 32 lower-case hex digits");
	return NULL;
}

/* 1: the same spec was asked for before; 0: a new build; -1: another one has that id. */
static int known(struct server *server, struct arena *arena, const char *build, const char *text, struct err *err)
{
	struct err absent = {0};
	const char *path = builds_path(server->program, arena, build, "spec.json", err);
	const char *old = path ? file_read(arena, path, SPEC_MAXIMUM, NULL, &absent) : NULL;

	if (!old)
		return !path || absent.kind != ERR_NOT_FOUND ? err_set(err, ERR_SYSTEM, "read the spec of build %s: %.500s", build,
		absent.text) : 0;
	return strcmp(old, text) == 0 ? 1 : err_set(err, ERR_REFUSED, "exists: build %s was asked for with another spec", build);
}

/* The message's spec, and the same as text, in the arena. */
static int spec_of(struct arena *arena, const json_t *message, struct spec *spec, const char **text, struct err *err)
{
	json_t *json = NULL;

	if (jsonget_object(message, "spec", &json, err) < 0 || spec_parse(arena, json, spec, err) < 0)
		return -1;
	char *dumped = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	if (!dumped)
		abort();
	*text = arena_strdup(arena, dumped);
	free(dumped);
	return strlen(*text) < SPEC_MAXIMUM ? 0 : err_set(err, ERR_INPUT, "spec: more than %d bytes", SPEC_MAXIMUM - 1);
}

static int start(struct server *server, const struct spec *spec, const char *text, struct err *err)
{
	if (check_spec(server->program, spec, err) < 0)
		return -1;
	premade_yield(server->premade, spec);
	if (running_start(server->running, spec, text, err) < 0)
		return -1;
	log_info(LOG_WHAT("build started"), LOG_TEXT("build", spec->build), LOG_TEXT("project", spec->project),
		LOG_TEXT("proposal", spec->proposal));
	return 0;
}

static json_t *do_start(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	struct server *server = session->server;
	const char *text = NULL;
	struct spec spec;

	if (spec_of(arena, message, &spec, &text, err) < 0)
		return NULL;
	CRASH_POINT("slave.asked");
	int before = known(server, arena, spec.build, text, err);
	if (before < 0 || (before == 0 && start(server, &spec, text, err) < 0))
		return NULL;
	return json_pack("{s:b, s:s}", "ok", 1, "build", spec.build);
}

/* It is asked for and not waited for: a build that wants it finds it, finds it being made, or makes it itself. */
static json_t *do_premake(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	struct server *server = session->server;
	const char *text = NULL;
	struct spec spec;

	if (spec_of(arena, message, &spec, &text, err) < 0 || check_spec(server->program, &spec, err) < 0 ||
		premade_ask(server->premade, &spec, text, err) < 0)
		return NULL;
	return json_pack("{s:b, s:s}", "ok", 1, "outcome", outcome_word(OUTCOME_SUCCESS));
}

static json_t *do_list(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	struct server *server = session->server;
	json_t *builds = listing_builds(server->program, arena, err);

	(void)message;
	return builds ? json_pack("{s:o, s:o}", "builds", builds, "ready", pool_json(server->pool)) : NULL;
}

static void followed(void *cookie)
{
	struct session *session = cookie;

	lines_close(session->lines);
	session_end(session);
}

static json_t *do_follow(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	const char *build = build_of(message, err);
	const struct follow_from from = {.loop = session->server->loop,
		.lines = session->lines,
		.program = session->server->program,
		.build = build,
		.offset = jsonget_integer_or(message, "offset", 0)};

	(void)arena;
	if (!build)
		return NULL;
	if (session->follow) {
		err_set(err, ERR_INPUT, "this connection follows a build already");
		return NULL;
	}
	session->follow = follow_new(&from, followed, session, err);
	session->cancel_on_close = session->follow && jsonget_boolean_or(message, "cancel_on_close", false);
	return NULL;
}

static json_t *do_cancel(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	struct server *server = session->server;
	const char *build = build_of(message, err);
	struct spec spec;

	if (!build)
		return NULL;
	const char *running = running_build(server->running);
	if (running && strcmp(running, build) == 0) {
		if (running_cancel(server->running, err) < 0)
			return NULL;
		log_info(LOG_WHAT("build cancelled"), LOG_TEXT("build", build));
	} else if (builds_spec(server->program, arena, build, &spec, err) < 0) {
		return NULL;
	}
	return json_pack("{s:b}", "ok", 1);
}

/* An ended build whose time is over goes as a whole; of a younger one what its leader may have left. */
static int reap_one(struct server *server, struct arena *arena, const char *build, json_t *left)
{
	struct err err = {0};
	const char *running = running_build(server->running);
	int64_t started = builds_started(server->program, arena, build);

	if (running && strcmp(running, build) == 0)
		return 0;
	bool old = started < clock_wall_ms() - SERVE_KEEP_MS;
	const char *path = builds_path(server->program, arena, build, old ? NULL : "layer", &err);
	struct err absent = {0};
	if (!old && !builds_result(server->program, arena, build, &absent)) {
		json_array_append_new(left, json_string(build));
		return 0;
	}
	if (path && !old && access(path, F_OK) < 0)
		return 0;
	if (path && trash_take(server->trash, path, &err) == 0)
		return 1;
	log_warning(LOG_WHAT("what a build has left cannot be removed"), LOG_TEXT("build", build), LOG_ERR(&err));
	json_array_append_new(left, json_string(build));
	return 0;
}

static void add_left(json_t *reply, const struct err *err)
{
	struct arena *arena = arena_new();

	json_array_append_new(json_object_get(reply, "left"), json_string(output_line(arena, err->text, strlen(err->text), sizeof err->text)));
	arena_free(arena);
}

/* Has byoci-worker do something; the answer comes when that is done. Takes the reply as it is to be if all goes well. */
static int run_errand(struct session *session, const char *discard, errand_done_fn *done, json_t *reply, struct err *err)
{
	const struct errand_want want = {.loop = session->server->loop, .program = session->server->program, .discard = discard,
		.done = done, .cookie = session};

	if (session->errand) {
		json_decref(reply);
		return err_set(err, ERR_INPUT, "this connection waits for byoci-worker already");
	}
	json_decref(session->reply);
	session->reply = reply;
	session->errand = errand_start(&want, err);
	return session->errand ? 0 : -1;
}

/* byoci-worker has answered; its workers' leftovers are named by their slots. */
static void workers_reaped(void *cookie, int removed, const struct err *err)
{
	struct session *session = cookie;
	json_t *reply = session->reply;

	session->errand = NULL;
	session->reply = NULL;
	json_object_set_new(reply, "removed", json_integer(json_integer_value(json_object_get(reply, "removed")) + removed));
	if (err->kind != ERR_NONE)
		add_left(reply, err);
	lines_send(session->lines, reply);
}

static json_t *do_reap(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	struct server *server = session->server;
	const char *const *builds = builds_list(server->program, arena, err);
	struct err absent = {0};
	json_t *left;
	int removed = 0;

	(void)message;
	if (!builds)
		return NULL;
	if (session->errand) {
		err_set(err, ERR_INPUT, "this connection waits for byoci-worker already");
		return NULL;
	}
	left = json_array();
	for (; *builds; builds++)
		removed += reap_one(server, arena, *builds, left);
	if (run_errand(session, NULL, workers_reaped, json_pack("{s:i, s:o}", "removed", removed, "left", left), &absent) < 0)
		workers_reaped(session, 0, &absent);
	return NULL;
}

static json_t *do_keep(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	struct server *server = session->server;
	const char *build = build_of(message, err);
	struct spec spec;

	if (!build || builds_spec(server->program, arena, build, &spec, err) < 0)
		return NULL;
	if (builds_result(server->program, arena, build, &(struct err){0})) {
		err_set(err, ERR_INPUT, "build %s has ended; a worker can be kept until then", build);
		return NULL;
	}
	if (builds_keep(server->program, arena, build, err) < 0)
		return NULL;
	log_info(LOG_WHAT("the worker of a build is to be kept"), LOG_TEXT("build", build));
	return json_pack("{s:b}", "ok", 1);
}

static json_t *do_kept(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	json_t *kept = listing_kept(session->server->program, arena, err);

	(void)message;
	return kept ? json_pack("{s:o}", "kept", kept) : NULL;
}

static void worker_discarded(void *cookie, int removed, const struct err *err)
{
	struct session *session = cookie;

	(void)removed;
	session->errand = NULL;
	if (err->kind != ERR_NONE) {
		json_decref(session->reply);
		session->reply = error_json(err);
	}
	lines_send(session->lines, session->reply);
	session->reply = NULL;
}

static json_t *do_discard(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	const char *build = build_of(message, err);

	(void)arena;
	if (build)
		run_errand(session, build, worker_discarded, json_pack("{s:b}", "ok", 1), err);
	return NULL;
}

/* Reaps without being asked, at the start and then every SERVE_SWEEP_MS. */
static void sweep(void *cookie)
{
	struct server *server = cookie;
	struct arena *arena = arena_new();
	struct err err = {0};
	json_t *left = json_array();
	const char *const *builds = builds_list(server->program, arena, &err);

	for (; builds && *builds; builds++)
		reap_one(server, arena, *builds, left);
	json_decref(left);
	arena_free(arena);
	premade_sweep(server->premade);
	loop_after(server->loop, SERVE_SWEEP_MS, sweep, server);
}

static const struct {
	const char *name;
	operation_fn *call;
} operations[] = {
	{"start", do_start}, {"premake", do_premake}, {"list", do_list}, {"follow", do_follow}, {"cancel", do_cancel}, {"reap", do_reap},
	{"keep", do_keep}, {"kept", do_kept}, {"discard", do_discard},
};

static json_t *answer(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	const char *name = NULL;

	if (jsonget_string(message, "op", &name, err) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
		if (strcmp(operations[i].name, name) == 0)
			return operations[i].call(session, arena, message, err);
	err_set(err, ERR_INPUT, "op: must be one of start, premake, list, follow, cancel, reap, keep, kept, discard");
	return NULL;
}

static void closed(struct session *session)
{
	struct err err = {0};
	const char *running = running_build(session->server->running);

	if (!session->server->stopping && session->follow && session->cancel_on_close && running && strcmp(running,
		follow_build(session->follow)) == 0) {
		log_info(LOG_WHAT("build cancelled: its client went away"), LOG_TEXT("build", running));
		if (running_cancel(session->server->running, &err) < 0)
			log_warning(LOG_WHAT("not cancelled"), LOG_ERR(&err));
	}
	session_end(session);
}

static void received(void *cookie, struct lines *lines, const json_t *message, const struct err *trouble)
{
	struct session *session = cookie;
	struct err err = {0};

	if (!message) {
		if (trouble->kind != ERR_NONE)
			log_info(LOG_WHAT("a connection ended"), LOG_ERR(trouble));
		closed(session);
		return;
	}
	struct arena *arena = arena_new();
	json_t *reply = answer(session, arena, message, &err);
	if (!reply && err.kind != ERR_NONE)
		reply = error_json(&err);
	if (reply)
		lines_send(lines, reply);
	arena_free(arena);
}

static void *accepted(void *cookie, struct lines *lines, uid_t uid, pid_t pid)
{
	struct server *server = cookie;

	if (!peers_allowed(&server->peers, uid)) {
		log_warning(LOG_WHAT("a user may not use the slave"), LOG_NUMBER("uid", uid), LOG_NUMBER("pid", pid));
		return NULL;
	}
	struct session *session = calloc(1, sizeof *session);
	if (!session)
		abort();
	*session = (struct session){.server = server, .lines = lines};
	LIST_INSERT_HEAD(&server->sessions, session, link);
	return session;
}

/* Whoever follows hears of the result by the file; only when there can't be one it is told here. */
static void build_ended(void *cookie, const char *build, const struct err *err)
{
	struct server *server = cookie;

	if (err->kind == ERR_NONE)
		return;
	for (struct session *session = LIST_FIRST(&server->sessions), *next; session; session = next) {
		next = LIST_NEXT(session, link);
		if (!session->follow || strcmp(follow_build(session->follow), build) != 0)
			continue;
		lines_send(session->lines, error_json(err));
		followed(session);
	}
}

static void stop(void *cookie)
{
	struct server *server = cookie;

	server->stopping = true;
	loop_stop(server->loop);
}

static int read_peers(struct server *server, struct err *err)
{
	static const char *const users[] = {"user", "slave.user", NULL};

	return peers_read(server->program, users, "slave.clients", &server->peers, err);
}

static void reload(void *cookie)
{
	struct server *server = cookie;
	struct err err = {0};

	if (program_reload(&server->own, server->first) < 0)
		return;
	pool_renew(server->pool);
	if (read_peers(server, &err) < 0)
		log_error(LOG_WHAT("who may ask is not known"), LOG_ERR(&err));
}

static int prepare(struct server *server, struct err *err)
{
	const char *folder = builds_path(server->program, server->program->arena, NULL, NULL, err);

	if (!folder || file_make_folder(folder, 0700, err) < 0)
		return -1;
	struct crypto_key *key = ending_key(server->program, err);
	if (!key)
		return err_wrap(err, "the key that signs results");
	crypto_key_free(key);
	return read_peers(server, err);
}

int serve_verb(const struct program *first)
{
	struct server server = {.first = first, .own = *first};
	const struct program *program = server.program = &server.own;
	struct lines_server *lines = NULL;
	struct err err = {0};
	int done = -1;

	LIST_INIT(&server.sessions);
	const char *path = program_option(program, "slave.socket", &err);
	if (!path || prepare(&server, &err) < 0 || loop_new(&server.loop, &err) < 0)
		goto err0;
	loop_signal(server.loop, SIGTERM, stop, &server);
	loop_signal(server.loop, SIGINT, stop, &server);
	loop_signal(server.loop, SIGHUP, reload, &server);
	server.trash = trash_new(server.loop, program, &err);
	if (!server.trash)
		goto err1;
	server.pool = pool_new(server.loop, program);
	const struct running_from from = {.loop = server.loop, .program = program, .trash = server.trash, .pool = server.pool,
		.ended = build_ended, .cookie = &server};
	server.running = running_new(&from, &err);
	if (!server.running)
		goto err1;
	server.premade = premade_new(server.loop, program, server.trash, &err);
	if (!server.premade)
		goto err1;
	sweep(&server);
	server.tidy = tidy_new(server.loop, program, "slave");
	lines = lines_serve(server.loop, path, accepted, received, &server, &err);
	if (!lines)
		goto err1;
	log_info(LOG_WHAT("the slave listens"), LOG_TEXT("socket", path), LOG_TEXT("namespace", conf_namespace(program->conf)));
	done = loop_run(server.loop, &err);
err1:
	server.stopping = true;
	lines_server_free(lines);
	running_free(server.running);
	premade_free(server.premade);
	pool_free(server.pool);
	tidy_free(server.tidy);
	trash_free(server.trash);
	loop_free(server.loop);
err0:
	program_forget(&server.own, first);
	if (done < 0)
		log_error(LOG_WHAT("the slave cannot serve"), LOG_ERR(&err));
	return done < 0 ? outcome_exit(OUTCOME_INFRASTRUCTURE) : 0;
}
