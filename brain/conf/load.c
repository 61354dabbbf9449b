#include "conf/load.h"

#include <string.h>

#include "conf/files.h"
#include "conf/ini.h"
#include "conf/nearest.h"
#include "conf/table.h"
#include "conf/value.h"

/* Where a value stands, for messages. */
struct origin {
	const char *place, *label;
	bool override;
};

static int unknown_kind(const char *place, const char *name, struct err *err)
{
	static const enum option_kind kinds[] = {OPTION_PROJECT, OPTION_JOB, OPTION_BACKING, OPTION_ACCOUNT, OPTION_SLAVE,
		OPTION_MASTER};
	size_t length = strcspn(name, "/");
	char kind[64] = "";
	struct nearest nearest;

	if (length < sizeof kind)
		memcpy(kind, name, length);
	nearest = nearest_to(kind);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		nearest_try(&nearest, option_kind_name(kinds[i]));
	if (nearest.best)
		return err_set(err, ERR_CONFIG, "%s: [%s]: no such kind of section; the nearest is [%s/%s]", place, name,
			nearest.best, name[length] ? name + length + 1 : "NAME");
	return err_set(err, ERR_CONFIG,
		"%s: [%s]: no such section; there are [byoci], [NAMESPACE], [project/NAME], [job/NAME], [backing/NAME], [account/NAME], "
		"[slave/NAME] and [master/NAME]",
		place, name);
}

/* Checks a section's name; its kind in *kind. */
static int read_section(const char *place, const char *name, enum option_kind *kind, struct err *err)
{
	size_t length = strcspn(name, "/");

	*kind = OPTION_NAMESPACE;
	if (strcmp(name, "byoci") == 0 || value_is_namespace(name, strlen(name)))
		return 0;
	if (option_kind_find(name, length, kind) < 0) {
		if (!name[length] && option_reserves(name, length))
			return err_set(err, ERR_CONFIG,
				"%s: [%s]: no namespace can have this name, because options begin with it", place, name);
		return unknown_kind(place, name, err);
	}
	if (!name[length])
		return err_set(err, ERR_CONFIG, "%s: [%s]: a section of this kind has a name: [%s/NAME]", place, name, name);
	if (!value_is_name(name + length + 1, strlen(name + length + 1)))
		return err_set(err, ERR_CONFIG,
			"%s: [%s]: not a good name; right are up to 63 of a-z 0-9 . _ -, the first a letter or digit", place,
			name);
	return 0;
}

/* Another kind of section that has such an option, or NULL. */
static const char *home_of(const char *option)
{
	for (unsigned i = 0; i < option_count; i++)
		if (strcmp(option_table[i].name, option) == 0)
			return option_table[i].kind == OPTION_NAMESPACE ? "NAMESPACE" : option_kind_name(option_table[i].kind);
	return NULL;
}

static int unknown_option(const struct origin *origin, enum option_kind kind, const char *option, struct err *err)
{
	const char *nearest = option_nearest(kind, option);
	const char *home = home_of(option);

	if (home)
		return err_set(err, ERR_CONFIG, "%s: [%s] %s: no such option here; it belongs into [%s%s]", origin->place,
			origin->label, option, home, strcmp(home, "NAMESPACE") == 0 ? "" : "/NAME");
	if (nearest)
		return err_set(err, ERR_CONFIG, "%s: [%s] %s: no such option; the nearest is %s", origin->place, origin->label,
			option, nearest);
	return err_set(
		err, ERR_CONFIG, "%s: [%s] %s: no such option; byoci config shows all", origin->place, origin->label, option);
}

/* The length of the "byoci" or NAMESPACE that an option's name begins with; 0 when it begins with none. */
static size_t prefix_of(const char *option)
{
	size_t length = strcspn(option, ".");

	if (option[length] != '.')
		return 0;
	return strncmp(option, "byoci.", 6) == 0 || value_is_namespace(option, length) ? length : 0;
}

static void note_namespace(struct conf *conf, const char *name, size_t length)
{
	for (size_t i = 0; i < conf->namespaces.count; i++)
		if (strlen(conf->namespaces.v[i]) == length && memcmp(conf->namespaces.v[i], name, length) == 0)
			return;
	strv_pushf(&conf->namespaces, "%.*s", (int)length, name);
}

/* For whom an option is written. */
enum scope { SCOPE_SECTION, SCOPE_EVERY, SCOPE_OWN, SCOPE_OTHER };

static enum scope scope_of(struct conf *conf, const char *name, size_t length)
{
	if (length == strlen("byoci") && memcmp(name, "byoci", length) == 0)
		return SCOPE_EVERY;
	note_namespace(conf, name, length);
	return strlen(conf->namespace) == length && memcmp(conf->namespace, name, length) == 0 ? SCOPE_OWN : SCOPE_OTHER;
}

/* The row of an option, as it is written in a section of `kind`; NULL after the error. */
static const struct option *read_option(const struct origin *origin, enum option_kind kind, const char *option, struct err *err)
{
	size_t length = prefix_of(option);
	const char *plain = length ? option + length + 1 : option;
	const struct option *row = option_find(kind, plain);

	if (row)
		return row;
	if (strncmp(option, "byoci.", 6) != 0 && option_nearest(kind, option)) /* sooner hook.listen than the namespace "hok" */
		plain = option;
	unknown_option(origin, kind, plain, err);
	return NULL;
}

static void put(struct conf *conf, struct cell *cell, const struct origin *origin, enum rank rank, const char *value)
{
	if (origin->override)
		rank = rank == RANK_SPECIAL ? RANK_OVERRIDE_SPECIAL : RANK_OVERRIDE;
	if (rank < cell->rank)
		return;
	*cell = (struct cell){
		.rank = rank,
		.raw = arena_strdup(conf->arena, value),
		.place = arena_strdup(conf->arena, origin->place),
		.label = arena_strdup(conf->arena, origin->label),
	};
}

/* `option` as it is written in a section of `kind`. */
static int assign(struct conf *conf, const struct origin *origin, enum option_kind kind, const char *option, const char *value,
	struct err *err)
{
	const struct option *row = read_option(origin, kind, option, err);
	size_t length = prefix_of(option);
	enum scope scope = SCOPE_SECTION;
	struct section *section;

	if (!row)
		return -1;
	if (length)
		scope = scope_of(conf, option, length);
	else if (kind == OPTION_NAMESPACE)
		scope = scope_of(conf, origin->label, strlen(origin->label));
	if (!length && scope == SCOPE_EVERY && !origin->override)
		return err_set(err, ERR_CONFIG,
			"%s: [byoci] %s: for whom? Write byoci.%s for every namespace, NAMESPACE.%s for one", origin->place,
			option, option, option);
	if (scope == SCOPE_OTHER)
		return 0;
	section = table_add(conf, kind, kind == OPTION_NAMESPACE ? "" : origin->label);
	put(conf, table_cell(section, row), origin, scope == SCOPE_OWN ? RANK_SPECIAL : RANK_GENERAL, value);
	return 0;
}

static int take_line(void *cookie, const struct ini_line *line, struct err *err)
{
	struct conf *conf = cookie;
	struct origin origin = {.place = arena_printf(conf->scratch, "%s:%u", line->file, line->line), .label = line->section};
	enum option_kind kind;

	if (read_section(origin.place, line->section, &kind, err) < 0)
		return -1;
	if (line->option)
		return assign(conf, &origin, kind, line->option, line->value, err);
	if (kind != OPTION_NAMESPACE)
		table_add(conf, kind, line->section);
	else if (strcmp(line->section, "byoci") != 0)
		note_namespace(conf, line->section, strlen(line->section));
	return 0;
}

static int take_file(void *cookie, const char *path, const char *text, size_t length, struct err *err)
{
	const struct ini_text whole = {.file = path, .text = text, .length = length};
	struct conf *conf = cookie;

	strv_push(&conf->files, path);
	return ini_parse(conf->scratch, &whole, take_line, conf, err);
}

/* "[SECTION:]OPTION=VALUE" */
static int take_override(struct conf *conf, const char *text, struct err *err)
{
	const char *equals = strchr(text, '=');
	const char *colon = equals ? memchr(text, ':', (size_t)(equals - text)) : NULL;
	const char *option = colon ? colon + 1 : text;
	struct origin origin = {.place = "-O", .label = conf->namespace, .override = true};
	enum option_kind kind = OPTION_NAMESPACE;

	if (!equals)
		return err_set(err, ERR_USAGE, "-O %s: has no =; right is -O OPTION=VALUE or -O SECTION:OPTION=VALUE", text);
	if (colon)
		origin.label = arena_memdup(conf->scratch, text, (size_t)(colon - text));
	if (colon && read_section("-O", origin.label, &kind, err) < 0)
		return -1;
	if (kind != OPTION_NAMESPACE && !table_find(conf, origin.label)) {
		table_no_section(conf, origin.label, err);
		return err_wrap(err, "-O");
	}
	return assign(conf, &origin, kind, arena_memdup(conf->scratch, option, (size_t)(equals - option)), equals + 1, err);
}

/* Whether a file is in the namespace's own folder. */
static bool has_files(const struct conf *conf)
{
	const char *folder = arena_printf(conf->scratch, "/etc/byoci/%s/", conf->namespace);

	for (size_t i = 0; i < conf->files.count; i++)
		if (strstr(conf->files.v[i], folder))
			return true;
	return false;
}

/* A mistyped namespace would have every default and nothing else. */
static int check_namespace(const struct conf *conf, struct err *err)
{
	struct nearest nearest = nearest_to(conf->namespace);

	for (size_t i = 0; i < conf->namespaces.count; i++) {
		if (strcmp(conf->namespaces.v[i], conf->namespace) == 0)
			return 0;
		nearest_try(&nearest, conf->namespaces.v[i]);
	}
	if (!conf->namespaces.count || has_files(conf))
		return 0;
	return err_set(err, ERR_USAGE, "there is no namespace %s in %s; %s %s", conf->namespace,
		conf->files.v[conf->files.count - 1], nearest.best ? "the nearest is" : "there is",
		nearest.best ? nearest.best : conf->namespaces.v[0]);
}

int load_conf(struct conf *conf, const struct conf_source *source, struct err *err)
{
	conf->namespace = files_namespace(conf->arena, source, err);
	if (!conf->namespace)
		return -1;
	table_add(conf, OPTION_NAMESPACE, "");
	table_add(conf, OPTION_ACCOUNT, "account/git");
	if (files_each(conf->scratch, source, conf->namespace, take_file, conf, err) < 0)
		return -1;
	for (const char *const *text = source->overrides; text && *text; text++)
		if (take_override(conf, *text, err) < 0)
			return -1;
	if (check_namespace(conf, err) < 0)
		return -1;
	table_sort(conf);
	return 0;
}
