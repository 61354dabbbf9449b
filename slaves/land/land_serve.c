#include "slaves/land/land_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/crash.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "base/log.h"
#include "forge/outcome.h"
#include "loop/lines.h"
#include "loop/loop.h"
#include "slaves/common/peers.h"
#include "slaves/common/refusal.h"
#include "slaves/land/lander.h"
#include "slaves/land/turns.h"
#include "slaves/tree/tidy.h"

#define LAND_SERVE_NODES 200000

/* A socket, and who may ask what on it. */
struct door {
	struct server *server;
	const char *option;          /* that has its path */
	const char *users[2];        /* options that name them, NULL-ended */
	const char *clients;         /* option of further ones; NULL: none */
	const char *operation;       /* the only one; NULL: any */
	unsigned maximum, working;   /* requests that are worked on at once: nobody can hold up the other door */
	struct peers peers;
	struct lines_server *lines;
};
enum { DOOR_LAND, DOOR_APPROVAL, DOORS };
static const struct door doors[DOORS] = {
	[DOOR_LAND] = {.option = "land.socket", .users = {"user"}, .clients = "land.clients", .maximum = 8},
	[DOOR_APPROVAL] = {.option = "approval.socket", .users = {"slave.user"}, .operation = "entitled", .maximum = 2},
};

struct server {
	const struct program *program; /* `own` */
	const struct program *first;   /* with the configuration that we began with */
	struct program own;
	struct loop *loop;
	struct door doors[DOORS];
	struct turns turns;
	unsigned working;
	bool stopping; /* nothing is begun any more; at the end of what has begun we end */
};

/* One request under way. It goes on when its connection ends; only nobody hears the answer then. */
struct job {
	struct server *server;
	struct door *door;
	struct session *session; /* NULL: went away */
	int out;
	struct buf reply;
	struct loop_source *reading, *ending;
	bool read_all, ended;
};

struct session {
	struct server *server;
	struct door *door;
	struct lines *lines;
	struct job *job;
	struct turn *turn;
};

static void send_error(struct lines *lines, const char *kind, const char *text)
{
	const char *outcome = strcmp(kind, "input") == 0 ? "usage" : "infrastructure";

	lines_send(lines, json_pack("{s:s, s:s, s:s, s:s}", "error", text, "kind", kind, "outcome", outcome, "reason", text));
}

static void answer(struct job *job)
{
	struct session *session = job->session;
	struct err err = {0};
	json_t *reply = jsonget_parse(job->reply.data ? job->reply.data : "", job->reply.length, LAND_SERVE_NODES, &err);

	CRASH_POINT("land.lander-answered");
	if (!reply)
		log_error(LOG_WHAT("a lander ended without an answer"), LOG_ERR(&err));
	if (!session) {
		json_decref(reply);
		return;
	}
	if (reply)
		lines_send(session->lines, reply);
	else
		send_error(session->lines, "infrastructure", "the process that worked on it ended without an answer: ask again");
	lines_close(session->lines);
	free(session);
}

static void finish(struct job *job)
{
	if (!job->read_all || !job->ended)
		return;
	job->server->working--;
	job->door->working--;
	answer(job);
	buf_release(&job->reply);
	if (job->server->stopping && job->server->working == 0)
		loop_stop(job->server->loop);
	free(job);
}

static void reply_comes(void *cookie, int fd, uint32_t events)
{
	struct job *job = cookie;
	char bytes[4096];
	ssize_t length = read(fd, bytes, sizeof bytes);

	(void)events;
	if (length < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (length > 0 && buf_add(&job->reply, bytes, (size_t)length) == 0)
		return;
	if (length > 0)
		log_error(LOG_WHAT("a lander says more than is read"), LOG_NUMBER("bytes", LANDER_REPLY_MAXIMUM));
	loop_cancel(job->reading);
	job->reading = NULL;
	close(job->out); /* who still writes ends */
	job->read_all = true;
	finish(job);
}

static void lander_ended(void *cookie, int status)
{
	struct job *job = cookie;

	(void)status;
	job->ending = NULL;
	job->ended = true;
	finish(job);
}

/* The request as a file without a name: the lander reads it at its own pace. */
static int request_file(const json_t *message, struct err *err)
{
	char *text = json_dumps(message, JSON_COMPACT);
	int fd = memfd_create("request", MFD_CLOEXEC);

	if (!text)
		abort();
	size_t length = strlen(text);
	if (fd < 0 || write(fd, text, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) < 0) {
		err_set_errno(err, errno, "keep the request");
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	free(text);
	return fd;
}

static int spawn(const struct server *server, int in, int out, pid_t *pid, struct err *err)
{
	struct strv argv = STRV_INIT, environment = STRV_INIT;
	struct child child = CHILD_INIT;

	program_command(server->program, NULL, &argv, &environment);
	strv_push(&argv, "lander");
	child.argv = (const char *const *)argv.v;
	child.environment = (const char *const *)environment.v;
	child.in = in;
	child.out = out;
	child.err = STDERR_FILENO;
	child.session = true;
	int done = child_spawn(&child, pid, NULL, err);
	strv_release(&argv);
	strv_release(&environment);
	return done;
}

static int begin(struct session *session, const json_t *message, struct err *err)
{
	struct server *server = session->server;
	int pipes[2], done = -1;
	pid_t pid;

	CRASH_POINT("land.asked");
	int in = request_file(message, err);
	if (in < 0)
		return -1;
	if (pipe2(pipes, O_CLOEXEC) < 0) {
		err_set_errno(err, errno, "make a pipe");
		goto err0;
	}
	done = spawn(server, in, pipes[1], &pid, err);
	close(pipes[1]);
	if (done < 0) {
		close(pipes[0]);
		goto err0;
	}
	struct job *job = calloc(1, sizeof *job);
	if (!job)
		abort();
	*job = (struct job){.server = server, .door = session->door, .session = session, .out = pipes[0]};
	buf_init(&job->reply, LANDER_REPLY_MAXIMUM);
	job->reading = loop_io(server->loop, pipes[0], EPOLLIN, reply_comes, job);
	job->ending = loop_child(server->loop, pid, lander_ended, job);
	session->job = job;
	server->working++;
	session->door->working++;
	CRASH_POINT("land.lander-started");
err0:
	close(in);
	return done;
}

/* Held until the connection ends. */
static void take_turn(struct session *session, const json_t *message)
{
	struct err err = {0};

	session->turn = turns_take(&session->server->turns, session->server->program, message, &err);
	lines_send(session->lines, session->turn ? json_pack("{s:b}", "ok", 1) : refusal_json(&err));
}

static void end_session(struct session *session)
{
	if (session->job)
		session->job->session = NULL;
	turns_end(session->turn);
	free(session);
}

static void received(void *cookie, struct lines *lines, const json_t *message, const struct err *trouble)
{
	struct session *session = cookie;
	const char *operation = jsonget_string_or(message, "op", "");
	struct err err = {0};

	if (!message) {
		if (trouble->kind != ERR_NONE)
			log_info(LOG_WHAT("a connection ended"), LOG_ERR(trouble));
		end_session(session);
	} else if (!json_is_object(message)) {
		send_error(lines, "input", "a request is a JSON object");
	} else if (session->door->operation && strcmp(session->door->operation, operation) != 0) {
		send_error(lines, "refused", "that is not asked for here");
	} else if (session->job || session->turn) {
		send_error(lines, "input", "one request a connection");
	} else if (session->server->stopping) {
		send_error(lines, "busy", "the land daemon is stopping: ask the next one");
	} else if (strcmp(operation, "turn") == 0) {
		take_turn(session, message);
	} else if (session->door->working >= session->door->maximum) {
		send_error(lines, "busy", "too many requests at once: ask again later");
	} else if (begin(session, message, &err) < 0) {
		send_error(lines, "infrastructure", err.text);
	}
}

static void *accepted(void *cookie, struct lines *lines, uid_t uid, pid_t pid)
{
	struct door *door = cookie;

	if (!peers_allowed(&door->peers, uid)) {
		log_warning(LOG_WHAT("a user may not ask this daemon"), LOG_TEXT("socket", door->option),
			LOG_NUMBER("uid", uid), LOG_NUMBER("pid", pid));
		return NULL;
	}
	struct session *session = calloc(1, sizeof *session);
	if (!session)
		abort();
	*session = (struct session){.server = door->server, .door = door, .lines = lines};
	return session;
}

static void stop(void *cookie)
{
	struct server *server = cookie;

	if (server->stopping || server->working == 0) /* asked twice, or nothing to wait for */
		loop_stop(server->loop);
	server->stopping = true;
}

static int read_peers(struct server *server, struct err *err)
{
	for (struct door *door = server->doors; door < server->doors + DOORS; door++)
		if (peers_read(server->program, door->users, door->clients, &door->peers, err) < 0)
			return -1;
	return 0;
}

/* Without the second one it can land all the same; who asks there says what he misses. */
static int open_doors(struct server *server, struct err *err)
{
	for (struct door *door = server->doors; door < server->doors + DOORS; door++) {
		struct err trouble = {0};
		const char *path = program_option(server->program, door->option, err);

		if (!path)
			return -1;
		door->lines = lines_serve(server->loop, path, accepted, received, door, &trouble);
		if (door->lines)
			log_info(LOG_WHAT("the land daemon listens"), LOG_TEXT("socket", path),
				LOG_TEXT("namespace", conf_namespace(server->program->conf)));
		else if (door->operation)
			log_warning(LOG_WHAT("the land daemon does not listen"), LOG_TEXT("socket", path), LOG_ERR(&trouble));
		else
			return err_set(err, trouble.kind, "%s", trouble.text);
	}
	return 0;
}

static void reload(void *cookie)
{
	struct server *server = cookie;
	struct err err = {0};

	if (program_reload(&server->own, server->first) == 0 && read_peers(server, &err) < 0)
		log_error(LOG_WHAT("who may ask is not known"), LOG_ERR(&err));
}

int land_serve_verb(const struct program *first)
{
	struct server server = {.first = first, .own = *first};
	const struct program *program = server.program = &server.own;
	struct err err = {0};
	int done = -1;

	memcpy(server.doors, doors, sizeof doors);
	LIST_INIT(&server.turns);
	for (size_t i = 0; i < DOORS; i++)
		server.doors[i].server = &server;
	const char *folder = program_state(program, "land/trees", &err);
	if (!folder || file_make_folder(folder, 0700, &err) < 0 || read_peers(&server, &err) < 0 ||
		loop_new(&server.loop, &err) < 0)
		goto err0;
	loop_signal(server.loop, SIGTERM, stop, &server);
	loop_signal(server.loop, SIGINT, stop, &server);
	loop_signal(server.loop, SIGHUP, reload, &server);
	struct tidy *tidy = tidy_new(server.loop, program, "land");
	if (open_doors(&server, &err) == 0)
		done = loop_run(server.loop, &err);
	for (size_t i = 0; i < DOORS; i++)
		lines_server_free(server.doors[i].lines);
	tidy_free(tidy);
	loop_free(server.loop);
err0:
	program_forget(&server.own, first);
	if (done < 0)
		log_error(LOG_WHAT("the land daemon cannot serve"), LOG_ERR(&err));
	return done < 0 ? outcome_exit(OUTCOME_INFRASTRUCTURE) : 0;
}
