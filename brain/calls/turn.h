/* The turn of the loop that drives the brain (brain.h says what a turn is): steps, the calls that are begun after it, and when next. */
#ifndef BYOCI_CALLS_TURN_H
#define BYOCI_CALLS_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calls/brain.h"

struct after; /* calls/after.h */
struct steps; /* calls/steps.h */

/* For brain.c and turn.c. */
struct brain_turn {
	struct arena *arena;
	struct after *after;
	struct steps *steps;
	struct loop_source *end, *soon, *timer;
	int64_t timer_due;
	int64_t offset_ms; /* of the wall clock to the one that nobody sets, in the last turn */
	bool open, wanted, spoilt, failed;
};

/* Joins the brain to its loop; the first turn is asked for, it handles what was left when the brain ended. */
int turn_init(struct brain *brain, struct err *err);
/* Undoes what is not committed; brain_after() callbacks hear false. */
void turn_release(struct brain *brain);

#endif
