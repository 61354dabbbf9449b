/*
 * One ini file into calls, by libini_config. A line is `[SECTION]`, `OPTION = VALUE` or a comment from # or ; in the first
 * column; no line is continued.
 */
#ifndef BYOCI_CONF_INI_H
#define BYOCI_CONF_INI_H

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

struct ini_line {
	const char *file;
	unsigned line;
	const char *section;
	const char *option; /* NULL: the line is the section's own, also of one that comes again */
	const char *value; /* without the blanks around it; never NULL when `option` is not */
};

struct ini_text {
	const char *file; /* its name, for messages */
	const char *text; /* a NUL after its `length` bytes */
	size_t length;
};

typedef int ini_fn(void *cookie, const struct ini_line *line, struct err *err);

/*
 * Calls for each section and option, in the order of their lines. All text is in the arena.
 * ERR_CONFIG "FILE:LINE: what is wrong; what would be right". A call that returns -1 ends it.
 */
int ini_parse(struct arena *arena, const struct ini_text *text, ini_fn *call, void *cookie, struct err *err);

#endif
