#include "report/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/jsonget.h"
#include "calls/calls.h"
#include "gate/item.h"
#include "gate/policy.h"
#include "proposal/proposal.h"

#define STAGE_NAME "report"
/* A forge that is away is told later, for a day: by then somebody has seen it. */
enum { NODES = 1000, TRIES = 5, TRIES_AWAY = 140, TRY_AGAIN_MS = 5000, DOUBLINGS = 7 };

static int take_found(struct brain *brain, struct arena *arena, enum store_id id, int found, struct report_row *row)
{
	struct store *store = brain->store;

	if (found != 1)
		return found;
	*row = (struct report_row){
		.id = store_integer(store, id, 0),
		.item = store_integer(store, id, 1),
		.kind = store_text(store, id, 2, arena),
		.body = store_text(store, id, 3, arena),
		.merged = store_text(store, id, 4, arena),
		.marker = store_text(store, id, 5, arena),
		.state = store_text(store, id, 6, arena),
		.made = store_integer(store, id, 7),
		.ended = store_integer(store, id, 8),
		.reason = store_text(store, id, 9, arena),
	};
	store_reset(store, id);
	return 1;
}

int report_get(struct brain *brain, struct arena *arena, int64_t id, struct report_row *row, struct err *err)
{
	return take_found(brain, arena, STORE_REPORT_GET, store_one(brain->store, STORE_REPORT_GET, err, STORE_INTEGER(id)), row);
}

int report_of_item(struct brain *brain, struct arena *arena, int64_t item, struct report_row *row, struct err *err)
{
	return take_found(
		brain, arena, STORE_REPORT_OF_ITEM, store_one(brain->store, STORE_REPORT_OF_ITEM, err, STORE_INTEGER(item)), row);
}

/* 1, 0: it is about nothing that we have, -1. */
static int load(struct brain *brain, struct arena *arena, struct report_row *report, struct item *item, struct proposal_row *row,
	struct err *err)
{
	int found = item_get(brain, arena, report->item, item, err);

	return found > 0 ? proposal_get(brain, arena, item->proposal, row, err) : found;
}

static char *make_request(
	struct arena *arena, const struct report_row *report, const struct item *item, const struct proposal_row *row)
{
	struct forge_proposal proposal = {.place = NULL};
	struct err ignored;
	bool placed = proposal_parse(arena, row, &proposal, &ignored) == 0 && proposal.place;
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s?, s:s, s:s*}", "op", "report", "project", row->project, "proposal",
		row->name, "kind", report->kind, "approved", item->source, "approval",
		(json_int_t)item->approved, "merge", report->merged, "text", report->body, "place", placed ? proposal.place : NULL);
	char *dumped = json ? json_dumps(json, JSON_COMPACT) : NULL, *text = arena_strdup(arena, dumped);

	free(dumped);
	json_decref(json);
	return text;
}

static int64_t delay_ms(int64_t attempt)
{
	return attempt == 0 ? 0 : (int64_t)TRY_AGAIN_MS << (attempt - 1 < DOUBLINGS ? attempt - 1 : DOUBLINGS);
}

static int64_t tries(enum outcome outcome)
{
	if (outcome == OUTCOME_REFUSED || outcome == OUTCOME_USAGE)
		return 1;
	return outcome == OUTCOME_UNREACHABLE ? TRIES_AWAY : TRIES;
}

/* One try to tell; its number is in the call's key. */
struct attempt {
	int64_t number, delay_ms;
};

static int send_report(struct brain *brain, struct arena *arena, struct report_row *report, const struct attempt *attempt, struct err *err)
{
	struct calls_intent intent = {.kind = REPORT_KIND, .stage = STAGE_REPORT, .delay_ms = attempt->delay_ms};
	struct item item;
	struct proposal_row row;
	int found = load(brain, arena, report, &item, &row, err);

	if (found <= 0)
		return found;
	intent.key = arena_printf(arena, "%s/%lld/%lld", report->marker, (long long)report->id, (long long)attempt->number);
	intent.lane = arena_printf(arena, "report/%s/%s", row.project, row.name);
	intent.request = make_request(arena, report, &item, &row);
	if (!intent.request)
		return store_run(brain->store, STORE_REPORT_DONE, err, STORE_INTEGER(report->id), STORE_TEXT("failed"),
			STORE_INTEGER(clock_wall_ms()), STORE_TEXT("its text is not UTF-8"));
	if (calls_add(brain, &intent, NULL, err) < 0)
		return -1;
	CRASH_POINT("report.call-made");
	return 0;
}

static enum step step_owed(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct report_row report;
	int found = report_get(brain, arena, ref, &report, err);

	if (found > 0 && strcmp(report.state, "owed") == 0)
		found = send_report(brain, arena, &report, &(struct attempt){.number = 0}, err);
	return brain_step(found);
}

/* What the landing daemon said. */
struct report_answer {
	const char *reason;
	int64_t wait; /* seconds that the forge asked for; 0: it did not */
};

static int end_report(
	struct brain *brain, struct arena *arena, struct report_row *report, bool sent, const char *reason, struct err *err)
{
	struct brain_reason about = {.stage = STAGE_NAME};
	struct item item;
	struct proposal_row row;
	int found = load(brain, arena, report, &item, &row, err);

	if (found <= 0)
		return found;
	about.proposal = row.id;
	if (store_run(brain->store, STORE_REPORT_DONE, err, STORE_INTEGER(report->id), STORE_TEXT(sent ? "sent" : "failed"),
		STORE_INTEGER(clock_wall_ms()), STORE_TEXT(reason)) < 0)
		return -1;
	if (sent)
		return brain_decide(brain, &about, err, "told the proposal: %s", report->kind);
	return brain_decide(brain, &about, err, "the proposal could not be told \"%s\": %s", report->kind, reason);
}

/* When the forge asked for time, people are told. */
static int send_again(struct brain *brain, struct arena *arena, struct report_row *report, int64_t number,
	const struct report_answer *answer, struct err *err)
{
	struct brain_reason about = {.stage = STAGE_NAME};
	struct attempt attempt = {.number = number, .delay_ms = delay_ms(number)};
	int64_t wait = policy_wait_ms(answer->wait, clock_wall_ms() - report->made);
	const char *bound = arena_printf(arena, "%lld, and has an hour at once and a day in all", (long long)answer->wait);
	struct item item;
	struct proposal_row row;
	int found = load(brain, arena, report, &item, &row, err);

	if (found <= 0)
		return found;
	about.proposal = row.id;
	if (wait > attempt.delay_ms)
		attempt.delay_ms = wait;
	if (wait > 0 && brain_decide(brain, &about, err, "told \"%s\" later, in %lld s: its forge asks for %s: %s", report->kind,
		(long long)(attempt.delay_ms / 1000), bound, answer->reason) < 0)
		return -1;
	return send_report(brain, arena, report, &attempt, err);
}

static void read_answer(struct arena *arena, const struct calls_answer *answer, struct report_answer *read)
{
	struct err why = {.kind = ERR_NONE};
	json_t *json = jsonget_parse(answer->text, strlen(answer->text), NODES, &why);

	read->reason = arena_strdup(arena, jsonget_string_or(json, "reason", jsonget_string_or(json, "error", "")));
	read->wait = answer->outcome == OUTCOME_UNREACHABLE ? jsonget_integer_or(json, "wait", 0) : 0;
	json_decref(json);
}

static enum step step_answer(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct calls_answer answer;
	struct report_answer read;
	struct report_row report;
	const char *at;
	int64_t next;
	bool sent;
	int found = calls_get(brain, arena, ref, &answer, err), done;

	at = found > 0 ? strchr(answer.key, '/') : NULL;
	if (at)
		found = report_get(brain, arena, strtoll(at + 1, NULL, 10), &report, err);
	if (found <= 0 || !at || strcmp(report.state, "owed") != 0)
		return brain_step(found);
	next = strtoll(strrchr(answer.key, '/') + 1, NULL, 10) + 1;
	read_answer(arena, &answer, &read);
	sent = answer.outcome == OUTCOME_SUCCESS;
	CRASH_POINT("report.answer-read");
	if (!sent && next < tries(answer.outcome))
		done = send_again(brain, arena, &report, next, &read, err);
	else
		done = end_report(brain, arena, &report, sent, read.reason, err);
	return brain_step(done);
}

const struct brain_handler report_handlers[] = {
	{"owed", step_owed},
	{"answer", step_answer},
	{NULL, NULL},
};
