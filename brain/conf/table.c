#include "conf/table.h"

#include <stdlib.h>
#include <string.h>

#include "conf/nearest.h"

const struct option *table_first_row(enum option_kind kind)
{
	const struct option *row = option_table;

	while (row < option_table + option_count && row->kind != kind)
		row++;
	return row;
}

const struct option *table_end_row(enum option_kind kind)
{
	const struct option *row = table_first_row(kind);

	while (row < option_table + option_count && row->kind == kind)
		row++;
	return row;
}

struct cell *table_cell(const struct section *section, const struct option *row)
{
	return &section->cells[row - table_first_row(section->kind)];
}

static int compare_sections(const void *one, const void *other)
{
	const struct section *const *a = one, *const *b = other;

	return strcmp((*a)->full, (*b)->full);
}

void table_sort(struct conf *conf)
{
	qsort(conf->sections, conf->count, sizeof *conf->sections, compare_sections);
	conf->sorted = true;
}

static int compare_name(const void *name, const void *section)
{
	const struct section *const *found = section;

	return strcmp(name, (*found)->full);
}

struct section *table_find(const struct conf *conf, const char *full)
{
	struct section **found;

	if (conf->sorted) {
		found = bsearch(full, conf->sections, conf->count, sizeof *conf->sections, compare_name);
		return found ? *found : NULL;
	}
	for (size_t i = 0; i < conf->count; i++)
		if (strcmp(conf->sections[i]->full, full) == 0)
			return conf->sections[i];
	return NULL;
}

struct section *table_add(struct conf *conf, enum option_kind kind, const char *full)
{
	struct section *section = table_find(conf, full);
	const char *slash = strchr(full, '/');

	if (section)
		return section;
	if (conf->count == conf->room) {
		struct section **more = arena_alloc(conf->arena, (conf->room * 2 + 16) * sizeof *more);

		if (conf->count)
			memcpy(more, conf->sections, conf->count * sizeof *more);
		conf->sections = more;
		conf->room = conf->room * 2 + 16;
	}
	section = arena_alloc(conf->arena, sizeof *section);
	section->kind = kind;
	section->full = arena_strdup(conf->arena, full);
	section->name = arena_strdup(conf->arena, slash ? slash + 1 : full);
	section->cells = arena_alloc(conf->arena, (size_t)(table_end_row(kind) - table_first_row(kind)) * sizeof *section->cells);
	return conf->sections[conf->count++] = section;
}

static const char *nearest_section(const struct conf *conf, const char *full)
{
	struct nearest nearest = nearest_to(full);

	for (size_t i = 0; i < conf->count; i++)
		nearest_try(&nearest, conf->sections[i]->full);
	return nearest.best;
}

int table_no_section(const struct conf *conf, const char *full, struct err *err)
{
	const char *nearest = nearest_section(conf, full);

	if (nearest)
		return err_set(err, ERR_CONFIG, "[%s]: there is no such section; the nearest is [%s]", full, nearest);
	return err_set(err, ERR_CONFIG, "[%s]: there is no such section; write one into %s", full,
		conf->files.count ? conf->files.v[0] : "byov.conf");
}
