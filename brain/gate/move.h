/*
 * What can be done to an item: rows only, each with its decision and, where the proposal is owed one, its report.
 * Which of it is done is gate.c's and policy.c's.
 */
#ifndef BYOCI_GATE_MOVE_H
#define BYOCI_GATE_MOVE_H

#include "calls/brain.h"
#include "gate/item.h"
#include "gate/policy.h"
#include "proposal/proposal.h"

#define MOVE_STAGE "gate" /* in decisions */

/* What one step works on. `row` is the item's proposal. */
struct move {
	struct brain *brain;
	struct arena *arena;
	struct err *err;
	struct proposal_row row;
	struct item item;
};

/* How a build or landing ended. */
struct move_end {
	int64_t item;
	const char *build; /* its public id */
	enum outcome outcome;
	const char *reason;     /* "" : none */
	const char *merged;     /* id of the merge; NULL: none */
	const char *target_tip; /* afterwards; NULL or "": not known */
	int64_t time;           /* ms */
	int64_t wait;           /* seconds that the forge asked to be left alone for; 0: it did not */
	const char *tests;      /* what the test reports were counted to, without names; "": there were none */
};

/* Each returns 0, or -1 when the store failed. */

/* A new item for move->row; the queue's turn is move_next()'s. */
int move_queue(struct move *move, const struct policy_facts *facts, const char *why);
/* The next one of a target, when none is active, is built, or read again first. Afterwards item and row are its. */
int move_next(struct move *move, const char *project, const char *target);
/* The forge is asked again before anything else. */
int move_reread(struct move *move, const char *why);
/* A build, on the target's tip as move->row has it. */
int move_build(struct move *move);
/* Out of the queue; the proposal is told when it is still open. A build that runs is cancelled. */
int move_out(struct move *move, const char *why);
/* No item: the proposal is told that the approval it shows does not count. */
int move_refuse(struct move *move, const struct policy_facts *facts, const char *why);
/* A held item is queued again. */
int move_release(struct move *move, const struct policy_facts *facts, const char *why);
/* Infrastructure: back into the queue with a delay, so that others may go first; too often: held. */
int move_again(struct move *move, const char *why);
/* A landing is asked for. `build` is builds.id. */
int move_land(struct move *move, const struct move_end *ended, int64_t build);
/* The tests said yes and that holds: only the landing is tried again, and the target waits for it; too often: held. When the forge asked
 * for time, it gets that, as often as it asks within a day. */
int move_land_again(struct move *move, const struct move_end *ended, int64_t build);
/* It is on the target. */
int move_finish(struct move *move, const struct move_end *ended);
/* It is on the target, and no landing said so. */
int move_finish_found(struct move *move);
/* The proposal was told no already, under this approval. A build that runs is cancelled. */
int move_rejected(struct move *move, const char *why);
/* The proposal is told no. `what` ended so: "build", "landing". */
int move_reject(struct move *move, const struct move_end *ended, const char *what);

#endif
