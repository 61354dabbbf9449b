/* What a forge's hook says, and what reading a proposal back gives, for every dialect. */
#include "forge/dialect.h"
#include "forge/dialect_launchpad.h"
#include "fuzz.h"

static void check_event(const struct dialect *dialect, struct arena *arena, const uint8_t *bytes, size_t length)
{
	static const char *const kinds[] = {"push", "merge-proposal:0.1", "git:push:0.1", "ping"};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		struct dialect_event event = {.repository = NULL};
		struct err err = {.kind = ERR_NONE};

		if (dialect->event(arena, kinds[i], bytes, length, &event, &err) < 0) {
			MUST(err.kind == ERR_INPUT && *err.text);
			continue;
		}
		for (const char *const *name = event.proposals; name && *name; name++)
			MUST(forge_name_valid(*name));
		for (const char *const *target = event.targets; target && *target; target++)
			MUST(**target);
	}
}

static void check_proposal(const struct dialect *dialect, struct arena *arena, const uint8_t *bytes, size_t length)
{
	struct forge_proposal proposal = {.name = NULL};
	struct err err = {.kind = ERR_NONE};

	if (dialect->proposal(arena, bytes, length, &proposal, &err) < 0) {
		MUST(err.kind == ERR_INPUT && *err.text);
		return;
	}
	MUST(forge_name_valid(proposal.name) && *proposal.message && proposal.url && proposal.target);
	MUST(proposal.state == FORGE_CLOSED || (forge_commit_valid(proposal.head) && forge_commit_valid(proposal.target_tip)));
	for (size_t i = 0; i < proposal.approval_count; i++)
		MUST(!proposal.approvals[i].commit || forge_commit_valid(proposal.approvals[i].commit));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct arena *arena = arena_new();
	struct err err = {.kind = ERR_NONE};

	for (unsigned i = 0; i < dialect_count; i++) {
		if (dialect_table[i].event)
			check_event(&dialect_table[i], arena, bytes, length);
		if (dialect_table[i].proposal)
			check_proposal(&dialect_table[i], arena, bytes, length);
	}
	dialect_launchpad_place(arena, bytes, length, &err);
	arena_free(arena);
	return 0;
}
