#include "forge/timing.h"

#include "base/jsonget.h"
#include "forge/text.h"

json_t *timing_json(const struct timing *list, size_t count)
{
	json_t *json = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(json, json_pack("{s:o, s:I, s:I}", "name", text_json(list[i].name), "started",
						    (json_int_t)list[i].started, "ended", (json_int_t)list[i].ended));
	return json;
}

int timing_read(struct arena *arena, const json_t *json, struct timing **list, size_t *count, struct err *err)
{
	size_t size = json_array_size(json);

	if (size > TIMING_MAXIMUM)
		return err_set(err, ERR_INPUT, "steps: over %d", TIMING_MAXIMUM);
	*count = size;
	*list = arena_alloc(arena, (size + 1) * sizeof **list);
	for (size_t i = 0; i < size; i++) {
		const json_t *step = json_array_get(json, i);
		struct timing *timing = &(*list)[i];
		const char *name;

		if (jsonget_string(step, "name", &name, err) < 0 || jsonget_integer(step, "started", &timing->started, err) < 0 ||
			jsonget_integer(step, "ended", &timing->ended, err) < 0)
			return err_wrap(err, "steps[%zu]", i);
		timing->name = arena_strdup(arena, name);
	}
	return 0;
}
