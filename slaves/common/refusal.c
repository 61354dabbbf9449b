#include "slaves/common/refusal.h"

#include <string.h>

#include "base/arena.h"
#include "slaves/common/output.h"

static const char *kind_word(const struct err *err)
{
	switch (err->kind) {
	case ERR_BUSY:
		return "busy";
	case ERR_REFUSED:
		return "refused";
	case ERR_USAGE:
	case ERR_INPUT:
	case ERR_NOT_FOUND:
		return "input";
	case ERR_NONE:
	case ERR_CONFIG:
	case ERR_SYSTEM:
	case ERR_CONFLICT:
	case ERR_MOVED:
	case ERR_FULL:
	case ERR_TIMEOUT:
	case ERR_NETWORK:
		break;
	}
	return "infrastructure";
}

/* What is wrong may quote what came from outside. */
json_t *refusal_json(const struct err *err)
{
	struct arena *arena = arena_new();
	json_t *json = json_pack(
		"{s:s, s:s}", "error", output_line(arena, err->text, strlen(err->text), sizeof err->text), "kind", kind_word(err));

	arena_free(arena);
	return json;
}
