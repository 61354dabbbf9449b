#include "slaves/common/steps.h"

#include "base/clock.h"
#include "base/jsonget.h"

void steps_end(struct steps *steps)
{
	if (steps->count > 0 && steps->list[steps->count - 1].ended == 0)
		steps->list[steps->count - 1].ended = clock_wall_ms();
}

void steps_begin(struct steps *steps, const char *name)
{
	if (steps->count == STEPS_MAXIMUM)
		return;
	steps_end(steps);
	steps->list[steps->count++] = (struct result_step){.name = name, .started = clock_wall_ms()};
}

void steps_add(struct steps *steps, const char *name, int64_t started, int64_t ended)
{
	if (steps->count == STEPS_MAXIMUM)
		return;
	steps_end(steps);
	steps->list[steps->count++] = (struct result_step){.name = name, .started = started, .ended = ended};
}

json_t *steps_json(const struct steps *steps)
{
	json_t *list = json_array();

	for (size_t i = 0; i < steps->count; i++) {
		const struct result_step *step = &steps->list[i];
		json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "name", step->name, "started", (json_int_t)step->started, "ended",
							(json_int_t)step->ended));
	}
	return list;
}

int steps_read(struct steps *steps, struct arena *arena, const json_t *list, struct err *err)
{
	size_t i;
	json_t *value;

	json_array_foreach(list, i, value) {
		struct result_step step = {0};
		const char *name = NULL;
		if (jsonget_string(value, "name", &name, err) < 0 || jsonget_integer(value, "started", &step.started, err) < 0 ||
			jsonget_integer(value, "ended", &step.ended, err) < 0)
			return err_wrap(err, "steps[%zu]", i);
		step.name = arena_strdup(arena, name);
		if (steps->count < STEPS_MAXIMUM)
			steps->list[steps->count++] = step;
	}
	return 0;
}
