#include "slaves/worker/keeper.h"

#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sock.h"
#include "slaves/worker/kept.h"

#define PASS_LIMIT_S 5 /* between processes of ours */

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
	struct worker_entry entry = {.terminal = request->operation == WORKER_TERMINAL, .in = -1, .master = -1};
	const struct worker_reply reply = {.version = WORKER_VERSION, .operation = request->operation};

	if (keeper->client >= 0)
		return err_set(err, ERR_BUSY, "somebody has a shell in it already");
	if (!entry.terminal) {
		entry.in = pipes[0];
		entry.out = pipes[1];
		entry.errors = pipes[2];
	}
	if (worker_enter(keeper->worker, &entry, err) < 0)
		return -1;
	log_info(LOG_WHAT("a shell in a kept worker"), LOG_TEXT("build", keeper->build));
	answer(connection, &reply, entry.master);
	if (entry.master >= 0)
		close(entry.master);
	keeper->client = connection;
	return 1;
}

static int discard(struct keeper *keeper, int connection)
{
	keeper->discarder = connection;
	return 1;
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
	} else if (request.operation == WORKER_DISCARD) {
		taken = discard(keeper, descriptors[0]);
	} else if (request.operation == WORKER_TERMINAL || count == SOCK_DESCRIPTORS) {
		taken = begin(keeper, &request, descriptors[0], descriptors + 1, &err);
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
		if (strcmp(kept[i].build, build) == 0) {
			*socket = kept_socket(arena, folder, kept[i].number);
			return 0;
		}
	return err_set(err, ERR_NOT_FOUND, "no worker of build %s is kept", build);
}

int keeper_pass(const struct conf *conf, const struct worker_request *request, int connection, const int *descriptors, struct err *err)
{
	const size_t count = worker_wire_descriptors(request->operation);
	int passed[SOCK_DESCRIPTORS] = {connection};
	struct arena *arena = arena_new();
	const char *path = NULL;
	int keeper = -1, rc = -1;

	for (size_t i = 0; i < count && i + 1 < SOCK_DESCRIPTORS; i++)
		passed[i + 1] = descriptors[i];
	if (find(conf, arena, request->build, &path, err) < 0)
		goto err0;
	keeper = sock_connect(path, SOCK_SEQPACKET, err);
	if (keeper < 0) {
		err_set(err, ERR_NOT_FOUND, "the worker of build %s is kept no more", request->build);
		goto err0;
	}
	rc = sock_send(keeper, request, sizeof *request, passed, count + 1, err);
	close(keeper);
err0:
	arena_free(arena);
	return rc;
}
