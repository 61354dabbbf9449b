#include "slaves/agent/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "forge/outcome.h"
#include "slaves/common/output.h"
#include "slaves/worker/worker_client.h"

#define SHELL_BUFFER 65536
#define DRAIN_MS 10000 /* for who does not take what is left of the output */

/* Bytes on their way from one descriptor to another. */
struct way {
	int from, to;
	bool ours; /* `to` is to be closed at the end of what comes */
	size_t held, put;
	char bytes[SHELL_BUFFER];
};

enum { WAY_IN, WAY_OUT, WAY_ERR, WAYS };
enum { WATCH_WORKER = WAYS, WATCH_SIZE, WATCH_READER, WATCHES };

struct shell {
	struct worker_client *client;
	struct way ways[WAYS]; /* on a terminal two */
	int master;            /* -1: no terminal */
	int resized; /* signalfd(2) of SIGWINCH */
	int reader;  /* where the output goes */
};

/* Of the terminal; for end_now(), too. */
static struct termios before;
static volatile sig_atomic_t raw;

static void end_way(struct way *way)
{
	if (way->ours && way->to > STDERR_FILENO)
		close(way->to);
	way->from = way->to = -1;
}

/* Which of its descriptors has to be ready for it to go on. */
static struct pollfd wait_of(const struct way *way)
{
	if (way->put < way->held)
		return (struct pollfd){.fd = way->to, .events = POLLOUT};
	return (struct pollfd){.fd = way->from, .events = POLLIN};
}

static void go(struct way *way)
{
	ssize_t count;

	if (way->put < way->held) { /* so much a pipe that is ready takes at once */
		size_t some = way->held - way->put < PIPE_BUF ? way->held - way->put : PIPE_BUF;

		count = write(way->to, way->bytes + way->put, some);
		if (count > 0)
			way->put += (size_t)count;
	} else {
		count = read(way->from, way->bytes, sizeof way->bytes);
		way->put = 0;
		way->held = count > 0 ? (size_t)count : 0;
	}
	if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR))
		end_way(way);
}

static void pass_size(const struct shell *shell)
{
	struct winsize size;

	if (shell->master >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
		ioctl(shell->master, TIOCSWINSZ, &size);
}

static void take_size(const struct shell *shell)
{
	struct signalfd_siginfo info;

	if (read(shell->resized, &info, sizeof info) == (ssize_t)sizeof info)
		pass_size(shell);
}

/* What was written before the end is still to come. */
static void drain(struct shell *shell)
{
	for (int i = WAY_OUT; i < WAYS; i++) {
		struct way *way = &shell->ways[i];

		while (way->from >= 0) {
			struct pollfd wait = wait_of(way);

			if (wait.events == POLLIN && poll(&wait, 1, 0) <= 0)
				break;
			if (wait.events == POLLOUT && poll(&wait, 1, DRAIN_MS) <= 0)
				return;
			go(way);
		}
	}
}

static int relay(struct shell *shell, int *status, struct err *err)
{
	struct pollfd waits[WATCHES];

	for (;;) {
		for (int i = 0; i < WAYS; i++)
			waits[i] = wait_of(&shell->ways[i]);
		waits[WATCH_WORKER] = (struct pollfd){.fd = worker_client_fd(shell->client), .events = POLLIN};
		waits[WATCH_SIZE] = (struct pollfd){.fd = shell->resized, .events = POLLIN};
		waits[WATCH_READER] = (struct pollfd){.fd = shell->reader};
		if (poll(waits, WATCHES, -1) < 0 && errno != EINTR)
			return err_set_errno(err, errno, "wait for the shell");
		if (waits[WATCH_READER].revents & (POLLERR | POLLHUP)) /* sshd signals nobody without a terminal */
			return err_set(err, ERR_SYSTEM, "nobody is there any more who takes its output");
		for (int i = 0; i < WAYS; i++)
			if (waits[i].revents)
				go(&shell->ways[i]);
		if (waits[WATCH_SIZE].revents)
			take_size(shell);
		if (waits[WATCH_WORKER].revents)
			break;
	}
	drain(shell);
	return worker_client_wait(shell->client, status, NULL, err);
}

static void set_way(struct way *way, int from, int to, bool ours)
{
	way->from = from;
	way->to = to;
	way->ours = ours;
}

/* Who does not read must not keep us from the worker's end. The flag is to be on no description that others have, too. */
static int never_blocking(int fd)
{
	char path[32];
	struct stat st;
	int own;

	if (fstat(fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
		return fd; /* a file's place is the description's */
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return own < 0 ? fd : own;
}

static int begin_on_terminal(struct shell *shell, const char *build, struct err *err)
{
	struct termios without;

	shell->master = worker_client_shell(shell->client, build, NULL, err);
	if (shell->master < 0)
		return -1;
	fcntl(shell->master, F_SETFL, O_NONBLOCK);
	pass_size(shell);
	set_way(&shell->ways[WAY_IN], STDIN_FILENO, shell->master, false);
	shell->reader = never_blocking(STDOUT_FILENO);
	set_way(&shell->ways[WAY_OUT], shell->master, shell->reader, false);
	if (tcgetattr(STDIN_FILENO, &before) == 0) {
		without = before;
		cfmakeraw(&without);
		raw = 1;
		tcsetattr(STDIN_FILENO, TCSANOW, &without);
	}
	return 0;
}

/* [0] reading and [1] writing ends, for the shell's three descriptors. */
static int begin_on_pipes(struct shell *shell, const char *build, struct err *err)
{
	int pipes[WAYS][2];
	int made = 0, rc = -1;

	while (made < WAYS && pipe2(pipes[made], O_CLOEXEC) == 0)
		made++;
	if (made < WAYS) {
		err_set_errno(err, errno, "make a pipe");
		goto err0;
	}
	rc = worker_client_shell(shell->client, build, (const int[]){pipes[WAY_IN][0], pipes[WAY_OUT][1], pipes[WAY_ERR][1]}, err);
	if (rc < 0)
		goto err0;
	fcntl(pipes[WAY_IN][1], F_SETFL, O_NONBLOCK); /* who does not read must not keep us from what it writes */
	close(pipes[WAY_IN][0]);
	close(pipes[WAY_OUT][1]);
	close(pipes[WAY_ERR][1]);
	set_way(&shell->ways[WAY_IN], STDIN_FILENO, pipes[WAY_IN][1], true);
	shell->reader = never_blocking(STDOUT_FILENO);
	set_way(&shell->ways[WAY_OUT], pipes[WAY_OUT][0], shell->reader, false);
	set_way(&shell->ways[WAY_ERR], pipes[WAY_ERR][0], never_blocking(STDERR_FILENO), false);
	return 0;
err0:
	while (made--) {
		close(pipes[made][0]);
		close(pipes[made][1]);
	}
	return rc;
}

static void restore(void)
{
	if (raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	raw = 0;
}

/* Whatever we wait for. */
static void end_now(int number)
{
	static const char words[] = "byoci-slave shell: ended by a signal\n";
	struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};

	(void)number;
	restore();
	if (poll(&ready, 1, 0) <= 0 || write(STDERR_FILENO, words, sizeof words - 1) < 0)
		_exit(outcome_exit(OUTCOME_INFRASTRUCTURE));
	_exit(outcome_exit(OUTCOME_INFRASTRUCTURE));
}

static int open_signals(struct err *err)
{
	const struct sigaction end = {.sa_handler = end_now};
	sigset_t set;

	for (size_t i = 0; i < 3; i++)
		sigaction((const int[]){SIGTERM, SIGHUP, SIGINT}[i], &end, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_set_errno(err, errno, "block signals");
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_set_errno(err, errno, "make a signal descriptor") : fd;
}

/* Takes the client over; NULL: err says why there is none. */
static int run(struct worker_client *client, const char *build, struct err *err)
{
	static struct shell shell = {.master = -1, .ways = {{.from = -1, .to = -1}, {.from = -1, .to = -1}, {.from = -1, .to = -1}}};
	const bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	int status = 0, done = -1;

	shell.client = client;
	shell.resized = client ? open_signals(err) : -1;
	if (shell.resized < 0)
		goto err0;
	done = terminal ? begin_on_terminal(&shell, build, err) : begin_on_pipes(&shell, build, err);
	if (done == 0)
		done = relay(&shell, &status, err);
	restore();
err0:
	worker_client_close(client);
	if (done == 0)
		return status;
	struct arena *arena = arena_new();
	fprintf(stderr, "byoci-slave shell: %s\n", output_line(arena, err->text, strlen(err->text), sizeof err->text));
	arena_free(arena);
	return outcome_exit(err->kind == ERR_NOT_FOUND || err->kind == ERR_INPUT ? OUTCOME_USAGE : OUTCOME_INFRASTRUCTURE);
}

int shell_verb(const struct program *program, const char *build)
{
	struct err err = {0};
	const char *path = program_option(program, "worker.socket", &err);

	return run(path ? worker_client_connect(path, &err) : NULL, build, &err);
}

int shell_in_copy(int connection, const char *build)
{
	struct err err = {0};

	return run(worker_client_take(connection), build, &err);
}
