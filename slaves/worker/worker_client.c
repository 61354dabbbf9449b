#include "slaves/worker/worker_client.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"

struct worker_client {
	int fd;
	char build[WORKER_BUILD_SIZE];
	char job[WORKER_SECTION_SIZE];
	bool running;             /* EXEC was sent and its reply was not handed out yet */
	bool ended;               /* … but is in `end` */
	struct worker_reply end;
	int passed;               /* a descriptor that came with the last reply; -1: none */
};

struct worker_client *worker_client_take(int connection)
{
	struct worker_client *client = calloc(1, sizeof *client);

	if (!client)
		err_fatal("out of memory");
	client->fd = connection;
	client->passed = -1;
	return client;
}

struct worker_client *worker_client_connect(const char *path, struct err *err)
{
	int fd = sock_connect(path, SOCK_SEQPACKET, err);

	if (fd < 0) {
		err_wrap(err, "byoci-worker");
		return NULL;
	}
	return worker_client_take(fd);
}

void worker_client_close(struct worker_client *client)
{
	if (!client)
		return;
	close(client->fd);
	if (client->passed >= 0)
		close(client->passed);
	free(client);
}

int worker_client_fd(const struct worker_client *client)
{
	return client->fd;
}

static int receive(struct worker_client *client, struct worker_reply *reply, struct err *err)
{
	int descriptors[SOCK_DESCRIPTORS];
	size_t count;
	ssize_t length = sock_receive(client->fd, reply, sizeof *reply, descriptors, &count, err);

	if (length == 0) /* a reset is told before what was sent ahead of it: turned away while we asked */
		length = sock_receive(client->fd, reply, sizeof *reply, descriptors, &count, err);
	if (length < 0) {
		err->kind = ERR_NETWORK;
		return err_wrap(err, "byoci-worker");
	}
	if (client->passed >= 0)
		close(client->passed);
	client->passed = count ? descriptors[0] : -1;
	while (count > 1)
		close(descriptors[--count]);
	if (length == 0)
		return err_set(err, ERR_NETWORK, "byoci-worker: it closed the connection; its log says why");
	if ((size_t)length != sizeof *reply || reply->version != WORKER_VERSION)
		return err_set(err, ERR_INPUT, "byoci-worker: a reply of another version: use programs of one release");
	reply->text[sizeof reply->text - 1] = '\0';
	return 0;
}

static int put(struct worker_client *client, const struct worker_request *request, const int *descriptors, struct err *err)
{
	struct worker_reply reply;
	struct err unread = {0};

	if (sock_send(client->fd, request, sizeof *request, descriptors, worker_wire_descriptors(request->operation), err) < 0) {
		if (receive(client, &reply, &unread) == 0 && reply.error) /* turned away before it was asked */
			return err_set(err, worker_wire_kind(reply.error), "byoci-worker: %s: %s", worker_wire_name(request->operation), reply.text);
		err->kind = ERR_NETWORK;
		return err_wrap(err, "byoci-worker: %s", worker_wire_name(request->operation));
	}
	return 0;
}

static int ask(struct worker_client *client, enum worker_operation operation, const char *section, const char *digest,
	const int *descriptors, struct err *err)
{
	const char *build = worker_wire_builds(operation) ? client->build : NULL;
	struct worker_request request;

	if (worker_wire_request(&request, operation, build, section, digest, err) < 0)
		return err_wrap(err, "byoci-worker: %s", worker_wire_name(operation));
	return put(client, &request, descriptors, err);
}
/* The reply to one operation; EXEC's, when it comes in between, is kept. */
static int await(struct worker_client *client, enum worker_operation operation, struct worker_reply *reply, struct err *err)
{
	for (;;) {
		if (receive(client, reply, err) < 0)
			return -1;
		if (reply->operation == operation)
			break;
		if (reply->operation == WORKER_EXEC && client->running && !client->ended) {
			client->end = *reply;
			client->ended = true;
		} else if (reply->error == WORKER_OK) {
			return err_set(err, ERR_INPUT, "byoci-worker: a reply to %s that was not asked for",
				worker_wire_name(reply->operation));
		} else {
			break; /* it did not even take the request */
		}
	}
	if (reply->error)
		return err_set(err, worker_wire_kind(reply->error), "byoci-worker: %s: %s", worker_wire_name(operation), reply->text);
	return 0;
}

static int take_digest(const struct worker_reply *reply, char digest[static WORKER_DIGEST_SIZE], struct err *err)
{
	if (strlen(reply->text) != WORKER_DIGEST_SIZE - 1)
		return err_set(err, ERR_INPUT, "byoci-worker: its reply has no digest of the backing");
	memcpy(digest, reply->text, WORKER_DIGEST_SIZE);
	return 0;
}

int worker_client_build_backing(struct worker_client *client, const char *backing, bool refresh, int progress,
	char digest[static WORKER_DIGEST_SIZE], struct err *err)
{
	enum worker_operation operation = refresh ? WORKER_REFRESH_BACKING : WORKER_BUILD_BACKING;
	struct worker_reply reply;

	if (ask(client, operation, backing, NULL, &progress, err) < 0 || await(client, operation, &reply, err) < 0)
		return -1;
	return take_digest(&reply, digest, err);
}

int worker_client_backings(struct worker_client *client, enum worker_operation operation, int to, struct err *err)
{
	struct worker_reply reply;

	if (ask(client, operation, NULL, NULL, &to, err) < 0)
		return -1;
	return await(client, operation, &reply, err);
}

int worker_client_list(struct worker_client *client, int to, struct err *err)
{
	return ask(client, WORKER_LIST_BACKINGS, NULL, NULL, &to, err);
}

int worker_client_listed(struct worker_client *client, struct err *err)
{
	struct worker_reply reply;

	return await(client, WORKER_LIST_BACKINGS, &reply, err);
}

/* Takes the names of what is started over, those that are given. */
static int take_names(struct worker_client *client, const struct worker_client_start *start, enum worker_operation operation,
	struct err *err)
{
	struct worker_request fits;

	if (worker_wire_request(&fits, operation, start->build, start->job, start->job_digest, err) < 0)
		return err_wrap(err, "byoci-worker: %s", worker_wire_name(operation));
	memcpy(client->build, fits.build, sizeof client->build);
	memcpy(client->job, fits.section, sizeof client->job);
	return 0;
}

static int ask_for(struct worker_client *client, enum worker_operation operation, const struct worker_client_start *start,
	struct err *err)
{
	if (take_names(client, start, operation, err) < 0)
		return -1;
	return ask(client, operation, client->job, start->job_digest, &start->layer, err);
}

static int begin(struct worker_client *client, enum worker_operation operation, const struct worker_client_start *start,
	struct worker_reply *reply, struct err *err)
{
	return ask_for(client, operation, start, err) < 0 ? -1 : await(client, operation, reply, err);
}

int worker_client_start(struct worker_client *client, const struct worker_client_start *start,
	char backing[static WORKER_DIGEST_SIZE], struct err *err)
{
	struct worker_reply reply;

	return begin(client, WORKER_START, start, &reply, err) < 0 ? -1 : take_digest(&reply, backing, err);
}

int worker_client_ask_ready(struct worker_client *client, const struct worker_client_start *start, struct err *err)
{
	const struct worker_client_start unnamed = {.job = start->job, .job_digest = start->job_digest, .layer = -1};

	return ask_for(client, WORKER_READY, &unnamed, err);
}

int worker_client_await_ready(struct worker_client *client, char backing[static WORKER_DIGEST_SIZE], struct err *err)
{
	struct worker_reply reply;

	return await(client, WORKER_READY, &reply, err) < 0 ? -1 : take_digest(&reply, backing, err);
}

int worker_client_ready(struct worker_client *client, const struct worker_client_start *start,
	char backing[static WORKER_DIGEST_SIZE], struct err *err)
{
	return worker_client_ask_ready(client, start, err) < 0 ? -1 : worker_client_await_ready(client, backing, err);
}

int worker_client_attach(struct worker_client *client, const struct worker_client_start *start, struct err *err)
{
	struct worker_reply reply;

	return begin(client, WORKER_ATTACH, start, &reply, err);
}

/* An operation that names at most the build. */
static int simply(struct worker_client *client, enum worker_operation operation, struct err *err)
{
	struct worker_reply reply;

	if (ask(client, operation, NULL, NULL, NULL, err) < 0)
		return -1;
	return await(client, operation, &reply, err);
}

int worker_client_check(struct worker_client *client, struct err *err)
{
	return simply(client, WORKER_CHECK, err);
}

int worker_client_exec(struct worker_client *client, int out, int errors, struct err *err)
{
	if (client->running)
		return err_set(err, ERR_BUSY, "byoci-worker: a command is running: wait for it first");
	if (ask(client, WORKER_EXEC, client->job, NULL, (const int[]){out, errors}, err) < 0)
		return -1;
	client->running = true;
	client->ended = false;
	return 0;
}

int worker_client_wait(struct worker_client *client, int *status, char text[WORKER_TEXT_SIZE], struct err *err)
{
	if (!client->running)
		return err_set(err, ERR_USAGE, "byoci-worker: no command was begun");
	client->running = false;
	if (!client->ended && await(client, WORKER_EXEC, &client->end, err) < 0)
		return -1;
	client->ended = false;
	if (client->end.error)
		return err_set(err, worker_wire_kind(client->end.error), "byoci-worker: exec: %s", client->end.text);
	*status = client->end.status;
	if (text)
		memcpy(text, client->end.text, WORKER_TEXT_SIZE);
	return 0;
}

int worker_client_secrets(struct worker_client *client, const char *project, struct err *err)
{
	struct worker_reply reply;

	if (ask(client, WORKER_SECRETS, project, NULL, NULL, err) < 0 || await(client, WORKER_SECRETS, &reply, err) < 0)
		return -1;
	return reply.status;
}

int worker_client_collect(struct worker_client *client, int files, int notes, struct err *err)
{
	return ask(client, WORKER_COLLECT, client->job, NULL, (const int[]){files, notes}, err);
}

int worker_client_collected(struct worker_client *client, struct err *err)
{
	struct worker_reply reply;

	return await(client, WORKER_COLLECT, &reply, err);
}

int worker_client_stop(struct worker_client *client, struct err *err)
{
	return simply(client, WORKER_STOP, err);
}

int worker_client_reap(struct worker_client *client, struct err *err)
{
	return ask(client, WORKER_REAP, NULL, NULL, NULL, err);
}

int worker_client_reaped(struct worker_client *client, int *removed, struct err *err)
{
	struct worker_reply reply;

	if (await(client, WORKER_REAP, &reply, err) < 0)
		return -1;
	*removed = reply.status;
	return 0;
}

int worker_client_remove(struct worker_client *client, struct err *err)
{
	return simply(client, WORKER_REMOVE, err);
}

int worker_client_keep(struct worker_client *client, uint32_t seconds, char text[static WORKER_TEXT_SIZE], struct err *err)
{
	struct worker_request request;
	struct worker_reply reply;

	if (worker_wire_request(&request, WORKER_KEEP, client->build, NULL, NULL, err) < 0)
		return -1;
	request.number = seconds;
	if (put(client, &request, NULL, err) < 0 || await(client, WORKER_KEEP, &reply, err) < 0)
		return -1;
	memcpy(text, reply.text, WORKER_TEXT_SIZE);
	return 0;
}

static int name_build(struct worker_client *client, const char *build, struct err *err)
{
	if (strlen(build) >= sizeof client->build)
		return err_set(err, ERR_INPUT, "%s: not the id of a build", build);
	memcpy(client->build, build, strlen(build) + 1);
	return 0;
}

int worker_client_discard(struct worker_client *client, const char *build, struct err *err)
{
	return name_build(client, build, err) < 0 ? -1 : ask(client, WORKER_DISCARD, NULL, NULL, NULL, err);
}

int worker_client_discarded(struct worker_client *client, struct err *err)
{
	struct worker_reply reply;

	return await(client, WORKER_DISCARD, &reply, err);
}

int worker_client_copy(struct worker_client *client, const char *build, uint32_t seconds, struct err *err)
{
	struct worker_request request;
	struct worker_reply reply;

	if (name_build(client, build, err) < 0 || worker_wire_request(&request, WORKER_COPY, build, NULL, NULL, err) < 0)
		return -1;
	request.number = seconds;
	if (put(client, &request, NULL, err) < 0)
		return -1;
	return await(client, WORKER_COPY, &reply, err);
}

int worker_client_shell(struct worker_client *client, const char *build, const int pipes[3], struct err *err)
{
	const enum worker_operation operation = pipes ? WORKER_SHELL : WORKER_TERMINAL;
	struct worker_reply reply;
	int master;

	if (name_build(client, build, err) < 0 || ask(client, operation, NULL, NULL, pipes, err) < 0 ||
		await(client, operation, &reply, err) < 0)
		return -1;
	client->running = true;
	master = client->passed;
	client->passed = -1;
	if (!pipes && master < 0)
		return err_set(err, ERR_INPUT, "byoci-worker: no terminal came with its reply");
	return master < 0 ? 0 : master;
}
