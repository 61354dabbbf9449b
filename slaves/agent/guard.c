#include "slaves/agent/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"

#define LOOK_MS 1000 /* between two looks at the script */
#define ANCESTORS 4

enum { WATCH_WORK, WATCH_SIGNALS, WATCH_OUTPUT, WATCH_ANCESTORS, WATCHES = WATCH_ANCESTORS + ANCESTORS };

struct guard {
	const struct guard_order *order;
	struct pollfd fds[WATCHES];
	pid_t pid;          /* of the work */
	struct stat script; /* as it was */
};

/* One line of /proc/PID/stat, "PID (NAME) STATE PPID …"; a name may have any byte in it, so its end is looked for from behind. */
static bool read_process(pid_t pid, char name[static 16], pid_t *parent)
{
	char path[64], text[512];

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (length <= 0)
		return false;
	text[length] = 0;
	const char *start = strchr(text, '('), *end = strrchr(text, ')');
	if (!start || !end || end < start || strlen(end) < 5)
		return false;
	snprintf(name, 16, "%.*s", (int)(end - start - 1), start + 1);
	*parent = (pid_t)strtol(end + 4, NULL, 10);
	return true;
}

static bool is_shell(const char *name)
{
	static const char *const shells[] = {"sh", "dash", "bash", "ksh", "zsh", "busybox"};

	for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++)
		if (strcmp(name, shells[i]) == 0)
			return true;
	return false;
}

/* A parent that ended before we held it has a successor by then: that is seen, too. */
static int watch_ancestors(struct guard *guard, struct err *err)
{
	pid_t pid = getppid();

	for (int i = 0; i < ANCESTORS && pid > 1; i++) {
		char name[16] = "";
		pid_t next = 0;
		int fd = pidfd_open(pid, 0);
		bool known = fd >= 0 && read_process(pid, name, &next);
		if (fd >= 0)
			guard->fds[WATCH_ANCESTORS + i] = (struct pollfd){.fd = fd, .events = POLLIN};
		if (i == 0 && (fd < 0 || getppid() != pid))
			return err_set(err, ERR_MOVED, "the process that started this one has ended");
		if (!known || !is_shell(name))
			break;
		pid = next;
	}
	return 0;
}

static int watch_signals(struct guard *guard, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		return err_set_errno(err, errno, "wait for signals");
	guard->fds[WATCH_SIGNALS] = (struct pollfd){.fd = fd, .events = POLLIN};
	return 0;
}

static int check_script(const struct guard *guard, struct err *err)
{
	const char *path = guard->order->script;
	struct stat st;

	if (!path || (stat(path, &st) == 0 && st.st_dev == guard->script.st_dev && st.st_ino == guard->script.st_ino))
		return 0;
	return err_set(err, ERR_MOVED, "the job's script is gone: its build has ended");
}

static int start(struct guard *guard, struct err *err)
{
	const struct child child = {.argv = guard->order->argv, .environment = guard->order->environment, .in = -1, .out = STDOUT_FILENO,
		.err = STDERR_FILENO, .dies_with_parent = true};
	int fd = -1;

	if (child_spawn(&child, &guard->pid, &fd, err) < 0)
		return -1;
	guard->fds[WATCH_WORK] = (struct pollfd){.fd = fd, .events = POLLIN};
	return 0;
}

/* 1: the work has ended; 0: go on; -1: a sign. */
static int look(struct guard *guard, int ready, struct err *err)
{
	static const char *const signs[WATCHES] = {[WATCH_SIGNALS] = "a signal came", [WATCH_OUTPUT] = "nobody reads the output any more"};

	if (ready > 0 && guard->fds[WATCH_WORK].revents)
		return 1;
	for (int i = WATCH_SIGNALS; ready > 0 && i < WATCHES; i++)
		if (guard->fds[i].revents)
			return err_set(err, ERR_MOVED, "%s", signs[i] ? signs[i] : "a process that this one was started by has ended");
	return check_script(guard, err);
}

static int watch(struct guard *guard, struct err *err)
{
	int done = 0;

	while (done == 0) {
		int ready = poll(guard->fds, WATCHES, guard->order->script ? LOOK_MS : -1);
		if (ready < 0 && errno != EINTR)
			return err_set_errno(err, errno, "wait for the work");
		done = look(guard, ready, err);
	}
	return done;
}

/* Its exit status; what has not ended is ended, with all that it has connections to. */
static int end(const struct guard *guard, bool ended)
{
	siginfo_t info = {.si_pid = 0};
	int done;

	if (!ended)
		kill(guard->pid, SIGKILL);
	do {
		done = waitid(P_PID, (id_t)guard->pid, &info, WEXITED);
	} while (done < 0 && errno == EINTR);
	return done == 0 && info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

int guard_run(const struct guard_order *order, struct err *err)
{
	struct guard guard = {.order = order};
	int status = -1;

	for (int i = 0; i < WATCHES; i++)
		guard.fds[i].fd = -1;
	guard.fds[WATCH_OUTPUT].fd = STDOUT_FILENO; /* POLLERR and POLLHUP are always told */
	if (order->script && stat(order->script, &guard.script) < 0) {
		err_set(err, ERR_MOVED, "the job's script is gone: its build has ended");
		goto err0;
	}
	if (watch_signals(&guard, err) < 0 || watch_ancestors(&guard, err) < 0 || start(&guard, err) < 0)
		goto err0;
	int done = watch(&guard, err);
	status = end(&guard, done > 0);
	if (done < 0)
		status = -1;
err0:
	for (int i = 0; i < WATCHES; i++)
		if (i != WATCH_OUTPUT && guard.fds[i].fd >= 0)
			close(guard.fds[i].fd);
	return status;
}
