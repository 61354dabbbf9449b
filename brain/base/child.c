#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define SEARCH_PATH "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
#define DEFAULT_MAXIMUM (1024 * 1024)
#define DEFAULT_LIMIT_MS 60000
#define STACK ((size_t)64 * 1024) /* of a child until it executes its program */

static const char *const default_environment[] = {"PATH=" SEARCH_PATH, "HOME=/", "LC_ALL=C.UTF-8", NULL};

/* What the child was doing when it failed; goes through a pipe that exec closes. */
enum stage { STAGE_SESSION, STAGE_PARENT, STAGE_DESCRIPTORS, STAGE_DIRECTORY, STAGE_EXEC };

struct failure {
	enum stage stage;
	int number;
};

static const char *const stage_texts[] = {
	[STAGE_SESSION] = "no process group of its own",
	[STAGE_PARENT] = "cannot be bound to its parent's life",
	[STAGE_DESCRIPTORS] = "its file descriptors cannot be set up",
	[STAGE_DIRECTORY] = "its folder cannot be entered",
	[STAGE_EXEC] = "cannot be executed",
};

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Puts the program's path into `path`. */
static int find_program(const char *name, char *path, size_t room, struct err *err)
{
	const char *folder = SEARCH_PATH;

	if (strchr(name, '/')) {
		if ((size_t)snprintf(path, room, "%s", name) >= room)
			return err_set(err, ERR_USAGE, "%s: the path of a program is too long", name);
		return 0;
	}
	while (*folder) {
		size_t length = strcspn(folder, ":");

		if ((size_t)snprintf(path, room, "%.*s/%s", (int)length, folder, name) < room && is_program(path))
			return 0;
		folder += length + (folder[length] == ':');
	}
	return err_set(err, ERR_NOT_FOUND, "%s: no such program in " SEARCH_PATH "; install it", name);
}

/* From here to exec only async-signal-safe functions: signal-safety(7). */
static _Noreturn void fail(int report, enum stage stage)
{
	struct failure failure = {.stage = stage, .number = errno};

	if (write(report, &failure, sizeof failure) < 0)
		_exit(126);
	_exit(127);
}

static void reset_signals(void)
{
	/*
	 * The kernel's struct sigaction, all zero: SIG_DFL. Not by sigaction(3), which leaves two signals of the C library's own alone,
	 * and posix_spawn(3), by which make starts us, has them ignored.
	 */
	static const unsigned long defaults[4];
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		syscall(SYS_rt_sigaction, number, defaults, NULL, (size_t)NSIG / 8); /* fails for SIGKILL and SIGSTOP, which are default */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A copy above 2, so that no dup2 below can hit it. */
static int moved_up(int fd)
{
	if (fd >= 0)
		return fcntl(fd, F_DUPFD_CLOEXEC, 3);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return fd < 0 || fd > 2 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int place_descriptors(const struct child *child)
{
	int in = moved_up(child->in);
	int out = moved_up(child->out);
	int err = moved_up(child->err);

	if (in < 0 || out < 0 || err < 0)
		return -1;
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		return -1;
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return -1;
	for (const int *keep = child->keep; keep && *keep >= 0; keep++)
		if (fcntl(*keep, F_SETFD, 0) < 0)
			return -1;
	return 0;
}

/* What a child needs to know until it executes its program. */
struct birth {
	const struct child *child;
	const char *path;
	int report;
	pid_t parent;
};

static int become(void *cookie)
{
	const struct birth *birth = cookie;
	const struct child *child = birth->child;
	const char *const *environment = child->environment ? child->environment : default_environment;
	int report = fcntl(birth->report, F_DUPFD_CLOEXEC, 3);

	if (report < 0)
		_exit(126);
	if ((child->session ? setsid() : setpgid(0, 0)) < 0)
		fail(report, STAGE_SESSION);
	if (child->dies_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		fail(report, STAGE_PARENT);
	if (child->dies_with_parent && getppid() != birth->parent) /* it ended before prctl could hear of it */
		_exit(126);
	if (place_descriptors(child) < 0)
		fail(report, STAGE_DESCRIPTORS);
	if (chdir(child->directory ? child->directory : "/") < 0)
		fail(report, STAGE_DIRECTORY);
	reset_signals();
	execve(birth->path, (char *const *)(uintptr_t)child->argv, (char *const *)(uintptr_t)environment);
	fail(report, STAGE_EXEC);
}

/* Waits until the child has executed its program or has said why not. */
static int await_exec(int report, const char *name, struct err *err)
{
	struct failure failure;
	ssize_t got;

	do {
		got = read(report, &failure, sizeof failure);
	} while (got < 0 && errno == EINTR);
	if (got == 0)
		return 0;
	if (got != (ssize_t)sizeof failure)
		return err_set(err, ERR_SYSTEM, "%s: it is not known whether it was started", name);
	if (failure.number == ENOENT && failure.stage == STAGE_EXEC)
		return err_set(err, ERR_NOT_FOUND, "%s: there is no such program (or its interpreter is missing)", name);
	return err_set_errno(err, failure.number, "%s: %s", name, stage_texts[failure.stage]);
}

/*
 * Every signal is blocked meanwhile: no handler of ours runs in the child. It shares our memory until it executes its program, and we
 * wait for that, as in vfork(2): copying the page tables of a process, only to drop them, would take longer than all the rest. It has a
 * stack of its own, and its descriptors, signal handlers and folder are copies.
 */
static pid_t start(const struct child *child, const char *path, int report)
{
	struct birth birth = {.child = child, .path = path, .report = report, .parent = getpid()};
	char *stack = malloc(STACK);
	sigset_t all, before;
	pid_t pid;
	int number;

	if (!stack)
		return -1;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = clone(become, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, &birth);
	number = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	free(stack);
	errno = number;
	return pid;
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int child_spawn(const struct child *child, pid_t *pid, int *pidfd, struct err *err)
{
	const char *name = child->argv[0];
	char path[4096];
	int report[2];
	int fd = -1;
	pid_t started;

	if (find_program(name, path, sizeof path, err) < 0)
		return -1;
	if (pipe2(report, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "%s: no pipe", name);
	started = start(child, path, report[1]);
	close(report[1]);
	if (started < 0) {
		err_set_errno(err, errno, "%s: no new process", name);
		goto err1;
	}
	if (pidfd && (fd = pidfd_open(started, 0)) < 0) {
		err_set_errno(err, errno, "%s: its process cannot be watched", name);
		kill(started, SIGKILL);
		goto err2;
	}
	if (await_exec(report[0], name, err) < 0)
		goto err3;
	close(report[0]);
	*pid = started;
	if (pidfd)
		*pidfd = fd;
	return 0;
err3:
	if (fd >= 0)
		close(fd);
err2:
	reap(started);
err1:
	close(report[0]);
	return -1;
}

int child_copy(const struct child_task *task, pid_t *pid, struct err *err)
{
	pid_t parent = getpid(), copy = fork();

	if (copy < 0)
		return err_set_errno(err, errno, "no new process");
	if (copy > 0) {
		*pid = copy;
		return 0;
	}
	struct child child = CHILD_INIT;
	child.out = task->out;
	child.err = STDERR_FILENO;
	if (setpgid(0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || place_descriptors(&child) < 0 ||
		close_range(3, ~0U, 0) < 0 || chdir("/") < 0)
		_exit(126);
	reset_signals();
	_exit(task->act(task->cookie));
}

/* A file in memory: unlike a pipe it needs no writing beside the reading, and no SIGPIPE can come of it. */
static int input_file(const struct child_input *input, struct err *err)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	size_t done = 0;

	if (fd < 0)
		return err_set_errno(err, errno, "no memory for its input");
	while (done < input->length) {
		ssize_t put = write(fd, (const char *)input->bytes + done, input->length - done);

		if (put < 0 && errno != EINTR)
			goto err1;
		if (put > 0)
			done += (size_t)put;
	}
	if (lseek(fd, 0, SEEK_SET) < 0)
		goto err1;
	return fd;
err1:
	err_set_errno(err, errno, "no memory for its input");
	close(fd);
	return -1;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Starts it with pipes; on failure nothing is open. */
static int run_start(struct child_running *run, const struct child *child, const struct child_input *input, struct err *err)
{
	struct child copy = *child;
	int out[2], errors[2];
	int in = -1;

	if (input->bytes && !input->from && (in = input_file(input, err)) < 0)
		return -1;
	if (pipe2(out, O_CLOEXEC) < 0) {
		err_set_errno(err, errno, "%s: no pipe", run->name);
		goto err1;
	}
	if (pipe2(errors, O_CLOEXEC) < 0) {
		err_set_errno(err, errno, "%s: no pipe", run->name);
		goto err2;
	}
	copy.in = input->from ? *input->from : in;
	copy.out = input->to ? *input->to : out[1];
	copy.err = errors[1];
	if (child_spawn(&copy, &run->pid, &run->pidfd, err) < 0)
		goto err3;
	close(errors[1]);
	close(out[1]);
	close_one(&in);
	run->fds[0] = out[0];
	run->fds[1] = errors[0];
	return 0;
err3:
	close(errors[0]);
	close(errors[1]);
err2:
	close(out[0]);
	close(out[1]);
err1:
	close_one(&in);
	return -1;
}

static struct buf *collected(const struct child_running *run, int i)
{
	return i == 0 ? &run->result->out : &run->result->err;
}

/* One read. 1: there may be more; 0: the end. */
static int collect(struct child_running *run, int i, struct err *err)
{
	char part[16384];
	ssize_t got = read(run->fds[i], part, sizeof part);

	if (got < 0 && errno == EINTR)
		return 1;
	if (got < 0)
		return err_set_errno(err, errno, "%s: what it writes cannot be read", run->name);
	if (got == 0) {
		close_one(&run->fds[i]);
		return 0;
	}
	if (buf_add(collected(run, i), part, (size_t)got) < 0)
		return err_set(err, ERR_FULL, "%s: writes more than %zu bytes", run->name, collected(run, i)->maximum);
	return 1;
}

/* After its end: what is in the pipes already. */
static int drain(struct child_running *run, struct err *err)
{
	for (int i = 0; i < 2; i++) {
		struct pollfd ready = {.fd = run->fds[i], .events = POLLIN};

		while (run->fds[i] >= 0 && poll(&ready, 1, 0) > 0) {
			int rc = collect(run, i, err);

			if (rc < 0)
				return -1;
			if (rc == 0)
				break;
		}
	}
	return 0;
}

static int time_left(int64_t deadline_us)
{
	int64_t left = (deadline_us - clock_monotonic_us() + 999) / 1000;

	if (left < 0)
		return 0;
	return left > 3600000 ? 3600000 : (int)left;
}

/* Until the program has ended. */
static int follow(struct child_running *run, struct err *err)
{
	for (;;) {
		struct pollfd ready[3] = {
			{.fd = run->fds[0], .events = POLLIN},
			{.fd = run->fds[1], .events = POLLIN},
			{.fd = run->pidfd, .events = POLLIN},
		};
		int count = poll(ready, 3, time_left(run->deadline_us));

		if (count < 0 && errno != EINTR)
			return err_set_errno(err, errno, "%s: cannot be waited for", run->name);
		for (int i = 0; count > 0 && i < 2; i++)
			if (ready[i].revents && collect(run, i, err) < 0)
				return -1;
		if (count > 0 && ready[2].revents) {
			kill(-run->pid, SIGKILL); /* what it left running writes no more */
			return drain(run, err);
		}
		if (clock_monotonic_us() >= run->deadline_us)
			return err_set(err, ERR_TIMEOUT, "%s: not done after %lld ms", run->name, (long long)run->limit_ms);
	}
}

/* Ends what is left of its group, while the unreaped leader still holds the group's number. */
static int run_end(struct child_running *run, int *status, struct err *err)
{
	siginfo_t info = {.si_pid = 0};
	int rc;

	kill(-run->pid, SIGKILL);
	kill(run->pid, SIGKILL);
	close_one(&run->fds[0]);
	close_one(&run->fds[1]);
	do {
		rc = waitid(P_PIDFD, (id_t)run->pidfd, &info, WEXITED);
	} while (rc < 0 && errno == EINTR);
	if (rc < 0)
		err_set_errno(err, errno, "%s: how it ended is not known", run->name);
	else
		*status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	close_one(&run->pidfd);
	return rc;
}

int child_begin(const struct child *child, const struct child_input *input, struct child_result *result, struct child_running *run,
	struct err *err)
{
	struct child_input given = input ? *input : (struct child_input){.bytes = NULL};

	if (!given.maximum)
		given.maximum = DEFAULT_MAXIMUM;
	if (given.limit_ms <= 0)
		given.limit_ms = DEFAULT_LIMIT_MS;
	result->status = -1;
	buf_init(&result->out, given.maximum);
	buf_init(&result->err, given.maximum);
	*run = (struct child_running){.name = child->argv[0], .pidfd = -1, .fds = {-1, -1}, .result = result, .limit_ms = given.limit_ms,
		.deadline_us = clock_monotonic_us() + given.limit_ms * 1000};
	return run_start(run, child, &given, err);
}

int child_end(struct child_running *run, struct err *err)
{
	struct err ignored;
	int rc = follow(run, err);

	if (run_end(run, &run->result->status, rc < 0 ? &ignored : err) < 0)
		return -1;
	return rc;
}

void child_abandon(struct child_running *run)
{
	struct err ignored;

	run_end(run, &run->result->status, &ignored);
}

int child_run(const struct child *child, const struct child_input *input, struct child_result *result, struct err *err)
{
	struct child_running run;

	return child_begin(child, input, result, &run, err) < 0 ? -1 : child_end(&run, err);
}

void child_result_release(struct child_result *result)
{
	buf_release(&result->out);
	buf_release(&result->err);
}
