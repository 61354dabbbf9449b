#include "slaves/cage/kept.h"

#include <string.h>

#include "base/file.h"
#include "base/jsonget.h"

#define RECORD_MAXIMUM 65536
#define RECORD_NODES 512

int kept_place(const struct conf *conf, struct arena *arena, const char **folder, struct kept_room *room, struct err *err)
{
	int64_t working, kept;
	const char *state;

	if (conf_text(conf, NULL, "state", &state, err) < 0 || conf_integer(conf, NULL, "worker.slots", &working, err) < 0 ||
		conf_integer(conf, NULL, "worker.kept", &kept, err) < 0)
		return -1;
	*folder = arena_printf(arena, "%s/worker/slots", state);
	*room = (struct kept_room){.working = (unsigned)working, .kept = (unsigned)kept};
	return 0;
}

char *kept_socket(struct arena *arena, const char *folder, unsigned number)
{
	return arena_printf(arena, "%s/%u.socket", folder, number);
}

size_t kept_list(struct arena *arena, const char *folder, struct kept_room room, struct kept *list, size_t count)
{
	size_t found = 0;

	for (unsigned number = 0; number <= room.working + room.kept && found < count; number++) {
		struct err absent = {0};
		size_t length = 0;
		const char *text = file_read(arena, arena_printf(arena, "%s/%u.json", folder, number), RECORD_MAXIMUM, &length, &absent);
		json_t *record = text ? jsonget_parse(text, length, RECORD_NODES, &absent) : NULL;

		if (record && jsonget_boolean_or(record, "kept", false))
			list[found++] = (struct kept){.number = number,
				.build = arena_strdup(arena, jsonget_string_or(record, "build", "")),
				.job = arena_strdup(arena, jsonget_string_or(record, "job", "")),
				.since = jsonget_integer_or(record, "started", 0), .expiry = jsonget_integer_or(record, "until", 0),
				.copy = jsonget_boolean_or(record, "copy", false)};
		json_decref(record);
	}
	return found;
}

bool kept_needs(const struct conf *conf, const char *build)
{
	struct arena *arena = arena_new();
	struct kept kept[KEPT_MAXIMUM];
	struct kept_room room;
	struct err ignored = {0};
	const char *folder;
	size_t count = 0;
	bool needed = kept_place(conf, arena, &folder, &room, &ignored) < 0;

	if (!needed)
		count = kept_list(arena, folder, room, kept, KEPT_MAXIMUM);
	for (size_t i = 0; i < count && !needed; i++)
		needed = strcmp(kept[i].build, build) == 0;
	arena_free(arena);
	return needed;
}
