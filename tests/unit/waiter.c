/* A process that waits for its program: what it becomes, what it is given, what it has not, and what is said when it can't. */
#include "slaves/cage/waiter.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tap.h"

struct tried {
	int done, status;
	char out[512], errors[512];
	struct err err;
};

static void read_all(int fd, char *text, size_t room)
{
	size_t length = 0;
	ssize_t got;

	while (length < room - 1 && (got = read(fd, text + length, room - 1 - length)) > 0)
		length += (size_t)got;
	text[length] = 0;
	close(fd);
}

static pid_t begin(int *fd)
{
	struct err err = {0};
	int ends[2];

	if (waiter_open(ends, &err) < 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0)
		_exit(waiter_wait(ends[1]));
	close(ends[1]);
	*fd = ends[0];
	return pid;
}

static void try(struct tried *tried, const char *const *argv, const char *const *environment, const char *folder)
{
	int fd, out[2], errors[2];

	*tried = (struct tried){.done = -1};
	pid_t pid = begin(&fd);
	if (pid < 0 || pipe(out) < 0 || pipe(errors) < 0)
		return;
	const struct waiter_program program = {
		.in = -1, .argv = argv, .environment = environment, .folder = folder, .out = out[1], .errors = errors[1]};
	tried->done = waiter_run(fd, &program, &tried->err);
	close(out[1]);
	close(errors[1]);
	close(fd);
	read_all(out[0], tried->out, sizeof tried->out);
	read_all(errors[0], tried->errors, sizeof tried->errors);
	waitpid(pid, &tried->status, 0);
}

int main(void)
{
	static const char *const environment[] = {"ONE=1", "TWO=a b", NULL}, *const none[] = {NULL};
	struct tried tried;
	char many[WAITER_MAXIMUM + 1];
	int fd;

	int leaked = open("/dev/null", O_RDONLY);
	try(&tried, (const char *const[]){"/bin/sh", "-c", "echo \"$ONE $TWO $1\"; pwd; echo oops >&2; exit 7", "sh", "an argument", NULL},
		environment, "/tmp");
	ok(tried.done == 0, "a program is run");
	is(tried.out, "1 a b an argument\n/tmp\n", "with its arguments, environment and folder");
	is(tried.errors, "oops\n", "and its standard error");
	ok(WIFEXITED(tried.status) && WEXITSTATUS(tried.status) == 7, "the process that waited is the program");
	try(&tried, (const char *const[]){"/bin/sh", "-c", "ls /proc/self/fd | tr '\\n' ' '", NULL}, none, "/");
	is(tried.out, "0 1 2 3 ", "it has no descriptor of ours (3 is that of the folder which ls reads)");
	close(leaked);
	try(&tried, (const char *const[]){"/usr/bin/env", NULL}, none, "/");
	is(tried.out, "", "nor anything of our environment");

	try(&tried, (const char *const[]){"/nowhere/program", NULL}, none, "/");
	ok(tried.done < 0 && strstr(tried.err.text, "/nowhere/program"), "a program that is missing is told");
	try(&tried, (const char *const[]){"/bin/true", NULL}, none, "/nowhere");
	ok(tried.done < 0 && strstr(tried.err.text, "/nowhere"), "so is a folder");
	memset(many, 'x', sizeof many - 1);
	many[sizeof many - 1] = 0;
	try(&tried, (const char *const[]){"/bin/true", many, NULL}, none, "/");
	ok(tried.done < 0 && tried.err.kind == ERR_FULL, "and arguments that are too long");

	pid_t pid = begin(&fd);
	int status = 0;
	close(fd);
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) != 0, "when nobody can send a program any more, the process ends");
	pid = begin(&fd);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	struct err err = {0};
	const struct waiter_program program = {
		.in = -1, .argv = (const char *const[]){"/bin/true", NULL}, .environment = none, .folder = "/", .out = 1, .errors = 2};
	ok(waiter_run(fd, &program, &err) < 0, "one that was killed runs nothing");
	close(fd);
	return tap_done();
}
