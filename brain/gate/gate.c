#include "gate/gate.h"

#include <string.h>

#include "base/clock.h"
#include "base/jsonget.h"
#include "forge/approve.h"
#include "forge/result.h"
#include "gate/move.h"
#include "proposal/project.h"

enum { LATER_MAXIMUM_MS = 24 * 3600 * 1000, NODES = 10000 };

/* Fills facts but for the items. */
static int learn(struct move *move, struct policy_facts *facts, struct approve_verdict *verdict, struct err *why)
{
	struct approve_criteria criteria;
	struct forge_proposal proposal;
	const struct proposal_row *row = &move->row;

	if (proposal_parse(move->arena, row, &proposal, why) < 0 ||
		project_criteria(move->brain->conf, move->arena, row->project, clock_wall_ms() / 1000, &criteria, why) < 0)
		return -1;
	approve_decide(&proposal, &criteria, verdict);
	facts->state = row->state;
	facts->head = row->head;
	facts->target = row->target;
	facts->gated = project_gates(move->brain->conf, move->arena, row->project, row->target);
	facts->approved = verdict->commit;
	facts->approved_time = approve_newest(&proposal, &criteria);
	facts->why = verdict->why;
	facts->undecided = proposal.undecided;
	facts->undecided_time = proposal.undecided_time;
	facts->rejected = proposal.rejected;
	return 0;
}

/* Nobody tells us when the date of an approval has come: it is read again then, a day ahead at most. */
static int look_later(struct move *move, int64_t when)
{
	int64_t delay = when * 1000 - clock_wall_ms() + 1000;

	return brain_tell(move->brain, STAGE_PROPOSAL, "read", move->row.id, delay < LATER_MAXIMUM_MS ? delay : LATER_MAXIMUM_MS, move->err);
}

/* An approval that counted is dated ahead by now: the clock was set back, and that is not the proposal's fault. */
static bool is_behind(const struct move *move)
{
	return strcmp(move->row.state, "open") == 0 && strcmp(move->row.head, move->item.source) == 0 &&
		move->item.approved > clock_wall_ms() / 1000 + APPROVE_AHEAD;
}

/* A reason that was given before, last, is not given again. */
static int decide_once(struct move *move, const char *why)
{
	struct brain_reason reason = {.stage = MOVE_STAGE, .delivery = move->row.delivery, .proposal = move->row.id};
	struct store *store = move->brain->store;
	bool same;
	int found;

	if (!*why)
		return 0;
	found = store_one(store, STORE_DECISION_LAST, move->err, STORE_INTEGER(move->row.id), STORE_TEXT(MOVE_STAGE));
	if (found < 0)
		return -1;
	same = found && strcmp(store_text(store, STORE_DECISION_LAST, 0, move->arena), why) == 0;
	if (found)
		store_reset(store, STORE_DECISION_LAST);
	return same ? 0 : brain_decide(move->brain, &reason, move->err, "%s", why);
}

static int act(struct move *move, const struct policy_facts *facts, const struct policy_choice *choice)
{
	const char *why = arena_strdup(move->arena, choice->why);

	switch (choice->act) {
	case POLICY_NOTHING:
		return decide_once(move, why);
	case POLICY_QUEUE:
		return move_queue(move, facts, why);
	case POLICY_REMOVE:
		return move_out(move, why);
	case POLICY_REPLACE:
		if (move_out(move, why) < 0)
			return -1;
		return move_queue(move, facts, arena_printf(move->arena, "queued for %s: %s", facts->target, facts->why));
	case POLICY_LANDED:
		return move_finish_found(move);
	case POLICY_REJECTED:
		return move_rejected(move, why);
	case POLICY_REFUSE:
		return move_refuse(move, facts, why);
	case POLICY_GO:
		return move_build(move);
	case POLICY_RELEASE:
		return move_release(move, facts, why);
	}
	return 0;
}

/* An item that waits for what can't be known now must not keep its target: it goes back into the queue. */
static enum step not_known(struct move *move, int64_t proposal, const char *why)
{
	int found = item_live(move->brain, move->arena, proposal, &move->item, move->err);

	if (found > 0 && proposal_get(move->brain, move->arena, proposal, &move->row, move->err) < 0)
		return STEP_FAILED;
	if (found > 0 && strcmp(move->item.state, "rereading") == 0 && move_again(move, why) < 0)
		return STEP_FAILED;
	if (found > 0)
		found = move_next(move, move->item.project, move->item.target);
	return brain_step(found);
}

static enum step step_proposal(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct move move = {.brain = brain, .arena = arena, .err = err};
	struct err why = {.kind = ERR_NONE};
	struct policy_facts facts = {.state = NULL};
	struct policy_choice choice;
	struct approve_verdict verdict;
	struct item last;
	int live, any, found = proposal_get(brain, arena, ref, &move.row, err);
	const char *old_target = NULL;

	if (found <= 0)
		return brain_step(found);
	if (learn(&move, &facts, &verdict, &why) < 0) {
		if (decide_once(&move, arena_printf(arena, "not decided: %s", why.text)) < 0)
			return STEP_FAILED;
		return not_known(&move, ref, why.text);
	}
	live = item_live(brain, arena, ref, &move.item, err);
	any = item_last(brain, arena, ref, &last, err);
	if (live < 0 || any < 0)
		return STEP_FAILED;
	if (live && !verdict.commit && is_behind(&move))
		return brain_step(look_later(&move, move.item.approved - APPROVE_AHEAD));
	if (verdict.later && look_later(&move, verdict.later) < 0)
		return STEP_FAILED;
	facts.live = item_policy(live ? &move.item : NULL);
	facts.last = item_policy(any && !live ? &last : NULL);
	if (live)
		old_target = move.item.target;
	policy_choose(&facts, &choice);
	if (act(&move, &facts, &choice) < 0 || move_next(&move, arena_strdup(arena, move.row.project), facts.target) < 0)
		return STEP_FAILED;
	if (old_target && strcmp(old_target, facts.target) != 0 && move_next(&move, move.row.project, old_target) < 0)
		return STEP_FAILED;
	return STEP_DONE;
}

/* Loads item and proposal when the item is still in `state`. 1, 0: what ended is of no interest any more, -1. */
static int load(struct move *move, int64_t item, const char *state)
{
	int found = item_get(move->brain, move->arena, item, &move->item, move->err);

	if (found <= 0 || strcmp(move->item.state, state) != 0)
		return found < 0 ? -1 : 0;
	return proposal_get(move->brain, move->arena, move->item.proposal, &move->row, move->err);
}

/* Of a landing's answer: a forge that asks for time is no trouble. */
static int64_t wait_of(const char *answer)
{
	struct err ignored;
	json_t *json = answer ? jsonget_parse(answer, strlen(answer), NODES, &ignored) : NULL;
	int64_t wait = jsonget_integer_or(json, "wait", 0);

	json_decref(json);
	return wait;
}

static int read_ended(struct move *move, enum store_id id, int64_t ref, struct move_end *ended, int64_t *build)
{
	struct store *store = move->brain->store;
	const char *word, *line, *answer;
	struct counts counts;
	int found = store_one(store, id, move->err, STORE_INTEGER(ref));

	if (found <= 0)
		return found;
	ended->item = store_integer(store, id, 0);
	ended->build = store_text(store, id, 1, move->arena);
	word = store_text(store, id, 2, move->arena);
	ended->reason = store_text(store, id, 3, move->arena);
	ended->merged = store_text(store, id, 4, move->arena);
	ended->target_tip = store_text(store, id, 5, move->arena);
	ended->time = store_integer(store, id, 6);
	*build = store_integer(store, id, 7);
	line = store_text(store, id, 8, move->arena);
	ended->tests = line && result_line_counts(move->arena, line, &counts) ? counts_text(move->arena, &counts, false) : "";
	answer = store_text(store, id, 9, move->arena);
	store_reset(store, id);
	ended->outcome = OUTCOME_INFRASTRUCTURE;
	if (word)
		outcome_from_word(word, &ended->outcome);
	ended->wait = ended->outcome == OUTCOME_UNREACHABLE ? wait_of(answer) : 0;
	if (!ended->reason)
		ended->reason = "";
	return 1;
}

/* It is on the target, by what merge it is not known: the forge is read again, and says. */
static int finish(struct move *move, const struct move_end *ended)
{
	if (ended->merged && *ended->merged)
		return move_finish(move, ended);
	return move_reread(move, arena_printf(move->arena, "read back: %s", *ended->reason ? ended->reason : "it has landed already"));
}

static int after_build(struct move *move, const struct move_end *ended, int64_t build)
{
	switch (policy_after_build(ended->outcome)) {
	case POLICY_LAND:
		return move_land(move, ended, build);
	case POLICY_DONE:
		return finish(move, ended);
	case POLICY_REJECT:
		return move_reject(move, ended, "build");
	case POLICY_REREAD:
		return move_reread(move, arena_printf(move->arena, "tested again: %s", ended->reason));
	case POLICY_AGAIN:
		return move_again(move, arena_printf(move->arena, "build %s: %s%s%s", ended->build, outcome_word(ended->outcome),
			*ended->reason ? ": " : "", ended->reason));
	}
	return 0;
}

static enum step step_built(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct move move = {.brain = brain, .arena = arena, .err = err};
	struct move_end ended = {.item = 0};
	int64_t build;
	int found = read_ended(&move, STORE_BUILD_ENDED, ref, &ended, &build);

	if (found > 0)
		found = load(&move, ended.item, "building");
	if (found <= 0)
		return brain_step(found);
	if (after_build(&move, &ended, build) < 0)
		return STEP_FAILED;
	return brain_step(move_next(&move, move.item.project, move.item.target));
}

static int after_landing(struct move *move, const struct move_end *ended, int64_t build)
{
	switch (policy_after_landing(ended->outcome)) {
	case POLICY_LAND:
	case POLICY_DONE:
		return finish(move, ended);
	case POLICY_REJECT:
		return move_reject(move, ended, "landing");
	case POLICY_REREAD:
		return move_reread(
			move, arena_printf(move->arena, "merged and tested again: %s", *ended->reason ? ended->reason : "the target moved"));
	case POLICY_AGAIN:
		return move_land_again(move, ended, build);
	}
	return 0;
}

static enum step step_landed(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct move move = {.brain = brain, .arena = arena, .err = err};
	struct move_end ended = {.item = 0};
	int64_t build;
	int found = read_ended(&move, STORE_LANDING_ENDED, ref, &ended, &build);

	if (found > 0)
		found = load(&move, ended.item, "landing");
	if (found <= 0)
		return brain_step(found);
	if (after_landing(&move, &ended, build) < 0)
		return STEP_FAILED;
	return brain_step(move_next(&move, move.item.project, move.item.target));
}

static enum step step_unread(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct move move = {.brain = brain, .arena = arena, .err = err};

	return not_known(&move, ref, "its proposal could not be read back");
}

static enum step step_wake(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct move move = {.brain = brain, .arena = arena, .err = err};
	int found = item_get(brain, arena, ref, &move.item, err);

	if (found > 0)
		found = move_next(&move, move.item.project, move.item.target);
	return brain_step(found);
}

const struct brain_handler gate_handlers[] = {
	{"proposal", step_proposal},
	{"unread", step_unread},
	{"built", step_built},
	{"landed", step_landed},
	{"wake", step_wake},
	{NULL, NULL},
};
