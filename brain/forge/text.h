/* Texts of foreign origin on their way into JSON. */
#ifndef BYOCI_FORGE_TEXT_H
#define BYOCI_FORGE_TEXT_H

#include <jansson.h>

#include "base/arena.h"

/* A copy in the arena; each byte that is not part of valid UTF-8 (RFC 3629) is '?'. NULL counts as "". */
char *text_utf8(struct arena *arena, const char *text);

/* The same as a new JSON string. */
json_t *text_json(const char *text);

#endif
