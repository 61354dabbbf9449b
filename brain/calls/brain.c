#include "calls/brain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "calls/calls.h"

enum {
	STEPS_US = 20000,      /* a turn's steps end after this: hooks wait for its COMMIT */
	AGAIN_AFTER_MS = 1000, /* a failed COMMIT */
	LATER_MS = 1000,       /* a failed step, doubled each time */
	LATER_MAXIMUM_MS = 300000,
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
	bool open, wanted, spoilt, failed;
	bool idle[STAGE_COUNT]; /* nothing was due when its inbox was last asked, and nothing was put there since */
};

/* The inboxes' statements follow each other in the order of enum stage. */
enum { INBOX_ADD, INBOX_NEXT, INBOX_DELETE, INBOX_LATER, INBOX_DUE, INBOX_STATEMENTS };
_Static_assert(
	STORE_REPORT_INBOX_DUE - STORE_PROPOSAL_INBOX_ADD + 1 == STAGE_COUNT * (int)INBOX_STATEMENTS, "an inbox for each stage");

static enum store_id inbox(enum stage stage, int which)
{
	return (enum store_id)((int)STORE_PROPOSAL_INBOX_ADD + (int)stage * (int)INBOX_STATEMENTS + which);
}

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

bool brain_healthy(const struct brain *brain)
{
	return !brain->turn->failed;
}

int brain_tell(struct brain *brain, enum stage stage, const char *kind, int64_t ref, int64_t delay_ms, struct err *err)
{
	brain->turn->idle[stage] = false;
	return store_run(brain->store, inbox(stage, INBOX_ADD), err, STORE_TEXT(kind), STORE_INTEGER(ref),
		STORE_INTEGER(delay_ms > 0 ? clock_wall_ms() + delay_ms : 0));
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

static brain_step_fn *find_step(const struct brain_stage *stage, const char *kind)
{
	for (const struct brain_handler *handler = stage->handlers; handler->kind; handler++)
		if (strcmp(handler->kind, kind) == 0)
			return handler->step;
	return NULL;
}

struct inbox_row {
	int64_t id, ref, attempts;
	const char *kind;
};

/* A failure of ours or of the disk: the row stays and is looked at later. */
static int put_off(struct brain *brain, enum stage stage, const struct inbox_row *row, const struct err *why, struct err *err)
{
	int64_t delay = LATER_MS << (row->attempts < 9 ? row->attempts : 9);

	log_error(LOG_WHAT("step failed"), LOG_TEXT("stage", brain->stages[stage].name), LOG_TEXT("kind", row->kind),
		LOG_NUMBER("ref", row->ref), LOG_ERR(why));
	if (delay > LATER_MAXIMUM_MS)
		delay = LATER_MAXIMUM_MS;
	return store_run(
		brain->store, inbox(stage, INBOX_LATER), err, STORE_INTEGER(row->id), STORE_INTEGER(clock_wall_ms() + delay));
}

static int run_step(struct brain *brain, enum stage stage, const struct inbox_row *row, struct err *err)
{
	brain_step_fn *step = find_step(&brain->stages[stage], row->kind);
	struct err why = {.kind = ERR_NONE};
	enum step done;

	if (store_plain(brain->store, STORE_SAVEPOINT, err) < 0)
		return -1;
	if (step) {
		done = step(brain, brain->turn->arena, row->ref, &why);
	} else {
		done = STEP_FAILED;
		err_set(&why, ERR_SYSTEM, "this byoci knows no such kind");
	}
	if (done == STEP_DONE && store_run(brain->store, inbox(stage, INBOX_DELETE), &why, STORE_INTEGER(row->id)) < 0)
		done = STEP_FAILED;
	if (done == STEP_FAILED &&
		(store_plain(brain->store, STORE_SAVEPOINT_BACK, err) < 0 || put_off(brain, stage, row, &why, err) < 0))
		return -1;
	return store_plain(brain->store, STORE_SAVEPOINT_END, err);
}

/* 1: a row was handled, 0: none is due, -1. */
static int one_step(struct brain *brain, enum stage stage, struct err *err)
{
	enum store_id next = inbox(stage, INBOX_NEXT);
	struct inbox_row row;
	int found;

	if (brain->turn->idle[stage])
		return 0;
	found = store_one(brain->store, next, err, STORE_INTEGER(clock_wall_ms()));
	brain->turn->idle[stage] = found == 0;
	if (found <= 0)
		return found;
	arena_reset(brain->turn->arena);
	row.id = store_integer(brain->store, next, 0);
	row.kind = store_text(brain->store, next, 1, brain->turn->arena);
	row.ref = store_integer(brain->store, next, 2);
	row.attempts = store_integer(brain->store, next, 3);
	store_reset(brain->store, next);
	return run_step(brain, stage, &row, err) < 0 ? -1 : 1;
}

/* Round after round over the stages, so that none waits for another's backlog. 1: more is left for the next turn. */
static int steps(struct brain *brain, struct err *err)
{
	int64_t end = clock_monotonic_us() + STEPS_US;
	int done = 1;

	while (done && clock_monotonic_us() < end) {
		done = 0;
		for (int stage = 0; stage < STAGE_COUNT; stage++) {
			int one = one_step(brain, (enum stage)stage, err);

			if (one < 0)
				return -1;
			done += one;
		}
	}
	return done ? 1 : 0;
}

static void on_timer(void *cookie)
{
	struct brain *brain = cookie;

	brain->turn->timer = NULL;
	memset(brain->turn->idle, 0, sizeof brain->turn->idle);
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

static int earliest(struct brain *brain, enum store_id id, int64_t *due, struct err *err)
{
	if (store_first(brain->store, id, NULL, 0, err) < 0)
		return -1;
	if (!store_null(brain->store, id, 0) && store_integer(brain->store, id, 0) < *due)
		*due = store_integer(brain->store, id, 0);
	store_reset(brain->store, id);
	return 0;
}

/*
 * The next row that is not due yet wakes us. Calls that wait for their lane or for a free hand are started by the end of
 * another one.
 */
static int plan(struct brain *brain, struct err *err)
{
	int64_t due = INT64_MAX, calls_due = INT64_MAX;

	for (int stage = 0; stage < STAGE_COUNT; stage++)
		if (earliest(brain, inbox((enum stage)stage, INBOX_DUE), &due, err) < 0)
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

static int work(struct brain *brain, struct err *err)
{
	struct brain_turn *turn = brain->turn;
	int more;

	turn->wanted = false;
	if (turn->spoilt)
		return err_set(err, ERR_SYSTEM, "a part of this turn could not be written");
	if (brain_begin(brain, err) < 0)
		return -1;
	more = steps(brain, err);
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
	if (!kept)
		memset(turn->idle, 0, sizeof turn->idle);
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
	arena_free(turn->arena);
	free(turn);
	brain->turn = NULL;
}
