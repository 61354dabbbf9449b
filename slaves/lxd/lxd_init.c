#include "slaves/lxd/lxd_init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "slaves/lxd/lxd_image.h"

#define LIMIT_US (60 * (int64_t)1000000)
#define PAUSE_NS 2000000

const char *lxd_init_path(const struct lxd_init *init, struct arena *arena)
{
	return arena_printf(arena, "/proc/self/fd/%d/%d", init->proc, (int)init->pid);
}

/* Waits until `done` returns anything but a negative number, which it does; -1 when that takes too long, or nobody is left to do it. */
static int await(const struct lxd_init *init, int (*done)(const char *path), const char *file, struct err *err)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	int64_t deadline_us = clock_monotonic_us() + LIMIT_US;
	struct arena *arena = arena_new();
	const char *process = lxd_init_path(init, arena), *path = arena_printf(arena, "%s/root%s", process, file);
	int rc;

	while ((rc = done(path)) < 0) {
		if (access(process, F_OK) < 0) {
			err_set(err, ERR_SYSTEM, "the instance's first process has ended");
			break;
		}
		if (clock_monotonic_us() > deadline_us) {
			err_set(err, ERR_TIMEOUT, "the instance's first process has no %s", file);
			break;
		}
		nanosleep(&pause, NULL); /* nothing tells of it */
	}
	arena_free(arena);
	return rc < 0 ? -1 : rc;
}

/* That works when its reader has opened it. */
static int open_pipe(const char *path)
{
	return open(path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
}

static int find_file(const char *path)
{
	struct stat st;

	return lstat(path, &st);
}

int lxd_init_hold(struct lxd_init *init, struct err *err)
{
	init->begin = await(init, open_pipe, LXD_IMAGE_BEGIN, err);
	return init->begin < 0 ? -1 : 0;
}

int lxd_init_begin(const struct lxd_init *init, const char *file, struct err *err)
{
	if (init->begin < 0)
		return 0;
	if (write(init->begin, "", 1) < 0)
		return err_set_errno(err, errno, "the instance's first process cannot be begun");
	return await(init, find_file, file, err);
}
