#include "build/build.h"

char *build_log_path(const struct brain *brain, struct arena *arena, const char *build)
{
	return arena_printf(arena, "%s/%s.log", brain->logs, build);
}

void build_take(struct brain *brain, struct arena *arena, enum store_id id, struct build_row *row)
{
	struct store *store = brain->store;

	*row = (struct build_row){
		.id = store_integer(store, id, 0),
		.build = store_text(store, id, 1, arena),
		.item = store_integer(store, id, 2),
		.attempt = store_integer(store, id, 3),
		.state = store_text(store, id, 4, arena),
		.spec = store_text(store, id, 5, arena),
		.asked = store_integer(store, id, 6),
		.started = store_integer(store, id, 7),
		.ended = store_integer(store, id, 8),
		.outcome = store_text(store, id, 9, arena),
		.reason = store_text(store, id, 10, arena),
		.merged = store_text(store, id, 11, arena),
		.result = store_text(store, id, 12, arena),
	};
}

static int take_found(struct brain *brain, struct arena *arena, enum store_id id, int found, struct build_row *row)
{
	if (found == 1) {
		build_take(brain, arena, id, row);
		store_reset(brain->store, id);
	}
	return found;
}

int build_get(struct brain *brain, struct arena *arena, int64_t id, struct build_row *row, struct err *err)
{
	return take_found(brain, arena, STORE_BUILD_GET, store_one(brain->store, STORE_BUILD_GET, err, STORE_INTEGER(id)), row);
}

int build_find(struct brain *brain, struct arena *arena, const char *build, struct build_row *row, struct err *err)
{
	return take_found(brain, arena, STORE_BUILD_FIND, store_one(brain->store, STORE_BUILD_FIND, err, STORE_TEXT(build)), row);
}

int build_of_item(struct brain *brain, struct arena *arena, int64_t item, struct build_row *row, struct err *err)
{
	return take_found(
		brain, arena, STORE_BUILD_OF_ITEM, store_one(brain->store, STORE_BUILD_OF_ITEM, err, STORE_INTEGER(item)), row);
}
