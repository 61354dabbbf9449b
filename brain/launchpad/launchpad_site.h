/* A project on Launchpad as configured, and its merge proposals over the REST API. */
#ifndef BYOCI_LAUNCHPAD_LAUNCHPAD_SITE_H
#define BYOCI_LAUNCHPAD_LAUNCHPAD_SITE_H

#include "git/place.h"
#include "launchpad/launchpad_rest.h"

/* Texts belong to the configuration or the arena. */
struct launchpad_site {
	const struct conf *conf;
	struct arena *arena;
	struct place place;
	const char *name;                 /* the repository's unique name: "~o/p/+git/r" */
	const char *const *own;           /* our names there; may be NULL */
	const char *const *reviewers;     /* people and teams; may be NULL */
	struct launchpad_rest *rest;
};

/* ERR_USAGE: the project is not on Launchpad. launchpad_site_close() only after success. */
int launchpad_site_open(const struct conf *conf, const char *project, struct launchpad_site *site, struct err *err);
void launchpad_site_close(struct launchpad_site *site);

/* "12" or "~o/p/+git/r/+merge/12" in good form: ERR_USAGE. */
int launchpad_site_check(const char *what, struct err *err);

/*
 * The entry of one merge proposal, as a new reference: by its place, or by its number among all that are for this repository.
 * ERR_NOT_FOUND: there is none, or none any more; ERR_REFUSED: it is for another repository.
 */
json_t *launchpad_site_proposal(const struct launchpad_site *site, const char *what, struct err *err);

/* All that are open, for any branch of the repository: a new list. */
json_t *launchpad_site_open_ones(const struct launchpad_site *site, struct err *err);

/* The name of whom `link` leads to ("https://HOST/VERSION/~NAME"), a part of it; NULL: to nobody. */
const char *launchpad_site_person(const char *link);

bool launchpad_site_is_own(const struct launchpad_site *site, const char *name);

#endif
