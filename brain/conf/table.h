/* Inside conf/: the sections and what is written in them. */
#ifndef BYOCI_CONF_TABLE_H
#define BYOCI_CONF_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/strv.h"
#include "conf/option.h"

enum state { STATE_RAW, STATE_EXPANDING, STATE_DONE };

enum rank { RANK_UNSET, RANK_GENERAL, RANK_SPECIAL, RANK_OVERRIDE, RANK_OVERRIDE_SPECIAL };

/* One option in one section. `value` and `number` are made when first asked for. */
struct cell {
	enum rank rank;
	enum state state;
	const char *raw; /* as written; NULL: not */
	const char *place; /* "FILE:LINE", "-O" */
	const char *label; /* the section that it is written in */
	const char *value;
	int64_t number;
};

struct section {
	enum option_kind kind;
	const char *full; /* "project/sample"; "" for the namespace's own */
	const char *name; /* "sample" */
	struct cell *cells; /* one for each row of its kind */
};

struct conf {
	struct arena *arena;
	struct arena *scratch; /* while it is loaded */
	const char *namespace;
	struct section **sections; /* by `full`, once `sorted` */
	size_t count, room;
	bool sorted;
	struct strv files, namespaces; /* that were read; that were written of */
};

/* The rows of a kind: first <= row < end. */
const struct option *table_first_row(enum option_kind kind);
const struct option *table_end_row(enum option_kind kind);

struct cell *table_cell(const struct section *section, const struct option *row);

/* NULL when there is none. */
struct section *table_find(const struct conf *conf, const char *full);

/* By the sections' names, for good: none is added after it. */
void table_sort(struct conf *conf);

/* The one that there is, or a new one. */
struct section *table_add(struct conf *conf, enum option_kind kind, const char *full);

/* ERR_CONFIG "[job/unti]: there is no such section; the nearest is [job/unit]". Returns -1. */
int table_no_section(const struct conf *conf, const char *full, struct err *err);

#endif
