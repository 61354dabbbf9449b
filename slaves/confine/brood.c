#include "slaves/confine/brood.h"

#include <errno.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define EMPTY_LIMIT_US (5 * 1000000)

static const struct timespec a_moment = {.tv_nsec = 200000};

void brood_expect(struct brood *brood, pid_t child)
{
	brood->waiting = child;
}

int brood_watch(struct brood *brood, pid_t command, struct err *err)
{
	brood->command = command;
	brood->waiting = 0;
	brood->pidfd = pidfd_open(command, 0);
	if (brood->pidfd < 0)
		return err_set_errno(err, errno, "the command cannot be watched");
	return 0;
}

void brood_release(struct brood *brood)
{
	if (brood->pidfd >= 0)
		close(brood->pidfd);
	brood->pidfd = -1;
}

bool brood_reap(struct brood *brood)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == brood->waiting)
			brood->waiting = 0;
		if (pid != brood->command)
			continue;
		brood->command = 0;
		brood->ended = true;
		brood->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		brood_release(brood);
	}
	return pid == 0;
}

int brood_await(struct brood *brood, struct err *err)
{
	int64_t deadline_us = clock_monotonic_us() + EMPTY_LIMIT_US;

	while (brood_reap(brood) && (brood->command || brood->waiting)) {
		if (clock_monotonic_us() > deadline_us)
			return err_set(err, ERR_TIMEOUT, "the command does not end though it was killed");
		nanosleep(&a_moment, NULL);
	}
	return 0;
}

int brood_empty(struct brood *brood, struct err *err)
{
	int64_t begin_us = clock_monotonic_us();

	while (brood_reap(brood)) {
		int64_t waited_us = clock_monotonic_us() - begin_us;

		if (waited_us > EMPTY_LIMIT_US)
			return err_set(err, ERR_TIMEOUT, "processes of the worker do not end");
		if (waited_us > EMPTY_LIMIT_US / 5)
			kill(-1, SIGKILL); /* everything in our process namespace but us */
		nanosleep(&a_moment, NULL);
	}
	return 0;
}
