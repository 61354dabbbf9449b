/*
 * The stages' inboxes and the steps over them. What is told within a turn for that turn waits in memory and becomes a row only
 * when the turn ends before its step: a step that is done in its turn costs no row.
 *
 * All steps of a turn share one savepoint. When one fails, all are undone and run again, each in a savepoint of its own, and the
 * one that fails again is put off. A step is a pure change of rows, so that it may run twice.
 */
#ifndef BYOCI_CALLS_STEPS_H
#define BYOCI_CALLS_STEPS_H

#include "calls/brain.h"

struct steps;

/* `after`: what a step that is undone asked for is taken out of it. */
struct steps *steps_new(struct brain *brain, struct after *after);
void steps_free(struct steps *steps); /* NULL is allowed */

/* As brain_tell(); `kind` is a text that stays. */
int steps_tell(struct steps *steps, enum stage stage, const char *kind, int64_t ref, int64_t delay_ms, struct err *err);

/* Round after round over the stages for a while. 1: more is left for the next turn, 0: all is done, -1: the turn is lost. */
int steps_run(struct steps *steps, struct arena *arena, struct err *err);

/* When the earliest row that waits is due; INT64_MAX: none. */
int steps_due(struct steps *steps, int64_t *due, struct err *err);

/* Rows that are due later than values[0] become due values[1] earlier, and at values[2] at the latest. */
int steps_sooner(struct steps *steps, const struct store_value values[3], struct err *err);

/* Something may be due that was not when it was last looked for. */
void steps_look(struct steps *steps);

/* The turn was rolled back. */
void steps_lose(struct steps *steps);

#endif
