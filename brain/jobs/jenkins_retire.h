/*
 * Nodes of our slaves that nobody wants any more: those that the list of the last run knows and that still say that they are ours are
 * deleted, when nothing runs on them. One on which a build runs is taken offline, so that no other comes, and is left for the next run.
 */
#ifndef BYOCI_JOBS_JENKINS_RETIRE_H
#define BYOCI_JOBS_JENKINS_RETIRE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "jobs/jenkins_list.h"
#include "master/master.h"

struct jenkins_retiree {
	const char *name;
	enum jenkins_act act; /* KEEP: it is wanted; DELETE; LEAVE: it is not ours; FORGET: it is not there */
};

struct jenkins_retire {
	struct master *master;
	struct jenkins_list *list;
	const char *mark;
	bool all;              /* none is wanted, neither those of the configuration nor busy ones */
	bool dry;
	struct jenkins_retiree *v;
	size_t count;
	struct arena *arena;
};

/* Asks the master for each. `used`: the master's nodes of the configuration's slaves are wanted, unless `all` go. */
int jenkins_retire_look(struct jenkins_retire *retire, const struct conf *conf, struct arena *arena, bool used, struct err *err);

/* How many are to be deleted. */
size_t jenkins_retire_count(const struct jenkins_retire *retire);

/* What will be done: {act: "delete" or "leave", kind: "node", name} in `told`; NULL: text. */
void jenkins_retire_tell(const struct jenkins_retire *retire, json_t *told);

/* Does it, and saves the list. `aloud`: a line for each. */
int jenkins_retire_do(struct jenkins_retire *retire, bool aloud, struct err *err);

#endif
