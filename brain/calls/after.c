#include "calls/after.h"

#include <stdlib.h>

#include "base/err.h"

struct wait {
	after_fn *call;
	void *cookie;
};

struct after {
	struct wait *list;
	size_t count, room;
};

struct after *after_new(void)
{
	struct after *after = calloc(1, sizeof *after);

	if (!after)
		err_fatal("out of memory");
	return after;
}

void after_free(struct after *after)
{
	if (after)
		free(after->list);
	free(after);
}

void after_add(struct after *after, after_fn *call, void *cookie)
{
	if (after->count == after->room) {
		after->room = after->room ? after->room * 2 : 64;
		after->list = reallocarray(after->list, after->room, sizeof *after->list);
		if (!after->list)
			err_fatal("out of memory");
	}
	after->list[after->count++] = (struct wait){.call = call, .cookie = cookie};
}

size_t after_mark(const struct after *after)
{
	return after->count;
}

void after_back(struct after *after, size_t mark)
{
	after->count = mark;
}

void after_run(struct after *after, bool kept)
{
	struct after taken = *after;

	*after = (struct after){.list = NULL};
	for (size_t i = 0; i < taken.count; i++)
		taken.list[i].call(taken.list[i].cookie, kept);
	free(taken.list);
}
