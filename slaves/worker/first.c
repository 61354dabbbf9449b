#include "slaves/worker/first.h"

#include <errno.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "slaves/common/process.h"

static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

pid_t first_start(const int *others, void (*run)(const void *cookie), const void *cookie, struct err *err)
{
	/* Not fork(), which has no name spaces. */
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, 0UL);

	if (pid < 0)
		return err_set_errno(err, errno, "no process for a connection");
	if (pid > 0)
		return pid;
	reset_signals();
	for (; *others >= 0; others++)
		close(*others);
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	run(cookie);
	_exit(1);
}

int first_self(pid_t *pid, int64_t *started, struct err *err)
{
	char self[32] = "";

	/* /proc is the parent's still, and knows us by our number out there. */
	if (readlink("/proc/self", self, sizeof self - 1) < 0)
		return err_set_errno(err, errno, "/proc/self");
	*pid = (pid_t)strtol(self, NULL, 10);
	*started = process_started(*pid);
	return 0;
}
