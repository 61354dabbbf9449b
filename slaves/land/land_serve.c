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
#include "slaves/land/lander.h"
#include "slaves/common/peers.h"
#include "slaves/tree/tidy.h"

#define LAND_SERVE_ATONCE 8 /* requests that are worked on; landings of one project wait for each other */
#define LAND_SERVE_NODES 200000

struct server {
	const struct program *program; /* `own` */
	const struct program *first;   /* with the configuration that we began with */
	struct program own;
	struct loop *loop;
	struct peers peers;
	unsigned working;
	bool stopping; /* nothing is begun any more; at the end of what has begun we end */
};

/* One request under way. It goes on when its connection ends; only nobody hears the answer then. */
struct job {
	struct server *server;
	struct session *session; /* NULL: went away */
	int out;
	struct buf reply;
	struct loop_source *reading, *ending;
	bool read_all, ended;
};

struct session {
	struct server *server;
	struct lines *lines;
	struct job *job;
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
	answer(job);
	close(job->out);
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
	loop_cancel(job->reading);
	job->reading = NULL;
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
	*job = (struct job){.server = server, .session = session, .out = pipes[0]};
	buf_init(&job->reply, LANDER_REPLY_MAXIMUM);
	job->reading = loop_io(server->loop, pipes[0], EPOLLIN, reply_comes, job);
	job->ending = loop_child(server->loop, pid, lander_ended, job);
	session->job = job;
	server->working++;
	CRASH_POINT("land.lander-started");
err0:
	close(in);
	return done;
}

static void received(void *cookie, struct lines *lines, const json_t *message, const struct err *trouble)
{
	struct session *session = cookie;
	struct err err = {0};

	if (!message) {
		if (trouble->kind != ERR_NONE)
			log_info(LOG_WHAT("a connection ended"), LOG_ERR(trouble));
		if (session->job)
			session->job->session = NULL;
		free(session);
	} else if (!json_is_object(message)) {
		send_error(lines, "input", "a request is a JSON object");
	} else if (session->job) {
		send_error(lines, "input", "one request a connection");
	} else if (session->server->stopping) {
		send_error(lines, "busy", "the land daemon is stopping: ask the next one");
	} else if (session->server->working >= LAND_SERVE_ATONCE) {
		send_error(lines, "busy", "too many requests at once: ask again later");
	} else if (begin(session, message, &err) < 0) {
		send_error(lines, "infrastructure", err.text);
	}
}

static void *accepted(void *cookie, struct lines *lines, uid_t uid, pid_t pid)
{
	struct server *server = cookie;

	if (!peers_allowed(&server->peers, uid)) {
		log_warning(LOG_WHAT("a user may not ask for landings"), LOG_NUMBER("uid", uid), LOG_NUMBER("pid", pid));
		return NULL;
	}
	struct session *session = calloc(1, sizeof *session);
	if (!session)
		abort();
	*session = (struct session){.server = server, .lines = lines};
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
	static const char *const users[] = {"user", NULL};

	return peers_read(server->program, users, "land.clients", &server->peers, err);
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
	struct lines_server *lines = NULL;
	struct err err = {0};
	int done = -1;

	const char *path = program_option(program, "land.socket", &err);
	const char *folder = path ? program_state(program, "land/trees", &err) : NULL;
	if (!folder || file_make_folder(folder, 0700, &err) < 0 || read_peers(&server, &err) < 0 ||
		loop_new(&server.loop, &err) < 0)
		goto err0;
	loop_signal(server.loop, SIGTERM, stop, &server);
	loop_signal(server.loop, SIGINT, stop, &server);
	loop_signal(server.loop, SIGHUP, reload, &server);
	struct tidy *tidy = tidy_new(server.loop, program, "land");
	lines = lines_serve(server.loop, path, accepted, received, &server, &err);
	if (!lines)
		goto err1;
	log_info(LOG_WHAT("the land daemon listens"), LOG_TEXT("socket", path), LOG_TEXT("namespace", conf_namespace(program->conf)));
	done = loop_run(server.loop, &err);
err1:
	lines_server_free(lines);
	tidy_free(tidy);
	loop_free(server.loop);
err0:
	program_forget(&server.own, first);
	if (done < 0)
		log_error(LOG_WHAT("the land daemon cannot serve"), LOG_ERR(&err));
	return done < 0 ? outcome_exit(OUTCOME_INFRASTRUCTURE) : 0;
}
