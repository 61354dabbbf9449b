/*
 * Jobs and views of a master by its REST API: what is there, and views made as each dialect wants it, Jenkins by XML and Hudson by its
 * form. Jobs are made by the builder (ctl/jenkins_builder.h).
 */
#ifndef BYOCI_JOBS_JENKINS_VIEW_H
#define BYOCI_JOBS_JENKINS_VIEW_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "jobs/jenkins_builder.h"
#include "jobs/jenkins_list.h"
#include "master/master.h"

/*
 * The master's job or view of that name: `sight` with its form, and, when `shown` is not NULL, the form for people. Hudson tells
 * no more of a view than its description. `mark`: how the description of what is ours begins to say so. Texts are in the arena.
 */
struct jenkins_look {
	const char *name;
	bool view;
	const char *mark;
};
int jenkins_view_look(struct master *master, struct arena *arena, const struct jenkins_look *look, struct jenkins_sight *sight,
	const char **shown, struct err *err);

/* Makes it, or makes it as it is wanted. */
int jenkins_view_put(struct master *master, struct arena *arena, const struct jenkins_item *view, bool there, struct err *err);

/* A job or a view. One that is not there is no error. */
int jenkins_view_delete(struct master *master, struct arena *arena, const char *name, bool view, struct err *err);

#endif
