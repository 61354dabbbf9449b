#include "forge/recipe.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/file.h"
#include "conf/option.h"
#include "forge/digest_text.h"

static const char *const source_names[RECIPE_SOURCES] = {
	[RECIPE_MMDEBSTRAP] = "mmdebstrap", [RECIPE_TARBALL] = "tarball", [RECIPE_BACKING] = "backing", [RECIPE_LXD] = "lxd"};

/* Options that only some sources take, or can't do without. Those with a default can't be told from unset ones. */
#define TAKEN_BY(source) (1U << (source))
static const struct {
	const char *option;
	unsigned taken, needed; /* TAKEN_BY each */
} uses[] = {
	{"mirror", TAKEN_BY(RECIPE_MMDEBSTRAP), 0},
	{"tarball", TAKEN_BY(RECIPE_TARBALL), TAKEN_BY(RECIPE_TARBALL)},
	{"sha256", TAKEN_BY(RECIPE_TARBALL), TAKEN_BY(RECIPE_TARBALL)},
	{"base", TAKEN_BY(RECIPE_BACKING), TAKEN_BY(RECIPE_BACKING)},
	{"lxd.image", TAKEN_BY(RECIPE_LXD), TAKEN_BY(RECIPE_LXD)},
	{"lxd.server", TAKEN_BY(RECIPE_LXD), 0},
	{"lxd.fingerprint", TAKEN_BY(RECIPE_LXD), 0},
};

const char *recipe_source_name(enum recipe_source source)
{
	return source_names[source];
}

static int check_uses(const struct recipe *recipe, const struct conf *conf, struct err *err)
{
	for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
		const char *value, *source = source_names[recipe->source];

		if (conf_text(conf, recipe->section, uses[i].option, &value, err) < 0)
			return -1;
		if (value && *value && !(uses[i].taken & TAKEN_BY(recipe->source)))
			return err_set(err, ERR_CONFIG, "[%s] %s: has no meaning with source = %s: take it out, or set another source",
				recipe->section, uses[i].option, source);
		if ((!value || !*value) && uses[i].needed & TAKEN_BY(recipe->source))
			return err_set(err, ERR_CONFIG, "[%s] %s: must be set where source = %s", recipe->section, uses[i].option, source);
	}
	return 0;
}

static int check_hex(const struct recipe *recipe, const char *option, const char *text, struct err *err)
{
	if (!text || (strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64))
		return 0;
	return err_set(err, ERR_CONFIG, "[%s] %s = %.80s: must be 64 digits of 0-9 a-f", recipe->section, option, text);
}

/* Follows the bases down: each is there, and none comes twice. */
static int check_bases(const struct recipe *recipe, const struct conf *conf, struct arena *arena, struct err *err)
{
	const char *chain = recipe->name, *base = recipe->base, *above = recipe->section;

	for (unsigned depth = 1; base && *base; depth++) {
		const char *section = arena_printf(arena, "backing/%s", base), *source;

		chain = arena_printf(arena, "%s → %s", chain, base);
		if (!conf_has_section(conf, section))
			return err_set(err, ERR_CONFIG, "[%s] base = %s: there is no section [%s]", above, base, section);
		if (strcmp(base, recipe->name) == 0 || depth > RECIPE_BASES_MAXIMUM)
			return err_set(err, ERR_CONFIG, "[%s] base: %s: %s", recipe->section, chain,
				depth > RECIPE_BASES_MAXIMUM ? "too many, or a circle" : "this goes in a circle");
		if (conf_text(conf, section, "source", &source, err) < 0 || conf_text(conf, section, "base", &base, err) < 0)
			return -1;
		if (strcmp(source, source_names[RECIPE_BACKING]) != 0)
			return 0;
		above = section;
	}
	return 0;
}

/* A path without "..", empty parts and control characters. */
static bool is_sound(const char *path)
{
	if (!*path || path[strlen(path) - 1] == '/')
		return false;
	while (path) {
		const char *part = path;
		size_t length = strcspn(part, "/");

		if (!length || (part[0] == '.' && (length == 1 || (length == 2 && part[1] == '.'))))
			return false;
		path = part[length] ? part + length + 1 : NULL;
	}
	return true;
}

static int read_file(struct recipe_file *file, const char *pair, const char *folder, struct arena *arena)
{
	char *source = arena_strdup(arena, pair), *colon = strchr(source, ':');

	if (!colon)
		return -1;
	*colon = '\0';
	if (!is_sound(source) || colon[1] != '/' || !is_sound(colon + 2))
		return -1;
	*file = (struct recipe_file){.source = arena_printf(arena, "%s/%s", folder, source), .target = colon + 1};
	return 0;
}

static int read_files(struct recipe *recipe, const struct conf *conf, struct arena *arena, struct err *err)
{
	const char *const *pairs;
	const char *folder;
	struct recipe_file *files = arena_alloc(arena, RECIPE_FILES_MAXIMUM * sizeof *files);

	if (conf_list(conf, arena, recipe->section, "files", &pairs, err) < 0 || conf_text(conf, NULL, "backing.files", &folder, err) < 0)
		return -1;
	for (; pairs && *pairs; pairs++) {
		if (recipe->file_count == RECIPE_FILES_MAXIMUM)
			return err_set(err, ERR_CONFIG, "[%s] files: more than %d", recipe->section, RECIPE_FILES_MAXIMUM);
		if (read_file(&files[recipe->file_count++], *pairs, folder, arena) < 0)
			return err_set(err, ERR_CONFIG, "[%s] files: %.200s: must be SOURCE:/DESTINATION, SOURCE a name below %s, without ..",
				recipe->section, *pairs, folder);
	}
	recipe->files = files;
	return 0;
}

static int read_texts(struct recipe *recipe, const struct conf *conf, struct arena *arena, struct err *err)
{
	const struct {
		const char *option;
		const char **value;
	} texts[] = {
		{"suite", &recipe->suite}, {"variant", &recipe->variant}, {"mirror", &recipe->mirror}, {"tarball", &recipe->tarball},
		{"sha256", &recipe->sha256}, {"base", &recipe->base}, {"lxd.image", &recipe->image}, {"lxd.server", &recipe->server},
		{"lxd.fingerprint", &recipe->fingerprint}, {"setup.command", &recipe->setup}, {"smoke.command", &recipe->smoke},
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (conf_text(conf, recipe->section, texts[i].option, texts[i].value, err) < 0)
			return -1;
		if (*texts[i].value && !**texts[i].value)
			*texts[i].value = NULL;
	}
	if (conf_list(conf, arena, recipe->section, "packages", &recipe->packages, err) < 0 ||
		conf_boolean(conf, recipe->section, "tarball.setuid", &recipe->setuid, err) < 0)
		return -1;
	return conf_integer(conf, recipe->section, "refresh", &recipe->refresh_ms, err);
}

int recipe_read(struct recipe *recipe, const struct conf *conf, struct arena *arena, const char *name, struct err *err)
{
	const char *source;

	*recipe = (struct recipe){.name = arena_strdup(arena, name), .section = arena_printf(arena, "backing/%s", name)};
	if (!conf_has_section(conf, recipe->section))
		return err_set(err, ERR_NOT_FOUND, "no section [%s] in the configuration", recipe->section);
	if (conf_text(conf, recipe->section, "source", &source, err) < 0)
		return -1;
	while (strcmp(source_names[recipe->source], source) != 0)
		recipe->source++; /* one of them: the option is a choice */
	if (read_texts(recipe, conf, arena, err) < 0 || check_uses(recipe, conf, err) < 0 || read_files(recipe, conf, arena, err) < 0 ||
		check_hex(recipe, "sha256", recipe->sha256, err) < 0 || check_hex(recipe, "lxd.fingerprint", recipe->fingerprint, err) < 0)
		return -1;
	return check_bases(recipe, conf, arena, err);
}

char *recipe_file_read(struct arena *arena, const struct recipe_file *file, size_t *length, unsigned *mode, struct err *err)
{
	char *bytes = file_read_owned(arena, file->source, geteuid(), RECIPE_FILE_MAXIMUM, length, err);
	struct stat st;

	if (bytes && stat(file->source, &st) < 0) {
		err_set_errno(err, errno, "%s: cannot be looked at", file->source);
		return NULL;
	}
	if (bytes)
		*mode = st.st_mode & S_IXUSR ? 0755 : 0644;
	return bytes;
}

static int add_option(const struct conf_value *value, void *cookie)
{
	const struct option *option = option_find(OPTION_BACKING, value->option);

	return option && option->aside ? 0 : digest_text_option(value, cookie);
}

static int add_files(const struct recipe *recipe, struct arena *arena, struct buf *text, struct err *err)
{
	for (size_t i = 0; i < recipe->file_count; i++) {
		char digest[CRYPTO_SHA256_HEX];
		unsigned mode = 0;
		size_t length = 0;
		const char *bytes = recipe_file_read(arena, &recipe->files[i], &length, &mode, err);

		if (!bytes)
			return err_wrap(err, "[%s] files", recipe->section);
		if (buf_printf(text, "file %s %o %s\n", recipe->files[i].target, mode, crypto_sha256(bytes, length, digest)) < 0)
			return err_set(err, ERR_FULL, "[%s]: too long", recipe->section);
	}
	return 0;
}

static int add_one(const struct conf *conf, const struct recipe *recipe, struct arena *arena, struct buf *text, struct err *err)
{
	if (buf_printf(text, "[%s]\n", recipe->section) < 0)
		return err_set(err, ERR_FULL, "[%s]: too long", recipe->section);
	if (conf_each(conf, recipe->section, add_option, text, err) < 0)
		return err->kind != ERR_NONE ? -1 : err_set(err, ERR_FULL, "[%s]: too long", recipe->section);
	return add_files(recipe, arena, text, err);
}

int recipe_text(const struct conf *conf, const char *name, struct buf *text, struct err *err)
{
	struct arena *arena = arena_new();
	struct recipe recipe;
	int rc;

	err_clear(err);
	do {
		rc = recipe_read(&recipe, conf, arena, name, err); /* it goes in no circle, then */
		if (rc == 0)
			rc = add_one(conf, &recipe, arena, text, err);
		name = recipe.base;
	} while (rc == 0 && name);
	arena_free(arena);
	return rc;
}
