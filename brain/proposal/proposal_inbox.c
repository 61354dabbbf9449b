#include "proposal/proposal_inbox.h"

#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/jsonget.h"
#include "calls/calls.h"
#include "forge/dialect.h"
#include "proposal/project.h"
#include "proposal/proposal.h"
#include "proposal/read.h"
#include "proposal/reconcile.h"

#define STAGE_NAME "proposal"
enum { LIST_NODES = 65536 };

static const char *const state_words[] = {[FORGE_OPEN] = "open", [FORGE_MERGED] = "merged", [FORGE_CLOSED] = "closed"};

struct delivery {
	int64_t id, heard;
	const char *dialect, *account, *kind;
	const void *body;
	size_t length;
};

static bool is_in(const char *const *names, const char *name)
{
	for (; names && *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

/* What it names is looked at; nothing of what it says is believed. */
static enum step follow_event(
	struct brain *brain, struct arena *arena, const struct delivery *delivery, const struct dialect_event *event, struct err *err)
{
	const struct dialect *dialect = dialect_find(delivery->dialect);
	const char *project = project_find(brain->conf, arena, delivery->account, event->repository, dialect && dialect->by_name);
	const char *const *place = event->places;
	struct brain_reason about = {.stage = STAGE_NAME, .delivery = delivery->id};
	unsigned targets = 0, proposals = 0;

	if (!project)
		return brain_step(brain_decide(brain, &about, err, "nothing to do: no project of account %s has the repository %.200s",
			delivery->account, event->repository));
	for (const char *const *target = event->targets; target && *target; target++, targets++)
		if (project_gates(brain->conf, arena, project, *target) &&
			store_run(brain->store, STORE_TARGET_PUT, err, STORE_TEXT(project), STORE_TEXT(*target), STORE_TEXT(""),
				STORE_INTEGER(delivery->heard)) < 0)
			return STEP_FAILED;
	for (const char *const *name = event->proposals; name && *name; name++, proposals++) {
		struct read_wish wish = {
			.project = project, .name = *name, .place = place ? *place++ : NULL, .version = "", .delivery = delivery->id,
			.pushed = is_in(event->pushed, *name)};

		about.proposal = proposal_find(brain, project, *name, err);
		if (about.proposal < 0 || read_ask(brain, arena, &wish, err) < 0 ||
			brain_decide(brain, &about, err, "proposal %s of %s is read back", *name, project) < 0)
			return STEP_FAILED;
	}
	about.proposal = 0;
	if (!targets && !proposals && brain_decide(brain, &about, err, "nothing to do: it names no proposal and no branch") < 0)
		return STEP_FAILED;
	if (targets && !proposals && brain_decide(brain, &about, err, "where %s is will be asked before it is next needed",
		targets == 1 ? event->targets[0] : "each of these branches") < 0)
		return STEP_FAILED;
	CRASH_POINT("proposal.event-read");
	return STEP_DONE;
}

static enum step step_delivery(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct brain_reason about = {.stage = STAGE_NAME, .delivery = ref};
	struct delivery delivery = {.id = ref};
	const struct dialect *dialect;
	struct dialect_event event = {.repository = NULL};
	struct err why = {.kind = ERR_NONE};
	int found = store_one(brain->store, STORE_DELIVERY_GET, err, STORE_INTEGER(ref));

	if (found <= 0)
		return brain_step(found);
	delivery.dialect = store_text(brain->store, STORE_DELIVERY_GET, 0, arena);
	delivery.account = store_text(brain->store, STORE_DELIVERY_GET, 1, arena);
	delivery.kind = store_text(brain->store, STORE_DELIVERY_GET, 2, arena);
	delivery.heard = store_integer(brain->store, STORE_DELIVERY_GET, 4);
	dialect = dialect_find(delivery.dialect);
	if (dialect && dialect->event)
		delivery.body = store_blob(brain->store, STORE_DELIVERY_GET, 6, arena, &delivery.length);
	store_reset(brain->store, STORE_DELIVERY_GET);
	if (!delivery.body)
		return brain_step(brain_decide(
			brain, &about, err, "not read yet: it is stored, and this byoci does not read what %s sends", delivery.dialect));
	if (dialect->event(arena, delivery.kind, delivery.body, delivery.length, &event, &why) < 0)
		return brain_step(brain_decide(brain, &about, err, "not understood: %s", why.text));
	if (!event.repository)
		return brain_step(brain_decide(brain, &about, err, "nothing to do: it is about no repository"));
	return follow_event(brain, arena, &delivery, &event, err);
}

static enum step step_read(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct proposal_row row;
	int found = proposal_get(brain, arena, ref, &row, err);

	if (found <= 0)
		return brain_step(found);
	return brain_step(read_ask(brain, arena, &(struct read_wish){
		.project = row.project, .name = row.name, .place = proposal_place(arena, &row), .version = row.version}, err));
}

/* The version that came with the reply, or the one that the list gave before it was read: never too new. */
static const char *version_of(struct arena *arena, const char *reply, const struct read_wish *wish)
{
	struct err ignored;
	json_t *json = jsonget_parse(reply, strlen(reply), LIST_NODES, &ignored);
	char *version = arena_strdup(arena, jsonget_string_or(json, "version", wish->version));

	json_decref(json);
	return version;
}

/* One answer of a forge, understood. */
struct reading {
	const struct read_wish *wish;
	const struct dialect *dialect;
	const struct calls_answer *answer;
	struct forge_proposal proposal;
};

static int put(struct brain *brain, struct arena *arena, const struct reading *reading, struct err *err)
{
	const struct read_wish *wish = reading->wish;
	const struct forge_proposal *proposal = &reading->proposal;
	const struct calls_answer *answer = reading->answer;

	if (store_run(brain->store, STORE_PROPOSAL_PUT, err, STORE_TEXT(wish->project), STORE_TEXT(wish->name),
			STORE_TEXT(proposal->url), STORE_TEXT(proposal->target), STORE_TEXT(proposal->target_tip), STORE_TEXT(proposal->head),
			STORE_TEXT(state_words[proposal->state]), STORE_TEXT(reading->dialect->name), STORE_TEXT(answer->text),
			STORE_INTEGER(answer->ended), STORE_ID(wish->delivery), STORE_TEXT(version_of(arena, answer->text, wish))) < 0)
		return -1;
	if (!*proposal->target_tip)
		return 0;
	return store_run(brain->store, STORE_TARGET_PUT, err, STORE_TEXT(wish->project), STORE_TEXT(proposal->target),
		STORE_TEXT(proposal->target_tip), STORE_INTEGER(answer->started));
}

/* One line on what is new; nothing is said of a reading that brought nothing. */
static int say_news(struct brain *brain, const struct read_wish *wish, const struct proposal_row *old,
	const struct forge_proposal *proposal, int64_t id, struct err *err)
{
	struct brain_reason about = {.stage = STAGE_NAME, .delivery = wish->delivery, .proposal = id};
	const char *state = state_words[proposal->state];

	if (old && !wish->delivery && strcmp(old->head, proposal->head) == 0 && strcmp(old->state, state) == 0 &&
		strcmp(old->target, proposal->target) == 0)
		return 0;
	return brain_decide(brain, &about, err, "read back%s: %s, %.12s for %s, which is at %.12s",
		wish->delivery ? "" : " without a hook", state, *proposal->head ? proposal->head : "no commit", proposal->target,
		*proposal->target_tip ? proposal->target_tip : "nothing");
}

/* Whether what would be merged is not what it was when it was read last. */
static bool is_other_merge(const struct proposal_row *old, const struct forge_proposal *proposal)
{
	return strcmp(old->head, proposal->head) != 0 || strcmp(old->target_tip, proposal->target_tip) != 0 ||
		strcmp(old->target, proposal->target) != 0;
}

static int take(
	struct brain *brain, struct arena *arena, const struct read_wish *wish, const struct calls_answer *answer, struct err *err)
{
	struct brain_reason about = {.stage = STAGE_NAME, .delivery = wish->delivery};
	struct err why = {.kind = ERR_NONE};
	const struct dialect *dialect = project_dialect(brain->conf, arena, wish->project, &why);
	struct reading reading = {.wish = wish, .dialect = dialect, .answer = answer};
	struct proposal_row old;
	int64_t id = proposal_find(brain, wish->project, wish->name, err);
	int known;

	if (id < 0)
		return -1;
	about.proposal = id;
	if (!dialect || !dialect->proposal || dialect->proposal(arena, answer->text, strlen(answer->text), &reading.proposal, &why) < 0) {
		if (id && brain_tell(brain, STAGE_GATE, "unread", id, 0, err) < 0)
			return -1;
		return brain_decide(brain, &about, err, "%s was read back and not understood: %s", wish->name, why.text);
	}
	known = id ? proposal_get(brain, arena, id, &old, err) : 0;
	if (known < 0 || put(brain, arena, &reading, err) < 0)
		return -1;
	if (!id)
		id = proposal_find(brain, wish->project, wish->name, err);
	if (id <= 0 || say_news(brain, wish, known ? &old : NULL, &reading.proposal, id, err) < 0)
		return -1;
	CRASH_POINT("proposal.read-back");
	if (!known || is_other_merge(&old, &reading.proposal)) {
		if (brain_tell(brain, STAGE_BUILD, "seen", id, 0, err) < 0)
			return -1;
	}
	return brain_tell(brain, STAGE_GATE, "proposal", id, 0, err);
}

static int not_read(struct brain *brain, const struct read_wish *wish, const struct calls_answer *answer, struct err *err)
{
	struct brain_reason about = {.stage = STAGE_NAME, .delivery = wish->delivery};

	about.proposal = proposal_find(brain, wish->project, wish->name, err);
	if (about.proposal < 0)
		return -1;
	if (about.proposal && brain_tell(brain, STAGE_GATE, "unread", about.proposal, 0, err) < 0)
		return -1;
	return brain_decide(brain, &about, err, "%s of %s could not be read back (%s): %s", wish->name, wish->project,
		outcome_word(answer->outcome), answer->text);
}

static enum step step_answer(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct calls_answer answer;
	struct read_wish wish;
	struct err why = {.kind = ERR_NONE};
	int found = calls_get(brain, arena, ref, &answer, err);

	if (found <= 0)
		return brain_step(found);
	if (strcmp(answer.kind, READ_LIST) == 0) {
		if (reconcile_answer(brain, arena, &answer, err) < 0)
			return STEP_FAILED;
		return brain_step(store_run(brain->store, STORE_CALL_DELETE, err, STORE_INTEGER(ref)));
	}
	if (read_request(arena, answer.request, &wish, &why) < 0)
		return brain_step(
			brain_decide(brain, &(struct brain_reason){.stage = STAGE_NAME}, err, "a call that makes no sense: %s", why.text));
	if (answer.outcome == OUTCOME_SUCCESS) {
		if (take(brain, arena, &wish, &answer, err) < 0)
			return STEP_FAILED;
		return brain_step(store_run(brain->store, STORE_CALL_FORGET, err, STORE_INTEGER(ref)));
	}
	return brain_step(not_read(brain, &wish, &answer, err));
}

const struct brain_handler proposal_inbox_handlers[] = {
	{"delivery", step_delivery},
	{"read", step_read},
	{"answer", step_answer},
	{NULL, NULL},
};
