#include "calls/brain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "calls/calls.h"
#include "calls/steps.h"

enum {
	AGAIN_AFTER_MS = 1000, /* a failed COMMIT */
	SET_BACK_MS = 1000,    /* of the wall clock, that are noticed */
	SET_BACK_WAIT_MS = 10000,
	REASON_SIZE = 2048
};

struct after {
	brain_after_fn *call;
	void *cookie;
};

struct brain_turn {
	struct arena *arena;
	struct after *after;
	size_t after_count, after_room;
	struct loop_source *end, *soon, *timer;
	int64_t timer_due;
	int64_t offset_ms; /* of the wall clock to the one that nobody sets, in the last turn */
	bool open, wanted, spoilt, failed;
	struct steps *steps;
};

enum step brain_step(int done)
{
	return done < 0 ? STEP_FAILED : STEP_DONE;
}

int brain_begin(struct brain *brain, struct err *err)
{
	struct brain_turn *turn = brain->turn;

	if (turn->open)
		return 0;
	if (store_plain(brain->store, STORE_BEGIN, err) < 0)
		return -1;
	turn->open = true;
	loop_wake(turn->soon);
	return 0;
}

void brain_wake(struct brain *brain)
{
	brain->turn->wanted = true;
	loop_wake(brain->turn->soon);
}

void brain_spoil(struct brain *brain)
{
	brain->turn->spoilt = true;
	brain_wake(brain);
}

void brain_after(struct brain *brain, brain_after_fn *call, void *cookie)
{
	struct brain_turn *turn = brain->turn;

	if (turn->after_count == turn->after_room) {
		turn->after_room = turn->after_room ? turn->after_room * 2 : 64;
		turn->after = reallocarray(turn->after, turn->after_room, sizeof *turn->after);
		if (!turn->after)
			err_fatal("out of memory");
	}
	turn->after[turn->after_count++] = (struct after){.call = call, .cookie = cookie};
}

size_t brain_after_mark(const struct brain *brain)
{
	return brain->turn->after_count;
}

void brain_after_back(struct brain *brain, size_t mark)
{
	brain->turn->after_count = mark;
}

bool brain_healthy(const struct brain *brain)
{
	return !brain->turn->failed;
}

int brain_tell(struct brain *brain, enum stage stage, const char *kind, int64_t ref, int64_t delay_ms, struct err *err)
{
	return steps_tell(brain->turn->steps, stage, kind, ref, delay_ms, err);
}

int brain_decide(struct brain *brain, const struct brain_reason *about, struct err *err, const char *format, ...)
{
	char text[REASON_SIZE];
	va_list values;

	va_start(values, format);
	vsnprintf(text, sizeof text, format, values);
	va_end(values);
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = ' ';
	return store_run(brain->store, STORE_DECISION_ADD, err, STORE_INTEGER(clock_wall_ms()), STORE_TEXT(about->stage),
		STORE_ID(about->delivery), STORE_ID(about->proposal), STORE_TEXT(text));
}

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

static void after(struct brain *brain, bool kept)
{
	struct brain_turn *turn = brain->turn;
	struct after *list = turn->after;
	size_t count = turn->after_count;

	turn->after = NULL;
	turn->after_count = turn->after_room = 0;
	for (size_t i = 0; i < count; i++)
		list[i].call(list[i].cookie, kept);
	free(list);
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
	after(brain, kept);
	calls_begin(brain->calls, kept);
	arena_reset(turn->arena);
}

/* Being called is all: the turn's end does the work. */
static void on_soon(void *cookie)
{
	(void)cookie;
}

int brain_init(struct brain *brain, struct err *err)
{
	struct brain_turn *turn = calloc(1, sizeof *turn);

	if (!turn)
		return err_set(err, ERR_FULL, "out of memory");
	turn->arena = arena_new();
	turn->steps = steps_new(brain);
	turn->offset_ms = INT64_MAX;
	turn->end = loop_turn(brain->loop, on_turn, brain);
	turn->soon = loop_defer(brain->loop, on_soon, brain);
	brain->turn = turn;
	brain_wake(brain);
	return 0;
}

void brain_release(struct brain *brain)
{
	struct brain_turn *turn = brain->turn;

	if (!turn)
		return;
	roll_back(brain);
	after(brain, false);
	loop_cancel(turn->timer);
	loop_cancel(turn->soon);
	loop_cancel(turn->end);
	steps_free(turn->steps);
	arena_free(turn->arena);
	free(turn);
	brain->turn = NULL;
}
