#include "slaves/common/steps.h"

#include "base/clock.h"

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
	steps->list[steps->count++] = (struct timing){.name = name, .started = clock_wall_ms()};
}

void steps_add(struct steps *steps, const char *name, int64_t started, int64_t ended)
{
	if (steps->count == STEPS_MAXIMUM)
		return;
	steps_end(steps);
	steps->list[steps->count++] = (struct timing){.name = name, .started = started, .ended = ended};
}

json_t *steps_json(const struct steps *steps)
{
	return timing_json(steps->list, steps->count);
}

int steps_read(struct steps *steps, struct arena *arena, const json_t *list, struct err *err)
{
	struct timing *read;
	size_t count;

	if (timing_read(arena, list, &read, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count && steps->count < STEPS_MAXIMUM; i++)
		steps->list[steps->count++] = read[i];
	return 0;
}
