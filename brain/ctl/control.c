#include "ctl/control.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <jansson.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/jsonget.h"
#include "base/log.h"
#include "build/build.h"
#include "build/keep.h"
#include "forge/outcome.h"
#include "forge/spec.h"
#include "forge/text.h"
#include "loop/lines.h"
#include "www/view.h"

enum { GROUPS_MAXIMUM = 256, LOG_PIECE = 128 * 1024 };

/* A connection that waits for the answer to a call. */
struct waiting {
	TAILQ_ENTRY(waiting) link;
	struct lines *lines;
	int64_t call;
	bool fresh;     /* the call's row is not on disk yet */
	bool status;    /* what is told is how all stands, with the answer */
	json_t *answer; /* known, and not on disk yet; NULL */
};

struct control {
	struct brain *brain;
	struct lines_server *server;
	struct arena *arena;
	TAILQ_HEAD(, waiting) waiting;
};

typedef json_t *verb_fn(struct brain *brain, struct arena *arena, const json_t *args, struct err *err);

static json_t *verb_queue(struct brain *brain, struct arena *arena, const json_t *args, struct err *err)
{
	(void)args;
	return view_queue(brain, arena, err);
}

static json_t *verb_why(struct brain *brain, struct arena *arena, const json_t *args, struct err *err)
{
	const char *name;

	if (json_object_get(args, "delivery"))
		return view_delivery(brain, arena, jsonget_integer_or(args, "delivery", 0), err);
	if (jsonget_string(args, "proposal", &name, err) < 0)
		return NULL;
	return view_why(brain, arena, jsonget_string_or(args, "project", NULL), name, err);
}

static json_t *verb_show(struct brain *brain, struct arena *arena, const json_t *args, struct err *err)
{
	const char *build = jsonget_string_or(args, "build", NULL), *name;

	if (build)
		return view_build(brain, arena, build, err);
	if (jsonget_string(args, "proposal", &name, err) < 0)
		return NULL;
	return view_proposal(brain, arena, jsonget_string_or(args, "project", NULL), name, err);
}

/* Whole characters only: what is begun at the end comes with the next piece. */
static size_t whole(const char *bytes, size_t length)
{
	size_t back = 0;

	while (back < 3 && back < length && ((unsigned char)bytes[length - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back < length && (unsigned char)bytes[length - 1 - back] >= 0xc0) {
		unsigned char first = (unsigned char)bytes[length - 1 - back];
		size_t needed = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;

		if (back + 1 < needed)
			return length - 1 - back;
	}
	return length;
}

static ssize_t read_piece(const char *path, int64_t offset, char *bytes, size_t room, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t got;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_set_errno(err, errno, "%s", path);
	do
		got = pread(fd, bytes, room, offset);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		err_set_errno(err, errno, "%s", path);
	close(fd);
	return got;
}

static json_t *verb_log(struct brain *brain, struct arena *arena, const json_t *args, struct err *err)
{
	int64_t offset = jsonget_integer_or(args, "offset", 0);
	char *bytes = arena_alloc(arena, LOG_PIECE);
	struct build_row build;
	const char *name;
	json_t *text;
	ssize_t got;
	int found;

	if (jsonget_string(args, "build", &name, err) < 0)
		return NULL;
	found = spec_build_valid(name) ? build_find(brain, arena, name, &build, err) : 0;
	if (found == 0)
		err_set(err, ERR_NOT_FOUND, "there is no build %s", name);
	if (found <= 0)
		return NULL;
	got = read_piece(build_log_path(brain, arena, name), offset < 0 ? 0 : offset, bytes, LOG_PIECE, err);
	if (got < 0)
		return NULL;
	got = (ssize_t)whole(bytes, (size_t)got);
	text = json_stringn(bytes, (size_t)got);
	if (!text) {
		err_set(err, ERR_INPUT, "the log of %s is not UTF-8", name);
		return NULL;
	}
	return json_pack(
		"{s:o, s:I, s:b}", "lines", text, "offset", (json_int_t)(offset + got), "ended", strcmp(build.state, "done") == 0);
}

static const struct {
	const char *name;
	verb_fn *run;
} verbs[] = {
	{"queue", verb_queue}, {"why", verb_why}, {"show", verb_show}, {"log", verb_log},
};

static int exit_of(enum err_kind kind)
{
	switch (kind) {
	case ERR_USAGE:
	case ERR_NOT_FOUND:
	case ERR_INPUT:
	case ERR_CONFIG:
		return outcome_exit(OUTCOME_USAGE);
	case ERR_REFUSED:
		return outcome_exit(OUTCOME_REFUSED);
	case ERR_NETWORK:
		return outcome_exit(OUTCOME_UNREACHABLE);
	case ERR_NONE:
	case ERR_SYSTEM:
	case ERR_CONFLICT:
	case ERR_MOVED:
	case ERR_BUSY:
	case ERR_FULL:
	case ERR_TIMEOUT:
		break;
	}
	return outcome_exit(OUTCOME_INFRASTRUCTURE);
}

static json_t *error_json(const struct err *err)
{
	return json_pack("{s:o, s:i}", "error", text_json(err->text), "exit", exit_of(err->kind));
}

static void end_waiting(struct control *control, struct waiting *waiting)
{
	TAILQ_REMOVE(&control->waiting, waiting, link);
	json_decref(waiting->answer);
	free(waiting);
}

static struct waiting *waiting_of(struct control *control, const struct lines *lines)
{
	struct waiting *waiting;

	TAILQ_FOREACH(waiting, &control->waiting, link)
		if (waiting->lines == lines)
			return waiting;
	return NULL;
}

/* How all stands; `answer` has what the slave said of its workers, or why that is not known. A new reference. */
static json_t *status_json(struct control *control, const json_t *answer)
{
	struct err err = {.kind = ERR_NONE};
	json_t *status, *slave = json_object_get(answer, "reply");

	arena_reset(control->arena);
	status = view_status(control->brain, control->arena, &err);
	if (!status)
		return error_json(&err);
	if (slave)
		json_object_update_missing(json_object_get(status, "slave"), slave);
	else
		json_object_set(json_object_get(status, "slave"), "trouble", json_object_get(answer, "error"));
	return json_pack("{s:o}", "reply", status);
}

/* The turn has ended: what is on disk now can be told. An answer that is not comes again, a call that is not never begins. */
static void on_turn(void *cookie, bool kept)
{
	struct control *control = cookie;
	struct waiting *waiting, *next;
	struct err lost = {.kind = ERR_NONE};

	err_set(&lost, ERR_SYSTEM, "the state can't be written: see the log of byoci-brain");
	for (waiting = TAILQ_FIRST(&control->waiting); waiting; waiting = next) {
		next = TAILQ_NEXT(waiting, link);
		if (!kept) {
			json_decref(waiting->answer);
			waiting->answer = waiting->fresh ? error_json(&lost) : NULL;
		}
		waiting->fresh = false;
		if (!waiting->answer)
			continue;
		lines_send(waiting->lines, waiting->status ? status_json(control, waiting->answer) : json_incref(waiting->answer));
		end_waiting(control, waiting);
	}
}

void control_asked(void *cookie, int64_t call, const json_t *reply, const struct err *why)
{
	struct control *control = cookie;
	struct waiting *waiting;
	bool any = false;

	TAILQ_FOREACH(waiting, &control->waiting, link) {
		if (waiting->call != call)
			continue;
		json_decref(waiting->answer);
		waiting->answer = why->kind == ERR_NONE ? json_pack("{s:O}", "reply", reply) : error_json(why);
		any = true;
	}
	if (any)
		brain_after(control->brain, on_turn, control);
}

/* Whom nobody can ask now: an error, or how all else stands. */
static json_t *not_asked(struct control *control, bool status, const struct err *err)
{
	json_t *error = error_json(err), *said;

	if (!status)
		return error;
	said = status_json(control, error);
	json_decref(error);
	return said;
}

/* status, keep, kept and discard: NULL when the answer comes later. */
static json_t *ask_slave(struct control *control, struct lines *lines, const char *verb, const json_t *args)
{
	const char *build = NULL;
	struct waiting *waiting;
	struct err err = {.kind = ERR_NONE};
	bool status = strcmp(verb, "status") == 0;
	int64_t call;

	if (waiting_of(control, lines)) {
		err_set(&err, ERR_USAGE, "this connection waits for an answer already");
		return error_json(&err);
	}
	if ((!status && strcmp(verb, "kept") != 0 && jsonget_string(args, "build", &build, &err) < 0) ||
		keep_ask(control->brain, control->arena, verb, build, &call, &err) < 0)
		return not_asked(control, status, &err);
	waiting = calloc(1, sizeof *waiting);
	if (!waiting)
		err_fatal("out of memory");
	*waiting = (struct waiting){.lines = lines, .call = call, .fresh = true, .status = status};
	TAILQ_INSERT_TAIL(&control->waiting, waiting, link);
	brain_after(control->brain, on_turn, control);
	return NULL;
}

static json_t *answer(struct control *control, struct lines *lines, const json_t *message)
{
	static const char *const slaves[] = {"status", "keep", "kept", "discard"};
	const json_t *args = json_object_get(message, "args");
	struct err err = {.kind = ERR_NONE};
	const char *verb = jsonget_string_or(message, "verb", "");
	json_t *reply = NULL;

	arena_reset(control->arena);
	for (size_t i = 0; i < sizeof slaves / sizeof slaves[0]; i++)
		if (strcmp(slaves[i], verb) == 0)
			return ask_slave(control, lines, verb, args);
	err_set(&err, ERR_USAGE, "this brain knows no verb \"%.40s\": is it of another version?", verb);
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(verbs[i].name, verb) == 0) {
			err_clear(&err);
			reply = verbs[i].run(control->brain, control->arena, args, &err);
			break;
		}
	return reply ? json_pack("{s:o}", "reply", reply) : error_json(&err);
}

static void on_message(void *cookie, struct lines *lines, const json_t *message, const struct err *err)
{
	struct control *control = cookie;
	struct waiting *waiting = message ? NULL : waiting_of(control, lines);
	json_t *said = message ? answer(control, lines, message) : NULL;

	(void)err;
	if (waiting)
		end_waiting(control, waiting);
	if (said)
		lines_send(lines, said);
}

/* The folder's group lets them in; this is the second look. */
static bool may(uid_t uid)
{
	struct passwd *user;
	gid_t groups[GROUPS_MAXIMUM];
	int count = GROUPS_MAXIMUM;

	if (uid == 0 || uid == geteuid())
		return true;
	user = getpwuid(uid);
	if (!user || getgrouplist(user->pw_name, user->pw_gid, groups, &count) < 0)
		return false;
	for (int i = 0; i < count; i++)
		if (groups[i] == getegid())
			return true;
	return false;
}

static void *on_accept(void *cookie, struct lines *lines, uid_t uid, pid_t pid)
{
	(void)lines;
	if (may(uid))
		return cookie;
	log_warning(LOG_WHAT("control socket: refused"), LOG_NUMBER("uid", uid), LOG_NUMBER("pid", pid));
	return NULL;
}

struct control *control_new(struct brain *brain, struct err *err)
{
	struct control *control = calloc(1, sizeof *control);
	const char *path;

	if (!control)
		err_fatal("out of memory");
	control->brain = brain;
	control->arena = arena_new();
	TAILQ_INIT(&control->waiting);
	if (conf_text(brain->conf, NULL, "brain.socket", &path, err) < 0)
		goto err1;
	control->server = lines_serve(brain->loop, path, on_accept, on_message, control, err);
	if (!control->server)
		goto err1;
	return control;
err1:
	control_free(control);
	return NULL;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	lines_server_free(control->server);
	arena_free(control->arena);
	free(control);
}
