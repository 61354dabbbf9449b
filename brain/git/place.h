/* Where a project of the plain git forge is, as configured. */
#ifndef BYOCI_GIT_PLACE_H
#define BYOCI_GIT_PLACE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"

/* Texts belong to the configuration or the arena. */
struct place {
	const char *name;            /* "sample" */
	const char *section;         /* "project/sample" */
	const char *repository;      /* its address */
	const char *read;            /* where it is read from: a path or an address */
	const char *identity;        /* what records are signed over, see forge_identity() */
	const char *account;         /* "git" */
	const char *allowed_signers; /* file */
	const char *const *targets;  /* gated branches, refs/heads/…; NULL-ended, at least one */
};

/* `name` NULL: the only one there is. ERR_NOT_FOUND: none of that name; ERR_USAGE: it must be named. */
int place_find(const struct conf *conf, struct arena *arena, const char *name, struct place *place, struct err *err);

/* The project of the repository git.root/PATH.git on this host. */
int place_of_path(const struct conf *conf, struct arena *arena, const char *path, struct place *place, struct err *err);

bool place_has_target(const struct place *place, const char *ref);

/* "main" or "refs/heads/main" → refs/heads/main, when it is one of the targets; NULL: the first. ERR_USAGE lists them. */
int place_target(const struct place *place, const char *name, const char **ref, struct err *err);

#endif
