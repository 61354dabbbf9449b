/* A configuration file: its lines, then everything that is done with its values. */
#include "conf/conf.h"
#include "conf/ini.h"
#include "fuzz.h"
#include "tests/tmp.h"

static int on_line(void *cookie, const struct ini_line *line, struct err *err)
{
	unsigned *last = cookie;

	(void)err;
	MUST(line->section && line->line >= *last && (!line->option || line->value));
	*last = line->line;
	return 0;
}

static int on_value(const struct conf_value *value, void *cookie)
{
	(void)cookie;
	MUST(value->option && value->place);
	return 0;
}

static void load(const uint8_t *bytes, size_t length)
{
	const char *files[] = {tmp_file("byov.conf", bytes, length, 0644), NULL};
	const struct conf_source source = {.namespace = "fuzz", .files = files};
	struct err err = {.kind = ERR_NONE};
	struct conf *conf = NULL;
	struct arena *arena;

	if (conf_load(&conf, &source, &err) < 0) {
		MUST(err.kind != ERR_NONE && *err.text);
		return;
	}
	arena = arena_new();
	conf_check(conf, &err);
	conf_each(conf, NULL, on_value, NULL, &err);
	for (const char *const *name = conf_sections(conf, arena, "project"); *name; name++)
		conf_each(conf, arena_printf(arena, "project/%s", *name), on_value, NULL, &err);
	arena_free(arena);
	conf_free(conf);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct arena *arena = arena_new();
	struct ini_text text = {.file = "fuzz", .text = arena_memdup(arena, bytes, length), .length = length};
	struct err err = {.kind = ERR_NONE};
	unsigned last = 0;

	if (!*tmp_folder)
		tmp_make();
	if (ini_parse(arena, &text, on_line, &last, &err) < 0)
		MUST(err.kind != ERR_NONE && *err.text);
	arena_free(arena);
	load(bytes, length);
	return 0;
}
