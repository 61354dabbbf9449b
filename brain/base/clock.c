#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#define LAST_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z: what fits into four digits */

int64_t clock_wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_boot_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

char *clock_iso(int64_t wall_ms, char out[static CLOCK_ISO_SIZE])
{
	char day[32];
	struct tm tm;
	time_t seconds;

	if (wall_ms < 0)
		wall_ms = 0;
	if (wall_ms > LAST_MS)
		wall_ms = LAST_MS;
	seconds = (time_t)(wall_ms / 1000);
	gmtime_r(&seconds, &tm);
	strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, CLOCK_ISO_SIZE, "%.19s.%03uZ", day, (unsigned)(wall_ms % 1000));
	return out;
}
