#include "slaves/common/process.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"

enum { STAT_MAXIMUM = 64 * 1024 };

int64_t process_started(pid_t pid)
{
	struct arena *arena = arena_new();
	struct err err = {0};
	char *text = file_read(arena, arena_printf(arena, "/proc/%d/stat", (int)pid), STAT_MAXIMUM, NULL, &err);
	char *rest = text ? strrchr(text, ')') : NULL; /* the name before it may hold anything: proc(5) */
	int64_t start = 0;

	if (rest && (strncmp(rest, ") Z", 3) == 0 || strncmp(rest, ") X", 3) == 0))
		rest = NULL; /* it has ended, and its parent does not care */
	for (unsigned field = 2; rest && field < 22; field++)
		rest = strchr(rest + 1, ' ');
	if (rest)
		start = strtoll(rest + 1, NULL, 10);
	arena_free(arena);
	return start;
}
