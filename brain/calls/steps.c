#include "calls/steps.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum {
	STEPS_US = 20000, /* a turn's steps end after this: hooks wait for its COMMIT */
	LATER_MS = 1000,  /* a failed step, doubled each time */
	LATER_MAXIMUM_MS = 300000
};

struct told {
	const char *kind;
	int64_t ref;
};

struct queue {
	struct told *told;
	size_t first, count, room; /* those before `first` are done */
};

struct steps {
	struct brain *brain;
	struct after *after;
	struct queue queues[STAGE_COUNT];
	bool idle[STAGE_COUNT]; /* no row was due when its inbox was last asked, and none was put there since */
};

/* What is undone besides rows. */
struct mark {
	size_t first[STAGE_COUNT], count[STAGE_COUNT], after;
};

/* The inboxes' statements follow each other in the order of enum stage. */
enum { INBOX_ADD, INBOX_NEXT, INBOX_DELETE, INBOX_LATER, INBOX_DUE, INBOX_SOONER, INBOX_STATEMENTS };
_Static_assert(
	STORE_REPORT_INBOX_SOONER - STORE_PROPOSAL_INBOX_ADD + 1 == STAGE_COUNT * (int)INBOX_STATEMENTS, "an inbox for each stage");

static enum store_id inbox(enum stage stage, int which)
{
	return (enum store_id)((int)STORE_PROPOSAL_INBOX_ADD + (int)stage * (int)INBOX_STATEMENTS + which);
}

struct steps *steps_new(struct brain *brain, struct after *after)
{
	struct steps *steps = calloc(1, sizeof *steps);

	if (!steps)
		err_fatal("out of memory");
	steps->brain = brain;
	steps->after = after;
	return steps;
}

void steps_free(struct steps *steps)
{
	if (!steps)
		return;
	for (int stage = 0; stage < STAGE_COUNT; stage++)
		free(steps->queues[stage].told);
	free(steps);
}

static void push(struct queue *queue, const char *kind, int64_t ref)
{
	if (queue->count == queue->room) {
		queue->room = queue->room ? queue->room * 2 : 64;
		queue->told = reallocarray(queue->told, queue->room, sizeof *queue->told);
		if (!queue->told)
			err_fatal("out of memory");
	}
	queue->told[queue->count++] = (struct told){.kind = kind, .ref = ref};
}

static int add_row(struct steps *steps, enum stage stage, const struct told *told, int64_t due, struct err *err)
{
	steps->idle[stage] = false;
	return store_run(steps->brain->store, inbox(stage, INBOX_ADD), err, STORE_TEXT(told->kind), STORE_INTEGER(told->ref),
		STORE_INTEGER(due));
}

int steps_tell(struct steps *steps, enum stage stage, const char *kind, int64_t ref, int64_t delay_ms, struct err *err)
{
	if (delay_ms > 0)
		return add_row(steps, stage, &(struct told){.kind = kind, .ref = ref}, clock_wall_ms() + delay_ms, err);
	push(&steps->queues[stage], kind, ref);
	return 0;
}

static struct mark mark(const struct steps *steps)
{
	struct mark made = {.after = after_mark(steps->after)};

	for (int stage = 0; stage < STAGE_COUNT; stage++) {
		made.first[stage] = steps->queues[stage].first;
		made.count[stage] = steps->queues[stage].count;
	}
	return made;
}

/* To where the savepoint was. What `first` passed since then is still there. */
static int undo(struct steps *steps, const struct mark *made, struct err *err)
{
	for (int stage = 0; stage < STAGE_COUNT; stage++) {
		steps->queues[stage].first = made->first[stage];
		steps->queues[stage].count = made->count[stage];
	}
	after_back(steps->after, made->after);
	return store_plain(steps->brain->store, STORE_SAVEPOINT_BACK, err);
}

struct row {
	int64_t id; /* 0: it is none yet */
	int64_t ref, attempts;
	const char *kind;
};

/* 1: a row or what was told, rows first: they are older; 0: none; -1. */
static int next(struct steps *steps, enum stage stage, struct arena *arena, struct row *row, struct err *err)
{
	struct store *store = steps->brain->store;
	struct queue *queue = &steps->queues[stage];
	enum store_id id = inbox(stage, INBOX_NEXT);
	int found = steps->idle[stage] ? 0 : store_one(store, id, err, STORE_INTEGER(clock_wall_ms()));

	arena_reset(arena);
	if (found < 0)
		return -1;
	if (found) {
		*row = (struct row){.id = store_integer(store, id, 0), .kind = store_text(store, id, 1, arena),
			.ref = store_integer(store, id, 2), .attempts = store_integer(store, id, 3)};
		store_reset(store, id);
		return 1;
	}
	steps->idle[stage] = true;
	if (queue->first == queue->count)
		return 0;
	*row = (struct row){.kind = queue->told[queue->first].kind, .ref = queue->told[queue->first].ref};
	queue->first++;
	return 1;
}

static brain_step_fn *find_step(const struct brain_stage *stage, const char *kind)
{
	for (const struct brain_handler *handler = stage->handlers; handler->kind; handler++)
		if (strcmp(handler->kind, kind) == 0)
			return handler->step;
	return NULL;
}

static enum step run(struct steps *steps, enum stage stage, const struct row *row, struct arena *arena, struct err *why)
{
	struct brain *brain = steps->brain;
	brain_step_fn *step = find_step(&brain->stages[stage], row->kind);

	if (!step) {
		err_set(why, ERR_SYSTEM, "this byoci knows no such kind");
		return STEP_FAILED;
	}
	if (step(brain, arena, row->ref, why) == STEP_FAILED)
		return STEP_FAILED;
	if (row->id && store_run(brain->store, inbox(stage, INBOX_DELETE), why, STORE_INTEGER(row->id)) < 0)
		return STEP_FAILED;
	return STEP_DONE;
}

/* A failure of ours or of the disk: the row stays, or is made, and is looked at later. */
static int put_off(struct steps *steps, enum stage stage, const struct row *row, const struct err *why, struct err *err)
{
	int64_t delay = LATER_MS << (row->attempts < 9 ? row->attempts : 9), id = row->id;
	struct store *store = steps->brain->store;

	log_error(LOG_WHAT("step failed"), LOG_TEXT("stage", steps->brain->stages[stage].name), LOG_TEXT("kind", row->kind),
		LOG_NUMBER("ref", row->ref), LOG_ERR(why));
	if (delay > LATER_MAXIMUM_MS)
		delay = LATER_MAXIMUM_MS;
	if (!id) {
		if (add_row(steps, stage, &(struct told){.kind = row->kind, .ref = row->ref}, 0, err) < 0)
			return -1;
		id = store_last_id(store);
	}
	return store_run(store, inbox(stage, INBOX_LATER), err, STORE_INTEGER(id), STORE_INTEGER(clock_wall_ms() + delay));
}

static int run_alone(struct steps *steps, enum stage stage, const struct row *row, struct arena *arena, struct err *err)
{
	struct store *store = steps->brain->store;
	struct mark before = mark(steps);
	struct err why = {.kind = ERR_NONE};

	if (store_plain(store, STORE_SAVEPOINT, err) < 0)
		return -1;
	if (run(steps, stage, row, arena, &why) == STEP_FAILED &&
		(undo(steps, &before, err) < 0 || put_off(steps, stage, row, &why, err) < 0))
		return -1;
	return store_plain(store, STORE_SAVEPOINT_END, err);
}

enum way { TOGETHER, ALONE };
enum round { ROUND_LOST = -1, ROUND_IDLE, ROUND_DONE, ROUND_FAILED }; /* the last: a step failed that was not alone */

static enum round one(struct steps *steps, enum stage stage, enum way way, struct arena *arena, struct err *err)
{
	struct err why = {.kind = ERR_NONE};
	struct row row;
	int found = next(steps, stage, arena, &row, err);

	if (found <= 0)
		return found < 0 ? ROUND_LOST : ROUND_IDLE;
	if (way == ALONE || row.attempts)
		return run_alone(steps, stage, &row, arena, err) < 0 ? ROUND_LOST : ROUND_DONE;
	return run(steps, stage, &row, arena, &why) == STEP_FAILED ? ROUND_FAILED : ROUND_DONE;
}

/* So that no stage waits for another's backlog. ROUND_DONE: more is left. */
static enum round rounds(struct steps *steps, enum way way, struct arena *arena, struct err *err)
{
	int64_t end = clock_monotonic_us() + STEPS_US;
	enum round round = ROUND_DONE;

	while (round == ROUND_DONE && clock_monotonic_us() < end) {
		round = ROUND_IDLE;
		for (int stage = 0; stage < STAGE_COUNT; stage++) {
			enum round now = one(steps, (enum stage)stage, way, arena, err);

			if (now == ROUND_LOST || now == ROUND_FAILED)
				return now;
			if (now == ROUND_DONE)
				round = now;
		}
	}
	return round;
}

static bool nothing_to_do(const struct steps *steps)
{
	for (int stage = 0; stage < STAGE_COUNT; stage++)
		if (!steps->idle[stage] || steps->queues[stage].first < steps->queues[stage].count)
			return false;
	return true;
}

/* What was told and is not done: rows. */
static int settle(struct steps *steps, struct err *err)
{
	for (int stage = 0; stage < STAGE_COUNT; stage++) {
		struct queue *queue = &steps->queues[stage];

		for (; queue->first < queue->count; queue->first++)
			if (add_row(steps, (enum stage)stage, &queue->told[queue->first], 0, err) < 0)
				return -1;
		queue->first = queue->count = 0;
	}
	return 0;
}

int steps_run(struct steps *steps, struct arena *arena, struct err *err)
{
	struct store *store = steps->brain->store;
	struct mark before = mark(steps);
	enum round round;

	if (nothing_to_do(steps))
		return 0;
	if (store_plain(store, STORE_SAVEPOINT, err) < 0)
		return -1;
	round = rounds(steps, TOGETHER, arena, err);
	if (round == ROUND_FAILED) {
		steps_look(steps);
		round = undo(steps, &before, err) < 0 ? ROUND_LOST : rounds(steps, ALONE, arena, err);
	}
	if (round == ROUND_LOST || store_plain(store, STORE_SAVEPOINT_END, err) < 0 || settle(steps, err) < 0)
		return -1;
	return round == ROUND_DONE;
}

int steps_due(struct steps *steps, int64_t *due, struct err *err)
{
	struct store *store = steps->brain->store;

	*due = INT64_MAX;
	for (int stage = 0; stage < STAGE_COUNT; stage++) {
		enum store_id id = inbox((enum stage)stage, INBOX_DUE);

		if (store_first(store, id, NULL, 0, err) < 0)
			return -1;
		if (!store_null(store, id, 0) && store_integer(store, id, 0) < *due)
			*due = store_integer(store, id, 0);
		store_reset(store, id);
	}
	return 0;
}

int steps_sooner(struct steps *steps, const struct store_value values[3], struct err *err)
{
	for (int stage = 0; stage < STAGE_COUNT; stage++)
		if (store_do(steps->brain->store, inbox((enum stage)stage, INBOX_SOONER), values, 3, err) < 0)
			return -1;
	return 0;
}

void steps_look(struct steps *steps)
{
	memset(steps->idle, 0, sizeof steps->idle);
}

void steps_lose(struct steps *steps)
{
	for (int stage = 0; stage < STAGE_COUNT; stage++)
		steps->queues[stage].first = steps->queues[stage].count = 0;
	steps_look(steps);
}
