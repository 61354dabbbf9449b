#include "conf/conf.h"

#include <stdlib.h>
#include <string.h>

#include "conf/expand.h"
#include "conf/load.h"
#include "conf/table.h"
#include "conf/value.h"

int conf_load(struct conf **conf, const struct conf_source *source, struct err *err)
{
	struct conf *loaded = calloc(1, sizeof *loaded);
	int rc;

	if (!loaded)
		err_fatal("out of memory");
	loaded->arena = arena_new();
	loaded->scratch = arena_new();
	rc = load_conf(loaded, source, err);
	arena_free(loaded->scratch);
	loaded->scratch = NULL;
	if (rc < 0) {
		conf_free(loaded);
		return -1;
	}
	*conf = loaded;
	return 0;
}

void conf_free(struct conf *conf)
{
	if (!conf)
		return;
	strv_release(&conf->files);
	strv_release(&conf->namespaces);
	arena_free(conf->arena);
	free(conf);
}

const char *conf_namespace(const struct conf *conf)
{
	return conf->namespace;
}

/* ---- values ---- */

/* An option that is being expanded, and the one that asked for it. */
struct link {
	const struct conf *conf;
	struct arena *scratch;
	const struct section *section;
	const struct option *row;
	struct cell *cell;
	const struct link *asked_by;
	bool placed; /* the error says already where it is */
};

static int resolve(struct link *link, struct err *err);

static const char *label_of(const struct link *link)
{
	if (link->cell->label)
		return link->cell->label;
	return link->section->kind == OPTION_NAMESPACE ? link->conf->namespace : link->section->full;
}

static int put_place(struct link *link, struct err *err)
{
	if (!link->placed)
		err_wrap(err, "%s: [%s] %s", link->cell->place ? link->cell->place : "default", label_of(link), link->row->name);
	link->placed = true;
	return -1;
}

static const char *files_of(const struct link *link)
{
	const char *names = "";

	for (size_t i = 0; i < link->conf->files.count; i++)
		names = arena_printf(link->scratch, "%s%s%s", names, *names ? ", " : "", link->conf->files.v[i]);
	return *names ? names : "no file at all";
}

static int not_set(struct link *link, struct err *err)
{
	link->placed = true;
	return err_set(err, ERR_CONFIG,
		"[%s] %s: is not set and has no default (%s); write `%s = …` into that section; read were: %s", label_of(link),
		link->row->name, link->row->text, link->row->name, files_of(link));
}

/* "a -> b -> a" */
static int goes_round(const struct link *link, const struct cell *again, const char *name, struct err *err)
{
	const char *chain = name;

	for (;; link = link->asked_by) {
		chain = arena_printf(link->scratch, "%s -> %s", link->row->name, chain);
		if (link->cell == again)
			return err_set(err, ERR_CONFIG, "goes round in a circle: %s; give one of them a value of its own", chain);
	}
}

static int unknown_name(const struct link *link, const char *name, struct err *err)
{
	const char *nearest = option_nearest(link->section->kind, name);

	if (!nearest)
		nearest = option_nearest(OPTION_NAMESPACE, name);
	if (nearest)
		return err_set(err, ERR_CONFIG, "{%s}: no such option; the nearest is {%s}", name, nearest);
	return err_set(err, ERR_CONFIG, "{%s}: no such option; a brace that is meant as itself is written \\{", name);
}

/* The rest of "byoci.X" and "NAMESPACE.X"; NULL when it is another namespace's. */
static const char *own_name(const struct link *link, const char *name)
{
	size_t length = strcspn(name, ".");

	if (name[length] != '.' || option_reserves(name, length))
		return name[length] == '.' && length == 5 && memcmp(name, "byoci", 5) == 0 ? name + length + 1 : name;
	if (strlen(link->conf->namespace) == length && memcmp(link->conf->namespace, name, length) == 0)
		return name + length + 1;
	return value_is_namespace(name, length) ? NULL : name;
}

static int look_up(void *cookie, const char *name, const char **value, struct err *err)
{
	struct link *link = cookie;
	struct link next = {.conf = link->conf, .scratch = link->scratch, .section = link->section, .asked_by = link};
	const char *own = own_name(link, name);

	if (strcmp(name, "byoci") == 0) {
		*value = link->conf->namespace;
		return 0;
	}
	if (!own)
		return err_set(err, ERR_CONFIG, "{%s}: is another namespace's; this is %s", name, link->conf->namespace);
	/* Where both have one of that name, {NAMESPACE.X} is the namespace's. */
	next.row = own != name && option_find(OPTION_NAMESPACE, own) ? NULL : option_find(link->section->kind, own);
	if (!next.row && link->section->kind != OPTION_NAMESPACE && strcmp(own, "name") == 0) {
		*value = link->section->name;
		return 0;
	}
	if (!next.row) {
		next.row = option_find(OPTION_NAMESPACE, own);
		next.section = table_find(link->conf, "");
	}
	if (!next.row)
		return unknown_name(link, name, err);
	next.cell = table_cell(next.section, next.row);
	if (next.cell->state == STATE_EXPANDING)
		return goes_round(link, next.cell, next.row->name, err);
	if (resolve(&next, err) < 0) {
		link->placed = next.placed;
		return -1;
	}
	if (!next.cell->value && next.row->mandatory) {
		link->placed = true;
		return not_set(&next, err);
	}
	if (!next.cell->value)
		return err_set(err, ERR_CONFIG, "{%s}: is not set; set it, or leave it out here", name);
	*value = next.cell->value;
	return 0;
}

static int expand_cell(struct link *link, const char *raw, struct err *err)
{
	const char *text = expand_text(link->scratch, raw, look_up, link, err);
	const char *right = "another value";
	int64_t number = 0;
	const char *value;

	if (!text)
		return -1;
	value = value_check(link->scratch, link->row, text, &number, &right);
	if (!value)
		return err_set(err, ERR_CONFIG, "\"%.200s\" is wrong; right is %s", text, right);
	link->cell->value = arena_strdup(link->conf->arena, value);
	link->cell->number = number;
	return 0;
}

/* An empty value is as none: the default holds. */
static int resolve(struct link *link, struct err *err)
{
	struct cell *cell = link->cell;
	const char *raw = cell->raw && *cell->raw ? cell->raw : link->row->fallback;
	int rc = 0;

	if (cell->state == STATE_DONE)
		return 0;
	if (raw) {
		cell->state = STATE_EXPANDING;
		rc = expand_cell(link, raw, err);
	}
	cell->state = rc == 0 ? STATE_DONE : STATE_RAW;
	return rc == 0 ? 0 : put_place(link, err);
}

/* The cell with its value made; NULL with the error. `must`: a mandatory option without a value is one. */
static const struct cell *value_of(
	const struct conf *conf, const struct section *section, const struct option *row, bool must, struct err *err)
{
	struct link link = {.conf = conf, .section = section, .row = row, .cell = table_cell(section, row)};
	bool unset;
	int rc;

	if (link.cell->state == STATE_DONE && (link.cell->value || !(must && row->mandatory)))
		return link.cell;
	link.scratch = arena_new();
	rc = resolve(&link, err);
	unset = rc == 0 && must && row->mandatory && !link.cell->value;
	if (unset)
		rc = not_set(&link, err);
	arena_free(link.scratch);
	return rc == 0 ? link.cell : NULL;
}

static enum option_kind kind_of(const char *section)
{
	enum option_kind kind = OPTION_NAMESPACE;

	if (section && option_kind_find(section, strcspn(section, "/"), &kind) < 0)
		err_fatal("conf: there is no kind of section like \"%.80s\"", section);
	return kind;
}

static const struct cell *get(const struct conf *conf, const char *section, const char *option, struct err *err)
{
	const struct option *row = option_find(kind_of(section), option);
	const struct section *found = table_find(conf, section ? section : "");

	if (!row)
		err_fatal("conf: there is no option %s of %s", option, section ? section : "a namespace");
	if (!found) {
		table_no_section(conf, section, err);
		return NULL;
	}
	return value_of(conf, found, row, true, err);
}

int conf_text(const struct conf *conf, const char *section, const char *option, const char **value, struct err *err)
{
	const struct cell *cell = get(conf, section, option, err);

	if (!cell)
		return -1;
	*value = cell->value;
	return 0;
}

int conf_integer(const struct conf *conf, const char *section, const char *option, int64_t *value, struct err *err)
{
	const struct cell *cell = get(conf, section, option, err);

	if (!cell)
		return -1;
	*value = cell->number;
	return 0;
}

int conf_boolean(const struct conf *conf, const char *section, const char *option, bool *value, struct err *err)
{
	const struct cell *cell = get(conf, section, option, err);

	if (!cell)
		return -1;
	*value = cell->number != 0;
	return 0;
}

int conf_list(const struct conf *conf, struct arena *arena, const char *section, const char *option, const char *const **values,
	struct err *err)
{
	const struct cell *cell = get(conf, section, option, err);

	if (!cell)
		return -1;
	*values = value_split(arena, cell->value);
	return 0;
}

const char *const *conf_sections(const struct conf *conf, struct arena *arena, const char *kind)
{
	const char **names = arena_alloc(arena, (conf->count + 1) * sizeof *names);
	enum option_kind wanted = kind_of(kind);
	size_t count = 0;

	for (size_t i = 0; i < conf->count; i++)
		if (conf->sections[i]->kind == wanted)
			names[count++] = arena_strdup(arena, conf->sections[i]->name);
	return names;
}

bool conf_has_section(const struct conf *conf, const char *section)
{
	return *section && table_find(conf, section) != NULL;
}

static int each(const struct conf *conf, const struct section *section, conf_each_fn *call, void *cookie, struct err *err)
{
	for (const struct option *row = table_first_row(section->kind); row < table_end_row(section->kind); row++) {
		const struct cell *cell = value_of(conf, section, row, false, err);
		struct conf_value value = {.section = section->full, .option = row->name};
		int rc;

		if (!cell)
			return -1;
		value.value = cell->value;
		value.place = cell->raw && *cell->raw ? cell->place : "default";
		rc = call(&value, cookie);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int conf_each(const struct conf *conf, const char *section, conf_each_fn *call, void *cookie, struct err *err)
{
	const struct section *found = table_find(conf, section ? section : "");

	return found ? each(conf, found, call, cookie, err) : table_no_section(conf, section, err);
}

/* Every name of a list that names sections has one. */
static int check_references(const struct conf *conf, const struct section *section, const struct option *row,
	const struct cell *cell, struct err *err)
{
	struct arena *arena = arena_new();
	struct link link = {.conf = conf, .section = section, .row = row, .cell = table_cell(section, row)};
	int rc = 0;

	for (const char *const *name = value_split(arena, cell->value); *name && rc == 0; name++) {
		const char *full = arena_printf(arena, "%s/%s", row->refers, *name);

		if (table_find(conf, full))
			continue;
		table_no_section(conf, full, err);
		rc = put_place(&link, err);
	}
	arena_free(arena);
	return rc;
}

static int check_section(const struct conf *conf, const struct section *section, struct err *err)
{
	for (const struct option *row = table_first_row(section->kind); row < table_end_row(section->kind); row++) {
		const struct cell *cell = value_of(conf, section, row, true, err);

		if (!cell || (row->refers && check_references(conf, section, row, cell, err) < 0))
			return -1;
	}
	return 0;
}

int conf_check(const struct conf *conf, struct err *err)
{
	for (size_t i = 0; i < conf->count; i++)
		if (check_section(conf, conf->sections[i], err) < 0)
			return -1;
	return 0;
}
