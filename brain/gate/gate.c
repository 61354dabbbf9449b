#include "gate/gate.h"

#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "forge/approve.h"
#include "forge/marker.h"
#include "forge/spec.h"
#include "gate/item.h"
#include "gate/policy.h"
#include "proposal/project.h"
#include "proposal/proposal.h"

#define STAGE_NAME "gate"

/* What one step works on. */
struct gate {
	struct brain *brain;
	struct arena *arena;
	struct err *err;
	struct proposal_row row;
	struct item item;
};

static struct brain_reason about(const struct gate *gate)
{
	return (struct brain_reason){.stage = STAGE_NAME, .delivery = gate->row.delivery, .proposal = gate->item.proposal};
}

static int set_state(struct gate *gate, const char *state, const char *why)
{
	gate->item.state = state;
	return store_run(gate->brain->store, STORE_ITEM_STATE, gate->err, STORE_INTEGER(gate->item.id), STORE_TEXT(state),
		STORE_INTEGER(clock_wall_ms()), STORE_TEXT(why));
}

static int end(struct gate *gate, const char *state, const char *why)
{
	struct brain_reason reason = about(gate);

	gate->item.state = state;
	if (store_run(gate->brain->store, STORE_ITEM_END, gate->err, STORE_INTEGER(gate->item.id), STORE_TEXT(state),
		STORE_INTEGER(clock_wall_ms()), STORE_TEXT(why)) < 0)
		return -1;
	return brain_decide(gate->brain, &reason, gate->err, "%s", why);
}

/* 1: the target is where the proposal's reading saw it, and the source is the approved one. */
static int is_fresh(struct gate *gate)
{
	struct store *store = gate->brain->store;
	int same,
		found = store_one(store, STORE_TARGET_GET, gate->err, STORE_TEXT(gate->item.project), STORE_TEXT(gate->item.target));

	if (found <= 0)
		return found;
	same = strcmp(store_text(store, STORE_TARGET_GET, 0, gate->arena), gate->row.target_tip) == 0;
	store_reset(store, STORE_TARGET_GET);
	return same && strcmp(gate->row.head, gate->item.source) == 0 && strcmp(gate->row.target, gate->item.target) == 0;
}

static int reread(struct gate *gate, const char *why)
{
	struct brain_reason reason = about(gate);

	if (set_state(gate, "rereading", why) < 0 || brain_decide(gate->brain, &reason, gate->err, "%s", why) < 0)
		return -1;
	return brain_tell(gate->brain, STAGE_PROPOSAL, "read", gate->item.proposal, 0, gate->err);
}

static int hold(struct gate *gate, const char *why)
{
	struct brain_reason reason = about(gate);

	if (set_state(gate, "held", why) < 0)
		return -1;
	return brain_decide(gate->brain, &reason, gate->err, "held: %s; approve it again, or push, to have it tried again", why);
}

static int make_build(struct gate *gate)
{
	struct brain *brain = gate->brain;
	struct brain_reason reason = about(gate);
	int64_t now = clock_wall_ms(), attempt = gate->item.builds + 1;
	char build[SPEC_BUILD_SIZE];

	if (attempt > POLICY_BUILDS_MAXIMUM)
		return hold(gate, "it was built too often");
	crypto_random_hex((SPEC_BUILD_SIZE - 1) / 2, build);
	if (store_run(brain->store, STORE_BUILD_ADD, gate->err, STORE_TEXT(build), STORE_INTEGER(gate->item.id),
			STORE_INTEGER(attempt), STORE_INTEGER(now)) < 0 ||
		brain_tell(brain, STAGE_BUILD, "asked", store_last_id(brain->store), 0, gate->err) < 0 ||
		store_run(brain->store, STORE_ITEM_BUILD, gate->err, STORE_INTEGER(gate->item.id), STORE_INTEGER(now),
			STORE_TEXT("being tested")) < 0)
		return -1;
	gate->item.state = "building";
	return brain_decide(brain, &reason, gate->err, "build %s (attempt %lld) tests %.12s merged with %s at %.12s", build,
		(long long)attempt, gate->item.source, gate->item.target, gate->row.target_tip);
}

/* The next one of that target, when none is active. Uses gate->item and gate->row. */
static int start_next(struct gate *gate, const char *project, const char *target)
{
	int found = store_one(gate->brain->store, STORE_ITEM_ACTIVE, gate->err, STORE_TEXT(project), STORE_TEXT(target)), fresh;

	if (found == 1)
		store_reset(gate->brain->store, STORE_ITEM_ACTIVE);
	if (found)
		return found < 0 ? -1 : 0;
	found = item_next(gate->brain, gate->arena, project, target, &gate->item, gate->err);
	if (found <= 0)
		return found;
	if (proposal_get(gate->brain, gate->arena, gate->item.proposal, &gate->row, gate->err) < 0)
		return -1;
	fresh = is_fresh(gate);
	if (fresh < 0)
		return -1;
	return fresh ? make_build(gate) : reread(gate, "its turn: read back again, the target moved since");
}

static int queue(struct gate *gate, const struct policy_facts *facts, const char *why)
{
	const struct proposal_row *row = &gate->row;
	struct brain_reason reason = {.stage = STAGE_NAME, .delivery = row->delivery, .proposal = row->id};

	if (store_run(gate->brain->store, STORE_ITEM_ADD, gate->err, STORE_INTEGER(row->id), STORE_TEXT(row->project),
			STORE_TEXT(row->target), STORE_TEXT(facts->approved), STORE_INTEGER(facts->approved_time),
			STORE_INTEGER(clock_wall_ms()), STORE_INTEGER(row->read), STORE_ID(row->delivery), STORE_TEXT(why)) < 0)
		return -1;
	return brain_decide(gate->brain, &reason, gate->err, "%s", why);
}

/* Out of the queue; a build of it that runs is of no use any more. */
static int remove_item(struct gate *gate, const char *why)
{
	bool building = strcmp(gate->item.state, "building") == 0;

	if (end(gate, "removed", why) < 0)
		return -1;
	return building ? brain_tell(gate->brain, STAGE_BUILD, "unwanted", gate->item.id, 0, gate->err) : 0;
}

static int release(struct gate *gate, const struct policy_facts *facts, const char *why)
{
	struct brain_reason reason = about(gate);

	if (store_run(gate->brain->store, STORE_ITEM_RELEASE, gate->err, STORE_INTEGER(gate->item.id), STORE_INTEGER(clock_wall_ms()),
		STORE_INTEGER(facts->approved_time), STORE_TEXT(why)) < 0)
		return -1;
	return brain_decide(gate->brain, &reason, gate->err, "%s", why);
}

static int64_t newest_approval(const struct forge_proposal *proposal, const char *commit)
{
	int64_t newest = 0;

	for (size_t i = 0; commit && i < proposal->approval_count; i++) {
		const struct forge_approval *approval = &proposal->approvals[i];

		if (!approval->why_not && approval->commit && strcmp(approval->commit, commit) == 0 && approval->time > newest)
			newest = approval->time;
	}
	return newest;
}

/* Fills facts but for the items. */
static int learn(struct gate *gate, struct policy_facts *facts, struct approve_verdict *verdict, struct err *why)
{
	struct approve_criteria criteria;
	struct forge_proposal proposal;
	const struct proposal_row *row = &gate->row;

	if (proposal_parse(gate->arena, row, &proposal, why) < 0 ||
		project_criteria(gate->brain->conf, gate->arena, row->project, clock_wall_ms() / 1000, &criteria, why) < 0)
		return -1;
	approve_decide(&proposal, &criteria, verdict);
	facts->state = row->state;
	facts->head = row->head;
	facts->target = row->target;
	facts->gated = project_gates(gate->brain->conf, gate->arena, row->project, row->target);
	facts->approved = verdict->commit;
	facts->approved_time = newest_approval(&proposal, verdict->commit);
	facts->why = verdict->why;
	return 0;
}

/* A reason that was given before, last, is not given again. */
static int decide_once(struct gate *gate, const char *why)
{
	struct brain_reason reason = {.stage = STAGE_NAME, .delivery = gate->row.delivery, .proposal = gate->row.id};
	struct store *store = gate->brain->store;
	bool same;
	int found;

	if (!*why)
		return 0;
	found = store_one(store, STORE_DECISION_LAST, gate->err, STORE_INTEGER(gate->row.id), STORE_TEXT(STAGE_NAME));
	if (found < 0)
		return -1;
	same = found && strcmp(store_text(store, STORE_DECISION_LAST, 0, gate->arena), why) == 0;
	if (found)
		store_reset(store, STORE_DECISION_LAST);
	return same ? 0 : brain_decide(gate->brain, &reason, gate->err, "%s", why);
}

static int owe_report(struct gate *gate, const char *kind, const char *merged, const char *text)
{
	struct marker_parts parts = {.proposal = gate->row.name, .approved = gate->item.source, .merge = merged, .kind = kind};
	char marker[MARKER_SIZE];

	if (store_run(gate->brain->store, STORE_REPORT_ADD, gate->err, STORE_INTEGER(gate->item.id), STORE_TEXT(kind),
			STORE_TEXT(text), STORE_TEXT(merged), STORE_TEXT(marker_make(&parts, marker)), STORE_INTEGER(clock_wall_ms())) < 0)
		return -1;
	return brain_tell(gate->brain, STAGE_REPORT, "owed", store_last_id(gate->brain->store), 0, gate->err);
}

static const char *page_of(struct gate *gate, const char *build)
{
	const char *url;
	struct err ignored;

	if (conf_text(gate->brain->conf, NULL, "public.url", &url, &ignored) < 0 || !url)
		return build;
	return arena_printf(gate->arena, "%s/builds/%s", url, build);
}

/* How a build or landing ended, as the gate needs it. */
struct ended {
	int64_t item;
	const char *build; /* its public id */
	enum outcome outcome;
	const char *reason, *merged, *target_tip;
	int64_t time;
};

static int finish(struct gate *gate, const struct ended *ended)
{
	const char *merged = ended->merged ? ended->merged : gate->item.source;
	const char *why = arena_printf(gate->arena, "landed on %s as %.12s", gate->item.target, merged);
	const char *text = arena_printf(gate->arena, "%.12s landed on %s as %s.\n\n%s\n", gate->item.source, gate->item.target,
		merged, page_of(gate, ended->build));

	if (ended->target_tip && *ended->target_tip &&
		store_run(gate->brain->store, STORE_TARGET_PUT, gate->err, STORE_TEXT(gate->item.project), STORE_TEXT(gate->item.target),
			STORE_TEXT(ended->target_tip), STORE_INTEGER(ended->time)) < 0)
		return -1;
	if (end(gate, "landed", why) < 0 || owe_report(gate, "landed", ended->merged, text) < 0)
		return -1;
	return brain_tell(gate->brain, STAGE_PROPOSAL, "read", gate->item.proposal, 0, gate->err);
}

/* It is on the target, and no landing said so: what the newest build made is the best that we can name. */
static int finish_found(struct gate *gate)
{
	struct store *store = gate->brain->store;
	struct ended ended = {.build = "", .reason = ""};
	bool building = strcmp(gate->item.state, "building") == 0;
	int found = store_one(store, STORE_BUILD_OF_ITEM, gate->err, STORE_INTEGER(gate->item.id));

	if (found < 0)
		return -1;
	if (found) {
		ended.build = store_text(store, STORE_BUILD_OF_ITEM, 1, gate->arena);
		ended.merged = store_text(store, STORE_BUILD_OF_ITEM, 11, gate->arena);
		store_reset(store, STORE_BUILD_OF_ITEM);
	}
	if (building && brain_tell(gate->brain, STAGE_BUILD, "unwanted", gate->item.id, 0, gate->err) < 0)
		return -1;
	return finish(gate, &ended);
}

static int act(struct gate *gate, const struct policy_facts *facts, const struct policy_choice *choice)
{
	const char *why = arena_strdup(gate->arena, choice->why);

	switch (choice->act) {
	case POLICY_NOTHING:
		return decide_once(gate, why);
	case POLICY_QUEUE:
		return queue(gate, facts, why);
	case POLICY_REMOVE:
		return remove_item(gate, why);
	case POLICY_REPLACE:
		if (remove_item(gate, why) < 0)
			return -1;
		return queue(gate, facts, arena_printf(gate->arena, "queued for %s: %s", facts->target, facts->why));
	case POLICY_LANDED:
		return finish_found(gate);
	case POLICY_GO:
		return make_build(gate);
	case POLICY_RELEASE:
		return release(gate, facts, why);
	}
	return 0;
}

/* Infrastructure: back into the queue with a delay, so that others may go first; too often: held. */
static int again(struct gate *gate, const char *why)
{
	struct brain_reason reason = about(gate);
	int64_t now = clock_wall_ms(), delay = policy_delay_ms(gate->item.troubles + 1);

	if (delay < 0)
		return hold(gate, arena_printf(gate->arena, "too much trouble that is not the proposal's: %s", why));
	if (store_run(gate->brain->store, STORE_ITEM_BACK, gate->err, STORE_INTEGER(gate->item.id), STORE_INTEGER(now),
		STORE_INTEGER(now + delay), STORE_TEXT(why)) < 0 ||
		brain_tell(gate->brain, STAGE_GATE, "wake", gate->item.id, delay, gate->err) < 0)
		return -1;
	return brain_decide(
		gate->brain, &reason, gate->err, "tried again in %lld s, not the proposal's fault: %s", (long long)(delay / 1000), why);
}

/* An item that waits for what can't be known now must not keep its target: it goes back into the queue. */
static enum step not_known(struct gate *gate, int64_t proposal, const char *why)
{
	int found = item_live(gate->brain, gate->arena, proposal, &gate->item, gate->err);

	if (found > 0 && strcmp(gate->item.state, "rereading") == 0 && again(gate, why) < 0)
		return STEP_FAILED;
	if (found > 0)
		found = start_next(gate, gate->item.project, gate->item.target);
	return brain_step(found);
}

static enum step step_proposal(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct gate gate = {.brain = brain, .arena = arena, .err = err};
	struct err why = {.kind = ERR_NONE};
	struct policy_facts facts = {.state = NULL};
	struct policy_choice choice;
	struct approve_verdict verdict;
	struct item last;
	int live, any, found = proposal_get(brain, arena, ref, &gate.row, err);
	const char *old_target = NULL;

	if (found <= 0)
		return brain_step(found);
	if (learn(&gate, &facts, &verdict, &why) < 0) {
		if (decide_once(&gate, arena_printf(arena, "not decided: %s", why.text)) < 0)
			return STEP_FAILED;
		return not_known(&gate, ref, why.text);
	}
	live = item_live(brain, arena, ref, &gate.item, err);
	any = item_last(brain, arena, ref, &last, err);
	if (live < 0 || any < 0)
		return STEP_FAILED;
	facts.live = item_policy(live ? &gate.item : NULL);
	facts.last = item_policy(any && !live ? &last : NULL);
	if (live)
		old_target = gate.item.target;
	policy_choose(&facts, &choice);
	if (act(&gate, &facts, &choice) < 0 || start_next(&gate, arena_strdup(arena, gate.row.project), facts.target) < 0)
		return STEP_FAILED;
	if (old_target && strcmp(old_target, facts.target) != 0 && start_next(&gate, gate.row.project, old_target) < 0)
		return STEP_FAILED;
	return STEP_DONE;
}

static int reject(struct gate *gate, const struct ended *ended, const char *what)
{
	const char *word = outcome_word(ended->outcome);
	const char *why = arena_printf(gate->arena, "rejected: %s %s%s%s", what, word, *ended->reason ? ": " : "", ended->reason);
	const char *text = arena_printf(gate->arena, "%.12s was not landed. The %s ended with: %s%s%s.\n\n%s\n", gate->item.source,
		what, word, *ended->reason ? ": " : "", ended->reason, page_of(gate, ended->build));

	return end(gate, "rejected", why) < 0 ? -1 : owe_report(gate, "rejected", ended->merged, text);
}

/* Loads item and proposal when the item is still in `state`. 1, 0: what ended is of no interest any more, -1. */
static int load(struct gate *gate, int64_t item, const char *state)
{
	int found = item_get(gate->brain, gate->arena, item, &gate->item, gate->err);

	if (found <= 0 || strcmp(gate->item.state, state) != 0)
		return found < 0 ? -1 : 0;
	return proposal_get(gate->brain, gate->arena, gate->item.proposal, &gate->row, gate->err);
}

static int ask_landing(struct gate *gate, int64_t build)
{
	struct brain *brain = gate->brain;

	if (store_run(brain->store, STORE_LANDING_ADD, gate->err, STORE_INTEGER(build), STORE_INTEGER(gate->item.id),
		STORE_INTEGER(clock_wall_ms())) < 0)
		return -1;
	return brain_tell(brain, STAGE_LANDING, "asked", store_last_id(brain->store), 0, gate->err);
}

static int start_landing(struct gate *gate, const struct ended *ended, int64_t build)
{
	struct brain_reason reason = about(gate);

	if (set_state(gate, "landing", "being landed") < 0 || ask_landing(gate, build) < 0)
		return -1;
	return brain_decide(
		gate->brain, &reason, gate->err, "build %s succeeded: landing %.12s", ended->build, ended->merged ? ended->merged : "it");
}

/* The tests said yes and that holds: only the landing is tried again, and the target waits for it. */
static int land_again(struct gate *gate, const struct ended *ended, int64_t build)
{
	struct brain_reason reason = about(gate);
	int64_t delay = policy_delay_ms(gate->item.troubles + 1);

	if (delay < 0)
		return hold(gate, arena_printf(gate->arena, "too much trouble with landing it: %s", ended->reason));
	if (store_run(gate->brain->store, STORE_ITEM_TROUBLE, gate->err, STORE_INTEGER(gate->item.id), STORE_TEXT(ended->reason)) < 0 ||
		store_run(gate->brain->store, STORE_LANDING_ADD, gate->err, STORE_INTEGER(build), STORE_INTEGER(gate->item.id),
			STORE_INTEGER(clock_wall_ms())) < 0 ||
		brain_tell(gate->brain, STAGE_LANDING, "asked", store_last_id(gate->brain->store), delay, gate->err) < 0)
		return -1;
	return brain_decide(gate->brain, &reason, gate->err, "landed again in %lld s: %s", (long long)(delay / 1000), ended->reason);
}

static int read_ended(struct gate *gate, enum store_id id, int64_t ref, struct ended *ended, int64_t *build)
{
	struct store *store = gate->brain->store;
	const char *word;
	int found = store_one(store, id, gate->err, STORE_INTEGER(ref));

	if (found <= 0)
		return found;
	ended->item = store_integer(store, id, 0);
	ended->build = store_text(store, id, 1, gate->arena);
	word = store_text(store, id, 2, gate->arena);
	ended->reason = store_text(store, id, 3, gate->arena);
	ended->merged = store_text(store, id, 4, gate->arena);
	ended->target_tip = store_text(store, id, 5, gate->arena);
	ended->time = store_integer(store, id, 6);
	*build = store_integer(store, id, 7);
	store_reset(store, id);
	ended->outcome = OUTCOME_INFRASTRUCTURE;
	if (word)
		outcome_from_word(word, &ended->outcome);
	if (!ended->reason)
		ended->reason = "";
	return 1;
}

static int after_build(struct gate *gate, const struct ended *ended, int64_t build)
{
	switch (policy_after_build(ended->outcome)) {
	case POLICY_LAND:
		return start_landing(gate, ended, build);
	case POLICY_DONE:
		return finish(gate, ended);
	case POLICY_REJECT:
		return reject(gate, ended, "build");
	case POLICY_REREAD:
		return reread(gate, arena_printf(gate->arena, "tested again: %s", ended->reason));
	case POLICY_AGAIN:
		return again(gate, arena_printf(gate->arena, "build %s: %s%s%s", ended->build, outcome_word(ended->outcome),
			*ended->reason ? ": " : "", ended->reason));
	}
	return 0;
}

static enum step step_built(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct gate gate = {.brain = brain, .arena = arena, .err = err};
	struct ended ended = {.item = 0};
	int64_t build;
	int found = read_ended(&gate, STORE_BUILD_ENDED, ref, &ended, &build);

	if (found > 0)
		found = load(&gate, ended.item, "building");
	if (found <= 0)
		return brain_step(found);
	if (after_build(&gate, &ended, build) < 0)
		return STEP_FAILED;
	return brain_step(start_next(&gate, gate.item.project, gate.item.target));
}

static int after_landing(struct gate *gate, const struct ended *ended, int64_t build)
{
	switch (policy_after_landing(ended->outcome)) {
	case POLICY_LAND:
	case POLICY_DONE:
		return finish(gate, ended);
	case POLICY_REJECT:
		return reject(gate, ended, "landing");
	case POLICY_REREAD:
		return reread(
			gate, arena_printf(gate->arena, "merged and tested again: %s", *ended->reason ? ended->reason : "the target moved"));
	case POLICY_AGAIN:
		return land_again(gate, ended, build);
	}
	return 0;
}

static enum step step_landed(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct gate gate = {.brain = brain, .arena = arena, .err = err};
	struct ended ended = {.item = 0};
	int64_t build;
	int found = read_ended(&gate, STORE_LANDING_ENDED, ref, &ended, &build);

	if (found > 0)
		found = load(&gate, ended.item, "landing");
	if (found <= 0)
		return brain_step(found);
	if (after_landing(&gate, &ended, build) < 0)
		return STEP_FAILED;
	return brain_step(start_next(&gate, gate.item.project, gate.item.target));
}

static enum step step_unread(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct gate gate = {.brain = brain, .arena = arena, .err = err};

	return not_known(&gate, ref, "its proposal could not be read back");
}

static enum step step_wake(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct gate gate = {.brain = brain, .arena = arena, .err = err};
	int found = item_get(brain, arena, ref, &gate.item, err);

	if (found > 0)
		found = start_next(&gate, gate.item.project, gate.item.target);
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
