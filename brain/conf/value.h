/* The text of one option against its row: is it right, and what number is it? */
#ifndef BYOCI_CONF_VALUE_H
#define BYOCI_CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "conf/option.h"

/* [a-z0-9][a-z0-9._-]{0,62} */
bool value_is_name(const char *text, size_t length);

/* [a-z][a-z0-9]{0,15}, and no name that options begin with */
bool value_is_namespace(const char *text, size_t length);

/*
 * Returns the text in its one form (refs in full, lists without blanks), in the arena, with the number that it is in *number
 * (integers, ms, bytes; 1 for yes; else 0). NULL when it is wrong, with what would be right in *right (in the arena).
 */
const char *value_check(struct arena *arena, const struct option *option, const char *text, int64_t *number, const char **right);

/* The comma separated parts of a checked list; NULL-ended, in the arena. NULL has none. */
const char *const *value_split(struct arena *arena, const char *text);

#endif
