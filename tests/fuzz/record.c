/* A signed record as it lies in a repository, before its signature is looked at. */
#include "forge/proposal.h"
#include "git/record.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct arena *arena = arena_new();
	struct err err = {.kind = ERR_NONE};
	char id[RECORD_ID_SIZE];
	struct record record;

	MUST(strlen(record_id(bytes, length, id)) == RECORD_ID_SIZE - 1);
	if (record_parse(arena, (const char *)bytes, length, &record, &err) == 0) {
		MUST(!record.who && !record.why_not && forge_name_valid(record.proposal) && forge_commit_valid(record.commit));
		MUST(record.payload[strlen(record.payload) - 1] == '\n' && strlen(record.payload) + strlen(record.signature) == length);
		MUST((record.kind == RECORD_PROPOSE) == (record.message != NULL));
		MUST(record_payload(arena, &record, &err));
	} else {
		MUST(err.kind == ERR_INPUT && *err.text);
	}
	arena_free(arena);
	return 0;
}
