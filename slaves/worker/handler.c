#include "slaves/worker/handler.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sock.h"
#include "slaves/backing/backing.h"
#include "slaves/backing/backing_list.h"
#include "slaves/backing/backing_prune.h"
#include "slaves/cage/blank.h"
#include "slaves/worker/entry.h"
#include "slaves/worker/first.h"
#include "slaves/worker/keeper.h"
#include "slaves/worker/twin.h"
#include "slaves/worker/worker.h"
#include "slaves/worker/worker_wire.h"

#define IDLE_LIMIT_US (10 * 60 * (int64_t)1000000) /* of a connection without a worker */

enum state {
	STATE_NEW,     /* no worker */
	STATE_WAITING, /* for a tree */
	STATE_READY,   /* waiting for a command */
	STATE_RUNNING, /* the command runs */
	STATE_ENDED,   /* it has ended, or was stopped before */
	STATE_KEPT,    /* it is stopped, and its disk waits for people */
	STATE_COPY,    /* a copy of a kept one runs, and waits for its shell */
	STATE_REMOVED,
	STATES
};

static const char *const state_names[STATES] = {
	[STATE_NEW] = "there is no worker yet",
	[STATE_WAITING] = "the worker waits for its tree",
	[STATE_READY] = "the worker waits for its command",
	[STATE_RUNNING] = "its command is running",
	[STATE_ENDED] = "its command has ended",
	[STATE_KEPT] = "the worker is kept",
	[STATE_COPY] = "the copy waits for its shell",
	[STATE_REMOVED] = "the worker was removed",
};

struct handler {
	struct arena *arena;
	struct conf *conf;
	int connection;
	uid_t uid;
	int mounts;
	struct blank *blank; /* NULL: none */
	pid_t pid; /* as the parent sees it */
	int64_t process_start;
	enum state state;
	int wishes;
	int kept; /* where its keeper listens; -1: it is not kept */
	bool over;   /* nothing more is read */
	bool silent; /* somebody else answers */
	int64_t deadline_us;
	bool copy;  /* its worker is one */
	int master; /* of its terminal, for the next reply; -1 */
	struct worker *worker;
	char build[WORKER_BUILD_SIZE];
	char job[WORKER_SECTION_SIZE];
};

/* Fills the reply, which says WORKER_OK. -1: it failed. */
typedef int act_fn(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err);

static int make_backing(const struct handler *handler, const struct worker_request *request, int progress, struct worker_reply *reply,
	struct err *err)
{
	const struct backing_want want = {.conf = handler->conf, .name = request->section, .progress = progress,
		.caller = handler->connection, .refresh = request->operation == WORKER_REFRESH_BACKING};

	return backing_build(&want, reply->text, err);
}

static int act_backing(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	if (request->operation == WORKER_LIST_BACKINGS)
		return backing_list_write(handler->conf, descriptors[0], err);
	if (request->operation == WORKER_PRUNE_BACKINGS)
		return backing_prune(handler->conf, descriptors[0], err);
	return make_backing(handler, request, descriptors[0], reply, err);
}

static struct worker_tree tree_of(const struct handler *handler, const struct worker_request *request, int layer)
{
	return (struct worker_tree){.build = request->build, .job_digest = request->digest, .layer = layer, .owner = handler->uid,
		.mounts = handler->mounts};
}

static int start(struct handler *handler, const struct worker_request *request, const struct worker_tree *tree,
	struct worker_reply *reply, struct err *err)
{
	const struct worker_want want = {
		.conf = handler->conf,
		.job = request->section,
		.job_digest = request->digest,
		.pid = handler->pid,
		.process_start = handler->process_start,
		.blank = handler->blank,
	};

	handler->worker = worker_start(handler->arena, &want, tree, reply->text, err);
	if (!handler->worker) {
		handler->over = true; /* its mounts may be half made */
		return -1;
	}
	memcpy(handler->job, request->section, sizeof handler->job);
	reply->slot = worker_slot(handler->worker);
	handler->deadline_us = worker_expiry_us(handler->worker);
	return 0;
}

static int attach(struct handler *handler, const struct worker_request *request, const struct worker_tree *tree, struct err *err)
{
	if (worker_attach(handler->worker, tree, err) < 0) {
		handler->over = true; /* its tree may be half there */
		return -1;
	}
	memcpy(handler->build, request->build, sizeof handler->build);
	handler->deadline_us = worker_expiry_us(handler->worker);
	return 0;
}

static int act_ready(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	(void)descriptors;
	if (start(handler, request, NULL, reply, err) < 0)
		return -1;
	log_info(LOG_WHAT("worker waits"), LOG_TEXT("job", handler->job), LOG_NUMBER("slot", reply->slot));
	return 0;
}

static int act_attach(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	const struct worker_tree tree = tree_of(handler, request, descriptors[0]);

	(void)reply;
	if (attach(handler, request, &tree, err) < 0)
		return -1;
	log_info(LOG_WHAT("worker has its tree"), LOG_TEXT("build", handler->build), LOG_TEXT("job", handler->job));
	return 0;
}

static int act_start(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	const struct worker_tree tree = tree_of(handler, request, descriptors[0]);

	if (start(handler, request, &tree, reply, err) < 0 || attach(handler, request, &tree, err) < 0)
		return -1;
	log_info(LOG_WHAT("worker started"), LOG_TEXT("build", handler->build), LOG_TEXT("job", handler->job),
		LOG_NUMBER("slot", reply->slot));
	return 0;
}

/* Not here: from in our process namespace nothing that a dead worker has left can be killed. */
static int act_reap(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	(void)descriptors;
	(void)reply;
	if (sock_send(handler->wishes, request, sizeof *request, &handler->connection, 1, err) < 0)
		return -1;
	handler->silent = handler->over = true;
	return 0;
}

static int act_check(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	(void)request;
	(void)descriptors;
	(void)reply;
	return worker_check(handler->worker, err);
}

static int act_exec(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	(void)request;
	(void)reply;
	if (!entry_writable(descriptors, 2))
		return err_set(err, ERR_INPUT, "stdout and stderr must be writing ends of pipes: nothing else goes into a worker");
	return worker_exec(handler->worker, descriptors[0], descriptors[1], err);
}

static int act_secrets(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	(void)descriptors;
	reply->status = worker_secrets(handler->worker, request->section, err);
	if (reply->status < 0)
		return -1;
	log_info(LOG_WHAT("secrets are in the worker"), LOG_TEXT("build", handler->build), LOG_TEXT("project", request->section),
		LOG_NUMBER("how_many", reply->status));
	return 0;
}

static int act_keep(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	(void)descriptors;
	if (worker_keep(handler->worker, (int64_t)request->number * 1000, err) < 0)
		return -1;
	handler->kept = keeper_listen(handler->worker, err);
	if (handler->kept < 0)
		return -1;
	snprintf(reply->text, sizeof reply->text, "for %lld minutes",
		(long long)(worker_expiry_us(handler->worker) - clock_monotonic_us()) / 60000000);
	handler->over = true;
	log_info(LOG_WHAT("worker kept"), LOG_TEXT("build", handler->build), LOG_TEXT("how_long", reply->text));
	return 0;
}

/* For a kept worker: its own process does it, and answers. */
static int act_pass(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	(void)reply;
	if (keeper_pass(handler->conf, request, handler->connection, descriptors, err) < 0)
		return -1;
	handler->silent = handler->over = true;
	return 0;
}

static int act_shell(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	return entry_check(descriptors, err) < 0 ? -1 : act_pass(handler, request, descriptors, reply, err);
}

static int act_copy(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	struct worker_want want = {.conf = handler->conf, .pid = handler->pid, .process_start = handler->process_start};

	(void)descriptors;
	handler->worker = twin_start(handler->arena, &want, request->build, (int64_t)request->number * 1000, err);
	if (!handler->worker) {
		handler->over = true; /* its mounts may be half made */
		return -1;
	}
	handler->copy = true;
	memcpy(handler->build, request->build, sizeof handler->build);
	reply->slot = worker_slot(handler->worker);
	handler->deadline_us = worker_expiry_us(handler->worker);
	return 0;
}

/* A shell in the copy. */
static int act_inside(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	(void)reply;
	if (entry_begin(handler->worker, request->operation, descriptors, &handler->master, err) < 0)
		return -1;
	log_info(LOG_WHAT("a shell in a copy of a kept worker"), LOG_TEXT("build", handler->build));
	return 0;
}

static int act_collect(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	(void)request;
	(void)reply;
	if (!entry_writable(descriptors, 2))
		return err_set(err, ERR_INPUT, "files and notes must be writing ends of pipes: nothing else is written to");
	return worker_collect(handler->worker, descriptors[0], descriptors[1], err);
}

static int act_stop(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	(void)request;
	(void)descriptors;
	(void)reply;
	return worker_stop(handler->worker, err);
}

static void reply_ended(struct handler *handler);

static int act_remove(struct handler *handler, const struct worker_request *request, int *descriptors, struct worker_reply *reply,
	struct err *err)
{
	struct worker *worker = handler->worker;
	struct err ignored = {0};
	int rc;

	(void)request;
	(void)descriptors;
	(void)reply;
	if (handler->state == STATE_RUNNING && worker_stop(worker, &ignored) == 0)
		reply_ended(handler);
	handler->over = true;
	handler->worker = NULL;
	rc = worker ? worker_remove(worker, err) : 0;
	log_info(LOG_WHAT("worker removed"), LOG_TEXT("build", handler->build), LOG_TEXT("why", rc < 0 ? err->text : "asked for"));
	return rc;
}

/* What may be done when, and what comes of it. */
static const struct step {
	act_fn *act; /* NULL: not now */
	enum state next;
} steps[STATES][WORKER_OPERATIONS] = {
	[STATE_NEW] = {
		[WORKER_REAP] = {act_reap, STATE_REMOVED},
		[WORKER_DISCARD] = {act_pass, STATE_REMOVED},
		[WORKER_SHELL] = {act_shell, STATE_REMOVED},
		[WORKER_TERMINAL] = {act_pass, STATE_REMOVED},
		[WORKER_COPY] = {act_copy, STATE_COPY},
		[WORKER_BUILD_BACKING] = {act_backing, STATE_NEW},
		[WORKER_REFRESH_BACKING] = {act_backing, STATE_NEW},
		[WORKER_LIST_BACKINGS] = {act_backing, STATE_NEW},
		[WORKER_PRUNE_BACKINGS] = {act_backing, STATE_NEW},
		[WORKER_READY] = {act_ready, STATE_WAITING},
		[WORKER_START] = {act_start, STATE_READY},
		[WORKER_REMOVE] = {act_remove, STATE_REMOVED},
	},
	[STATE_WAITING] = {
		[WORKER_CHECK] = {act_check, STATE_WAITING},
		[WORKER_ATTACH] = {act_attach, STATE_READY},
		[WORKER_STOP] = {act_stop, STATE_ENDED},
		[WORKER_REMOVE] = {act_remove, STATE_REMOVED},
	},
	[STATE_COPY] = {
		[WORKER_SHELL] = {act_inside, STATE_RUNNING},
		[WORKER_TERMINAL] = {act_inside, STATE_RUNNING},
		[WORKER_REMOVE] = {act_remove, STATE_REMOVED},
	},
	[STATE_READY] = {
		[WORKER_SECRETS] = {act_secrets, STATE_READY},
		[WORKER_CHECK] = {act_check, STATE_READY},
		[WORKER_EXEC] = {act_exec, STATE_RUNNING},
		[WORKER_STOP] = {act_stop, STATE_ENDED},
		[WORKER_REMOVE] = {act_remove, STATE_REMOVED},
	},
	[STATE_RUNNING] = {
		[WORKER_STOP] = {act_stop, STATE_RUNNING}, /* until its end was told */
		[WORKER_REMOVE] = {act_remove, STATE_REMOVED},
	},
	[STATE_ENDED] = {
		[WORKER_KEEP] = {act_keep, STATE_KEPT},
		[WORKER_COLLECT] = {act_collect, STATE_ENDED},
		[WORKER_STOP] = {act_stop, STATE_ENDED},
		[WORKER_REMOVE] = {act_remove, STATE_REMOVED},
	},
};

static void send_reply(struct handler *handler, const struct worker_reply *reply)
{
	struct err err = {0};

	if (sock_send(handler->connection, reply, sizeof *reply, &handler->master, handler->master >= 0 ? 1 : 0, &err) < 0)
		handler->over = true;
	if (handler->master >= 0)
		close(handler->master);
	handler->master = -1;
}

/* The text of an error may be longer than that of a reply. */
static void set_error(struct worker_reply *reply, const struct err *err)
{
	reply->error = (int32_t)worker_wire_error(err->kind);
	reply->status = 0;
	memset(reply->text, 0, sizeof reply->text);
	memcpy(reply->text, err->text, strnlen(err->text, sizeof reply->text - 1));
}

static void reply_ended(struct handler *handler)
{
	struct worker_reply reply = {.version = WORKER_VERSION, .operation = WORKER_EXEC};
	struct err err = {0};
	int status = 0;
	int rc = worker_ended(handler->worker, &status, reply.text, &err);

	if (rc == 0)
		return;
	reply.status = status;
	handler->state = STATE_ENDED;
	handler->over |= handler->copy;
	if (rc < 0) {
		log_warning(LOG_WHAT("command lost"), LOG_TEXT("build", handler->build), LOG_ERR(&err));
		set_error(&reply, &err);
	} else {
		log_info(LOG_WHAT("command ended"), LOG_TEXT("build", handler->build), LOG_NUMBER("status", status),
			LOG_TEXT("limits", reply.text));
	}
	send_reply(handler, &reply);
}

static const unsigned operations_of_root = 1U << WORKER_BUILD_BACKING | 1U << WORKER_REFRESH_BACKING | 1U << WORKER_LIST_BACKINGS |
	1U << WORKER_PRUNE_BACKINGS | 1U << WORKER_REAP | 1U << WORKER_DISCARD | 1U << WORKER_SHELL | 1U << WORKER_TERMINAL |
	1U << WORKER_COPY;

static int check_now(const struct handler *handler, const struct worker_request *request, struct err *err)
{
	if (handler->uid == 0 && !(operations_of_root & (1U << request->operation)))
		return err_set(err, ERR_REFUSED, "root may not ask for workers, only for backings, for what dead workers left, and for kept ones");
	if (!steps[handler->state][request->operation].act)
		return err_set(err, ERR_INPUT, "%s can't be done now: %s", worker_wire_name(request->operation),
		state_names[handler->state]);
	if (*request->build && *handler->build && strcmp(request->build, handler->build) != 0)
		return err_set(err, ERR_REFUSED, "this connection is for build %s", handler->build);
	if (request->operation == WORKER_SECRETS)
		return 0; /* its section is the project */
	if (*request->section && *handler->job && strcmp(request->section, handler->job) != 0)
		return err_set(err, ERR_REFUSED, "the worker was started for job %s", handler->job);
	return 0;
}

static void handle(struct handler *handler, const struct worker_request *request, int *descriptors)
{
	const struct step *step = &steps[handler->state][request->operation];
	struct worker_reply reply = {.version = WORKER_VERSION, .operation = request->operation};
	struct err err = {0};

	if (check_now(handler, request, &err) < 0 || step->act(handler, request, descriptors, &reply, &err) < 0) {
		log_warning(LOG_WHAT(worker_wire_name(request->operation)), LOG_TEXT("build", request->build),
			LOG_TEXT("section", request->section), LOG_ERR(&err));
		set_error(&reply, &err);
		send_reply(handler, &reply);
		return;
	}
	handler->state = step->next;
	if (request->operation != WORKER_EXEC && !handler->silent) /* its reply comes when it has ended */
		send_reply(handler, &reply);
}

static void receive(struct handler *handler)
{
	int descriptors[SOCK_DESCRIPTORS];
	struct worker_request request = {0};
	char bytes[sizeof request + 1];
	struct err err = {0};
	size_t count;
	ssize_t length = sock_receive(handler->connection, bytes, sizeof bytes, descriptors, &count, &err);

	if (length == 0) {
		handler->over = true;
	} else if (length < 0 || worker_wire_check(bytes, (size_t)length, count, &request, &err) < 0) {
		log_warning(LOG_WHAT("not a request"), LOG_NUMBER("uid", handler->uid), LOG_ERR(&err));
		handler_turn_away(handler->connection, &err);
		handler->over = true;
	} else {
		handle(handler, &request, descriptors);
	}
	while (count)
		close(descriptors[--count]);
}

/* Until something happens; false: not before the deadline. */
static bool wait_for_it(const struct handler *handler, bool *readable)
{
	struct pollfd waits[] = {
		{.fd = handler->connection, .events = POLLIN},
		{.fd = handler->worker ? worker_fd(handler->worker) : -1, .events = POLLIN},
	};
	int64_t left_ms = (handler->deadline_us - clock_monotonic_us()) / 1000 + 1;

	*readable = false;
	if (left_ms <= 0)
		return false;
	if (poll(waits, 2, left_ms > INT_MAX ? INT_MAX : (int)left_ms) > 0)
		*readable = waits[0].revents != 0;
	return true;
}

static void serve(struct handler *handler)
{
	bool readable;

	while (!handler->over) {
		if (!wait_for_it(handler, &readable)) {
			log_warning(LOG_WHAT(handler->copy ? "the time of a copy is over" : "past its expiry"), LOG_TEXT("build", handler->build));
			return;
		}
		if (handler->worker)
			reply_ended(handler);
		if (readable && !handler->over)
			receive(handler);
		if (handler->worker && handler->state == STATE_RUNNING)
			reply_ended(handler); /* STOP has ended it */
	}
}

static int prepare(struct handler *handler, const struct handler_want *want, struct err *err)
{
	if (want->blank) {
		handler->pid = want->pid;
		handler->process_start = want->process_start;
	} else if (first_self(&handler->pid, &handler->process_start, err) < 0) {
		return -1;
	}
	return conf_load(&handler->conf, want->source, err);
}

/* The worker outlives its connection. */
static void keep(struct handler *handler)
{
	struct worker_reply reply = {.version = WORKER_VERSION, .operation = WORKER_DISCARD};
	struct err err = {0};

	close(handler->connection);
	handler->connection = keeper_run(handler->worker, handler->build, handler->kept);
	if (worker_remove(handler->worker, &err) < 0)
		set_error(&reply, &err);
	log_info(LOG_WHAT("kept worker removed"), LOG_TEXT("build", handler->build), LOG_TEXT("why", err.kind != ERR_NONE ? err.text
		: handler->connection < 0 ? "its time is over" : "discarded"));
	handler->worker = NULL;
	if (handler->connection >= 0)
		send_reply(handler, &reply);
}

_Noreturn void handler_run(const void *cookie)
{
	const struct handler_want *want = cookie;
	struct handler handler = {.arena = arena_new(), .connection = want->connection, .uid = want->uid,
		.mounts = want->mounts, .wishes = want->wishes, .blank = want->blank, .kept = -1, .master = -1,
		.deadline_us = clock_monotonic_us() + IDLE_LIMIT_US};
	struct err err = {0};

	if (prepare(&handler, want, &err) < 0) {
		log_error(LOG_WHAT("connection"), LOG_ERR(&err));
		handler_turn_away(want->connection, &err);
		_exit(1);
	}
	serve(&handler);
	if (blank_remove(handler.blank, &err) < 0) /* what became no worker */
		log_error(LOG_WHAT("a container for no job yet is not removed"), LOG_ERR(&err));
	if (handler.kept >= 0)
		keep(&handler);
	if (handler.worker && worker_remove(handler.worker, &err) < 0) {
		log_error(LOG_WHAT("worker not removed"), LOG_TEXT("build", handler.build), LOG_ERR(&err));
		_exit(1);
	}
	if (handler.worker)
		log_info(LOG_WHAT("worker removed"), LOG_TEXT("build", handler.build), LOG_TEXT("why", "its connection closed"));
	_exit(0);
}

pid_t handler_start(const struct handler_want *want, struct err *err)
{
	return first_start(want->others, handler_run, want, err);
}

void handler_turn_away(int connection, const struct err *reason)
{
	struct worker_reply reply = {.version = WORKER_VERSION};
	struct err err = {0};

	set_error(&reply, reason);
	if (sock_send(connection, &reply, sizeof reply, NULL, 0, &err) < 0)
		log_debug(LOG_WHAT("turned away, and did not wait for the reason"));
}
