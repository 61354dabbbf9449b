#include "slaves/cage/waiter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/sock.h"

#define TEXTS_MAXIMUM 256 /* arguments, and as many variables */
#define FAILED 126

/* How a program travels: folder, arguments, an empty text, environment, each with its NUL. */
static int pack(const struct waiter_program *program, struct buf *text)
{
	const char *const *lists[] = {program->argv, program->environment};

	if (buf_add(text, program->folder, strlen(program->folder) + 1) < 0)
		return -1;
	for (size_t i = 0; i < 2; i++) {
		for (const char *const *one = lists[i]; *one; one++)
			if (!**one || one - lists[i] == TEXTS_MAXIMUM || buf_add(text, *one, strlen(*one) + 1) < 0)
				return -1;
		if (buf_add(text, "", 1) < 0)
			return -1;
	}
	return 0;
}

/* A list until its empty text; `list` has room for TEXTS_MAXIMUM and a NULL. */
static void unpack(char **at, char *end, char **list)
{
	size_t count = 0;

	while (*at < end && **at && count < TEXTS_MAXIMUM) {
		list[count++] = *at;
		*at += strlen(*at) + 1;
	}
	list[count] = NULL;
	if (*at < end)
		(*at)++;
}

int waiter_open(int ends[2], struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_set_errno(err, errno, "a pair of sockets");
	return 0;
}

/* Nothing of who put us here stays open, but our socket, as the first above 2. */
static int keep_only(int fd)
{
	if (fd == 3)
		fd = fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -1 : 3;
	else
		fd = dup3(fd, 3, O_CLOEXEC);
	return fd < 0 || close_range(4, ~0U, 0) < 0 ? -1 : fd;
}

static _Noreturn void fail(int fd)
{
	int number = errno;

	send(fd, &number, sizeof number, MSG_NOSIGNAL);
	_exit(FAILED);
}

static int take_in(int in)
{
	if (dup2(in, 0) < 0)
		return -1;
	if (!isatty(0))
		return 0;
	setsid(); /* it may be done */
	return ioctl(0, TIOCSCTTY, 0);
}

int waiter_wait(int fd)
{
	static char text[WAITER_MAXIMUM + 1], *argv[TEXTS_MAXIMUM + 1], *environment[TEXTS_MAXIMUM + 1];
	int descriptors[SOCK_DESCRIPTORS];
	struct err err = {0};
	size_t count = 0;

	fd = keep_only(fd);
	if (fd < 0)
		return FAILED;
	ssize_t length = sock_receive(fd, text, sizeof text - 1, descriptors, &count, &err);
	if (length <= 0 || count < 2 || count > 3 || text[length - 1])
		return FAILED;
	char *at = text + strlen(text) + 1, *end = text + length;
	unpack(&at, end, argv);
	unpack(&at, end, environment);
	if (!argv[0] || dup2(descriptors[0], 1) < 0 || dup2(descriptors[1], 2) < 0 || chdir(text) < 0)
		fail(fd);
	if (count == 3 && take_in(descriptors[2]) < 0)
		fail(fd);
	execve(argv[0], argv, environment); /* every other descriptor closes itself */
	fail(fd);
}

int waiter_run(int fd, const struct waiter_program *program, struct err *err)
{
	struct buf text;
	int number = 0;

	buf_init(&text, WAITER_MAXIMUM);
	int done = pack(program, &text);
	if (done < 0)
		err_set(err, ERR_FULL, "a program with an empty argument, or over %d bytes or %d of them", WAITER_MAXIMUM, TEXTS_MAXIMUM);
	else
		done = sock_send(fd, text.data, text.length, (const int[]){program->out, program->errors, program->in},
			program->in < 0 ? 2 : 3, err);
	buf_release(&text);
	if (done < 0)
		return -1;
	ssize_t got = recv(fd, &number, sizeof number, 0); /* its end closes when it becomes the program */
	if (got == 0)
		return 0;
	return got == sizeof number ? err_set_errno(err, number, "%s in %s", program->argv[0], program->folder)
		: err_set_errno(err, errno, "whether it runs is not known");
}
