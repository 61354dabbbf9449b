#include "slaves/test/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "forge/outcome.h"
#include "slaves/worker/worker_client.h"

#define SHELL_BUFFER 65536

/* Bytes on their way from one descriptor to another. */
struct way {
	int from, to;
	bool ours; /* `from` and `to` are to be closed at the end of what comes */
	size_t held, put;
	char bytes[SHELL_BUFFER];
};

enum { WAY_IN, WAY_OUT, WAY_ERR, WAYS };
enum { WATCH_WORKER = WAYS, WATCH_SIGNALS, WATCHES };

struct shell {
	struct worker_client *client;
	struct way ways[WAYS]; /* on a terminal two */
	int master;            /* -1: no terminal */
	int signals;
	struct termios before;
	bool raw;
};

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

	if (way->put < way->held) {
		count = write(way->to, way->bytes + way->put, way->held - way->put);
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

/* True: we are to end. */
static bool take_signal(const struct shell *shell)
{
	struct signalfd_siginfo info;

	if (read(shell->signals, &info, sizeof info) != (ssize_t)sizeof info)
		return false;
	if (info.ssi_signo == SIGWINCH)
		pass_size(shell);
	return info.ssi_signo != SIGWINCH;
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
			if (wait.events == POLLOUT && poll(&wait, 1, -1) < 0 && errno != EINTR)
				break;
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
		waits[WATCH_SIGNALS] = (struct pollfd){.fd = shell->signals, .events = POLLIN};
		if (poll(waits, WATCHES, -1) < 0 && errno != EINTR)
			return err_set_errno(err, errno, "wait for the shell");
		for (int i = 0; i < WAYS; i++)
			if (waits[i].revents)
				go(&shell->ways[i]);
		if (waits[WATCH_SIGNALS].revents && take_signal(shell))
			return err_set(err, ERR_SYSTEM, "ended by a signal");
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

static int begin_on_terminal(struct shell *shell, const char *build, struct err *err)
{
	struct termios raw;

	shell->master = worker_client_shell(shell->client, build, NULL, err);
	if (shell->master < 0)
		return -1;
	fcntl(shell->master, F_SETFL, O_NONBLOCK);
	pass_size(shell);
	set_way(&shell->ways[WAY_IN], STDIN_FILENO, shell->master, false);
	set_way(&shell->ways[WAY_OUT], shell->master, STDOUT_FILENO, false);
	if (tcgetattr(STDIN_FILENO, &shell->before) == 0) {
		raw = shell->before;
		cfmakeraw(&raw);
		shell->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
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
	set_way(&shell->ways[WAY_OUT], pipes[WAY_OUT][0], STDOUT_FILENO, false);
	set_way(&shell->ways[WAY_ERR], pipes[WAY_ERR][0], STDERR_FILENO, false);
	return 0;
err0:
	while (made--) {
		close(pipes[made][0]);
		close(pipes[made][1]);
	}
	return rc;
}

static int open_signals(struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < 4; i++)
		sigaddset(&set, (const int[]){SIGWINCH, SIGTERM, SIGHUP, SIGINT}[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_set_errno(err, errno, "block signals");
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_set_errno(err, errno, "make a signal descriptor") : fd;
}

int shell_verb(const struct program *program, const char *build)
{
	static struct shell shell = {.master = -1, .ways = {{.from = -1, .to = -1}, {.from = -1, .to = -1}, {.from = -1, .to = -1}}};
	const bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	struct err err = {0};
	int status = 0, done = -1;

	const char *path = program_option(program, "worker.socket", &err);
	shell.signals = path ? open_signals(&err) : -1;
	if (shell.signals < 0 || !(shell.client = worker_client_connect(path, &err)))
		goto err0;
	done = terminal ? begin_on_terminal(&shell, build, &err) : begin_on_pipes(&shell, build, &err);
	if (done == 0)
		done = relay(&shell, &status, &err);
	if (shell.raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &shell.before);
err0:
	worker_client_close(shell.client);
	if (done == 0)
		return status;
	fprintf(stderr, "byoci-slave shell: %s\n", err.text);
	return outcome_exit(err.kind == ERR_NOT_FOUND || err.kind == ERR_INPUT ? OUTCOME_USAGE : OUTCOME_INFRASTRUCTURE);
}
