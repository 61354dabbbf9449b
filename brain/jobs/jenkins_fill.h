/*
 * What the templates in jobs/ are filled with: one `project` of jenkins-job-builder for each [project/NAME] and slave that a master
 * runs for us, from the configuration. It is JSON, which is YAML too: no value can end where it does not. Pure.
 */
#ifndef BYOCI_JOBS_JENKINS_FILL_H
#define BYOCI_JOBS_JENKINS_FILL_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "master/site.h"

/* What a job, a view or a node of ours says of itself in its description; in the arena. */
const char *jenkins_fill_mark(const struct conf *conf, struct arena *arena);

/* How that begins, whatever version of us wrote it. */
const char *jenkins_fill_mark_begin(const struct conf *conf, struct arena *arena);

/* "byoci-NS-test" and "byoci-NS-land": what the nodes that test, and those that land, are known by. */
const char *jenkins_fill_label(const struct conf *conf, struct arena *arena, const char *kind);

/* The text as one word of a POSIX shell, quoted. */
char *jenkins_fill_quote(struct arena *arena, const char *text);

/* A new reference. For a [master/NAME] that no project's jobs run on: nothing. */
json_t *jenkins_fill(const struct conf *conf, struct arena *arena, const struct site *site, struct err *err);

#endif
