/* Every option, one row. The parser, `byoci config` and the manual are made from this table. */
#ifndef BYOCI_CONF_OPTION_H
#define BYOCI_CONF_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind { /* of section */
	OPTION_NAMESPACE,
	OPTION_PROJECT,
	OPTION_JOB,
	OPTION_BACKING,
	OPTION_ACCOUNT,
	OPTION_SLAVE,
	OPTION_MASTER
};

enum option_type {
	OPTION_TEXT,
	OPTION_NAME,      /* [a-z0-9][a-z0-9._-]{0,62} */
	OPTION_NAMES,     /* comma separated names */
	OPTION_LIST,      /* comma separated texts */
	OPTION_INTEGER,   /* minimum..maximum */
	OPTION_BOOLEAN,   /* yes, no */
	OPTION_DURATION,  /* 250ms, 30s, 10m, 2h, 1d; value in ms */
	OPTION_SIZE,      /* 64k, 512M, 2G; value in bytes (powers of 1024) */
	OPTION_PATH,      /* absolute */
	OPTION_ADDRESS,   /* HOST:PORT, numeric host or localhost */
	OPTION_URL,       /* http(s), ssh, git, file; no password in it */
	OPTION_PLACE,     /* a PATH or a URL */
	OPTION_REFS,      /* comma separated refs/heads/… or branch names; the value has them in full: refs/heads/main */
	OPTION_CHOICE     /* one of `choices` */
};

struct option {
	enum option_kind kind;
	const char *name;
	enum option_type type;
	int64_t minimum, maximum; /* of integers, durations and sizes; both 0: any */
	const char *choices;      /* "a|b|c" */
	const char *refers;       /* kind of the sections that the names are names of ("job"); NULL: of none */
	const char *fallback;     /* default, expanded like any value; NULL: none */
	bool mandatory;
	bool aside;               /* says how often or how many, not what is made: no part of a digest */
	const char *text;         /* one sentence for people */
};

extern const struct option option_table[];
extern const unsigned option_count;

/* The row, or NULL. */
const struct option *option_find(enum option_kind kind, const char *name);

/* What `kind`'s rows have that looks most like `name`; NULL when nothing does. */
const char *option_nearest(enum option_kind kind, const char *name);

/* "namespace", "project", … */
const char *option_kind_name(enum option_kind kind);

/* -1 when there is no such kind. "namespace" is none: its sections are named by the namespace alone. */
int option_kind_find(const char *name, size_t length, enum option_kind *kind);

/* Whether a namespace can't have that name, because an option's name begins with it ("git": git.user). */
bool option_reserves(const char *name, size_t length);

#endif
