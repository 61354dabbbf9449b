#include "gate/item.h"

#include "base/clock.h"

/* The statement is on its row. */
static void take(struct brain *brain, struct arena *arena, enum store_id id, struct item *item)
{
	struct store *store = brain->store;

	*item = (struct item){
		.id = store_integer(store, id, 0),
		.proposal = store_integer(store, id, 1),
		.project = store_text(store, id, 2, arena),
		.target = store_text(store, id, 3, arena),
		.source = store_text(store, id, 4, arena),
		.approved = store_integer(store, id, 5),
		.state = store_text(store, id, 6, arena),
		.since = store_integer(store, id, 7),
		.read = store_integer(store, id, 8),
		.queued = store_integer(store, id, 9),
		.ended = store_integer(store, id, 10),
		.due = store_integer(store, id, 11),
		.builds = store_integer(store, id, 12),
		.troubles = store_integer(store, id, 13),
		.delivery = store_integer(store, id, 14),
		.why = store_text(store, id, 15, arena),
	};
	store_reset(store, id);
}

static int by_id(struct brain *brain, struct arena *arena, enum store_id id, int64_t value, struct item *item, struct err *err)
{
	int found = store_one(brain->store, id, err, STORE_INTEGER(value));

	if (found == 1)
		take(brain, arena, id, item);
	return found;
}

int item_get(struct brain *brain, struct arena *arena, int64_t id, struct item *item, struct err *err)
{
	return by_id(brain, arena, STORE_ITEM_GET, id, item, err);
}

int item_live(struct brain *brain, struct arena *arena, int64_t proposal, struct item *item, struct err *err)
{
	return by_id(brain, arena, STORE_ITEM_LIVE, proposal, item, err);
}

int item_last(struct brain *brain, struct arena *arena, int64_t proposal, struct item *item, struct err *err)
{
	return by_id(brain, arena, STORE_ITEM_LAST, proposal, item, err);
}

int item_next(
	struct brain *brain, struct arena *arena, const char *project, const char *target, struct item *item, struct err *err)
{
	int found;

	if (store_run(brain->store, STORE_ITEM_RIPE, err, STORE_TEXT(project), STORE_TEXT(target), STORE_INTEGER(clock_wall_ms())) < 0)
		return -1;
	found = store_one(brain->store, STORE_ITEM_NEXT, err, STORE_TEXT(project), STORE_TEXT(target));
	if (found == 1)
		take(brain, arena, STORE_ITEM_NEXT, item);
	return found;
}

struct policy_item item_policy(const struct item *item)
{
	if (!item)
		return (struct policy_item){.there = false};
	return (struct policy_item){.there = true, .state = item->state, .source = item->source, .target = item->target,
		.approved = item->approved};
}
