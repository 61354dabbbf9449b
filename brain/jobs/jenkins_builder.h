/*
 * jenkins-job-builder as a child: makes XML of the templates, and puts jobs onto a master. Everything of a run is in one folder of its
 * own; the master's user and secret reach it by a file there of mode 0600.
 */
#ifndef BYOCI_JOBS_JENKINS_BUILDER_H
#define BYOCI_JOBS_JENKINS_BUILDER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "jobs/jenkins_xml.h"
#include "master/site.h"

struct jenkins_builder {
	const struct conf *conf;
	const struct site *site;
	const char *folder; /* of this run: there, empty, nobody else's */
};

/* What is wanted: one job or view. Texts are in the arena. */
struct jenkins_item {
	const char *name; /* with the prefix, without our folder */
	bool view;
	const char *xml;  /* as the builder wrote it */
	const char *form; /* jenkins_xml_form() of it */
	const struct jenkins_xml *root;
};

struct jenkins_items {
	struct jenkins_item *v; /* by name, views behind jobs */
	size_t count;
};

/* ERR_CONFIG: the builder does not take the templates, or makes something without our prefix. */
int jenkins_builder_render(const struct jenkins_builder *builder, struct arena *arena, const json_t *values,
	struct jenkins_items *items, struct err *err);

/* Makes or changes these jobs (names, NULL-ended) on the master; render() was before. */
int jenkins_builder_apply(const struct jenkins_builder *builder, struct arena *arena, const char *const *names, struct err *err);

#endif
