#include "slaves/cage/limits.h"

#include <stdio.h>
#include <sys/statvfs.h>

#define DISK_FULL 4096 /* bytes: fewer are as good as none */

void limits_describe(const struct cage_want *want, const struct limits_hit *hit, char text[static CAGE_TEXT_SIZE])
{
	long long disk = (long long)want->disk >> 20;
	struct statvfs space;
	char included[64] = "";
	int length = 0;

	text[0] = '\0';
	if (hit->memory > want->memory)
		snprintf(included, sizeof included, ", disk of %lld MiB included", disk);
	if (hit->killed)
		length += snprintf(text, CAGE_TEXT_SIZE, "the memory limit (%lld MiB%s) was reached: %lld processes were killed. ",
			(long long)hit->memory >> 20, included, (long long)hit->killed);
	if (hit->refused)
		length += snprintf(text + length, CAGE_TEXT_SIZE - (size_t)length, "the limit of %lld processes was reached. ",
			(long long)want->processes);
	if (statvfs(hit->disk, &space) == 0 && (space.f_bavail * space.f_bsize < DISK_FULL || space.f_favail == 0))
		snprintf(text + length, CAGE_TEXT_SIZE - (size_t)length, "the disk of %lld MiB was full. ", disk);
}
