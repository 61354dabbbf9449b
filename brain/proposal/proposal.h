/* A proposal as the store has it: what its forge said when it was read last. */
#ifndef BYOCI_PROPOSAL_PROPOSAL_H
#define BYOCI_PROPOSAL_PROPOSAL_H

#include "calls/brain.h"
#include "forge/proposal.h"

/* A row of `proposals`; texts in the arena. */
struct proposal_row {
	int64_t id;
	const char *project, *name, *url, *target, *target_tip, *head, *state, *dialect, *reply, *version;
	int64_t read, delivery;
};
/* 1, 0: no such row, -1. */
int proposal_get(struct brain *brain, struct arena *arena, int64_t id, struct proposal_row *row, struct err *err);

/* Its id; 0 when it is not known yet, -1 when the store failed. */
int64_t proposal_find(struct brain *brain, const char *project, const char *name, struct err *err);

/* What its forge said, parsed again. ERR_INPUT when this byoci can't. */
int proposal_parse(struct arena *arena, const struct proposal_row *row, struct forge_proposal *proposal, struct err *err);

/* forge_proposal.place of it, in the arena; "": none is known. */
const char *proposal_place(struct arena *arena, const struct proposal_row *row);
/* The same by name. "": none is known, or the proposal is not; NULL: the store failed. */
const char *proposal_place_known(struct brain *brain, struct arena *arena, const char *project, const char *name, struct err *err);

#endif
