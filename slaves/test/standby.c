#include "slaves/test/standby.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/child.h"
#include "base/crash.h"
#include "base/crypto.h"
#include "base/sock.h"
#include "forge/job.h"
#include "forge/outcome.h"
#include "slaves/test/leader.h"

#define STANDBY_CHECK_MS 10000 /* between two looks at the worker that waits */
#define STANDBY_STARTING 12    /* looks at one that still starts */

enum { WATCH_ORDER, WATCH_SIGNALS, WATCH_WORKER, WATCHES };

struct standby {
	const struct program *program;
	struct trial_worker worker;
	const char *job;
	int fd, signals;
	int status;
	unsigned looks; /* at the worker while it started */
	char build[SPEC_BUILD_SIZE]; /* "": no order yet */
	int claim;
};

/* What a spare one is told. */
struct naming {
	char job[WORKER_SECTION_SIZE], digest[JOB_DIGEST_SIZE];
};

/* `words`: the verb and what it is told before its descriptor. */
static int spawn(const struct program *program, const char *const *words, pid_t *pid, int *pidfd, struct err *err)
{
	struct strv argv = STRV_INIT, environment = STRV_INIT;
	struct child child = CHILD_INIT;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_set_errno(err, errno, "a pair of sockets");
	program_command(program, NULL, &argv, &environment);
	for (; *words; words++)
		strv_push(&argv, *words);
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

int standby_start(const struct program *program, const char *job, const char *digest, pid_t *pid, int *pidfd, struct err *err)
{
	return spawn(program, (const char *const[]){"standby", job, digest, NULL}, pid, pidfd, err);
}

int standby_spare(const struct program *program, pid_t *pid, int *pidfd, struct err *err)
{
	return spawn(program, (const char *const[]){"spare", NULL}, pid, pidfd, err);
}

int standby_name(int fd, const char *job, const char *digest, struct err *err)
{
	struct naming naming = {.job = ""};

	if (strlen(job) >= sizeof naming.job || strlen(digest) >= sizeof naming.digest)
		return err_set(err, ERR_INPUT, "job %.64s: its name is too long", job);
	memcpy(naming.job, job, strlen(job));
	memcpy(naming.digest, digest, strlen(digest));
	return sock_send(fd, &naming, sizeof naming, NULL, 0, err);
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

	if (length == 0) /* that the other side has not read what we said is told before what it sent ahead of that */
		length = sock_receive(standby->fd, standby->build, sizeof standby->build, descriptors, &count, &err);
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

/* -1, always. */
static int no_worker(struct standby *standby, const struct err *err)
{
	dprintf(STDERR_FILENO, "byoci-slave standby: no worker waits for %s: %s\n", standby->job, err->text);
	standby->status = outcome_exit(OUTCOME_INFRASTRUCTURE);
	return -1;
}

/* The worker that starts has an answer. -1: it did not start, or there is nobody to tell. */
static int begin_to_wait(struct standby *standby)
{
	const char ready = STANDBY_READY;
	struct err err = {0};

	if (trial_await(&standby->worker, &err) < 0)
		return no_worker(standby, &err);
	CRASH_POINT("standby.ready");
	return send(standby->fd, &ready, sizeof ready, MSG_NOSIGNAL) == sizeof ready ? 0 : -1;
}

static int look_at_worker(struct standby *standby)
{
	struct err err = {0};

	if (standby->worker.starting)
		return ++standby->looks < STANDBY_STARTING ? 0 : no_worker(standby, &(struct err){.text = "it takes too long to start"});
	if (trial_check(&standby->worker, &err) == 0)
		return 0;
	dprintf(STDERR_FILENO, "byoci-slave standby: the worker that waits is unwell: %s\n", err.text);
	return -1;
}

/* Until there is an order, or no use in waiting. 1: there is one. */
static int wait_for_order(struct standby *standby)
{
	for (;;) {
		struct pollfd fds[WATCHES] = {[WATCH_ORDER] = {.fd = standby->fd, .events = POLLIN},
			[WATCH_SIGNALS] = {.fd = standby->signals, .events = POLLIN},
			[WATCH_WORKER] = {.fd = worker_client_fd(standby->worker.client), .events = POLLIN}};
		bool well;

		int ready = poll(fds, WATCHES, STANDBY_CHECK_MS);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready > 0 && fds[WATCH_ORDER].revents)
			return receive(standby);
		if (ready == 0)
			well = look_at_worker(standby) == 0;
		else
			well = ready > 0 && !fds[WATCH_SIGNALS].revents && standby->worker.starting && begin_to_wait(standby) == 0;
		if (!well)
			return refuse_orders(standby);
	}
}

/* What libraries do when they are used first (a millisecond or two) is done before there is an order. */
static void warm_up(void)
{
	char digest[CRYPTO_SHA256_HEX];

	crypto_sha256("", 0, digest);
	json_decref(json_object());
}

int standby_verb(const struct program *program, const char *job, const char *digest, int fd)
{
	struct err err = {0};
	struct standby standby = {.program = program, .job = job, .fd = fd, .signals = leader_signals(&err), .claim = -1};

	if (standby.signals < 0) {
		no_worker(&standby, &err);
		return standby.status;
	}
	if (trial_ask(program, job, digest, &standby.worker, &err) < 0)
		no_worker(&standby, &err);
	warm_up();
	if (standby.worker.client ? wait_for_order(&standby) : refuse_orders(&standby)) {
		CRASH_POINT("standby.ordered");
		close(fd);
		const struct leader_order order = {.program = program, .build = standby.build, .claim = standby.claim,
			.signals = standby.signals, .worker = &standby.worker};
		return leader_lead(&order);
	}
	trial_release(&standby.worker);
	return standby.status;
}

int standby_spare_verb(const struct program *program, int fd)
{
	struct naming naming;

	warm_up();
	if (recv(fd, &naming, sizeof naming, 0) != sizeof naming || naming.job[sizeof naming.job - 1] ||
		naming.digest[sizeof naming.digest - 1])
		return 0; /* nobody wants it */
	return standby_verb(program, naming.job, naming.digest, fd);
}
