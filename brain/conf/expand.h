/* {X} in a value: innermost first, as `{{byoci}.X}`. `\{` and `\}` are the braces themselves (shell: `$\{HOME\}`). */
#ifndef BYOCI_CONF_EXPAND_H
#define BYOCI_CONF_EXPAND_H

#include "base/arena.h"
#include "base/err.h"

#define EXPAND_MAXIMUM 65536 /* bytes of one expanded value */

/* Puts the value of `name` into *value (borrowed). On -1 its error is handed on. */
typedef int expand_fn(void *cookie, const char *name, const char **value, struct err *err);

/* The expanded text, in the arena; NULL with ERR_CONFIG, the text without a place. */
const char *expand_text(struct arena *arena, const char *text, expand_fn *look_up, void *cookie, struct err *err);

#endif
