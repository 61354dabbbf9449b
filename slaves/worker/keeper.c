#include "slaves/worker/keeper.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sock.h"
#include "slaves/cage/kept.h"
#include "slaves/worker/entry.h"

#define PASS_LIMIT_S 5 /* between processes of ours */
#define COPY_LIMIT_S 600

struct keeper {
	struct worker *worker;
	const char *build;
	int listener;
	int client; /* whose shell runs; -1: none does */
	int discarder;
};

int keeper_listen(const struct worker *worker, struct err *err)
{
	return sock_listen(worker_socket(worker), SOCK_SEQPACKET, err);
}

static void answer(int connection, const struct worker_reply *reply, int descriptor)
{
	struct err err = {0};

	if (sock_send(connection, reply, sizeof *reply, &descriptor, descriptor >= 0 ? 1 : 0, &err) < 0)
		log_debug(LOG_WHAT("nobody waits for an answer"), LOG_ERR(&err));
}

static void refuse(int connection, uint32_t operation, const struct err *err)
{
	struct worker_reply reply = {.version = WORKER_VERSION, .operation = operation};

	reply.error = (int32_t)worker_wire_error(err->kind);
	memcpy(reply.text, err->text, strnlen(err->text, sizeof reply.text - 1));
	answer(connection, &reply, -1);
}

/* 1: the connection is the keeper's now. */
static int begin(struct keeper *keeper, const struct worker_request *request, int connection, const int *pipes, struct err *err)
{
	const struct worker_reply reply = {.version = WORKER_VERSION, .operation = request->operation};
	int master;

	if (keeper->client >= 0)
		return err_set(err, ERR_BUSY, "somebody has a shell in it already");
	if (entry_begin(keeper->worker, request->operation, pipes, &master, err) < 0)
		return -1;
	log_info(LOG_WHAT("a shell in a kept worker"), LOG_TEXT("build", keeper->build));
	answer(connection, &reply, master);
	if (master >= 0)
		close(master);
	keeper->client = connection;
	return 1;
}

static int say(int connection, const struct worker_reply *reply)
{
	answer(connection, reply, -1);
	return 0;
}

/* How a kept worker is copied (keeper_ask()); meanwhile nothing else is done to it. */
static int lend(const struct keeper *keeper, const struct worker_request *request, int connection, const int *to, struct err *err)
{
	struct worker_reply reply = {.version = WORKER_VERSION, .operation = WORKER_COPY};
	struct worker_origin origin = {0};

	if (keeper->client >= 0)
		return err_set(err, ERR_BUSY, "somebody has a shell in it: try again when that has ended");
	if (to)
		return worker_replicate(keeper->worker, *to, request->number, err) < 0 ? -1 : say(connection, &reply);
	if (worker_origin(keeper->worker, &origin, err) < 0)
		return -1;
	reply.status = (int32_t)origin.owner;
	snprintf(reply.text, sizeof reply.text, "%s %s", origin.digest, origin.job);
	return sock_send(connection, &reply, sizeof reply, (const int[]){origin.root, origin.layer, origin.mounts}, 3, err);
}

static int discard(struct keeper *keeper, int connection)
{
	keeper->discarder = connection;
	return 1;
}

/* 1: the connection is the keeper's now. */
static int act(struct keeper *keeper, const struct worker_request *request, const int *descriptors, size_t count, struct err *err)
{
	const int connection = descriptors[0];

	if (strncmp(request->build, keeper->build, sizeof request->build) != 0) /* who had this place before is gone */
		return err_set(err, ERR_NOT_FOUND, "the worker of that build is kept no more");
	if (request->operation == WORKER_DISCARD)
		return discard(keeper, connection);
	if (request->operation == WORKER_COPY)
		return lend(keeper, request, connection, count > 1 ? &descriptors[1] : NULL, err);
	if (request->operation == WORKER_TERMINAL || count == SOCK_DESCRIPTORS)
		return begin(keeper, request, connection, descriptors + 1, err);
	return err_set(err, ERR_INPUT, "that can't be asked of a kept worker");
}

/* What another handler has passed on: its connection, and the descriptors of the request. */
static void take(struct keeper *keeper)
{
	const struct timeval limit = {.tv_sec = PASS_LIMIT_S};
	int descriptors[SOCK_DESCRIPTORS];
	struct worker_request request;
	struct err err = {0};
	size_t count = 0;
	int taken = -1;
	int passer = accept4(keeper->listener, NULL, NULL, SOCK_CLOEXEC);

	if (passer < 0)
		return;
	setsockopt(passer, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (sock_receive(passer, &request, sizeof request, descriptors, &count, &err) != (ssize_t)sizeof request || count < 1) {
		log_warning(LOG_WHAT("not a connection that was passed on"), LOG_ERR(&err));
	} else {
		taken = act(keeper, &request, descriptors, count, &err);
		if (taken < 0)
			refuse(descriptors[0], request.operation, &err);
	}
	while (count > (taken > 0 ? 1 : 0))
		close(descriptors[--count]);
	close(passer);
}

/* The shell has ended, and with it all that ran in there. */
static void tell_end(struct keeper *keeper)
{
	struct worker_reply reply = {.version = WORKER_VERSION, .operation = WORKER_EXEC};
	struct err err = {0}, unsettled = {0};
	int status = 0;
	int rc = worker_ended(keeper->worker, &status, reply.text, &err);

	if (rc == 0)
		return;
	reply.status = status;
	if (worker_settle(keeper->worker, &unsettled) < 0)
		log_warning(LOG_WHAT("a kept worker leaves something"), LOG_ERR(&unsettled));
	if (rc < 0)
		refuse(keeper->client, WORKER_EXEC, &err);
	else
		answer(keeper->client, &reply, -1);
	close(keeper->client);
	keeper->client = -1;
	log_info(LOG_WHAT("the shell in a kept worker has ended"), LOG_TEXT("build", keeper->build), LOG_NUMBER("status", status));
}

static void stop(struct keeper *keeper)
{
	struct err err = {0};

	if (worker_stop(keeper->worker, &err) < 0)
		log_warning(LOG_WHAT("a kept worker does not stop"), LOG_ERR(&err));
	tell_end(keeper);
}

int keeper_run(struct worker *worker, const char *build, int listener)
{
	struct keeper keeper = {.worker = worker, .build = build, .listener = listener, .client = -1, .discarder = -1};
	int64_t left_ms;

	while (keeper.discarder < 0 && (left_ms = (worker_expiry_us(worker) - clock_monotonic_us()) / 1000) > 0) {
		struct pollfd waits[] = {
			{.fd = listener, .events = POLLIN},
			{.fd = keeper.client, .events = POLLIN}, /* it has nothing more to say: its end is waited for */
			{.fd = keeper.client >= 0 ? worker_fd(worker) : -1, .events = POLLIN},
		};

		if (poll(waits, 3, left_ms > INT_MAX ? INT_MAX : (int)left_ms) <= 0)
			continue;
		if (waits[2].revents)
			tell_end(&keeper);
		else if (waits[1].revents)
			stop(&keeper);
		if (waits[0].revents)
			take(&keeper);
	}
	if (keeper.client >= 0)
		stop(&keeper);
	close(listener);
	return keeper.discarder;
}

static int find(const struct conf *conf, struct arena *arena, const char *build, const char **socket, struct err *err)
{
	struct kept kept[KEPT_MAXIMUM];
	struct kept_room room;
	const char *folder;
	size_t count;

	if (kept_place(conf, arena, &folder, &room, err) < 0)
		return -1;
	count = kept_list(arena, folder, room, kept, KEPT_MAXIMUM);
	for (size_t i = 0; i < count; i++)
		if (!kept[i].copy && strcmp(kept[i].build, build) == 0) {
			*socket = kept_socket(arena, folder, kept[i].number);
			return 0;
		}
	return err_set(err, ERR_NOT_FOUND, "no worker of build %s is kept", build);
}

static int pass(const struct conf *conf, const struct worker_request *request, const int *passed, size_t count, struct err *err)
{
	struct arena *arena = arena_new();
	const char *path = NULL;
	int keeper = -1, rc = -1;

	if (find(conf, arena, request->build, &path, err) < 0)
		goto err0;
	keeper = sock_connect(path, SOCK_SEQPACKET, err);
	if (keeper < 0) {
		err_set(err, ERR_NOT_FOUND, "the worker of build %s is kept no more", request->build);
		goto err0;
	}
	rc = sock_send(keeper, request, sizeof *request, passed, count, err);
	close(keeper);
err0:
	arena_free(arena);
	return rc;
}

int keeper_pass(const struct conf *conf, const struct worker_request *request, int connection, const int *descriptors, struct err *err)
{
	const size_t count = worker_wire_descriptors(request->operation);
	int passed[SOCK_DESCRIPTORS] = {connection};

	for (size_t i = 0; i < count && i + 1 < SOCK_DESCRIPTORS; i++)
		passed[i + 1] = descriptors[i];
	return pass(conf, request, passed, count + 1, err);
}

static int take_answer(int connection, bool filled, struct keeper_answer *answer, struct err *err)
{
	const struct timeval limit = {.tv_sec = COPY_LIMIT_S};
	int descriptors[SOCK_DESCRIPTORS];
	struct worker_reply reply;
	size_t count = 0;

	setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (sock_receive(connection, &reply, sizeof reply, descriptors, &count, err) != (ssize_t)sizeof reply)
		err_set(err, ERR_NOT_FOUND, "the worker is kept no more, or its process does not answer");
	else if (reply.error)
		err_set(err, worker_wire_kind(reply.error), "%.*s", (int)sizeof reply.text - 1, reply.text);
	else if (count != (filled ? 0 : 3))
		err_set(err, ERR_SYSTEM, "the process of a kept worker did not hand over what it is made of");
	if (err->kind != ERR_NONE) {
		while (count)
			close(descriptors[--count]);
		return -1;
	}
	if (filled)
		return 0;
	*answer = (struct keeper_answer){
		.root = descriptors[0], .layer = descriptors[1], .mounts = descriptors[2], .owner = (uid_t)reply.status};
	memcpy(answer->text, reply.text, sizeof answer->text - 1);
	return 0;
}

int keeper_ask(const struct conf *conf, const char *build, const struct keeper_filling *filling, struct keeper_answer *answer,
	struct err *err)
{
	struct worker_request request;
	int ends[2], rc;

	if (worker_wire_request(&request, WORKER_COPY, build, NULL, NULL, err) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_set_errno(err, errno, "a pair of sockets");
	request.number = filling ? (uint32_t)filling->ids : 0;
	rc = pass(conf, &request, (const int[]){ends[1], filling ? filling->to : -1}, filling ? 2 : 1, err);
	close(ends[1]);
	if (rc == 0)
		rc = take_answer(ends[0], filling != NULL, answer, err);
	close(ends[0]);
	return rc;
}
