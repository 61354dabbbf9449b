#include "loop/deadlines.h"

#include <stdbool.h>

#include "base/clock.h"

static void on_timer(void *cookie);

static bool is_due(const struct deadlines *deadlines, const struct deadline *deadline)
{
	return deadlines->count > deadlines->most || deadline->until_us <= clock_monotonic_us();
}

static void arm(struct deadlines *deadlines)
{
	const struct deadline *first = TAILQ_FIRST(&deadlines->queue);

	if (first && !deadlines->timer)
		deadlines->timer = loop_after(deadlines->loop, (first->until_us - clock_monotonic_us()) / 1000 + 1, on_timer, deadlines);
}

static void on_timer(void *cookie)
{
	struct deadlines *deadlines = cookie;
	struct deadline *first;

	deadlines->timer = NULL;
	while ((first = TAILQ_FIRST(&deadlines->queue)) && is_due(deadlines, first)) {
		deadlines_stop(deadlines, first);
		deadlines->passed(first->owner);
	}
	arm(deadlines);
}

void deadlines_init(struct deadlines *deadlines, struct loop *loop, int64_t length_ms, size_t room, loop_fn *passed)
{
	*deadlines = (struct deadlines){.loop = loop, .length_ms = length_ms, .most = room - room / 8, .passed = passed};
	TAILQ_INIT(&deadlines->queue);
}

void deadlines_release(struct deadlines *deadlines)
{
	loop_cancel(deadlines->timer);
	deadlines->timer = NULL;
}

void deadlines_start(struct deadlines *deadlines, struct deadline *deadline, void *owner)
{
	deadlines_stop(deadlines, deadline);
	deadline->owner = owner;
	deadline->until_us = clock_monotonic_us() + deadlines->length_ms * 1000;
	TAILQ_INSERT_TAIL(&deadlines->queue, deadline, link);
	if (++deadlines->count == deadlines->most + 1) {
		loop_cancel(deadlines->timer);
		deadlines->timer = loop_after(deadlines->loop, 0, on_timer, deadlines);
	}
	arm(deadlines);
}

void deadlines_stop(struct deadlines *deadlines, struct deadline *deadline)
{
	if (!deadline->until_us)
		return;
	TAILQ_REMOVE(&deadlines->queue, deadline, link);
	deadlines->count--;
	deadline->until_us = 0;
}
