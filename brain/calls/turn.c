#include "calls/turn.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "calls/after.h"
#include "calls/calls.h"
#include "calls/steps.h"

enum {
	AGAIN_AFTER_MS = 1000, /* a failed COMMIT */
	SET_BACK_MS = 1000,    /* of the wall clock, that are noticed */
	SET_BACK_WAIT_MS = 10000
};

static void on_timer(void *cookie)
{
	struct brain *brain = cookie;

	brain->turn->timer = NULL;
	steps_look(brain->turn->steps);
	brain_wake(brain);
}

static void set_timer(struct brain *brain, int64_t due)
{
	int64_t now = clock_wall_ms();

	if (brain->turn->timer && brain->turn->timer_due == due)
		return;
	loop_cancel(brain->turn->timer);
	brain->turn->timer_due = due;
	brain->turn->timer = loop_after(brain->loop, due > now ? due - now : 0, on_timer, brain);
}

/*
 * The next row that is not due yet wakes us. Calls that wait for their lane or for a free hand are started by the end of
 * another one.
 */
static int plan(struct brain *brain, struct err *err)
{
	int64_t due, calls_due = INT64_MAX;

	if (steps_due(brain->turn->steps, &due, err) < 0)
		return -1;
	if (store_one(brain->store, STORE_CALLS_DUE, err, STORE_INTEGER(clock_wall_ms())) < 0)
		return -1;
	if (!store_null(brain->store, STORE_CALLS_DUE, 0))
		calls_due = store_integer(brain->store, STORE_CALLS_DUE, 0);
	store_reset(brain->store, STORE_CALLS_DUE);
	if (calls_due < due)
		due = calls_due;
	if (due != INT64_MAX)
		set_timer(brain, due);
	return 0;
}

/* What is due later than now is so `by_ms` earlier, and at `latest`; no target counts as seen later than now. */
static int come_back(struct brain *brain, int64_t by_ms, int64_t latest, struct err *err)
{
	const struct store_value values[] = {STORE_INTEGER(clock_wall_ms()), STORE_INTEGER(by_ms), STORE_INTEGER(latest)};

	if (steps_sooner(brain->turn->steps, values, err) < 0 || store_do(brain->store, STORE_CALLS_SOONER, values, 3, err) < 0 ||
		store_do(brain->store, STORE_ITEMS_SOONER, values, 3, err) < 0)
		return -1;
	return store_do(brain->store, STORE_TARGETS_SOONER, values, 1, err);
}

/*
 * Rows say when they are due by the wall clock. Where that was set back, what they wait for would be long in coming: they are moved
 * along, or, when it may have been while we were not there, wait some seconds at most. Where it was set forward, they are due at once:
 * whoever is asked too early says so again.
 */
static int follow_clock(struct brain *brain, struct err *err)
{
	struct brain_turn *turn = brain->turn;
	int64_t now = clock_wall_ms(), offset = now - clock_boot_ms(), by = turn->offset_ms - offset;
	bool first = turn->offset_ms == INT64_MAX;

	turn->offset_ms = offset;
	if (first || by > SET_BACK_MS || by < -SET_BACK_MS)
		steps_look(turn->steps);
	if (!first && by < SET_BACK_MS)
		return 0;
	if (!first)
		log_warning(LOG_WHAT("the clock was set back"), LOG_NUMBER("by_ms", by));
	return come_back(brain, first ? 0 : by, first ? now + SET_BACK_WAIT_MS : INT64_MAX, err);
}

static int work(struct brain *brain, struct err *err)
{
	struct brain_turn *turn = brain->turn;
	int more;

	turn->wanted = false;
	if (turn->spoilt)
		return err_set(err, ERR_SYSTEM, "a part of this turn could not be written");
	if (brain_begin(brain, err) < 0 || follow_clock(brain, err) < 0)
		return -1;
	more = steps_run(turn->steps, turn->arena, err);
	if (more < 0 || calls_pick(brain->calls, err) < 0 || plan(brain, err) < 0)
		return -1;
	CRASH_POINT("turn.worked");
	if (store_plain(brain->store, STORE_COMMIT, err) < 0)
		return -1;
	CRASH_POINT("turn.committed");
	if (more)
		brain_wake(brain);
	return 0;
}

static void roll_back(struct brain *brain)
{
	struct err ignored;

	if (store_in_transaction(brain->store) && store_plain(brain->store, STORE_ROLLBACK, &ignored) < 0)
		log_error(LOG_WHAT("rollback failed"), LOG_ERR(&ignored));
}

static void on_turn(void *cookie)
{
	struct brain *brain = cookie;
	struct brain_turn *turn = brain->turn;
	struct err err = {.kind = ERR_NONE};
	bool kept;

	if (!turn->open && !turn->wanted)
		return;
	kept = work(brain, &err) == 0;
	if (!kept) {
		log_error(LOG_WHAT("state not written"), LOG_ERR(&err));
		roll_back(brain);
		loop_cancel(turn->timer);
		turn->timer = NULL;
		set_timer(brain, clock_wall_ms() + AGAIN_AFTER_MS);
	}
	turn->open = turn->spoilt = false;
	turn->failed = !kept;
	if (!kept) {
		steps_lose(turn->steps);
		turn->offset_ms = INT64_MAX;
	}
	after_run(turn->after, kept);
	calls_begin(brain->calls, kept);
	arena_reset(turn->arena);
}

/* Being called is all: the turn's end does the work. */
static void on_soon(void *cookie)
{
	(void)cookie;
}

int turn_init(struct brain *brain, struct err *err)
{
	struct brain_turn *turn = calloc(1, sizeof *turn);

	if (!turn)
		return err_set(err, ERR_FULL, "out of memory");
	turn->arena = arena_new();
	turn->after = after_new();
	turn->steps = steps_new(brain, turn->after);
	turn->offset_ms = INT64_MAX;
	turn->end = loop_turn(brain->loop, on_turn, brain);
	turn->soon = loop_defer(brain->loop, on_soon, brain);
	brain->turn = turn;
	brain_wake(brain);
	return 0;
}

void turn_release(struct brain *brain)
{
	struct brain_turn *turn = brain->turn;

	if (!turn)
		return;
	roll_back(brain);
	after_run(turn->after, false);
	loop_cancel(turn->timer);
	loop_cancel(turn->soon);
	loop_cancel(turn->end);
	steps_free(turn->steps);
	after_free(turn->after);
	arena_free(turn->arena);
	free(turn);
	brain->turn = NULL;
}
