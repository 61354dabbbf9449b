/* What git says of a merge proposal's commits: fetched into a clone of ours, for where the tips are, their dates and descent. */
#ifndef BYOCI_LAUNCHPAD_LAUNCHPAD_COMMITS_H
#define BYOCI_LAUNCHPAD_LAUNCHPAD_COMMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "git/repo.h"
#include "launchpad/launchpad_site.h"

struct launchpad_commits {
	const struct launchpad_site *site;
	struct repo *repo;
};

/* Of the caller's own: {state}/brain/trees/PROJECT.git or {state}/land/reads/PROJECT.git, else a temporary one. */
int launchpad_commits_open(struct launchpad_commits *commits, const struct launchpad_site *site, struct err *err);
void launchpad_commits_close(struct launchpad_commits *commits);

/* One end of a proposal. */
struct launchpad_commit {
	const char *link, *ref; /* of the API: its repository, and the ref in it */
	const char *as;         /* "source": one for each in the clone */
	const char *id;         /* set: the commit, in the site's arena; NULL: there is no such ref */
};
int launchpad_commits_fetch(const struct launchpad_commits *commits, struct launchpad_commit *commit, struct err *err);

/* Seconds, and texts in the site's arena. */
struct launchpad_commit_words {
	int64_t time;
	const char *name, *mail;
};
int launchpad_commits_words(
	const struct launchpad_commits *commits, const char *id, struct launchpad_commit_words *words, struct err *err);

int launchpad_commits_descends(
	const struct launchpad_commits *commits, const char *ancestor, const char *descendant, bool *descends, struct err *err);

/* Where refs are now, nothing fetched: "ID\tREF" lines in the site's arena. `link` NULL: the project's own repository. */
const char *launchpad_commits_list(
	const struct launchpad_commits *commits, const char *link, const char *const *refs, struct err *err);

#endif
