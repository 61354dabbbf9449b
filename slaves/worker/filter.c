#include "slaves/worker/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slaves/common/strict.h"

#define READ_SIZE 65536

static int put(void *cookie, const void *bytes, size_t length)
{
	const char *at = bytes;

	(void)cookie;
	while (length > 0) {
		ssize_t done = write(STDOUT_FILENO, at, length);

		if (done <= 0)
			return -1;
		at += done;
		length -= (size_t)done;
	}
	return 0;
}

static _Noreturn void run(const struct mask *mask, int in, int out)
{
	static char bytes[READ_SIZE];
	struct mask_stream *stream = mask_stream_new(mask, put, NULL);
	ssize_t length = 0;

	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || syscall(SYS_close_range, 2, ~0U, 0) < 0 ||
		strict_enter() < 0)
		_exit(2);
	while ((length = read(STDIN_FILENO, bytes, sizeof bytes)) > 0)
		if (mask_stream_add(stream, bytes, (size_t)length) != 0)
			break;
	mask_stream_end(stream);
	strict_exit(0);
}

int filter_start(const struct mask *mask, int to, int *from, struct err *err)
{
	int ends[2], pidfd;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "no pipe for what the tests write");
	pid = fork();
	if (pid == 0)
		run(mask, ends[0], to);
	close(ends[0]);
	pidfd = pid < 0 ? -1 : pidfd_open(pid, 0);
	if (pidfd < 0) {
		close(ends[1]);
		if (pid > 0)
			kill(pid, SIGKILL);
		return err_set_errno(err, errno, "no process for what the tests write");
	}
	*from = ends[1];
	return pidfd;
}

void filter_end(int pidfd, int64_t limit_ms)
{
	struct pollfd watch = {.fd = pidfd, .events = POLLIN};

	if (pidfd < 0)
		return;
	if (poll(&watch, 1, (int)limit_ms) <= 0) {
		pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
		poll(&watch, 1, 1000);
	}
	waitid(P_PIDFD, (id_t)pidfd, NULL, WEXITED | WNOHANG);
	close(pidfd);
}
