#include "slaves/test/standby.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/child.h"
#include "base/crash.h"
#include "base/sock.h"
#include "forge/outcome.h"
#include "slaves/test/leader.h"

#define STANDBY_CHECK_MS 10000 /* between two looks at the worker that waits */

enum { WATCH_ORDER, WATCH_SIGNALS, WATCH_WORKER, WATCHES };

struct standby {
	const struct program *program;
	struct trial_worker worker;
	int fd, signals;
	char build[SPEC_BUILD_SIZE]; /* "": no order yet */
	int claim;
};

int standby_start(const struct program *program, const char *job, const char *digest, pid_t *pid, int *pidfd, struct err *err)
{
	struct strv argv = STRV_INIT, environment = STRV_INIT;
	struct child child = CHILD_INIT;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_set_errno(err, errno, "a pair of sockets");
	program_command(program, NULL, &argv, &environment);
	strv_pushl(&argv, "standby", job, digest, NULL);
	strv_pushf(&argv, "%d", ends[1]);
	child.argv = (const char *const *)argv.v;
	child.environment = (const char *const *)environment.v;
	child.err = STDERR_FILENO;
	child.keep = (const int[]){ends[1], -1};
	child.session = true;
	int done = child_spawn(&child, pid, pidfd, err);
	strv_release(&argv);
	strv_release(&environment);
	close(ends[1]);
	if (done == 0)
		return ends[0];
	close(ends[0]);
	return -1;
}

int standby_order(int fd, const char *build, int claim)
{
	char text[SPEC_BUILD_SIZE] = "";
	struct err err = {0};

	snprintf(text, sizeof text, "%s", build);
	return sock_send(fd, text, sizeof text, &claim, 1, &err);
}

/* 1: there is an order; 0: there is none and won't be any. */
static int receive(struct standby *standby)
{
	int descriptors[SOCK_DESCRIPTORS];
	size_t count = 0;
	struct err err = {0};
	ssize_t length = sock_receive(standby->fd, standby->build, sizeof standby->build, descriptors, &count, &err);

	if (length == (ssize_t)sizeof standby->build && count == 1 && !standby->build[SPEC_BUILD_SIZE - 1] &&
		spec_build_valid(standby->build)) {
		standby->claim = descriptors[0];
		return 1;
	}
	while (count > 0)
		close(descriptors[--count]);
	standby->build[0] = 0;
	return 0;
}

/* Nothing more can be ordered; what was, before that, is obeyed. */
static int refuse_orders(struct standby *standby)
{
	struct pollfd fd = {.fd = standby->fd, .events = POLLIN};

	shutdown(standby->fd, SHUT_RD);
	return poll(&fd, 1, 0) > 0 ? receive(standby) : 0;
}

/* Until there is an order, or no use in waiting. 1: there is one. */
static int wait_for_order(struct standby *standby)
{
	for (;;) {
		struct pollfd fds[WATCHES] = {[WATCH_ORDER] = {.fd = standby->fd, .events = POLLIN},
			[WATCH_SIGNALS] = {.fd = standby->signals, .events = POLLIN},
			[WATCH_WORKER] = {.fd = worker_client_fd(standby->worker.client), .events = POLLIN}};
		struct err err = {0};

		int ready = poll(fds, WATCHES, STANDBY_CHECK_MS);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready > 0 && fds[WATCH_ORDER].revents)
			return receive(standby);
		if (ready < 0 || (ready > 0 && (fds[WATCH_SIGNALS].revents || fds[WATCH_WORKER].revents)))
			return refuse_orders(standby);
		if (trial_check(&standby->worker, &err) < 0) {
			dprintf(STDERR_FILENO, "byoci-slave standby: the worker that waits is unwell: %s\n", err.text);
			return refuse_orders(standby);
		}
	}
}

int standby_verb(const struct program *program, const char *job, const char *digest, int fd)
{
	struct err err = {0};
	struct standby standby = {.program = program, .fd = fd, .signals = leader_signals(&err), .claim = -1};
	int status = outcome_exit(OUTCOME_INFRASTRUCTURE);
	const char ready = STANDBY_READY;

	if (standby.signals < 0 || trial_ready(program, job, digest, &standby.worker, &err) < 0) {
		dprintf(STDERR_FILENO, "byoci-slave standby: no worker waits for %s: %s\n", job, err.text);
		return status;
	}
	CRASH_POINT("standby.ready");
	if (send(fd, &ready, sizeof ready, MSG_NOSIGNAL) == sizeof ready && wait_for_order(&standby)) {
		CRASH_POINT("standby.ordered");
		close(fd);
		const struct leader_order order = {.program = program, .build = standby.build, .claim = standby.claim,
			.signals = standby.signals, .worker = &standby.worker};
		return leader_lead(&order);
	}
	trial_release(&standby.worker);
	return 0;
}
