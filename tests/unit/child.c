#include "base/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "tests/tap.h"
#include "tests/tmp.h"

#define ARGV(...) \
	(const char *const[]) \
	{ \
		__VA_ARGS__, NULL \
	}

/* The words are a shell's; what it writes to its standard output is the answer, "" after a failure. */
static const char *shell(const char *words, const struct child_input *input, int *status, struct err *err)
{
	static char answer[65536];
	struct child child = {.in = -1, .out = -1, .err = -1, .argv = ARGV("sh", "-c", words)};
	struct child_result result;

	answer[0] = '\0';
	*status = -1;
	err_clear(err);
	if (child_run(&child, input, &result, err) == 0) {
		*status = result.status;
		snprintf(answer, sizeof answer, "%s", result.out.data ? result.out.data : "");
	}
	child_result_release(&result);
	return answer;
}

static void test_run(void)
{
	struct child child = {.in = -1, .out = -1, .err = -1, .argv = ARGV("sh", "-c", "printf out; printf err >&2; exit 3")};
	struct child_result result;
	struct err err;
	int status;

	ok(child_run(&child, NULL, &result, &err) == 0, "a program is run");
	is(result.out.data, "out", "its standard output");
	is(result.err.data, "err", "its standard error, apart");
	ok(result.status == 3, "its exit status, which is no error here");
	child_result_release(&result);
	shell("kill -TERM $$", NULL, &status, &err);
	ok(status == 128 + SIGTERM, "a signal is 128 and its number");
	is(shell("cat", &(struct child_input){.bytes = "a\0b", .length = 3}, &status, &err), "a", "input is given");
	is(shell("wc -c", &(struct child_input){.bytes = "a\0b", .length = 3}, &status, &err), "3\n", "… all of it");
	is(shell("wc -c", &(struct child_input){.bytes = "", .length = 0}, &status, &err), "0\n", "an empty input ends at once");
	is(shell("cat; readlink /proc/$$/fd/0", NULL, &status, &err), "/dev/null\n", "no input is /dev/null");
	is(shell("pwd", NULL, &status, &err), "/\n", "its folder is /");
}

static void test_large_input(void)
{
	size_t size = 4 * 1024 * 1024;
	char *bytes = calloc(1, size);
	struct child_input input = {.bytes = bytes, .length = size, .maximum = size};
	struct child child = {.in = -1, .out = -1, .err = -1, .argv = ARGV("cat")};
	struct child_result result;
	struct err err;
	int status;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)('a' + i % 26);
	ok(child_run(&child, &input, &result, &err) == 0 && result.out.length == size &&
			memcmp(result.out.data, bytes, size) == 0,
		"4 MB in and out at the same time");
	child_result_release(&result);
	is(shell("exit 0", &input, &status, &err), "", "who does not read its input stops nothing");
	ok(status == 0, "… and ends well");
	free(bytes);
}

static void test_one_feeds_another(void)
{
	struct child writer = {.in = -1, .out = -1, .err = -1, .argv = ARGV("sh", "-c", "head -c 1000000 /dev/zero; echo said >&2")};
	struct child reader = {.in = -1, .out = -1, .err = -1, .argv = ARGV("wc", "-c")};
	struct child_result wrote, read;
	struct child_running writing, reading;
	struct err err;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		exit(1);
	bool begun = child_begin(&writer, &(struct child_input){.to = &fds[1]}, &wrote, &writing, &err) == 0;
	close(fds[1]);
	begun = child_begin(&reader, &(struct child_input){.bytes = "x", .length = 1, .from = &fds[0]}, &read, &reading, &err) == 0 && begun;
	close(fds[0]);
	if (!ok(begun, "two programs, of which one feeds the other"))
		exit(1);
	ok(child_end(&reading, &err) == 0 && child_end(&writing, &err) == 0, "end");
	is(read.out.data, "1000000\n", "all of it has come there");
	ok(wrote.out.length == 0, "and not here");
	is(wrote.err.data, "said\n", "what it says to people has");
	child_result_release(&wrote);
	child_result_release(&read);
}

static void test_missing(void)
{
	struct child child = {.in = -1, .out = -1, .err = -1, .argv = ARGV("no-such-program")};
	struct child_result result;
	struct err err;
	pid_t pid = 0;
	int pidfd = -5;

	ok(child_spawn(&child, &pid, &pidfd, &err) < 0 && err.kind == ERR_NOT_FOUND, "a missing program is told at the start");
	is(err.text, "no-such-program: no such program in /usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin; install it",
		"… and where was looked");
	ok(pid == 0 && pidfd == -5, "nothing is set then");
	child.argv = ARGV("/no/such/program");
	ok(child_run(&child, NULL, &result, &err) < 0 && err.kind == ERR_NOT_FOUND, "so is a missing path");
	child_result_release(&result);
	child.argv = ARGV(tmp_text("plain", "#!/bin/sh\n", 0644));
	ok(child_spawn(&child, &pid, NULL, &err) < 0 && err.number == EACCES, "a file that is no program cannot be executed");
	child.argv = ARGV(tmp_text("script", "#!/no/such/interpreter\n", 0755));
	ok(child_spawn(&child, &pid, NULL, &err) < 0 && err.kind == ERR_NOT_FOUND, "nor one whose interpreter is missing");
	child.argv = ARGV("true");
	child.directory = "/no/such/folder";
	ok(child_spawn(&child, &pid, NULL, &err) < 0 && err.number == ENOENT, "a folder that is missing is told too");
	is(err.text, "true: its folder cannot be entered: No such file or directory", "… and said");
	ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "no dead child is left");
}

static void test_environment(void)
{
	struct child child = {.in = -1, .out = -1, .err = -1, .argv = ARGV("env"), .environment = ARGV("ONE=1", "TWO=2 3")};
	struct child_result result;
	struct err err;

	setenv("BYOCI_LEAK", "secret", 1);
	child_run(&child, NULL, &result, &err);
	is(result.out.data, "ONE=1\nTWO=2 3\n", "the environment is exactly what is given");
	child_result_release(&result);
	child.environment = NULL;
	child_run(&child, NULL, &result, &err);
	is(result.out.data, "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin\nHOME=/\nLC_ALL=C.UTF-8\n",
		"or the three of the default");
	child_result_release(&result);
	child.environment = (const char *const[]){NULL};
	child_run(&child, NULL, &result, &err);
	ok(result.out.length == 0, "or nothing at all");
	child_result_release(&result);
}

/* Numbers of the child's descriptors; ls has one of its own, the folder's. */
static void test_descriptors(void)
{
	int open_one = open("/etc/passwd", O_RDONLY); /* not close-on-exec */
	int high = fcntl(open_one, F_DUPFD, 200);
	int kept = fcntl(open_one, F_DUPFD_CLOEXEC, 100);
	const int keep[] = {kept, -1};
	struct child child = {.in = -1, .out = -1, .err = -1, .argv = ARGV("ls", "/proc/self/fd")};
	struct child_result result;
	struct err err;

	child_run(&child, NULL, &result, &err);
	is(result.out.data, "0\n1\n2\n3\n", "no descriptor leaks");
	child_result_release(&result);
	child.keep = keep;
	child_run(&child, NULL, &result, &err);
	is(result.out.data, "0\n1\n100\n2\n3\n", "those to keep are kept, at their numbers");
	child_result_release(&result);
	close(open_one), close(high), close(kept);
}

/* In a process of its own: 0 is the pipe's writing end, 1 what is read, 2 its reading end; each is another one in the child. */
static _Noreturn void run_crossed(void)
{
	struct child child = {.in = 1, .out = 0, .err = 0, .argv = ARGV("sh", "-c", "read line; echo \"$line\"; echo second >&2")};
	int input = open(tmp_text("in", "first\n", 0600), O_RDONLY);
	char text[64] = "";
	struct err err;
	int pipes[2];
	pid_t pid;

	if (input < 3 || pipe(pipes) < 0 || dup2(pipes[1], 0) < 0 || dup2(input, 1) < 0 || dup2(pipes[0], 2) < 0)
		_exit(1);
	close(pipes[1]);
	if (child_spawn(&child, &pid, NULL, &err) < 0)
		_exit(2);
	close(0);
	while (read(2, text + strlen(text), sizeof text - strlen(text) - 1) > 0)
		;
	_exit(strcmp(text, "first\nsecond\n") == 0 ? 0 : 3);
}

static void test_low_descriptors(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		run_crossed();
	waitpid(pid, &status, 0);
	ok(status == 0, "descriptors that are among 0, 1, 2 go where they shall");
}

static void test_signals(void)
{
	struct err err;
	sigset_t set;
	int status;

	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	is(shell("grep -E 'Sig(Blk|Ign)' /proc/self/status", NULL, &status, &err),
		"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n", "no signal is blocked or ignored");
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	signal(SIGINT, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
}

/* Whether the process whose number is in the file runs; a dead one that init has not taken up yet does not. */
static bool is_alive(const char *file)
{
	char number[32] = "", path[64], state[512] = "";
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	const char *after;

	if (fd < 0 || read(fd, number, sizeof number - 1) <= 0)
		return true; /* it was never there: the test is wrong */
	close(fd);
	snprintf(path, sizeof path, "/proc/%ld/stat", strtol(number, NULL, 10));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	after = read(fd, state, sizeof state - 1) > 0 ? strrchr(state, ')') : NULL;
	close(fd);
	return after && after[2] != 'Z';
}

/* Waits for the end of a process that is no child of ours. */
static bool ends(const char *file)
{
	int64_t deadline = clock_monotonic_us() + TAP_LIMIT_US;

	while (is_alive(file)) {
		if (clock_monotonic_us() > deadline)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

static void test_timeout(void)
{
	struct child_input input = {.limit_ms = 300};
	char words[600];
	struct err err;
	int64_t start = clock_monotonic_us();
	int status;

	snprintf(words, sizeof words, "sleep 1000 & echo $! >%s; wait", tmp_path("sleeper"));
	shell(words, &input, &status, &err);
	ok(err.kind == ERR_TIMEOUT, "after its time it is ended");
	is(err.text, "sh: not done after 300 ms", "… which is said");
	ok(clock_monotonic_us() - start < TAP_LIMIT_US, "… in time");
	ok(ends(tmp_path("sleeper")), "its group is killed");
	snprintf(words, sizeof words, "trap '' TERM INT HUP; sleep 1000 & echo $! >%s; exec >&- 2>&-; wait", tmp_path("sleeper"));
	shell(words, &input, &status, &err);
	ok(err.kind == ERR_TIMEOUT && ends(tmp_path("sleeper")), "also when it has closed its output and ignores signals");
	input.limit_ms = TAP_LIMIT_MS;
	snprintf(words, sizeof words, "(while echo spam; do :; done) & echo $! >%s; echo done", tmp_path("sleeper"));
	shell(words, &input, &status, &err);
	ok(ends(tmp_path("sleeper")), "what it leaves running is killed at its end");
	start = clock_monotonic_us();
	snprintf(words, sizeof words, "sleep 1000 & echo $! >%s; echo done", tmp_path("sleeper"));
	is(shell(words, &input, &status, &err), "done\n", "and what holds its output open is not waited for");
	ok(clock_monotonic_us() - start < TAP_LIMIT_US && ends(tmp_path("sleeper")), "… but killed");
}

static void test_cap(void)
{
	struct child_input input = {.maximum = 1000};
	struct err err;
	int status;

	ok(strlen(shell("head -c 1000 /dev/zero | tr '\\0' x", &input, &status, &err)) == 1000 && status == 0,
		"output up to its maximum");
	shell("head -c 1001 /dev/zero; exec sleep 1000", &input, &status, &err);
	ok(err.kind == ERR_FULL, "one byte more ends it");
	is(err.text, "sh: writes more than 1000 bytes", "… which is said");
	shell("cat /dev/zero >&2", &input, &status, &err);
	ok(err.kind == ERR_FULL, "so it does on standard error");
}

static void test_spawn(void)
{
	struct child child = {.in = -1, .out = -1, .err = -1, .argv = ARGV("sh", "-c", "exec sleep 1000")};
	siginfo_t info = {.si_pid = 0};
	struct err err;
	int pidfd = -1;
	pid_t pid = 0;

	if (!ok(child_spawn(&child, &pid, &pidfd, &err) == 0 && pid > 0 && pidfd >= 0, "spawned"))
		return; /* its group would be ours */
	ok(fcntl(pidfd, F_GETFD) == FD_CLOEXEC, "its descriptor is close-on-exec");
	ok(getpgid(pid) == pid && getsid(pid) == getsid(0), "it has a group of its own");
	kill(-pid, SIGKILL);
	ok(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) == 0 && info.si_status == SIGKILL, "it can be waited for");
	close(pidfd);
	child.session = true;
	ok(child_spawn(&child, &pid, NULL, &err) == 0 && getsid(pid) == pid, "or a session of its own");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_dies_with_parent(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct child child = {.in = -1, .out = -1, .err = -1, .argv = ARGV("sleep", "1000"), .dies_with_parent = true};
		struct err err;
		pid_t started = 0;
		char text[32];

		if (child_spawn(&child, &started, NULL, &err) < 0)
			_exit(1);
		snprintf(text, sizeof text, "%d", (int)started);
		tmp_text("orphan", text, 0600);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	ok(ends(tmp_path("orphan")), "it dies with its parent");
}

/* Each failure on the way leaves nothing open. */
static void test_nothing_left(void)
{
	struct child child = {.in = -1, .out = -1, .err = -1, .argv = ARGV("/no/such/program")};
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;
	struct child_result result;
	struct err err;
	int status;

	close(before);
	for (int i = 0; i < 20; i++) {
		child_run(&child, &(struct child_input){.bytes = "x", .length = 1}, &result, &err);
		child_result_release(&result);
		shell("exec sleep 1000", &(struct child_input){.limit_ms = 1}, &status, &err);
		shell("echo", NULL, &status, &err);
	}
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(after);
	ok(before == after, "no descriptor of ours is left open");
	ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "and no dead child");
}

int main(void)
{
	tmp_make();
	test_run();
	test_large_input();
	test_one_feeds_another();
	test_missing();
	test_environment();
	test_descriptors();
	test_low_descriptors();
	test_signals();
	test_timeout();
	test_cap();
	test_spawn();
	test_dies_with_parent();
	test_nothing_left();
	return tap_done();
}
