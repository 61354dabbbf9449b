#include "calls/calls.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/log.h"

enum { KINDS_MAXIMUM = 16, AGAIN_MS = 500, AGAIN_MAXIMUM_MS = 60000, AGAIN_DOUBLINGS = 7, ASKED_MAXIMUM_MS = 3600000 };

struct run {
	struct calls_act act; /* first: an act is its run */
	TAILQ_ENTRY(run) link;
	unsigned kind; /* index of the performer */
	enum stage stage;
	bool begun, cancelled;
	struct arena *arena;
};

struct calls {
	struct brain *brain;
	const struct calls_performer *performers;
	unsigned running[KINDS_MAXIMUM]; /* picked ones included */
	TAILQ_HEAD(, run) runs; /* in the order they were picked */
	bool recover; /* rows may say "doing" of what is not under way */
	struct loop_source *timer;
};

static struct run *run_of(struct calls_act *act)
{
	return (struct run *)act;
}

static struct run *find_run(struct calls *calls, int64_t id)
{
	struct run *run;

	TAILQ_FOREACH(run, &calls->runs, link)
		if (run->act.id == id)
			return run;
	return NULL;
}

int calls_init(struct brain *brain, const struct calls_performer *performers, struct err *err)
{
	struct calls *calls = calloc(1, sizeof *calls);

	if (!calls)
		return err_set(err, ERR_FULL, "out of memory");
	calls->brain = brain;
	calls->performers = performers;
	calls->recover = true;
	TAILQ_INIT(&calls->runs);
	brain->calls = calls;
	return 0;
}

static void free_run(struct calls *calls, struct run *run)
{
	calls->running[run->kind]--;
	TAILQ_REMOVE(&calls->runs, run, link);
	arena_free(run->arena);
	free(run);
}

void calls_release(struct brain *brain)
{
	struct calls *calls = brain->calls;

	if (!calls)
		return;
	while (!TAILQ_EMPTY(&calls->runs)) {
		struct run *run = TAILQ_FIRST(&calls->runs);

		if (run->begun && calls->performers[run->kind].drop)
			calls->performers[run->kind].drop(&run->act);
		free_run(calls, run);
	}
	loop_cancel(calls->timer);
	free(calls);
	brain->calls = NULL;
}

int calls_add(struct brain *brain, const struct calls_intent *intent, int64_t *id, struct err *err)
{
	int64_t now = clock_wall_ms();

	if (store_run(brain->store, STORE_CALL_ADD, err, STORE_TEXT(intent->kind), STORE_TEXT(intent->lane), STORE_TEXT(intent->key),
		STORE_TEXT(intent->request), STORE_INTEGER(intent->stage), STORE_INTEGER(now + intent->delay_ms), STORE_INTEGER(now)) < 0)
		return -1;
	if (!id)
		return 0;
	if (store_one(brain->store, STORE_CALL_FIND, err, STORE_TEXT(intent->kind), STORE_TEXT(intent->key)) != 1)
		return -1;
	*id = store_integer(brain->store, STORE_CALL_FIND, 0);
	store_reset(brain->store, STORE_CALL_FIND);
	return 0;
}

static void on_cancel(void *cookie, bool kept)
{
	struct calls *calls = cookie;
	struct run *run, *next;

	for (run = TAILQ_FIRST(&calls->runs); kept && run; run = next) {
		next = TAILQ_NEXT(run, link);
		if (!run->cancelled || !run->begun)
			continue;
		run->cancelled = false;
		if (calls->performers[run->kind].cancel)
			calls->performers[run->kind].cancel(&run->act);
	}
}

static bool can_end(const struct calls *calls, const char *kind)
{
	for (unsigned i = 0; i < KINDS_MAXIMUM && calls->performers[i].kind; i++)
		if (strcmp(calls->performers[i].kind, kind) == 0)
			return calls->performers[i].cancel != NULL;
	return false;
}

int calls_cancel(struct brain *brain, const char *kind, const char *key, struct err *err)
{
	struct run *run;
	int64_t id, stage, attempts;
	int found = store_one(brain->store, STORE_CALL_FIND, err, STORE_TEXT(kind), STORE_TEXT(key));

	if (found <= 0)
		return found;
	id = store_integer(brain->store, STORE_CALL_FIND, 0);
	stage = store_integer(brain->store, STORE_CALL_FIND, 1);
	attempts = store_integer(brain->store, STORE_CALL_FIND, 2);
	store_reset(brain->store, STORE_CALL_FIND);
	run = find_run(brain->calls, id);
	if (run) {
		run->cancelled = true;
		brain_after(brain, on_cancel, brain->calls);
	}
	if (run || (attempts > 0 && can_end(brain->calls, kind)))
		return store_run(brain->store, STORE_CALL_UNWANTED, err, STORE_INTEGER(id), STORE_TEXT(outcome_word(OUTCOME_CANCELLED)),
			STORE_INTEGER(clock_wall_ms()));
	if (store_run(brain->store, STORE_CALL_ANSWERED, err, STORE_INTEGER(id), STORE_INTEGER(clock_wall_ms()),
		STORE_TEXT(outcome_word(OUTCOME_CANCELLED)), STORE_TEXT("")) < 0)
		return -1;
	return store_changed(brain->store) ? brain_tell(brain, (enum stage)stage, "answer", id, 0, err) : 0;
}

int calls_get(struct brain *brain, struct arena *arena, int64_t id, struct calls_answer *answer, struct err *err)
{
	struct store *store = brain->store;
	const char *word;
	int found = store_one(store, STORE_CALL_GET, err, STORE_INTEGER(id));

	if (found <= 0)
		return found;
	answer->kind = store_text(store, STORE_CALL_GET, 0, arena);
	answer->lane = store_text(store, STORE_CALL_GET, 1, arena);
	answer->key = store_text(store, STORE_CALL_GET, 2, arena);
	answer->request = store_text(store, STORE_CALL_GET, 3, arena);
	answer->made = store_integer(store, STORE_CALL_GET, 7);
	answer->started = store_integer(store, STORE_CALL_GET, 8);
	answer->ended = store_integer(store, STORE_CALL_GET, 9);
	word = store_text(store, STORE_CALL_GET, 10, arena);
	answer->text = store_text(store, STORE_CALL_GET, 11, arena);
	store_reset(store, STORE_CALL_GET);
	answer->outcome = OUTCOME_INFRASTRUCTURE;
	if (word)
		outcome_from_word(word, &answer->outcome);
	if (!answer->text)
		answer->text = "";
	return 1;
}

/*
 * What a failed write left behind is found by its row, and done again: a little later, so that a full disk is not asked in a
 * circle.
 */
static void on_recover(void *cookie)
{
	struct calls *calls = cookie;

	calls->timer = NULL;
	brain_wake(calls->brain);
}

static void lose(struct calls *calls, const struct calls_act *act, const struct err *err)
{
	log_error(LOG_WHAT("answer not written"), LOG_TEXT("kind", act->kind), LOG_TEXT("key", act->key), LOG_ERR(err));
	calls->recover = true;
	if (!calls->timer)
		calls->timer = loop_after(calls->brain->loop, 1000, on_recover, calls);
}

void calls_answer(struct calls_act *act, enum outcome outcome, const char *text)
{
	struct run *run = run_of(act);
	struct brain *brain = act->brain;
	struct err err = {.kind = ERR_NONE};

	if (brain_begin(brain, &err) < 0 ||
		store_run(brain->store, STORE_CALL_ANSWERED, &err, STORE_INTEGER(act->id), STORE_INTEGER(clock_wall_ms()),
			STORE_TEXT(outcome_word(outcome)), STORE_TEXT(text)) < 0 ||
		brain_tell(brain, run->stage, "answer", act->id, 0, &err) < 0) {
		lose(brain->calls, act, &err);
		brain_spoil(brain);
	}
	free_run(brain->calls, run);
}

void calls_again(struct calls_act *act, int64_t delay_ms, const char *why)
{
	struct brain *brain = act->brain;
	struct err err = {.kind = ERR_NONE};
	int64_t delay = delay_ms;

	if (delay <= 0)
		delay = (int64_t)AGAIN_MS << (act->attempts < AGAIN_DOUBLINGS ? act->attempts - 1 : AGAIN_DOUBLINGS);
	if (delay > (delay_ms > 0 ? ASKED_MAXIMUM_MS : AGAIN_MAXIMUM_MS))
		delay = delay_ms > 0 ? ASKED_MAXIMUM_MS : AGAIN_MAXIMUM_MS;
	if (act->attempts == 1 || act->attempts % 10 == 0)
		log_warning(LOG_WHAT("tried again later"), LOG_TEXT("kind", act->kind), LOG_TEXT("lane", act->lane),
			LOG_NUMBER("attempts", act->attempts), LOG_NUMBER("after_ms", delay), LOG_TEXT("why", why));
	if (brain_begin(brain, &err) < 0 ||
		store_run(brain->store, STORE_CALL_AGAIN, &err, STORE_INTEGER(act->id), STORE_INTEGER(clock_wall_ms() + delay),
			STORE_TEXT(why)) < 0) {
		lose(brain->calls, act, &err);
		brain_spoil(brain);
	}
	free_run(brain->calls, run_of(act));
}

void calls_progress(struct calls_act *act, const char *kind)
{
	struct run *run = run_of(act);
	struct err err = {.kind = ERR_NONE};

	if (brain_begin(act->brain, &err) < 0 || brain_tell(act->brain, run->stage, kind, act->id, 0, &err) < 0) {
		log_error(LOG_WHAT("progress not written"), LOG_TEXT("kind", act->kind), LOG_TEXT("key", act->key), LOG_ERR(&err));
		brain_spoil(act->brain);
	}
}

static int pick_one(struct calls *calls, unsigned kind, struct err *err)
{
	const struct calls_performer *performer = &calls->performers[kind];
	struct store *store = calls->brain->store;
	struct run *run;
	int found = store_one(store, STORE_CALL_NEXT, err, STORE_TEXT(performer->kind), STORE_INTEGER(clock_wall_ms()));

	if (found <= 0)
		return found;
	run = calloc(1, sizeof *run);
	if (!run)
		err_fatal("out of memory");
	run->arena = arena_new();
	run->kind = kind;
	run->stage = (enum stage)store_integer(store, STORE_CALL_NEXT, 4);
	run->act = (struct calls_act){
		.brain = calls->brain,
		.id = store_integer(store, STORE_CALL_NEXT, 0),
		.kind = performer->kind,
		.lane = store_text(store, STORE_CALL_NEXT, 1, run->arena),
		.key = store_text(store, STORE_CALL_NEXT, 2, run->arena),
		.request = store_text(store, STORE_CALL_NEXT, 3, run->arena),
		.attempts = store_integer(store, STORE_CALL_NEXT, 5) + 1,
		.unwanted = !store_null(store, STORE_CALL_NEXT, 6),
	};
	store_reset(store, STORE_CALL_NEXT);
	TAILQ_INSERT_TAIL(&calls->runs, run, link);
	calls->running[kind]++;
	if (store_run(store, STORE_CALL_DOING, err, STORE_INTEGER(run->act.id), STORE_INTEGER(clock_wall_ms())) < 0)
		return -1;
	return 1;
}

/* Rows that say "doing" and are not: they are intents. */
static int recover(struct calls *calls, struct err *err)
{
	struct store *store = calls->brain->store;
	struct arena *arena = arena_new();
	int64_t *ids = NULL;
	size_t count = 0, room = 0;
	int more, done = -1;

	while ((more = store_step(store, STORE_CALLS_DOING, err)) == 1) {
		if (count == room) {
			int64_t *wider = arena_alloc(arena, (room * 2 + 16) * sizeof *ids);

			if (count)
				memcpy(wider, ids, count * sizeof *ids);
			ids = wider;
			room = room * 2 + 16;
		}
		ids[count++] = store_integer(store, STORE_CALLS_DOING, 0);
	}
	if (more < 0)
		goto err1;
	for (size_t i = 0; i < count; i++)
		if (!find_run(calls, ids[i]) &&
			store_run(store, STORE_CALL_AGAIN, err, STORE_INTEGER(ids[i]), STORE_INTEGER(0), STORE_NULL) < 0)
			goto err1;
	done = 0;
err1:
	arena_free(arena);
	return done;
}

int calls_pick(struct calls *calls, struct err *err)
{
	if (calls->recover) {
		if (recover(calls, err) < 0)
			return -1;
		calls->recover = false;
	}
	for (unsigned kind = 0; kind < KINDS_MAXIMUM && calls->performers[kind].kind; kind++)
		while (calls->running[kind] < calls->performers[kind].at_once) {
			int picked = pick_one(calls, kind, err);

			if (picked < 0)
				return -1;
			if (picked == 0)
				break;
		}
	return 0;
}

void calls_begin(struct calls *calls, bool kept)
{
	struct run *run, *next;

	if (!kept)
		calls->recover = true;
	for (run = TAILQ_FIRST(&calls->runs); run; run = next) {
		next = TAILQ_NEXT(run, link);
		if (run->begun)
			continue;
		if (!kept) {
			free_run(calls, run);
			continue;
		}
		run->begun = true;
		calls->performers[run->kind].begin(&run->act, calls->performers[run->kind].about);
	}
}

unsigned calls_running(const struct calls *calls, const char *kind)
{
	for (unsigned i = 0; i < KINDS_MAXIMUM && calls->performers[i].kind; i++)
		if (strcmp(calls->performers[i].kind, kind) == 0)
			return calls->running[i];
	return 0;
}
