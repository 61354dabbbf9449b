#include "www/timeline.h"

#include <stdlib.h>
#include <string.h>

#include "base/jsonget.h"
#include "build/build.h"
#include "forge/result.h"
#include "landing/landing.h"
#include "report/report.h"

enum { STEPS_MAXIMUM = 64, NODES = 20000 };

struct line {
	const char *step;
	int64_t at, took;
	int order; /* as added: steps of one moment stay in it */
};

struct timeline {
	struct arena *arena;
	struct line lines[STEPS_MAXIMUM];
	size_t count;
};

/* `at` 0: it did not happen. */
static void add(struct timeline *timeline, const char *step, int64_t from, int64_t at)
{
	if (!at || timeline->count == STEPS_MAXIMUM)
		return;
	timeline->lines[timeline->count] = (struct line){.step = step, .at = at, .took = from && from < at ? at - from : 0,
		.order = (int)timeline->count};
	timeline->count++;
}

/* Steps of result and landing are named for what is done, the time line for what was reached. */
static const char *reached(struct arena *arena, const char *name, const char *prefix)
{
	static const struct {
		const char *name, *reached;
	} words[] = {
		{"fetch", "fetched"},
		{"merge", "merged"},
		{"worker", "worker ready"},
		{"tests", "tests ended"},
		{"collect", "artefacts kept"},
		{"teardown", "worker gone"},
	};

	for (size_t i = 0; !*prefix && i < sizeof words / sizeof words[0]; i++)
		if (strcmp(words[i].name, name) == 0)
			return words[i].reached;
	return arena_printf(arena, "%s%.64s", prefix, name);
}

static void add_steps(struct timeline *timeline, const json_t *json, const char *prefix)
{
	const json_t *steps = json_object_get(json, "steps"), *step;
	size_t i;

	json_array_foreach(steps, i, step) add(timeline, reached(timeline->arena, jsonget_string_or(step, "name", "?"), prefix),
		jsonget_integer_or(step, "started", 0), jsonget_integer_or(step, "ended", 0));
}

/* The signature was checked when the line was stored. */
static void add_result(struct timeline *timeline, const char *line)
{
	json_t *json = result_line_payload(timeline->arena, line);

	add_steps(timeline, json, "");
	json_decref(json);
}

static int add_delivery(struct brain *brain, struct timeline *timeline, const struct item *item, struct err *err)
{
	int64_t heard, stored = 0;
	int found = item->delivery ? store_one(brain->store, STORE_DELIVERY_TIMES, err, STORE_INTEGER(item->delivery)) : 0;

	if (found < 0)
		return -1;
	if (found) {
		heard = store_integer(brain->store, STORE_DELIVERY_TIMES, 0);
		stored = store_integer(brain->store, STORE_DELIVERY_TIMES, 1);
		store_reset(brain->store, STORE_DELIVERY_TIMES);
		add(timeline, "push heard", 0, heard);
		add(timeline, "stored", heard, stored);
	}
	add(timeline, "read back", stored, item->read);
	add(timeline, "queued", 0, item->queued);
	return 0;
}

static int add_build(struct brain *brain, struct timeline *timeline, const struct item *item, struct err *err)
{
	struct build_row build;
	int found = build_of_item(brain, timeline->arena, item->id, &build, err);

	if (found <= 0)
		return found;
	add(timeline, "build started", build.asked, build.started);
	if (build.result)
		add_result(timeline, build.result);
	add(timeline, "build ended", build.started, build.ended);
	return 0;
}

static int add_landing(struct brain *brain, struct timeline *timeline, const struct item *item, struct err *err)
{
	struct landing_row landing;
	struct report_row report;
	struct err ignored;
	json_t *json;
	int found = landing_of_item(brain, timeline->arena, item->id, &landing, err);

	if (found < 0)
		return -1;
	if (found) {
		add(timeline, "landing asked", 0, landing.asked);
		json = landing.answer ? jsonget_parse(landing.answer, strlen(landing.answer), NODES, &ignored) : NULL;
		add_steps(timeline, json, "landing: ");
		json_decref(json);
		add(timeline, strcmp(item->state, "landed") == 0 ? "landed" : "landing ended", landing.asked, landing.ended);
	}
	found = report_of_item(brain, timeline->arena, item->id, &report, err);
	if (found > 0)
		add(timeline, strcmp(report.state, "sent") == 0 ? "reported" : "report failed", report.made, report.ended);
	return found < 0 ? -1 : 0;
}

static int by_time(const void *one, const void *other)
{
	const struct line *left = one, *right = other;

	if (left->at != right->at)
		return left->at < right->at ? -1 : 1;
	return left->order - right->order;
}

json_t *timeline_make(struct brain *brain, struct arena *arena, const struct item *item, struct err *err)
{
	struct timeline timeline = {.arena = arena};
	json_t *list;

	if (add_delivery(brain, &timeline, item, err) < 0 || add_build(brain, &timeline, item, err) < 0 ||
		add_landing(brain, &timeline, item, err) < 0)
		return NULL;
	qsort(timeline.lines, timeline.count, sizeof timeline.lines[0], by_time);
	list = json_array();
	for (size_t i = 0; i < timeline.count; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:I, s:I}", "step", timeline.lines[i].step, "at", (json_int_t)timeline.lines[i].at, "took",
				(json_int_t)timeline.lines[i].took));
	return list;
}
