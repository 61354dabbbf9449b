#include "slaves/worker/limits.h"

#include <stdio.h>
#include <sys/statvfs.h>

#define DISK_FULL 4096 /* bytes: fewer are as good as none */

void limits_describe(const struct cage_want *want, int64_t killed, int64_t refused, const char *disk,
	char text[static WORKER_TEXT_SIZE])
{
	struct statvfs space;
	int length = 0;

	text[0] = '\0';
	if (killed)
		length += snprintf(text, WORKER_TEXT_SIZE,
			"the memory limit (%lld MiB, disk of %lld MiB included) was reached: %lld processes were killed. ",
			(long long)(want->memory + want->disk) >> 20, (long long)want->disk >> 20, (long long)killed);
	if (refused)
		length += snprintf(text + length, WORKER_TEXT_SIZE - (size_t)length, "the limit of %lld processes was reached. ",
			(long long)want->processes);
	if (disk && statvfs(disk, &space) == 0 && (space.f_bavail * space.f_bsize < DISK_FULL || space.f_favail == 0))
		snprintf(text + length, WORKER_TEXT_SIZE - (size_t)length, "the disk of %lld MiB was full. ",
			(long long)want->disk >> 20);
}
