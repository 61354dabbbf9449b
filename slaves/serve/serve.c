#include "slaves/serve/serve.h"

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
#include "slaves/common/ending.h"
#include "slaves/common/output.h"
#include "slaves/common/peers.h"
#include "slaves/common/refusal.h"
#include "slaves/record/builds.h"
#include "slaves/serve/backings.h"
#include "slaves/serve/doorman.h"
#include "slaves/serve/errand.h"
#include "slaves/serve/follow.h"
#include "slaves/serve/handout.h"
#include "slaves/serve/listing.h"
#include "slaves/serve/pool.h"
#include "slaves/serve/reap.h"
#include "slaves/serve/running.h"
#include "slaves/serve/standing.h"
#include "slaves/serve/upkeep.h"
#include "slaves/serve/wanted.h"
#include "slaves/test/ahead.h"
#include "slaves/test/premade.h"
#include "slaves/tree/check.h"
#include "slaves/tree/tidy.h"

#define SERVE_SWEEP_MS (3600 * 1000)

struct server {
	const struct program *program; /* `own` */
	const struct program *first;   /* with the configuration that we began with */
	struct program own;
	struct loop *loop;
	struct peers peers;
	struct trash *trash;
	struct running *running;
	struct premade *premade;
	struct ahead *ahead;
	struct pool *pool;
	struct tidy *tidy;
	struct doorman *doorman;
	bool stopping; /* connections end because we do */
	LIST_HEAD(, session) sessions;
};

struct session {
	LIST_ENTRY(session) link;
	struct server *server;
	struct lines *lines;
	struct follow *follow;
	struct errand *errand; /* of this connection */
	struct upkeep *upkeep;
	json_t *reply;         /* when it is done, as far as it is known */
	int list;              /* what byoci-worker writes the list of backings to; -1: none is asked for */
	bool cancel_on_close;
};

static void session_end(struct session *session)
{
	LIST_REMOVE(session, link);
	follow_free(session->follow);
	errand_free(session->errand);
	upkeep_free(session->upkeep);
	json_decref(session->reply);
	if (session->list >= 0)
		close(session->list);
	free(session);
}

/* One operation: a reply, or NULL with err; or NULL without when the connection goes on by itself. */
typedef json_t *operation_fn(struct session *session, struct arena *arena, const json_t *message, struct err *err);

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

	if (wanted_spec(arena, message, &spec, &text, err) < 0)
		return NULL;
	CRASH_POINT("slave.asked");
	int before = wanted_before(server->program, arena, &(struct wanted){spec.build, text}, err);
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

	if (wanted_spec(arena, message, &spec, &text, err) < 0 || check_spec(server->program, &spec, err) < 0 ||
		premade_ask(server->premade, &spec, text, err) < 0)
		return NULL;
	return json_pack("{s:b, s:s}", "ok", 1, "outcome", outcome_word(OUTCOME_SUCCESS));
}

/* What is pushed is fetched and merged while the brain reads it back, and a worker starts; who wants any of it finds it. */
static json_t *do_ahead(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	const struct server *server = session->server;
	const char *section = arena_printf(arena, "project/%s", jsonget_string_or(message, "project", ""));
	const char *const *jobs = NULL;

	if (ahead_ask(server->ahead, message, err) < 0 || conf_list(server->program->conf, arena, section, "jobs", &jobs, err) < 0)
		return NULL;
	if (jobs[0])
		pool_expect(server->pool, jobs[0]);
	return json_pack("{s:b}", "ok", 1);
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
	const char *build = wanted_build(message, err);
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

static json_t *do_artefact(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	handout_artefact(&(struct handout){session->server->program, arena, session->lines}, message, err);
	return NULL;
}

static json_t *do_artefacts(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	return handout_list(&(struct handout){session->server->program, arena, session->lines}, message, err);
}

static json_t *do_cancel(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	struct server *server = session->server;
	const char *build = wanted_build(message, err);
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

static struct reap reap_of(const struct server *server)
{
	return (struct reap){.program = server->program, .trash = server->trash, .running = server->running};
}

static void add_left(json_t *reply, const struct err *err)
{
	struct arena *arena = arena_new();

	json_array_append_new(json_object_get(reply, "left"), json_string(output_line(arena, err->text, strlen(err->text), sizeof err->text)));
	arena_free(arena);
}

/* Has byoci-worker do something; the answer comes when that is done. Takes the reply as it is to be if all goes well. */
static int run_errand(struct session *session, struct errand_want *want, json_t *reply, struct err *err)
{
	if (session->errand) {
		json_decref(reply);
		return err_set(err, ERR_INPUT, "this connection waits for byoci-worker already");
	}
	want->loop = session->server->loop;
	want->program = session->server->program;
	want->cookie = session;
	json_decref(session->reply);
	session->reply = reply;
	session->errand = errand_start(want, err);
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
	struct reap reap = reap_of(session->server);
	struct err absent = {0};
	json_t *left;
	int removed;

	(void)message;
	if (session->errand) {
		err_set(err, ERR_INPUT, "this connection waits for byoci-worker already");
		return NULL;
	}
	left = json_array();
	removed = reap_builds(&reap, arena, left, err);
	if (removed < 0) {
		json_decref(left);
		return NULL;
	}
	if (run_errand(session, &(struct errand_want){.done = workers_reaped},
		json_pack("{s:i, s:o}", "removed", removed, "left", left), &absent) < 0)
		workers_reaped(session, 0, &absent);
	return NULL;
}

static json_t *do_keep(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	struct server *server = session->server;
	const char *build = wanted_build(message, err);
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
	struct reap reap = reap_of(session->server);

	(void)removed;
	session->errand = NULL;
	if (err->kind != ERR_NONE) {
		json_decref(session->reply);
		session->reply = refusal_json(err);
	} else {
		reap_quietly(&reap); /* its tree */
	}
	lines_send(session->lines, session->reply);
	session->reply = NULL;
}

static json_t *do_discard(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	const char *build = wanted_build(message, err);

	(void)arena;
	if (build)
		run_errand(session, &(struct errand_want){.discard = build, .done = worker_discarded}, json_pack("{s:b}", "ok", 1), err);
	return NULL;
}

static void backings_known(void *cookie, int removed, const struct err *err)
{
	struct session *session = cookie;

	(void)removed;
	session->errand = NULL;
	standing_backings(session->reply, session->list, err);
	close(session->list);
	session->list = -1;
	lines_send(session->lines, session->reply);
	session->reply = NULL;
}

static json_t *do_status(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	struct server *server = session->server;
	struct err absent = {0};
	json_t *reply;

	(void)message;
	if (session->errand) {
		err_set(err, ERR_INPUT, "this connection waits for byoci-worker already");
		return NULL;
	}
	reply = standing_json(server->program, arena, running_build(server->running), pool_json(server->pool), err);
	if (!reply || (session->list = backings_list(err)) < 0) {
		json_decref(reply);
		return NULL;
	}
	if (run_errand(session, &(struct errand_want){.list = &session->list, .done = backings_known}, reply, &absent) < 0)
		backings_known(session, 0, &absent);
	return NULL;
}

static void kept_up(void *cookie, json_t *reply)
{
	struct session *session = cookie;

	session->upkeep = NULL;
	lines_send(session->lines, reply);
}

static json_t *do_upkeep(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	const struct upkeep_want want = {.loop = session->server->loop, .program = session->server->program, .message = message,
		.done = kept_up, .cookie = session};

	(void)arena;
	if (session->upkeep)
		err_set(err, ERR_INPUT, "this connection waits for something already");
	else
		session->upkeep = upkeep_start(&want, err);
	return NULL;
}

/* Reaps without being asked, at the start and then every SERVE_SWEEP_MS. */
static void sweep(void *cookie)
{
	struct server *server = cookie;
	struct reap reap = reap_of(server);

	reap_quietly(&reap);
	premade_sweep(server->premade);
	ahead_sweep(server->ahead);
	loop_after(server->loop, SERVE_SWEEP_MS, sweep, server);
}

static const struct {
	const char *name;
	operation_fn *call;
} operations[] = {
	{"start", do_start}, {"ahead", do_ahead}, {"premake", do_premake}, {"list", do_list}, {"follow", do_follow},
	{"cancel", do_cancel}, {"reap", do_reap}, {"keep", do_keep}, {"kept", do_kept}, {"discard", do_discard}, {"status", do_status},
	{"health", do_upkeep}, {"refresh", do_upkeep}, {"artefact", do_artefact}, {"artefacts", do_artefacts},
};

static json_t *answer(struct session *session, struct arena *arena, const json_t *message, struct err *err)
{
	const char *name = NULL;

	if (jsonget_string(message, "op", &name, err) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
		if (strcmp(operations[i].name, name) == 0)
			return operations[i].call(session, arena, message, err);
	err_set(err, ERR_INPUT, "op: must be one of start, ahead, premake, list, follow, cancel, reap, keep, kept, discard, "
		"status, health, refresh, artefact, artefacts");
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
		reply = refusal_json(&err);
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
	*session = (struct session){.server = server, .lines = lines, .list = -1};
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
		lines_send(session->lines, refusal_json(err));
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
	server.ahead = ahead_new(server.loop, program, server.trash, &err);
	if (!server.premade || !server.ahead)
		goto err1;
	sweep(&server);
	server.tidy = tidy_new(server.loop, program, "slave");
	server.doorman = doorman_new(server.loop, program, &err);
	if (!server.doorman && err.kind != ERR_NONE)
		goto err1;
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
	ahead_free(server.ahead);
	pool_free(server.pool);
	tidy_free(server.tidy);
	doorman_free(server.doorman);
	trash_free(server.trash);
	loop_free(server.loop);
err0:
	program_forget(&server.own, first);
	if (done < 0)
		log_error(LOG_WHAT("the slave cannot serve"), LOG_ERR(&err));
	return done < 0 ? outcome_exit(OUTCOME_INFRASTRUCTURE) : 0;
}
