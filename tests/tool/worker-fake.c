/*
 * A worker that contains nothing, for tests of its caller that must run without root: answers on the worker socket as byoci-worker
 * does (slaves/worker/worker_wire.h), and runs the job's tests.command in LAYER/workspace as the very user who runs this.
 *
 *   worker-fake SOCKET     (configuration: BYOCI_ROOT, BYOCI_NAMESPACE)
 *
 * Each connection is a process; a command is killed with everything in its process group when it is stopped or the caller goes away.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/sock.h"
#include "conf/conf.h"
#include "forge/job.h"
#include "slaves/worker/collect.h"
#include "slaves/worker/worker_wire.h"

struct fake {
	struct conf *conf;
	int fd;
	int layer;
	int pidfd; /* of the command; -1: none runs */
	pid_t pid;
};

static void reply(const struct fake *fake, uint32_t operation, enum worker_error error, int status, const char *text)
{
	struct worker_reply packet = {.version = WORKER_VERSION, .operation = operation, .error = error, .status = status};
	struct err err = {0};

	snprintf(packet.text, sizeof packet.text, "%s", text);
	sock_send(fake->fd, &packet, sizeof packet, NULL, 0, &err);
}

static void ready(struct fake *fake, const struct worker_request *request)
{
	char digest[JOB_DIGEST_SIZE], backing[JOB_DIGEST_SIZE], section[80];
	const char *name = NULL;
	struct err err = {0};

	snprintf(section, sizeof section, "job/%s", request->section);
	if (job_digest(fake->conf, request->section, digest, &err) < 0 || conf_text(fake->conf, section, "backing", &name, &err) < 0 ||
		job_backing_digest(fake->conf, name, backing, &err) < 0)
		reply(fake, request->operation, WORKER_ABSENT, 0, err.text);
	else if (strcmp(digest, request->digest) != 0)
		reply(fake, request->operation, WORKER_REFUSED, 0, "another digest");
	else
		reply(fake, request->operation, WORKER_OK, 0, backing);
}

static void exec(struct fake *fake, const struct worker_request *request, const int *descriptors)
{
	struct child child = CHILD_INIT;
	const char *command = NULL;
	char section[80], folder[64];
	struct err err = {0};

	snprintf(section, sizeof section, "job/%s", request->section);
	snprintf(folder, sizeof folder, "/proc/%d/fd/%d/workspace", getpid(), fake->layer);
	if (conf_text(fake->conf, section, "tests.command", &command, &err) < 0)
		goto err0;
	const char *const argv[] = {"sh", "-c", command, NULL};
	child.argv = argv;
	child.directory = folder;
	child.out = descriptors[0];
	child.err = descriptors[1];
	child.dies_with_parent = true;
	if (child_spawn(&child, &fake->pid, &fake->pidfd, &err) == 0)
		return;
err0:
	reply(fake, WORKER_EXEC, WORKER_TROUBLE, 0, err.text);
}

static void command_ended(struct fake *fake)
{
	int status = 0;

	waitpid(fake->pid, &status, 0);
	close(fake->pidfd);
	fake->pidfd = -1;
	reply(fake, WORKER_EXEC, WORKER_OK, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), "");
}

static void stop(struct fake *fake)
{
	if (fake->pidfd >= 0)
		kill(-fake->pid, SIGKILL);
}

/* The way out is the real one; nobody stands for root of the worker. */
static void collect(struct fake *fake, const struct worker_request *request, const int *descriptors)
{
	const struct collect collect = {.conf = fake->conf, .job = request->section, .root = fake->layer, .user = 65534,
		.archive = descriptors[0], .notes = descriptors[1]};
	struct arena *arena = arena_new();
	struct err err = {0};
	int rc = collect_run(arena, &collect, &err);

	close(descriptors[0]);
	close(descriptors[1]);
	reply(fake, WORKER_COLLECT, rc < 0 ? WORKER_TROUBLE : WORKER_OK, 0, err.text);
	arena_free(arena);
}

static void take(struct fake *fake, const struct worker_request *request, const int *descriptors)
{
	switch ((enum worker_operation)request->operation) {
	case WORKER_START:
		fake->layer = descriptors[0];
		ready(fake, request);
		return;
	case WORKER_EXEC:
		exec(fake, request, descriptors);
		close(descriptors[0]);
		close(descriptors[1]);
		return;
	case WORKER_COLLECT:
		collect(fake, request, descriptors);
		return;
	case WORKER_SECRETS: /* as if there were one */
		reply(fake, WORKER_SECRETS, WORKER_OK, 1, "");
		return;
	case WORKER_STOP:
	case WORKER_REMOVE:
		stop(fake);
		reply(fake, request->operation, WORKER_OK, 0, "");
		return;
	case WORKER_READY:
		ready(fake, request);
		return;
	case WORKER_ATTACH:
		fake->layer = descriptors[0];
		reply(fake, WORKER_ATTACH, WORKER_OK, 0, "");
		return;
	case WORKER_CHECK:
	case WORKER_REAP:
		reply(fake, request->operation, WORKER_OK, 0, "");
		return;
	case WORKER_KEEP:
		stop(fake);
		reply(fake, WORKER_KEEP, WORKER_OK, 0, "for 5 minutes");
		return;
	case WORKER_DISCARD:
	case WORKER_SHELL:
	case WORKER_TERMINAL:
	case WORKER_COPY:
	case WORKER_BUILD_BACKING:
	case WORKER_REFRESH_BACKING:
	case WORKER_LIST_BACKINGS:
	case WORKER_PRUNE_BACKINGS:
	case WORKER_OPERATIONS:
		break;
	}
	reply(fake, request->operation, WORKER_INVALID, 0, "not here");
}

static void serve(struct fake *fake)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct pollfd fds[2] = {{.fd = fake->fd, .events = POLLIN}, {.fd = fake->pidfd, .events = POLLIN}};
		struct worker_request request;
		int descriptors[SOCK_DESCRIPTORS];
		size_t count = 0;
		struct err err = {0};

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			exit(1);
		if (fds[1].revents)
			command_ended(fake);
		if (!fds[0].revents)
			continue;
		ssize_t length = sock_receive(fake->fd, &request, sizeof request, descriptors, &count, &err);
		if (length <= 0)
			break;
		if (worker_wire_check(&request, (size_t)length, count, &request, &err) < 0)
			break;
		take(fake, &request, descriptors);
	}
	stop(fake);
	exit(0);
}

int main(int argc, char **argv)
{
	struct fake fake = {.fd = -1, .layer = -1, .pidfd = -1};
	const struct conf_source source = {.root = getenv("BYOCI_ROOT"), .system_only = true};
	struct err err = {0};

	signal(SIGCHLD, SIG_DFL);
	int listener = argc == 2 && conf_load(&fake.conf, &source, &err) == 0 ? sock_listen(argv[1], SOCK_SEQPACKET, &err) : -1;
	if (listener < 0) {
		fprintf(stderr, "worker-fake: %s\n", err.text);
		return 1;
	}
	fcntl(listener, F_SETFL, 0);
	for (;;) {
		fake.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fake.fd < 0)
			continue;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			continue;
		if (fork() == 0) {
			if (conf_load(&fake.conf, &source, &err) < 0) /* as it is now */
				exit(1);
			serve(&fake);
		}
		close(fake.fd);
	}
}
