#include "www/view.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"
#include "build/build.h"
#include "calls/calls.h"
#include "forge/result.h"
#include "forge/text.h"
#include "gate/item.h"
#include "proposal/proposal.h"
#include "www/timeline.h"

enum { DECISIONS_MAXIMUM = 300, QUEUE_MAXIMUM = 1500, RECENT = 50 }; /* an answer is one line of at most 1 MiB */

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *time_or_null(int64_t time)
{
	return time ? json_integer(time) : json_null();
}

/* Whether somebody listens there. */
static json_t *daemon_state(const struct brain *brain, const char *option)
{
	const char *path = "";
	struct err err = {.kind = ERR_NONE};
	int fd = conf_text(brain->conf, NULL, option, &path, &err) < 0 ? -1 : sock_connect(path, SOCK_STREAM, &err);

	if (fd >= 0)
		close(fd);
	return json_pack("{s:s, s:b, s:o}", "socket", path, "answers", fd >= 0, "why", fd >= 0 ? json_null() : text_json(err.text));
}

static int count_items(struct brain *brain, struct arena *arena, int64_t *queued, int64_t *active, int64_t *held, struct err *err)
{
	int more;

	*queued = *active = *held = 0;
	while ((more = store_step(brain->store, STORE_ITEMS_COUNT, err)) == 1) {
		const char *state = store_text(brain->store, STORE_ITEMS_COUNT, 0, arena);
		int64_t count = store_integer(brain->store, STORE_ITEMS_COUNT, 1);

		if (strcmp(state, "queued") == 0)
			*queued += count;
		else if (strcmp(state, "held") == 0)
			*held += count;
		else
			*active += count;
	}
	return more;
}

/* Calls that failed at least once and wait for their next attempt. */
static json_t *troubles(struct brain *brain, struct arena *arena, struct err *err)
{
	json_t *list = json_array();
	enum store_id id = STORE_CALLS_TROUBLE;
	int more;

	while ((more = store_step(brain->store, id, err)) == 1)
		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:s?}", "kind", store_text(brain->store, id, 0, arena),
			"lane", store_text(brain->store, id, 1, arena), "attempts", (json_int_t)store_integer(brain->store, id, 2),
			"due", (json_int_t)store_integer(brain->store, id, 3), "why", store_text(brain->store, id, 4, arena)));
	if (more == 0)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *refusals(struct brain *brain, struct arena *arena, struct err *err)
{
	json_t *list = json_array();
	enum store_id id = STORE_REFUSALS;
	int more;

	while ((more = store_step(brain->store, id, err)) == 1)
		json_array_append_new(list, json_pack("{s:s, s:I, s:s, s:I, s:I}", "account", store_text(brain->store, id, 0, arena),
			"status", (json_int_t)store_integer(brain->store, id, 1), "reason", store_text(brain->store, id, 2, arena),
			"count", (json_int_t)store_integer(brain->store, id, 3), "last", (json_int_t)store_integer(brain->store, id, 4)));
	if (more == 0)
		return list;
	json_decref(list);
	return NULL;
}

json_t *view_status(struct brain *brain, struct arena *arena, struct err *err)
{
	int64_t queued, active, held, deliveries;
	const char *pages = "";
	json_t *trouble, *refused;
	struct err ignored;

	if (count_items(brain, arena, &queued, &active, &held, err) < 0 ||
		store_first(brain->store, STORE_DELIVERY_LAST, NULL, 0, err) < 0)
		return NULL;
	deliveries = store_integer(brain->store, STORE_DELIVERY_LAST, 0);
	store_reset(brain->store, STORE_DELIVERY_LAST);
	trouble = troubles(brain, arena, err);
	refused = trouble ? refusals(brain, arena, err) : NULL;
	if (!refused) {
		json_decref(trouble);
		return NULL;
	}
	if (conf_text(brain->conf, NULL, "public.url", &pages, &ignored) < 0)
		pages = "";
	return json_pack("{s:s, s:s, s:I, s:b, s:I, s:I, s:I, s:I, s:i, s:o, s:o, s:s, s:o, s:o}", "namespace", brain->namespace,
		"version", BYOCI_VERSION, "since", (json_int_t)brain->started, "healthy", brain_healthy(brain),
		"deliveries", (json_int_t)deliveries, "queued", (json_int_t)queued, "running", (json_int_t)active, "held", (json_int_t)held,
		"builds", (int)calls_running(brain->calls, "build"), "slave", daemon_state(brain, "slave.socket"),
		"land", daemon_state(brain, "land.socket"), "pages", pages, "trouble", trouble, "refused", refused);
}

json_t *view_queue(struct brain *brain, struct arena *arena, struct err *err)
{
	enum store_id id = STORE_ITEMS_QUEUE;
	json_t *targets = json_array(), *items = NULL;
	const char *project = "", *target = "";
	int more = store_query(brain->store, id, err, STORE_INTEGER(QUEUE_MAXIMUM)), count = 0;

	while (more >= 0 && (more = store_step(brain->store, id, err)) == 1) {
		const char *row_project = store_text(brain->store, id, 1, arena), *row_target = store_text(brain->store, id, 2, arena);

		count++;
		if (!items || strcmp(project, row_project) != 0 || strcmp(target, row_target) != 0) {
			project = row_project;
			target = row_target;
			items = json_array();
			json_array_append_new(targets, json_pack("{s:s, s:s, s:o}", "project", project, "target", target, "items", items));
		}
		json_array_append_new(items, json_pack("{s:s, s:s, s:I, s:s, s:s}", "proposal", store_text(brain->store, id, 3, arena),
			"state", store_text(brain->store, id, 4, arena), "since", (json_int_t)store_integer(brain->store, id, 5),
			"commit", store_text(brain->store, id, 6, arena), "why", store_text(brain->store, id, 7, arena)));
	}
	if (more == 0)
		return json_pack("{s:o, s:b}", "targets", targets, "more", count == QUEUE_MAXIMUM);
	json_decref(targets);
	return NULL;
}

static int only_named(struct brain *brain, struct arena *arena, const char *name, int64_t *id, struct err *err)
{
	const char *first = NULL;
	int found, rows = 0;

	if (store_query(brain->store, STORE_PROPOSAL_NAMED, err, STORE_TEXT(name)) < 0)
		return -1;
	while ((found = store_step(brain->store, STORE_PROPOSAL_NAMED, err)) == 1) {
		const char *project = store_text(brain->store, STORE_PROPOSAL_NAMED, 1, arena);

		if (rows++) {
			store_reset(brain->store, STORE_PROPOSAL_NAMED);
			return err_set(err, ERR_USAGE, "%s is a proposal of %s and of %s: say --project", name, first, project);
		}
		*id = store_integer(brain->store, STORE_PROPOSAL_NAMED, 0);
		first = project;
	}
	return found < 0 ? -1 : rows;
}

/* Nothing is known of it but that it is to be read, and perhaps why that did not work out yet. */
static int not_found(struct brain *brain, struct arena *arena, const char *project, const char *name, struct err *err)
{
	const char *why;
	int reading = store_one(brain->store, STORE_CALL_READING, err, STORE_TEXT(name));

	if (reading < 0)
		return -1;
	if (!reading)
		return err_set(err, ERR_NOT_FOUND,
			"no proposal %s has been read%s%s: was it pushed, and did its forge tell us? (byoci status)", name,
			project ? " in project " : "", project ? project : "");
	why = store_text(brain->store, STORE_CALL_READING, 0, arena);
	store_reset(brain->store, STORE_CALL_READING);
	return err_set(err, ERR_NOT_FOUND, "%s is not read from its forge yet%s%s", name, why ? "; the last attempt failed: " : "",
		why ? why : "");
}

static int find(
	struct brain *brain, struct arena *arena, const char *project, const char *name, struct proposal_row *row, struct err *err)
{
	int64_t id = 0;
	int found;

	if (!project) {
		found = only_named(brain, arena, name, &id, err);
	} else {
		found = store_one(brain->store, STORE_PROPOSAL_FIND, err, STORE_TEXT(project), STORE_TEXT(name));
		if (found > 0) {
			id = store_integer(brain->store, STORE_PROPOSAL_FIND, 0);
			store_reset(brain->store, STORE_PROPOSAL_FIND);
		}
	}
	if (found == 0)
		return not_found(brain, arena, project, name, err);
	return found < 0 || proposal_get(brain, arena, id, row, err) <= 0 ? -1 : 0;
}

static json_t *proposal_json(const struct proposal_row *row)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "project", row->project, "name", row->name, "url", row->url,
		"target", row->target, "target_tip", row->target_tip, "head", row->head, "state", row->state, "read", (json_int_t)row->read);
}

static json_t *item_json(const struct item *item)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:I, s:I, s:s}", "state", item->state, "target", item->target, "commit",
		item->source, "since", (json_int_t)item->since, "queued", (json_int_t)item->queued, "ended", time_or_null(item->ended),
		"builds", (json_int_t)item->builds, "troubles", (json_int_t)item->troubles, "why", item->why);
}

static json_t *decisions(struct brain *brain, struct arena *arena, enum store_id id, struct err *err)
{
	json_t *list = json_array();
	int more;

	while ((more = store_step(brain->store, id, err)) == 1)
		json_array_append_new(list, json_pack("{s:I, s:s, s:o, s:s}", "time", (json_int_t)store_integer(brain->store, id, 1),
			"stage", store_text(brain->store, id, 2, arena), "delivery", time_or_null(store_integer(brain->store, id, 3)),
			"text", store_text(brain->store, id, 4, arena)));
	if (more == 0)
		return list;
	json_decref(list);
	return NULL;
}

/* What waits for the outside and is about this proposal: its own lanes, the poll of its project, and the slave's while it is tested. */
static void keep_own(json_t *list, struct arena *arena, const struct proposal_row *row)
{
	const char *own = arena_printf(arena, "/%s/%s", row->project, row->name),
			   *land = arena_printf(arena, "land/%s/%s", row->project, row->target), *poll = arena_printf(arena, "list/%s", row->project);

	for (size_t i = json_array_size(list); i-- > 0;) {
		const char *lane = json_string_value(json_object_get(json_array_get(list, i), "lane"));
		size_t length = strlen(lane), own_length = strlen(own);
		bool about = (length >= own_length && strcmp(lane + length - own_length, own) == 0) || strcmp(lane, land) == 0 ||
			strncmp(lane, "slave/", 6) == 0 || strncmp(lane, "jenkins/", 8) == 0 || strcmp(lane, poll) == 0;

		if (!about)
			json_array_remove(list, i);
	}
}

json_t *view_why(struct brain *brain, struct arena *arena, const char *project, const char *name, struct err *err)
{
	struct proposal_row row;
	struct item item;
	json_t *list, *waiting;
	int found;

	if (find(brain, arena, project, name, &row, err) < 0)
		return NULL;
	found = item_last(brain, arena, row.id, &item, err);
	if (found < 0 ||
		store_query(brain->store, STORE_DECISIONS_PROPOSAL, err, STORE_INTEGER(row.id), STORE_INTEGER(DECISIONS_MAXIMUM)) < 0)
		return NULL;
	list = decisions(brain, arena, STORE_DECISIONS_PROPOSAL, err);
	waiting = list ? troubles(brain, arena, err) : NULL;
	if (!waiting) {
		json_decref(list);
		return NULL;
	}
	keep_own(waiting, arena, &row);
	return json_pack("{s:o, s:o, s:o, s:o}", "proposal", proposal_json(&row), "item", found ? item_json(&item) : json_null(),
		"decisions", list, "waiting", waiting);
}

/* What the tests of the first job, so far the only one, left: counts of its reports, and what was kept. */
static void add_left(json_t *json, struct arena *arena, const char *line)
{
	json_t *payload = result_line_payload(arena, line);
	const json_t *job = json_array_get(json_object_get(payload, "jobs"), 0);
	json_t *artefacts = json_object_get(job, "artefacts"), *reports = json_object_get(job, "reports");
	struct counts counts;

	if (reports)
		json_object_set(json, "reports", reports);
	if (reports && result_line_counts(arena, line, &counts))
		json_object_set_new(json, "tests", json_string(counts_text(arena, &counts, true)));
	if (artefacts)
		json_object_set(json, "artefacts", artefacts);
	json_decref(payload);
}

static json_t *build_json(struct arena *arena, const struct build_row *build)
{
	json_t *json = json_pack("{s:s, s:I, s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "build", build->build, "attempt",
		(json_int_t)build->attempt, "state", build->state, "asked", (json_int_t)build->asked, "started",
		time_or_null(build->started), "ended", time_or_null(build->ended), "outcome", text_or_null(build->outcome), "reason",
		text_or_null(build->reason), "merge", text_or_null(build->merged));

	if (build->result)
		add_left(json, arena, build->result);
	return json;
}

static json_t *builds_json(struct brain *brain, struct arena *arena, int64_t item, struct err *err)
{
	json_t *list = json_array();
	struct build_row build;
	int more = store_query(brain->store, STORE_BUILDS_OF_ITEM, err, STORE_INTEGER(item));

	while (more >= 0 && (more = store_step(brain->store, STORE_BUILDS_OF_ITEM, err)) == 1) {
		build_take(brain, arena, STORE_BUILDS_OF_ITEM, &build);
		json_array_append_new(list, build_json(arena, &build));
	}
	if (more == 0)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *show(
	struct brain *brain, struct arena *arena, const struct proposal_row *row, const struct item *item, struct err *err)
{
	json_t *builds = item ? builds_json(brain, arena, item->id, err) : json_array();
	json_t *timeline = !builds ? NULL : item ? timeline_make(brain, arena, item, err) : json_array();

	if (!timeline) {
		json_decref(builds);
		return NULL;
	}
	return json_pack("{s:o, s:o, s:o, s:o}", "proposal", proposal_json(row), "item", item ? item_json(item) : json_null(),
		"builds", builds, "timeline", timeline);
}

json_t *view_proposal(struct brain *brain, struct arena *arena, const char *project, const char *name, struct err *err)
{
	struct proposal_row row;
	struct item item;
	int found;

	if (find(brain, arena, project, name, &row, err) < 0)
		return NULL;
	found = item_last(brain, arena, row.id, &item, err);
	return found < 0 ? NULL : show(brain, arena, &row, found ? &item : NULL, err);
}

json_t *view_build(struct brain *brain, struct arena *arena, const char *build, struct err *err)
{
	struct build_row row;
	struct item item;
	struct proposal_row proposal;
	json_t *json;
	int found = build_find(brain, arena, build, &row, err);

	if (found > 0)
		found = item_get(brain, arena, row.item, &item, err);
	if (found > 0)
		found = proposal_get(brain, arena, item.proposal, &proposal, err);
	if (found == 0)
		err_set(err, ERR_NOT_FOUND, "there is no build %s", build);
	if (found <= 0)
		return NULL;
	json = show(brain, arena, &proposal, &item, err);
	if (json)
		json_object_set_new(json, "build", build_json(arena, &row));
	return json;
}

json_t *view_delivery(struct brain *brain, struct arena *arena, int64_t delivery, struct err *err)
{
	enum store_id id = STORE_DELIVERY_GET;
	json_t *json, *list;
	int found = store_one(brain->store, id, err, STORE_INTEGER(delivery));

	if (found == 0)
		err_set(err, ERR_NOT_FOUND, "there is no delivery %lld", (long long)delivery);
	if (found <= 0)
		return NULL;
	json = json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:I}", "delivery", (json_int_t)delivery, "dialect",
		store_text(brain->store, id, 0, arena), "account", store_text(brain->store, id, 1, arena), "kind",
		store_text(brain->store, id, 2, arena), "key", store_text(brain->store, id, 3, arena), "heard",
		(json_int_t)store_integer(brain->store, id, 4), "stored", (json_int_t)store_integer(brain->store, id, 5));
	store_reset(brain->store, id);
	list = store_query(brain->store, STORE_DECISIONS_DELIVERY, err, STORE_INTEGER(delivery)) < 0 ? NULL
		: decisions(brain, arena, STORE_DECISIONS_DELIVERY, err);
	if (!list) {
		json_decref(json);
		return NULL;
	}
	json_object_set_new(json, "decisions", list);
	return json;
}

json_t *view_recent(struct brain *brain, struct arena *arena, struct err *err)
{
	json_t *list = json_array();
	enum store_id id = STORE_BUILDS_RECENT;
	int more = store_query(brain->store, id, err, STORE_INTEGER(RECENT));

	while (more >= 0 && (more = store_step(brain->store, id, err)) == 1)
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:o, s:I, s:o, s:s, s:s, s:s}", "build", store_text(brain->store, id, 0, arena), "state",
				store_text(brain->store, id, 1, arena), "outcome", text_or_null(store_text(brain->store, id, 2, arena)), "asked",
				(json_int_t)store_integer(brain->store, id, 3), "ended", time_or_null(store_integer(brain->store, id, 4)),
				"project", store_text(brain->store, id, 5, arena), "target", store_text(brain->store, id, 6, arena), "proposal",
				store_text(brain->store, id, 7, arena)));
	if (more == 0)
		return json_pack("{s:o}", "builds", list);
	json_decref(list);
	return NULL;
}
