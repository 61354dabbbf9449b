#include "base/handed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST = 3, MOST = 64 }; /* SD_LISTEN_FDS_START, sd_listen_fds(3) */

static long number_in_environment(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long number;

	if (!text || !*text)
		return -1;
	errno = 0;
	number = strtol(text, &end, 10);
	return errno || *end ? -1 : number;
}

int handed_socket(handed_is_fn *is, const void *wanted)
{
	long count = number_in_environment("LISTEN_FDS");

	if (number_in_environment("LISTEN_PID") != (long)getpid() || count < 1 || count > MOST)
		return -1;
	for (int fd = FIRST; fd < FIRST + (int)count; fd++)
		if (is(fd, wanted) && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0)
			return fd;
	return -1;
}
