/*
 * The proposal stage. A delivery is understood by its dialect and names proposals; each is read back from its forge (a call);
 * what that gives is the proposal's row, and the gate is told.
 *
 * Inbox: "delivery" (deliveries.id), "read" (proposals.id: read it again), "answer" (calls.id).
 */
#ifndef BYOCI_PROPOSAL_PROPOSAL_H
#define BYOCI_PROPOSAL_PROPOSAL_H

#include "calls/brain.h"
#include "forge/proposal.h"

extern const struct brain_handler proposal_handlers[];

/* A row of `proposals`; texts in the arena. */
struct proposal_row {
	int64_t id;
	const char *project, *name, *url, *target, *target_tip, *head, *state, *dialect, *reply, *version;
	int64_t read, delivery;
};
/* 1, 0: no such row, -1. */
int proposal_get(struct brain *brain, struct arena *arena, int64_t id, struct proposal_row *row, struct err *err);

/* forge_proposal.place of a proposal that was read before, in the arena; "": none is known. NULL: the store failed. */
const char *proposal_place(struct brain *brain, struct arena *arena, const char *project, const char *name, struct err *err);

/* What its forge said, parsed again. ERR_INPUT when this byoci can't. */
int proposal_parse(struct arena *arena, const struct proposal_row *row, struct forge_proposal *proposal, struct err *err);

#endif
