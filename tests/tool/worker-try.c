/*
 * A caller of byoci-worker for the tests: does what its arguments say, in their order, on one connection, and prints a line for
 * each.
 *
 *   worker-try SOCKET STEP...
 *     build=ID                the build that the steps after it name (default: 32 times "a")
 *     backing=NAME            has a backing built; its progress goes to standard error
 *     start=JOB,DIGEST,LAYER  starts a worker; without DIGEST that of the configuration (BYOCI_ROOT, BYOCI_NAMESPACE)
 *     ready=JOB,DIGEST        starts one without a tree; attach=JOB,DIGEST,LAYER gives it one; check asks whether it is well
 *     exec, wait              begins the command, with our own descriptors 1 and 2; waits for its end
 *     stop, remove, reap
 *     secrets=PROJECT         has the project's secrets put into the worker
 *     keep=SECONDS            keeps it when its command has ended; discard removes a kept one of that build; shell, wait: with our
 *                             own descriptors 0, 1 and 2
 *     copy=SECONDS            a copy of the kept worker of that build, for shell and wait
 *     collect=FILES,NOTES     has what the job keeps written into these two fifos
 *     hold                    waits for the end of standard input
 *     digest=BACKING          prints its digest as configured (BYOCI_ROOT, BYOCI_NAMESPACE); needs no worker: SOCKET may be -
 *     raw=WHAT                sends something that is not a request (see `raws`) and prints the reply
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sock.h"
#include "conf/conf.h"
#include "forge/job.h"
#include "slaves/worker/worker_client.h"

#define BUILD "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct try {
	struct worker_client *client;
	const char *build;
};

typedef int step_fn(struct try *try, const char *value, struct err *err);

static int step_build(struct try *try, const char *value, struct err *err)
{
	(void)err;
	try->build = value;
	return 0;
}

static int step_backing(struct try *try, const char *value, struct err *err)
{
	char digest[WORKER_DIGEST_SIZE];

	if (worker_client_build_backing(try->client, value, false, STDERR_FILENO, digest, err) < 0)
		return -1;
	printf("backing %s\n", digest);
	return 0;
}

typedef int digest_fn(const struct conf *conf, const char *name, char out[static JOB_DIGEST_SIZE], struct err *err);

static int find_digest(digest_fn *call, const char *name, char digest[static JOB_DIGEST_SIZE], struct err *err)
{
	const struct conf_source source = {.system_only = true, .root = getenv("BYOCI_ROOT")};
	struct conf *conf;
	int rc;

	if (conf_load(&conf, &source, err) < 0)
		return -1;
	rc = call(conf, name, digest, err);
	conf_free(conf);
	return rc;
}

static int step_digest(struct try *try, const char *value, struct err *err)
{
	char digest[JOB_DIGEST_SIZE];

	(void)try;
	if (find_digest(job_backing_digest, value, digest, err) < 0)
		return -1;
	puts(digest);
	return 0;
}

typedef int start_fn(struct worker_client *client, const struct worker_client_start *request,
	char backing[static WORKER_DIGEST_SIZE], struct err *err);

static int start(struct try *try, const char *value, const char *done, start_fn *call, struct err *err)
{
	char *copy = strdup(value), *rest = copy;
	const char *job = strsep(&rest, ","), *digest = strsep(&rest, ",");
	struct worker_client_start request = {.build = try->build, .job = job, .job_digest = digest};
	char backing[WORKER_DIGEST_SIZE], own[JOB_DIGEST_SIZE];
	int64_t begin_us;
	int rc;

	if (digest && !*digest) {
		if (find_digest(job_digest, job, own, err) < 0) {
			free(copy);
			return -1;
		}
		request.job_digest = own;
	}
	begin_us = clock_monotonic_us();
	request.layer = open(rest ? rest : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (request.layer < 0)
		rc = err_set(err, ERR_USAGE, "start=JOB,DIGEST,LAYER");
	else
		rc = call(try->client, &request, backing, err);
	if (rc == 0)
		printf("%s on %s in %d us\n", done, backing, (int)(clock_monotonic_us() - begin_us));
	close(request.layer);
	free(copy);
	return rc;
}

static int step_start(struct try *try, const char *value, struct err *err)
{
	return start(try, value, "started", worker_client_start, err);
}

static int step_ready(struct try *try, const char *value, struct err *err)
{
	return start(try, value, "waits", worker_client_ready, err);
}

static int attach(struct worker_client *client, const struct worker_client_start *request, char backing[static WORKER_DIGEST_SIZE],
	struct err *err)
{
	snprintf(backing, WORKER_DIGEST_SIZE, "its tree");
	return worker_client_attach(client, request, err);
}

static int step_attach(struct try *try, const char *value, struct err *err)
{
	return start(try, value, "attached", attach, err);
}

static int step_check(struct try *try, const char *value, struct err *err)
{
	(void)value;
	if (worker_client_check(try->client, err) < 0)
		return -1;
	puts("well");
	return 0;
}

static int step_reap(struct try *try, const char *value, struct err *err)
{
	int removed;

	(void)value;
	if (worker_client_reap(try->client, err) < 0 || worker_client_reaped(try->client, &removed, err) < 0)
		return -1;
	printf("reaped %d\n", removed);
	return 0;
}

static int step_exec(struct try *try, const char *value, struct err *err)
{
	(void)value;
	return worker_client_exec(try->client, STDOUT_FILENO, STDERR_FILENO, err);
}

static int step_wait(struct try *try, const char *value, struct err *err)
{
	char text[WORKER_TEXT_SIZE];
	int status;

	(void)value;
	if (worker_client_wait(try->client, &status, text, err) < 0)
		return -1;
	printf("ended with %d %s\n", status, text);
	return 0;
}

static int step_secrets(struct try *try, const char *value, struct err *err)
{
	int count = worker_client_secrets(try->client, value, err);

	if (count < 0)
		return -1;
	printf("%d secrets\n", count);
	return 0;
}

static int step_collect(struct try *try, const char *value, struct err *err)
{
	char *copy = strdup(value), *rest = copy;
	const char *first = strsep(&rest, ",");
	int files = open(first, O_WRONLY | O_CLOEXEC), notes = open(rest ? rest : "", O_WRONLY | O_CLOEXEC);
	int rc = worker_client_collect(try->client, files, notes, err);

	close(files);
	close(notes);
	free(copy);
	if (rc == 0)
		rc = worker_client_collected(try->client, err);
	if (rc == 0)
		puts("collected");
	return rc;
}

static int step_stop(struct try *try, const char *value, struct err *err)
{
	(void)value;
	if (worker_client_stop(try->client, err) < 0)
		return -1;
	puts("stopped");
	return 0;
}

static int step_remove(struct try *try, const char *value, struct err *err)
{
	(void)value;
	if (worker_client_remove(try->client, err) < 0)
		return -1;
	puts("removed");
	return 0;
}

static int step_keep(struct try *try, const char *value, struct err *err)
{
	char text[WORKER_TEXT_SIZE];

	if (worker_client_keep(try->client, (uint32_t)strtoul(value, NULL, 10), text, err) < 0)
		return -1;
	printf("kept %s\n", text);
	return 0;
}

static int step_discard(struct try *try, const char *value, struct err *err)
{
	(void)value;
	if (worker_client_discard(try->client, try->build, err) < 0 || worker_client_discarded(try->client, err) < 0)
		return -1;
	puts("discarded");
	return 0;
}

static int step_shell(struct try *try, const char *value, struct err *err)
{
	(void)value;
	return worker_client_shell(try->client, try->build, (const int[]){STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}, err);
}

static int step_copy(struct try *try, const char *value, struct err *err)
{
	if (worker_client_copy(try->client, try->build, (uint32_t)strtoul(value ? value : "0", NULL, 10), err) < 0)
		return -1;
	puts("copied");
	return 0;
}

static int step_hold(struct try *try, const char *value, struct err *err)
{
	char byte;

	(void)try;
	(void)value;
	(void)err;
	puts("holding");
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}

/* How a good START is spoiled. */
static const struct raw {
	const char *name;
	size_t offset, length; /* bytes written over it … */
	const char *bytes;
	size_t size; /* of the packet; 0: as it should be */
	size_t descriptors;
} raws[] = {
	{"short", 0, 0, "", 20, 1},
	{"long", 0, 0, "", sizeof(struct worker_request) + 1, 1},
	{"huge", 0, 0, "", 100000, 1},
	{"version", 0, 4, "\x09\x00\x00\x00", 0, 1},
	{"operation", 4, 4, "\x77\x00\x00\x00", 0, 1},
	{"operation-0", 4, 4, "\x00\x00\x00\x00", 0, 1},
	{"dots", offsetof(struct worker_request, section), 10, "../../etc\0", 0, 1},
	{"slash", offsetof(struct worker_request, section), 4, "a/b\0", 0, 1},
	{"unended", offsetof(struct worker_request, build), WORKER_BUILD_SIZE, BUILD "a", 0, 1},
	{"upper", offsetof(struct worker_request, digest), 1, "B", 0, 1},
	{"slot", offsetof(struct worker_request, number), 1, "\x01", 0, 1},
	{"unused", offsetof(struct worker_request, unused), 1, "\x01", 0, 1},
	{"few", 0, 0, "", 0, 0},
	{"many", 0, 0, "", 0, 4},
};

static int step_raw(struct try *try, const char *value, struct err *err)
{
	static char bytes[100000];
	const int descriptors[SOCK_DESCRIPTORS] = {1, 1, 1, 1};
	struct worker_request request;
	struct worker_reply reply = {0};
	int fd = worker_client_fd(try->client);

	for (size_t i = 0; i < sizeof raws / sizeof *raws; i++) {
		const struct raw *raw = &raws[i];

		if (strcmp(raw->name, value) != 0)
			continue;
		if (worker_wire_request(&request, WORKER_START, BUILD, "job", DIGEST, err) < 0)
			return -1;
		memcpy(bytes, &request, sizeof request);
		memcpy(bytes + raw->offset, raw->bytes, raw->length);
		if (sock_send(fd, bytes, raw->size ? raw->size : sizeof request, descriptors, raw->descriptors, err) < 0)
			return -1;
		if (recv(fd, &reply, sizeof reply, MSG_WAITALL) <= 0)
			return err_set(err, ERR_NETWORK, "closed without a reply");
		printf("reply %d %s, then %s\n", (int)reply.error, reply.text, recv(fd, bytes, 1, 0) == 0 ? "closed" : "more");
		return 0;
	}
	return err_set(err, ERR_USAGE, "raw=%s: not known", value);
}

static const struct step {
	const char *name;
	step_fn *call;
} steps[] = {
	{"build", step_build}, {"backing", step_backing}, {"start", step_start}, {"ready", step_ready},
	{"attach", step_attach}, {"collect", step_collect}, {"secrets", step_secrets}, {"check", step_check}, {"reap", step_reap},
	{"exec", step_exec}, {"wait", step_wait},
	{"keep", step_keep}, {"discard", step_discard}, {"copy", step_copy}, {"shell", step_shell},
	{"stop", step_stop}, {"remove", step_remove}, {"hold", step_hold}, {"digest", step_digest}, {"raw", step_raw},
};

static int take(struct try *try, const char *argument, struct err *err)
{
	size_t length = strcspn(argument, "=");

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if (strlen(steps[i].name) == length && strncmp(steps[i].name, argument, length) == 0)
			return steps[i].call(try, argument[length] ? argument + length + 1 : "", err);
	return err_set(err, ERR_USAGE, "%s: not a step", argument);
}

int main(int argc, char **argv)
{
	struct try try = {.build = BUILD};
	struct err err = {0};
	int status = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2)
		return 64;
	try.client = strcmp(argv[1], "-") == 0 ? NULL : worker_client_connect(argv[1], &err);
	if (err.kind)
		status = 1;
	for (int i = 2; i < argc && !status; i++)
		if (take(&try, argv[i], &err) < 0)
			status = 1;
	if (status)
		printf("failed %d %s\n", (int)err.kind, err.text);
	worker_client_close(try.client);
	return status;
}
