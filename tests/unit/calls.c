/* The turn and the calls: steps are undone when they fail, acts follow their COMMIT, and what is lost is done again. */
#include "calls/calls.h"

#include <stdlib.h>

#include "base/clock.h"
#include "calls/turn.h"
#include "tests/tap.h"

/* What happened, in the order it did: one letter an event. */
static char trace[256];
static struct brain brain;
static struct calls_act *acts[8]; /* under way in the performer "slow" */
static size_t act_count;
static bool deaf;    /* "slow" does not hear that it is cancelled */
static int failures; /* how often the next steps of "fails" fail */

static void note(const char *what)
{
	strncat(trace, what, sizeof trace - strlen(trace) - 1);
}

static enum step on_answer(struct brain *the_brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct calls_answer answer;

	if (calls_get(the_brain, arena, ref, &answer, err) != 1)
		return STEP_FAILED;
	note("<");
	note(answer.key);
	note(outcome_word(answer.outcome));
	note(">");
	return STEP_DONE;
}

static enum step on_progress(struct brain *the_brain, struct arena *arena, int64_t ref, struct err *err)
{
	(void)the_brain, (void)arena, (void)ref, (void)err;
	note("p");
	return STEP_DONE;
}

/* Writes before it fails: that must not stay. */
static enum step on_fails(struct brain *the_brain, struct arena *arena, int64_t ref, struct err *err)
{
	(void)arena;
	if (brain_decide(the_brain, &(struct brain_reason){.stage = "test"}, err, "step %lld", (long long)ref) < 0)
		return STEP_FAILED;
	if (failures-- > 0) {
		err_set(err, ERR_SYSTEM, "as the test wants it");
		return STEP_FAILED;
	}
	note("s");
	return STEP_DONE;
}

/* Takes as long as all steps of a turn may, and lets the loop end with it. */
static enum step on_long(struct brain *the_brain, struct arena *arena, int64_t ref, struct err *err)
{
	int64_t end = clock_monotonic_us() + 30000;

	(void)arena, (void)ref, (void)err;
	while (clock_monotonic_us() < end)
		;
	note("l");
	loop_stop(the_brain->loop);
	return STEP_DONE;
}

static const struct brain_handler handlers[] = {{"long", on_long}, {"answer", on_answer}, {"began", on_progress}, {"fails", on_fails}, {NULL, NULL}};
static const struct brain_stage stages[STAGE_COUNT] = {
	{"proposal", handlers}, {"gate", handlers}, {"build", handlers}, {"landing", handlers}, {"report", handlers}};

static void quick_begin(struct calls_act *act, const void *about)
{
	note(about);
	calls_answer(act, OUTCOME_SUCCESS, act->request);
}

static void slow_begin(struct calls_act *act, const void *about)
{
	(void)about;
	note("b");
	note(act->key);
	if (act->unwanted)
		note("u");
	acts[act_count++] = act;
}

static void slow_cancel(struct calls_act *act)
{
	note("c");
	if (deaf)
		return;
	calls_answer(act, OUTCOME_CANCELLED, "");
}

static void slow_drop(struct calls_act *act)
{
	(void)act;
	note("d");
}

static void stubborn_begin(struct calls_act *act, const void *about)
{
	(void)about;
	note("t");
	if (act->attempts < 3)
		calls_again(act, 1, "not yet");
	else
		calls_answer(act, OUTCOME_SUCCESS, "");
}

static const struct calls_performer performers[] = {
	{.kind = "quick", .at_once = 2, .about = "q", .begin = quick_begin},
	{.kind = "slow", .at_once = 4, .begin = slow_begin, .cancel = slow_cancel, .drop = slow_drop},
	{.kind = "stubborn", .at_once = 1, .begin = stubborn_begin},
	{.kind = NULL},
};

static struct loop_source *ending;
static int rounds;

/* Where the machine stops this process for a while, all is due at once afterwards: what was there before comes before the next round. */
static void on_stop(void *cookie)
{
	ending = NULL;
	if (rounds-- > 0)
		ending = loop_after(brain.loop, 1, on_stop, cookie);
	else
		loop_stop(cookie);
}

/* Lets the loop run for that time, and until nothing is left to do at once. */
static void turn(int64_t ms)
{
	struct err err = {.kind = ERR_NONE};

	rounds = 20;
	ending = loop_after(brain.loop, ms, on_stop, brain.loop);
	if (loop_run(brain.loop, &err) < 0)
		printf("# %s\n", err.text);
	loop_cancel(ending);
	ending = NULL;
}

static void add(const char *kind, const char *lane, const char *key)
{
	struct err err = {.kind = ERR_NONE};
	struct calls_intent intent = {.kind = kind, .lane = lane, .key = key, .request = "{}", .stage = STAGE_BUILD};

	if (brain_begin(&brain, &err) < 0 || calls_add(&brain, &intent, NULL, &err) < 0)
		printf("# %s\n", err.text);
}

static void seen(const char *wanted, const char *what)
{
	is(trace, wanted, what);
	trace[0] = '\0';
}

static void on_after(void *cookie, bool kept)
{
	(void)cookie;
	note(kept ? "K" : "L");
}

static int64_t decisions(void)
{
	struct err err = {.kind = ERR_NONE};
	int64_t count = 0;

	if (store_query(brain.store, STORE_DECISIONS_PROPOSAL, &err, STORE_NULL, STORE_INTEGER(100)) < 0)
		return -1;
	while (store_step(brain.store, STORE_DECISIONS_PROPOSAL, &err) == 1)
		count++;
	return count;
}

static void answers(void)
{
	add("quick", "x", "1");
	is(trace, "", "nothing is begun before the COMMIT");
	turn(20);
	seen("q<1success>", "then it is, and its asker hears the answer");
	add("quick", "x", "1");
	turn(20);
	seen("", "the same act again is the same act");
	add("stubborn", "x", "1");
	turn(500);
	seen("ttt<1success>", "what did not work out is tried again");
}

static void lanes(void)
{
	add("slow", "one", "1");
	add("slow", "one", "2");
	add("slow", "two", "3");
	turn(20);
	seen("b1b3", "acts of one lane follow each other, others do not wait");
	calls_progress(acts[0], "began");
	turn(20);
	seen("p", "progress is told");
	calls_answer(acts[0], OUTCOME_SUCCESS, "");
	turn(20);
	seen("<1success>b2", "the next of the lane begins when one ends");
	act_count = 0;
}

static void cancels(void)
{
	struct err err = {.kind = ERR_NONE};

	add("slow", "two", "4");
	turn(20);
	ok(brain_begin(&brain, &err) == 0 && calls_cancel(&brain, "slow", "4", &err) == 0 &&
			calls_cancel(&brain, "slow", "3", &err) == 0,
		"one that waits and one under way are cancelled");
	ok(calls_cancel(&brain, "slow", "none", &err) == 0, "one that is not there is no error");
	turn(20);
	seen("<4cancelled>c<3cancelled>", "both end as cancelled");
	add("slow", "five", "8");
	turn(20);
	calls_again(acts[act_count - 1], 3600000, "not yet");
	turn(20);
	seen("b8", "one that is to be begun again in an hour");
	ok(brain_begin(&brain, &err) == 0 && calls_cancel(&brain, "slow", "8", &err) == 0, "is cancelled");
	turn(20);
	seen("b8u", "it is begun at once, as unwanted: what was begun of it has to end");
	calls_answer(acts[act_count - 1], OUTCOME_CANCELLED, "");
	turn(20);
	seen("<8cancelled>", "and ends");
	act_count = 0;
}

static void lost(void)
{
	struct err err = {.kind = ERR_NONE};

	add("quick", "x", "5");
	brain_after(&brain, on_after, NULL);
	brain_spoil(&brain);
	turn(20);
	seen("L", "a turn that can't be kept: who waits for it hears so, and nothing is begun");
	ok(!brain_healthy(&brain), "and the brain says that it is not well");
	add("quick", "x", "5");
	brain_after(&brain, on_after, NULL);
	turn(20);
	seen("Kq<5success>", "the next one is kept");
	ok(brain_healthy(&brain), "and the brain is well again");
	ok(brain_begin(&brain, &err) == 0, "a transaction");
}

/* An answer that could not be written: the act is done once more. */
static void forgotten(void)
{
	add("slow", "three", "6");
	turn(20);
	seen("b6", "an act is under way");
	calls_answer(acts[act_count - 1], OUTCOME_SUCCESS, "");
	brain_spoil(&brain);
	act_count = 0;
	turn(2000);
	seen("b6", "its answer is lost with its turn: it is begun again");
	calls_answer(acts[act_count - 1], OUTCOME_SUCCESS, "");
	turn(20);
	seen("<6success>", "and answered");
}

static void steps(void)
{
	struct err err = {.kind = ERR_NONE};
	int64_t before = decisions();

	failures = 2;
	ok(brain_begin(&brain, &err) == 0 && brain_tell(&brain, STAGE_GATE, "fails", 1, 0, &err) == 0 &&
			brain_tell(&brain, STAGE_GATE, "began", 2, 0, &err) == 0 && brain_tell(&brain, STAGE_PROPOSAL, "began", 2, 0, &err) == 0,
		"something in two inboxes");
	turn(20);
	seen("ppp", "a step that fails: what was done before it is done again, each for itself, and so is what follows");
	ok(decisions() == before, "it leaves nothing behind");
	turn(3000);
	seen("s", "and is done again later");
	failures = 0;
	ok(brain_begin(&brain, &err) == 0 && brain_tell(&brain, STAGE_REPORT, "fails", 2, 1000, &err) == 0, "a row for later");
	turn(20);
	seen("", "is not looked at now");
	turn(1000);
	seen("s", "but then");
}

/* What is told for a turn that ends before its step. */
static void left(void)
{
	struct err err = {.kind = ERR_NONE};

	ok(brain_begin(&brain, &err) == 0 && brain_tell(&brain, STAGE_GATE, "long", 1, 0, &err) == 0 &&
			brain_tell(&brain, STAGE_GATE, "long", 2, 0, &err) == 0,
		"two steps that take long");
	turn(1000);
	seen("l", "one is done in this turn");
	ok(store_first(brain.store, STORE_GATE_INBOX_DUE, NULL, 0, &err) == 1 && !store_null(brain.store, STORE_GATE_INBOX_DUE, 0),
		"the other is a row, which a crash would leave");
	store_reset(brain.store, STORE_GATE_INBOX_DUE);
	turn(1000);
	seen("l", "and is done in the next");
	ok(store_first(brain.store, STORE_GATE_INBOX_DUE, NULL, 0, &err) == 1 && store_null(brain.store, STORE_GATE_INBOX_DUE, 0),
		"then there is none");
	store_reset(brain.store, STORE_GATE_INBOX_DUE);
}

static void restart(struct store *store)
{
	struct err err = {.kind = ERR_NONE};

	add("slow", "four", "7");
	turn(20);
	seen("b7", "an act is under way when the brain ends");
	calls_release(&brain);
	turn_release(&brain);
	seen("dd", "the performer lets go of it, and of the one before");
	ok(turn_init(&brain, &err) == 0 && calls_init(&brain, performers, &err) == 0, "the brain begins again");
	brain.store = store;
	act_count = 0;
	turn(20);
	seen("b2b7", "and what was under way is begun again");
	ok(brain_begin(&brain, &err) == 0 && calls_cancel(&brain, "slow", "7", &err) == 0, "it is cancelled");
	deaf = true;
	turn(20);
	seen("c", "which is told, and not done");
	calls_release(&brain);
	turn_release(&brain);
	seen("dd", "when the brain ends");
	ok(turn_init(&brain, &err) == 0 && calls_init(&brain, performers, &err) == 0, "the brain begins once more");
	act_count = 0;
	turn(20);
	seen("b2b7u", "and begins it as what nobody wants");
}

int main(void)
{
	struct err err = {.kind = ERR_NONE};
	struct store *store = NULL;

	brain = (struct brain){.namespace = "unit", .root = "", .stages = stages, .started = clock_wall_ms()};
	ok(loop_new(&brain.loop, &err) == 0 && store_open(&store, ":memory:", &err) == 0, "a brain without parts");
	brain.store = store;
	ok(turn_init(&brain, &err) == 0 && calls_init(&brain, performers, &err) == 0, "turns");
	turn(20);
	answers();
	lanes();
	cancels();
	lost();
	forgotten();
	steps();
	left();
	restart(store);
	calls_release(&brain);
	turn_release(&brain);
	store_close(store);
	loop_free(brain.loop);
	return tap_done();
}
