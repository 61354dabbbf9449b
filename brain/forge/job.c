#include "forge/job.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/crypto.h"
#include "conf/option.h"
#include "forge/digest_text.h"
#include "forge/recipe.h"

#define TEXT_MAXIMUM (4U * 1024 * 1024)

static int add_option(const struct conf_value *value, void *cookie)
{
	const struct option *option = option_find(OPTION_JOB, value->option);

	return option && option->aside ? 0 : digest_text_option(value, cookie);
}

static int add_section(const struct conf *conf, const char *section, struct buf *text, struct err *err)
{
	if (!conf_has_section(conf, section))
		return err_set(err, ERR_NOT_FOUND, "no section [%s] in the configuration", section);
	if (buf_printf(text, "[%s]\n", section) < 0)
		return err_set(err, ERR_FULL, "[%s]: over %u bytes", section, TEXT_MAXIMUM);
	if (conf_each(conf, section, add_option, text, err) < 0)
		return err->kind != ERR_NONE ? -1 : err_set(err, ERR_FULL, "[%s]: over %u bytes", section, TEXT_MAXIMUM);
	return 0;
}

/* Which secrets it is given, by the names of their files: those of the projects whose job it is. */
static int add_project(const struct conf *conf, struct arena *arena, const char *section, const char *job, struct buf *text,
	struct err *err)
{
	const char *const *jobs = NULL, *secrets = NULL;

	if (conf_text(conf, section, "secrets", &secrets, err) < 0 || (secrets && conf_list(conf, arena, section, "jobs", &jobs, err) < 0))
		return -1;
	for (; jobs && *jobs; jobs++)
		if (strcmp(*jobs, job) == 0 && (buf_printf(text, "[%s]\nsecrets=", section) < 0 || digest_text_escaped(text, secrets) < 0))
			return err_set(err, ERR_FULL, "[job/%s]: over %u bytes", job, TEXT_MAXIMUM);
	return 0;
}

static int add_secrets(const struct conf *conf, const char *job, struct buf *text, struct err *err)
{
	struct arena *arena = arena_new();
	int done = 0;

	for (const char *const *name = conf_sections(conf, arena, "project"); *name && done == 0; name++)
		done = add_project(conf, arena, arena_printf(arena, "project/%s", *name), job, text, err);
	arena_free(arena);
	return done;
}

static int digest(const struct conf *conf, const char *job, const char *backing, char *out, struct err *err)
{
	struct buf text;
	int done = -1;

	err_clear(err);
	buf_init(&text, TEXT_MAXIMUM);
	if (job && (add_section(conf, job, &text, err) < 0 || add_secrets(conf, job + strlen("job/"), &text, err) < 0))
		goto err0;
	if (recipe_text(conf, backing, &text, err) < 0) {
		if (job)
			err_wrap(err, "[%s] backing", job);
		goto err0;
	}
	crypto_sha256(text.data, text.length, out);
	done = 0;
err0:
	buf_release(&text);
	return done;
}

int job_digest(const struct conf *conf, const char *job, char out[static JOB_DIGEST_SIZE], struct err *err)
{
	struct arena *arena = arena_new();
	const char *section = arena_printf(arena, "job/%s", job);
	const char *backing;
	int done = -1;

	if (!conf_has_section(conf, section)) {
		err_set(err, ERR_NOT_FOUND, "no job %s: there is no section [%s] in the configuration", job, section);
		goto err0;
	}
	if (conf_text(conf, section, "backing", &backing, err) < 0)
		goto err0;
	done = digest(conf, section, backing, out, err);
err0:
	arena_free(arena);
	return done;
}

int job_backing_digest(const struct conf *conf, const char *backing, char out[static JOB_DIGEST_SIZE], struct err *err)
{
	return digest(conf, NULL, backing, out, err);
}
