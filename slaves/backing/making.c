#include "slaves/backing/making.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"

#define DISK_FULL ((unsigned long long)1024 * 1024) /* bytes: fewer are as good as none */

void making_say(const struct making *making, const char *format, ...)
{
	va_list values;
	const char *line;

	va_start(values, format);
	line = arena_printf(making->arena, "backing %s: %s\n", making->recipe->name, arena_vprintf(making->arena, format, values));
	va_end(values);
	if (write(making->progress, line, strlen(line)) < 0)
		return;
}

int making_wanted(const struct making *making, const char *what, struct err *err)
{
	struct pollfd caller = {.fd = making->caller, .events = POLLRDHUP};

	if (making->caller >= 0 && poll(&caller, 1, 0) > 0 && caller.revents & (POLLRDHUP | POLLHUP | POLLERR))
		return err_set(err, ERR_NETWORK, "%s: whoever asked for it has gone", what);
	if (clock_monotonic_us() > making->deadline_us)
		return err_set(err, ERR_TIMEOUT, "%s: took too long", what);
	return 0;
}

/* Whether it failed for want of space: then that is what is to be said. */
static int check_disk(const struct making *making, const char *what, struct err *err)
{
	struct statvfs disk;

	if (statvfs(making->folder, &disk) < 0)
		return 0;
	if ((unsigned long long)disk.f_bavail * disk.f_frsize >= DISK_FULL && disk.f_favail > 0)
		return 0;
	return err_set(err, ERR_FULL, "%s: the disk of %s is full; `byoci-slave backing prune` removes what nobody needs", what,
		making->folder);
}

static int judge(const struct making *making, const char *what, int status, struct err *err)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (check_disk(making, what, err) < 0)
		return -1;
	if (WIFEXITED(status))
		return err_set(err, ERR_SYSTEM, "%s: it failed (exit status %d); its last lines say why", what, WEXITSTATUS(status));
	return err_set(err, ERR_SYSTEM, "%s: it failed (signal %d)", what, WTERMSIG(status));
}

/* Waits for the end of a child, for as long as somebody wants its result. */
static int await(const struct making *making, const char *what, pid_t pid, int *status, struct err *err)
{
	int pidfd = pidfd_open(pid, 0), rc = 0;
	struct pollfd waits[] = {{.fd = pidfd, .events = POLLIN}, {.fd = making->caller, .events = POLLRDHUP}};

	if (pidfd < 0)
		rc = err_set_errno(err, errno, "%s: cannot be watched", what);
	while (rc == 0 && (poll(waits, 2, 1000) <= 0 || !waits[0].revents))
		rc = making_wanted(making, what, err);
	if (rc < 0) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	if (pidfd >= 0)
		close(pidfd);
	return rc;
}

void making_environment(struct strv *environment)
{
	static const char *const proxies[] = {"http_proxy", "https_proxy", "no_proxy"};

	strv_pushl(environment, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
		"DEBIAN_FRONTEND=noninteractive", NULL);
	for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++)
		if (getenv(proxies[i]))
			strv_pushf(environment, "%s=%s", proxies[i], getenv(proxies[i]));
}

int making_run(const struct making *making, const char *what, const struct strv *argv, struct err *err)
{
	struct child child = CHILD_INIT;
	struct strv environment = STRV_INIT;
	int status, rc;
	pid_t pid;

	making_environment(&environment);
	child.argv = (const char *const *)argv->v;
	child.environment = (const char *const *)environment.v;
	child.out = making->progress;
	child.err = making->progress;
	child.dies_with_parent = true;
	rc = child_spawn(&child, &pid, NULL, err);
	strv_release(&environment);
	if (rc < 0)
		return -1;
	if (await(making, what, pid, &status, err) < 0)
		return -1;
	return judge(making, what, status, err);
}

/* In the child: nothing of the parent's stays open but progress and the way back, and it does not outlive the parent. */
static void settle(const struct making *making, int back)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (making->progress >= 0 && (dup2(making->progress, STDOUT_FILENO) < 0 || dup2(making->progress, STDERR_FILENO) < 0))
		_exit(1);
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	if (fcntl(back, F_SETFD, FD_CLOEXEC) < 0)
		_exit(1);
}

static _Noreturn void run_call(const struct making *making, making_fn *call, void *cookie, int back)
{
	struct err err = {0};

	settle(making, back);
	if (call(making, cookie, &err) == 0)
		_exit(0);
	_exit(write(back, &err, sizeof err) == (ssize_t)sizeof err ? 2 : 1);
}

/* What the child says went wrong; it fits into a pipe. */
static int take_error(int from, struct err *err)
{
	struct err told;

	if (read(from, &told, sizeof told) != (ssize_t)sizeof told)
		return 0;
	told.text[sizeof told.text - 1] = '\0';
	*err = told;
	return -1;
}

int making_call(const struct making *making, const char *what, int namespaces, making_fn *call, void *cookie, struct err *err)
{
	int pipes[2], status = 0, rc;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "%s: no pipe", what);
	pid = (pid_t)syscall(SYS_clone, (unsigned long)namespaces | SIGCHLD, NULL, NULL, NULL, 0UL);
	if (pid == 0)
		run_call(making, call, cookie, pipes[1]);
	close(pipes[1]);
	if (pid < 0)
		rc = err_set_errno(err, errno, "%s: no process", what);
	else
		rc = await(making, what, pid, &status, err);
	if (rc == 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
		if (check_disk(making, what, err) < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 2 && take_error(pipes[0], err) < 0))
			rc = -1;
		else
			rc = judge(making, what, status, err);
	}
	close(pipes[0]);
	return rc;
}

int making_remove(const struct making *making, const char *path, struct err *err)
{
	struct strv argv = STRV_INIT;
	struct stat st;
	int rc = 0;

	if (lstat(path, &st) == 0) {
		strv_pushl(&argv, "rm", "-rf", "--one-file-system", "--", path, NULL);
		rc = making_run(making, "rm", &argv, err);
	}
	strv_release(&argv);
	return rc;
}
