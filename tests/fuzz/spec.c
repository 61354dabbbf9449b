/* A spec as a slave is handed one. What is taken can be written again, and is then the same. */
#include "forge/spec.h"
#include "base/jsonget.h"
#include "fuzz.h"

enum { NODES = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct arena *arena = arena_new();
	struct err err = {.kind = ERR_NONE};
	json_t *json = jsonget_parse(bytes, length, NODES, &err), *again;
	char *text = fuzz_text(bytes, length);
	const char *name, *mail;
	struct spec spec;

	if (json && spec_parse(arena, json, &spec, &err) == 0) {
		MUST(spec_build_valid(spec.build) && spec.tree_count == 1 && spec.job_count == 1 && spec.trees[0].merge_count == 1);
		again = spec_build(&spec, &err);
		MUST(again && json_equal(json, again));
		json_decref(again);
	}
	if (spec_author_split(arena, text, &name, &mail))
		MUST(*name && *mail);
	MUST(spec_author_split(arena, spec_author_join(arena, text, text), &name, &mail));
	free(text);
	json_decref(json);
	arena_free(arena);
	return 0;
}
