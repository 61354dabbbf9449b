/* What `byoci jenkins sync` will do on one master, and how it is shown. */
#ifndef BYOCI_JOBS_JENKINS_PLAN_H
#define BYOCI_JOBS_JENKINS_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "jobs/jenkins_builder.h"
#include "jobs/jenkins_list.h"
#include "jobs/jenkins_view.h"
#include "master/master.h"

struct jenkins_step {
	enum jenkins_act act;
	const char *name;
	bool view;
	const struct jenkins_item *item; /* NULL: not wanted */
	struct jenkins_sight sight;
	const char *shown;               /* the master's, for people; NULL: it is not there */
};

struct jenkins_plan {
	struct jenkins_step *v;
	size_t count;
};

/* `mark`: how the description of what is ours begins to say so. */
struct jenkins_planning {
	struct master *master;
	const struct jenkins_items *items;
	const struct jenkins_list *list;
	const char *mark;
};

/* Asks the master for each of them. */
int jenkins_plan_make(const struct jenkins_planning *planning, struct arena *arena, struct jenkins_plan *plan, struct err *err);

size_t jenkins_plan_count(const struct jenkins_plan *plan, enum jenkins_act act);

/* "create", "change", …; NULL for what is not worth a word. */
const char *jenkins_plan_word(enum jenkins_act act);

/* A unified diff of the master's against the wanted one, without secrets; `folder` is for its files. */
char *jenkins_plan_diff(struct arena *arena, const struct jenkins_step *step, const char *folder, struct err *err);

#endif
