#include "gate/move.h"

#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/crypto.h"
#include "forge/marker.h"
#include "forge/spec.h"

static struct brain_reason about(const struct move *move)
{
	return (struct brain_reason){.stage = MOVE_STAGE, .delivery = move->row.delivery, .proposal = move->item.proposal};
}

static int set_state(struct move *move, const char *state, const char *why)
{
	move->item.state = state;
	return store_run(move->brain->store, STORE_ITEM_STATE, move->err, STORE_INTEGER(move->item.id), STORE_TEXT(state),
		STORE_INTEGER(clock_wall_ms()), STORE_TEXT(why));
}

static int end(struct move *move, const char *state, const char *why)
{
	struct brain_reason reason = about(move);

	move->item.state = state;
	if (store_run(move->brain->store, STORE_ITEM_END, move->err, STORE_INTEGER(move->item.id), STORE_TEXT(state),
		STORE_INTEGER(clock_wall_ms()), STORE_TEXT(why)) < 0)
		return -1;
	return brain_decide(move->brain, &reason, move->err, "%s", why);
}

static const char *page_of(struct move *move, const char *build)
{
	const char *url;
	struct err ignored;

	if (conf_text(move->brain->conf, NULL, "public.url", &url, &ignored) < 0 || !url)
		return build;
	return arena_printf(move->arena, "%s/builds/%s", url, build);
}

static int owe_report(struct move *move, const char *kind, const char *merged, const char *text)
{
	struct marker_parts parts = {.proposal = move->row.name, .approved = move->item.source, .merge = merged, .kind = kind};
	char marker[MARKER_SIZE];

	if (store_run(move->brain->store, STORE_REPORT_ADD, move->err, STORE_INTEGER(move->item.id), STORE_TEXT(kind),
			STORE_TEXT(text), STORE_TEXT(merged), STORE_TEXT(marker_make(&parts, marker)), STORE_INTEGER(clock_wall_ms())) < 0)
		return -1;
	return brain_tell(move->brain, STAGE_REPORT, "owed", store_last_id(move->brain->store), 0, move->err);
}

/* 1: the target is where the proposal's reading saw it, and the source is the approved one. */
static int is_fresh(struct move *move)
{
	struct store *store = move->brain->store;
	int same,
		found = store_one(store, STORE_TARGET_GET, move->err, STORE_TEXT(move->item.project), STORE_TEXT(move->item.target));

	if (found <= 0)
		return found;
	same = strcmp(store_text(store, STORE_TARGET_GET, 0, move->arena), move->row.target_tip) == 0;
	store_reset(store, STORE_TARGET_GET);
	return same && strcmp(move->row.head, move->item.source) == 0 && strcmp(move->row.target, move->item.target) == 0;
}

int move_reread(struct move *move, const char *why)
{
	struct brain_reason reason = about(move);

	if (set_state(move, "rereading", why) < 0 || brain_decide(move->brain, &reason, move->err, "%s", why) < 0)
		return -1;
	return brain_tell(move->brain, STAGE_PROPOSAL, "read", move->item.proposal, 0, move->err);
}

static int hold(struct move *move, const char *why)
{
	struct brain_reason reason = about(move);

	if (set_state(move, "held", why) < 0)
		return -1;
	if (brain_decide(move->brain, &reason, move->err, "held: %s; approve it again, or push, to have it tried again", why) < 0)
		return -1;
	return owe_report(move, "held", NULL, arena_printf(move->arena,
		"%.12s waits, through no fault of its own: %s.\n\nApprove it again, or push, to have it tried again.\n", move->item.source, why));
}

int move_build(struct move *move)
{
	struct brain *brain = move->brain;
	struct brain_reason reason = about(move);
	int64_t now = clock_wall_ms(), attempt = move->item.builds + 1;
	char build[SPEC_BUILD_SIZE];

	if (attempt > POLICY_BUILDS_MAXIMUM)
		return hold(move, "it was built too often");
	crypto_random_hex((SPEC_BUILD_SIZE - 1) / 2, build);
	if (store_run(brain->store, STORE_BUILD_ADD, move->err, STORE_TEXT(build), STORE_INTEGER(move->item.id),
			STORE_INTEGER(attempt), STORE_INTEGER(now)) < 0 ||
		brain_tell(brain, STAGE_BUILD, "asked", store_last_id(brain->store), 0, move->err) < 0 ||
		store_run(brain->store, STORE_ITEM_BUILD, move->err, STORE_INTEGER(move->item.id), STORE_INTEGER(now),
			STORE_TEXT("being tested")) < 0)
		return -1;
	move->item.state = "building";
	CRASH_POINT("gate.build-asked");
	return brain_decide(brain, &reason, move->err, "build %s (attempt %lld) tests %.12s merged with %s at %.12s", build,
		(long long)attempt, move->item.source, move->item.target, move->row.target_tip);
}

/*
 * The one that waits behind who begins now is read back when the target moved since it was read: so its merge is made beforehand
 * (build/premake.h), and it begins at once should the one before it not land. Further ones would be merged again and again.
 */
static int look_ahead(const struct move *move, const char *project, const char *target)
{
	struct move next = *move;
	int found = item_next(move->brain, move->arena, project, target, &next.item, move->err), fresh;

	if (found <= 0)
		return found;
	if (proposal_get(move->brain, move->arena, next.item.proposal, &next.row, move->err) < 0)
		return -1;
	fresh = is_fresh(&next);
	return fresh ? (fresh < 0 ? -1 : 0) : brain_tell(move->brain, STAGE_PROPOSAL, "read", next.item.proposal, 0, move->err);
}

int move_next(struct move *move, const char *project, const char *target)
{
	int found = store_one(move->brain->store, STORE_ITEM_ACTIVE, move->err, STORE_TEXT(project), STORE_TEXT(target)), fresh;

	if (found == 1)
		store_reset(move->brain->store, STORE_ITEM_ACTIVE);
	if (found)
		return found < 0 ? -1 : 0;
	found = item_next(move->brain, move->arena, project, target, &move->item, move->err);
	if (found <= 0)
		return found;
	if (proposal_get(move->brain, move->arena, move->item.proposal, &move->row, move->err) < 0)
		return -1;
	fresh = is_fresh(move);
	if (fresh < 0)
		return -1;
	if ((fresh ? move_build(move) : move_reread(move, "its turn: read back again, the target moved since")) < 0)
		return -1;
	return look_ahead(move, project, target);
}

int move_queue(struct move *move, const struct policy_facts *facts, const char *why)
{
	const struct proposal_row *row = &move->row;
	struct brain_reason reason = {.stage = MOVE_STAGE, .delivery = row->delivery, .proposal = row->id};

	if (store_run(move->brain->store, STORE_ITEM_ADD, move->err, STORE_INTEGER(row->id), STORE_TEXT(row->project),
			STORE_TEXT(row->target), STORE_TEXT(facts->approved), STORE_INTEGER(facts->approved_time),
			STORE_INTEGER(clock_wall_ms()), STORE_INTEGER(row->read), STORE_ID(row->delivery), STORE_TEXT(why)) < 0)
		return -1;
	CRASH_POINT("gate.item-made");
	return brain_decide(move->brain, &reason, move->err, "%s", why);
}

/* A build that runs is not wanted any more. */
static int end_early(struct move *move, const char *state, const char *why)
{
	bool building = strcmp(move->item.state, "building") == 0;

	if (end(move, state, why) < 0)
		return -1;
	return building ? brain_tell(move->brain, STAGE_BUILD, "unwanted", move->item.id, 0, move->err) : 0;
}

int move_rejected(struct move *move, const char *why)
{
	return end_early(move, "rejected", why);
}

int move_out(struct move *move, const char *why)
{
	if (end_early(move, "removed", why) < 0)
		return -1;
	if (strcmp(move->row.state, "open") != 0)
		return 0;
	return owe_report(move, "removed", NULL, arena_printf(move->arena, "%.12s is %s.\n", move->item.source, why));
}

/* A report is about an item: one that was never queued. */
int move_refuse(struct move *move, const struct policy_facts *facts, const char *why)
{
	const struct proposal_row *row = &move->row;

	if (store_run(move->brain->store, STORE_ITEM_ADD, move->err, STORE_INTEGER(row->id), STORE_TEXT(row->project),
			STORE_TEXT(row->target), STORE_TEXT(row->head), STORE_INTEGER(facts->undecided_time), STORE_INTEGER(clock_wall_ms()),
			STORE_INTEGER(row->read), STORE_ID(row->delivery), STORE_TEXT(why)) < 0)
		return -1;
	move->item = (struct item){.id = store_last_id(move->brain->store), .proposal = row->id, .project = row->project,
		.target = row->target, .source = row->head, .state = "queued"};
	if (end(move, "removed", why) < 0)
		return -1;
	return owe_report(move, "refused", NULL, arena_printf(move->arena, "%.12s is not queued: %s.\n", row->head, why));
}

int move_release(struct move *move, const struct policy_facts *facts, const char *why)
{
	struct brain_reason reason = about(move);

	if (store_run(move->brain->store, STORE_ITEM_RELEASE, move->err, STORE_INTEGER(move->item.id), STORE_INTEGER(clock_wall_ms()),
		STORE_INTEGER(facts->approved_time), STORE_TEXT(why)) < 0)
		return -1;
	return brain_decide(move->brain, &reason, move->err, "%s", why);
}

/* " 412 tests, 3 failed.", for a report. */
static const char *counted(struct move *move, const struct move_end *ended)
{
	return ended->tests && *ended->tests ? arena_printf(move->arena, " %s.", ended->tests) : "";
}

int move_finish(struct move *move, const struct move_end *ended)
{
	const char *merged = ended->merged ? ended->merged : move->item.source;
	const char *why = arena_printf(move->arena, "landed on %s as %.12s", move->item.target, merged);
	const char *text = arena_printf(move->arena, "%.12s landed on %s as %s.%s\n\n%s\n", move->item.source, move->item.target,
		merged, counted(move, ended), page_of(move, ended->build));

	if (ended->target_tip && *ended->target_tip &&
		store_run(move->brain->store, STORE_TARGET_PUT, move->err, STORE_TEXT(move->item.project), STORE_TEXT(move->item.target),
			STORE_TEXT(ended->target_tip), STORE_INTEGER(ended->time)) < 0)
		return -1;
	if (end(move, "landed", why) < 0 || owe_report(move, "landed", ended->merged, text) < 0)
		return -1;
	CRASH_POINT("gate.report-owed");
	return brain_tell(move->brain, STAGE_PROPOSAL, "read", move->item.proposal, 0, move->err);
}

/* The merge that the forge shows; NULL: it does not say. */
static const char *merge_read(struct move *move)
{
	struct forge_proposal proposal = {.merge = NULL};
	struct err ignored;

	return proposal_parse(move->arena, &move->row, &proposal, &ignored) == 0 ? proposal.merge : NULL;
}

/*
 * It is on the target, and no landing of ours said so: somebody landed it by hand, and may have told the proposal of it, with the mark of
 * that merge. If the forge does not say which it is, what the newest build made is the best that we can name.
 */
int move_finish_found(struct move *move)
{
	struct store *store = move->brain->store;
	struct move_end ended = {.build = "", .reason = ""};
	bool building = strcmp(move->item.state, "building") == 0;
	int found = store_one(store, STORE_BUILD_OF_ITEM, move->err, STORE_INTEGER(move->item.id));
	const char *merge = merge_read(move);

	if (found < 0)
		return -1;
	if (found) {
		ended.build = store_text(store, STORE_BUILD_OF_ITEM, 1, move->arena);
		ended.merged = store_text(store, STORE_BUILD_OF_ITEM, 11, move->arena);
		store_reset(store, STORE_BUILD_OF_ITEM);
	}
	if (merge)
		ended.merged = merge;
	if (building && brain_tell(move->brain, STAGE_BUILD, "unwanted", move->item.id, 0, move->err) < 0)
		return -1;
	return move_finish(move, &ended);
}

int move_again(struct move *move, const char *why)
{
	struct brain_reason reason = about(move);
	int64_t now = clock_wall_ms(), delay = policy_delay_ms(move->item.troubles + 1);

	if (delay < 0)
		return hold(move, arena_printf(move->arena, "too much trouble that is not the proposal's: %s", why));
	if (store_run(move->brain->store, STORE_ITEM_BACK, move->err, STORE_INTEGER(move->item.id), STORE_INTEGER(now),
		STORE_INTEGER(now + delay), STORE_TEXT(why)) < 0 ||
		brain_tell(move->brain, STAGE_GATE, "wake", move->item.id, delay, move->err) < 0)
		return -1;
	return brain_decide(
		move->brain, &reason, move->err, "tried again in %lld s, not the proposal's fault: %s", (long long)(delay / 1000), why);
}

int move_reject(struct move *move, const struct move_end *ended, const char *what)
{
	const char *word = outcome_word(ended->outcome);
	const char *why = arena_printf(move->arena, "rejected: %s %s%s%s", what, word, *ended->reason ? ": " : "", ended->reason);
	const char *text = arena_printf(move->arena, "%.12s was not landed. The %s ended with: %s%s%s.%s\n\n%s\n", move->item.source,
		what, word, *ended->reason ? ": " : "", ended->reason, counted(move, ended), page_of(move, ended->build));

	return end(move, "rejected", why) < 0 ? -1 : owe_report(move, "rejected", ended->merged, text);
}

static int ask_landing(struct move *move, int64_t build, int64_t delay)
{
	struct brain *brain = move->brain;

	if (store_run(brain->store, STORE_LANDING_ADD, move->err, STORE_INTEGER(build), STORE_INTEGER(move->item.id),
		STORE_INTEGER(clock_wall_ms())) < 0)
		return -1;
	return brain_tell(brain, STAGE_LANDING, "asked", store_last_id(brain->store), delay, move->err);
}

int move_land(struct move *move, const struct move_end *ended, int64_t build)
{
	struct brain_reason reason = about(move);

	if (set_state(move, "landing", "being landed") < 0 || ask_landing(move, build, 0) < 0)
		return -1;
	CRASH_POINT("gate.landing-asked");
	return brain_decide(
		move->brain, &reason, move->err, "build %s succeeded: landing %.12s%s%s", ended->build, ended->merged ? ended->merged : "it",
		*ended->tests ? "; " : "", ended->tests);
}

int move_land_again(struct move *move, const struct move_end *ended, int64_t build)
{
	struct brain_reason reason = about(move);
	int64_t wait = policy_wait_ms(ended->wait, clock_wall_ms() - move->item.since);
	int64_t delay = wait ? wait : policy_delay_ms(move->item.troubles + 1);
	const char *bound = !wait ? "" : wait / 1000 < ended->wait ?
		arena_printf(move->arena, ", not in %lld: its forge asks for time, and has an hour at once and a day in all",
			(long long)ended->wait) : ", as its forge asks for time, which it has for a day in all";

	if (delay < 0)
		return hold(move, arena_printf(move->arena, "too much trouble with landing it: %s", ended->reason));
	if (!wait &&
		store_run(move->brain->store, STORE_ITEM_TROUBLE, move->err, STORE_INTEGER(move->item.id), STORE_TEXT(ended->reason)) < 0)
		return -1;
	if (ask_landing(move, build, delay) < 0)
		return -1;
	return brain_decide(move->brain, &reason, move->err, "landed again in %lld s%s: %s", (long long)(delay / 1000), bound, ended->reason);
}
