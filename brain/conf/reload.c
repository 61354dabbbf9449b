#include "conf/reload.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"

enum { TEXT_MAXIMUM = 1024 * 1024 };

static int add_value(const struct conf_value *value, void *cookie)
{
	return buf_printf(cookie, "[%s] %s=%s\n", value->section, value->option, value->value ? value->value : "");
}

/* All sections of a kind as text. */
static void describe(const struct conf *conf, struct arena *arena, const char *kind, struct buf *text)
{
	struct err ignored = {.kind = ERR_NONE};

	buf_init(text, TEXT_MAXIMUM);
	for (const char *const *name = conf_sections(conf, arena, kind); *name; name++)
		if (conf_each(conf, arena_printf(arena, "%s/%s", kind, *name), add_value, text, &ignored) != 0)
			return;
}

static bool same_sections(const struct conf *old, const struct conf *new, const char *kind)
{
	struct arena *arena = arena_new();
	struct buf before, after;
	bool same;

	describe(old, arena, kind, &before);
	describe(new, arena, kind, &after);
	same = before.length == after.length && (!before.length || memcmp(before.data, after.data, before.length) == 0);
	buf_release(&before);
	buf_release(&after);
	arena_free(arena);
	return same;
}

static bool same_option(const struct conf *old, const struct conf *new, const char *option)
{
	const char *before = NULL, *after = NULL;
	struct err ignored = {.kind = ERR_NONE};

	if (conf_text(old, NULL, option, &before, &ignored) < 0 || conf_text(new, NULL, option, &after, &ignored) < 0)
		return false;
	return before && after ? strcmp(before, after) == 0 : before == after;
}

static void say_fixed(const struct conf *old, const struct conf *new, const struct reload_fixed *fixed)
{
	for (const char *const *option = fixed->options; *option; option++)
		if (!same_option(old, new, *option))
			log_warning(LOG_WHAT("this option takes a restart to change"), LOG_TEXT("option", *option));
	if (fixed->kind && !same_sections(old, new, fixed->kind))
		log_warning(LOG_WHAT("these sections take a restart to change"), LOG_TEXT("kind", fixed->kind));
}

struct conf *reload_conf(const struct conf *old, const struct conf_source *source, const struct reload_fixed *fixed, struct err *err)
{
	struct conf_source same = *source;
	struct conf *new = NULL;

	same.namespace = conf_namespace(old);
	if (conf_load(&new, &same, err) < 0 || conf_check(new, err) < 0) {
		log_error(LOG_WHAT("the configuration does not hold: the old one stays in force"), LOG_ERR(err));
		conf_free(new);
		return NULL;
	}
	say_fixed(old, new, fixed);
	log_info(LOG_WHAT("the configuration was read again"));
	return new;
}
