/*
 * The one program of ours that is in an instance of LXD's, linked statically, so that it needs no file of the backing's. It has
 * nothing that tests must not see.
 *
 *   wait [PROGRAM …]         the first process: reaps. It becomes PROGRAM when a byte comes by BEGIN, which is gone from there then.
 *   run TERMINAL PROGRAM …   runs PROGRAM on TERMINAL ("-": on our own descriptors; "=": with its errors where its output is), kills
 *                            what it left, and ends as it did.
 *
 * Both close, for themselves and what they start, the system calls that nobody has looked at: seccomp.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slaves/confine/seccomp.h"

#define BEGIN "/begin" /* a pipe with a name, in the instance's image: lxd_image.c */
#define USAGE 2
#define FAILED 126

static int close_unknown(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SECCOMP_NEWEST, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

static int begin(char *const *program)
{
	int fd = open(BEGIN, O_RDWR | O_CLOEXEC); /* who opens it to write knows then that we have it */
	char byte;
	ssize_t got;

	if (fd < 0)
		return FAILED;
	do
		got = read(fd, &byte, 1);
	while (got < 0 && errno == EINTR);
	if (got != 1)
		return FAILED;
	signal(SIGCHLD, SIG_DFL);
	execv(*program, program);
	return FAILED;
}

static int be_first(char *const *program)
{
	signal(SIGCHLD, SIG_IGN); /* they are reaped */
	if (close_unknown() < 0)
		return FAILED;
	if (*program)
		return begin(program);
	for (;;)
		pause();
}

/* A session of its own, which the terminal controls. */
static int take_terminal(const char *terminal)
{
	int fd;

	if (setsid() < 0)
		return -1;
	fd = open(terminal, O_RDWR | O_NOFOLLOW);
	if (fd < 0 || ioctl(fd, TIOCSCTTY, 0) < 0)
		return -1;
	for (int number = 0; number < 3; number++)
		if (dup2(fd, number) < 0)
			return -1;
	return fd > 2 ? close(fd) : 0;
}

static _Noreturn void become(const char *terminal, char *const *program)
{
	static const char cannot[] = "the program cannot be run\n";

	if (strcmp(terminal, "-") == 0 || (strcmp(terminal, "=") == 0 ? dup2(1, 2) == 2 : take_terminal(terminal) == 0))
		execvp(*program, program);
	if (write(STDERR_FILENO, cannot, sizeof cannot - 1) < 0)
		_exit(FAILED);
	_exit(FAILED);
}

/* LXD's command has ended when nobody has its output open any more: so what the program left running is killed. */
static int run(const char *terminal, char *const *program)
{
	pid_t pid;
	int status;

	if (close_unknown() < 0)
		return FAILED;
	pid = fork();
	if (pid == 0)
		become(terminal, program);
	if (pid < 0)
		return FAILED;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return FAILED;
	kill(-1, SIGKILL); /* all but the first process and us */
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "wait") == 0)
		return be_first(argv + 2);
	if (argc > 3 && strcmp(argv[1], "run") == 0)
		return run(argv[2], argv + 3);
	return USAGE;
}
