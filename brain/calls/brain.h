/*
 * The brain: one process, one thread, one state file. What all its stages share; calls/turn.h drives them.
 *
 * A turn of the loop has at most one transaction. brain_begin() opens it when the first row is to be written; hook requests,
 * answers of calls and steps (calls/steps.h) write in it; at the end of the turn it is committed, and only then what waits
 * for it happens: brain_after() callbacks (HTTP answers) and the start of calls.
 *
 * A step is a pure change of rows: no I/O, no waiting. It looks at one row of its stage's inbox and may append to any inbox.
 * STEP_DONE takes the row out; STEP_FAILED (the store failed: nothing else does) undoes the step, and it is tried again,
 * at once and later. What comes from outside and makes no sense is no failure: it is a decision.
 */
#ifndef BYOCI_CALLS_BRAIN_H
#define BYOCI_CALLS_BRAIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "calls/after.h"
#include "conf/conf.h"
#include "loop/loop.h"
#include "store/store.h"

struct brain;
struct calls; /* calls/calls.h */
struct helpers; /* proposal/helper.h */
struct masters; /* build/masters.h */

enum stage { STAGE_PROPOSAL, STAGE_GATE, STAGE_BUILD, STAGE_LANDING, STAGE_REPORT, STAGE_COUNT };
enum step { STEP_DONE, STEP_FAILED };

/* The end of a step, from what a function of it returned: -1 is STEP_FAILED. */
enum step brain_step(int done);

typedef enum step brain_step_fn(struct brain *brain, struct arena *arena, int64_t ref, struct err *err);
struct brain_handler {
	const char *kind; /* of the inbox row; NULL ends the list */
	brain_step_fn *step;
};
struct brain_stage {
	const char *name; /* as in decisions */
	const struct brain_handler *handlers;
};

/* What other parts want to hear of at once; set by main, any may be NULL. */
struct brain_ears {
	void (*log_grew)(void *cookie, const char *build); /* bytes were added to its log, or it ended */
	void *cookie;
	/* What somebody asked through a call is answered: `reply`, or why->kind is set. In a step: it counts when brain_after() says so. */
	void (*asked)(void *asker, int64_t call, const json_t *reply, const struct err *why);
	void *asker;
	/* A forge says that a proposal has another commit now; it is being read back. */
	void (*pushed)(struct brain *brain, const char *project, const char *proposal);
};

struct brain {
	const struct conf *conf;
	const char *namespace;
	const char *const *overrides;     /* of -O; NULL-ended, may be NULL */
	const char *root;                 /* before /etc, for tests; "" */
	const char *folder;               /* {state}/brain */
	const char *logs;                 /* {state}/brain/logs */
	const char *programs;             /* folder of the byoci programs: the one that this one is in */
	struct loop *loop;
	struct store *store;
	struct calls *calls;
	struct helpers *helpers;
	struct masters *masters;
	const struct brain_stage *stages; /* STAGE_COUNT of them */
	struct brain_ears ears;
	int64_t started;                  /* ms since 1970 */
	struct brain_turn *turn;          /* calls/turn.h */
};

/* Opens the turn's transaction if it is not. */
int brain_begin(struct brain *brain, struct err *err);
/* A turn soon, also when nothing was written. */
void brain_wake(struct brain *brain);
/* The transaction can't be kept: it is rolled back at the end of the turn. */
void brain_spoil(struct brain *brain);

/* Called once after this turn's COMMIT, or its failure. */
void brain_after(struct brain *brain, after_fn *call, void *cookie);

/* False: the last COMMIT failed (/readyz). */
bool brain_healthy(const struct brain *brain);

/* The rest is for steps and for code between brain_begin() and the turn's end; each returns 0, or -1 when the store failed. */

/* Appends to a stage's inbox; it is looked at `delay_ms` from now, 0: in this turn. `kind` is a text that stays. */
int brain_tell(struct brain *brain, enum stage stage, const char *kind, int64_t ref, int64_t delay_ms, struct err *err);

/* Records a reason. `delivery` and `proposal` may be 0. Long texts are cut, control characters replaced. */
struct brain_reason {
	const char *stage;
	int64_t delivery, proposal;
};
int brain_decide(struct brain *brain, const struct brain_reason *about, struct err *err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
