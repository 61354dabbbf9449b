/*
 * Where a master is, what we are there, and where our jobs are on it: options master.* of the namespace, or a [master/NAME].
 */
#ifndef BYOCI_MASTER_SITE_H
#define BYOCI_MASTER_SITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"

struct site {
	const char *name;   /* of its section; "" for the namespace's own */
	const char *url;    /* "http://host:8080/jenkins/": with a slash at its end */
	const char *user;   /* NULL: nobody */
	const char *secret; /* file; read when it is needed */
	const char *ca;     /* NULL: the system's */
	const char *folder; /* "A/B"; "" for the root */
	const char *prefix;
	int64_t limit_ms;   /* for one request */
	unsigned at_once;   /* requests */
};

/* `name` "" or NULL: the namespace's own. 1; 0: it has none (only the namespace's own); -1: ERR_CONFIG. Texts are in the arena. */
int site_load(const struct conf *conf, struct arena *arena, const char *name, struct site *site, struct err *err);

/*
 * The name of the master that a project's jobs run on, for site_load(); NULL: none. All jobs of a project run on one: the
 * first that names one decides.
 */
const char *site_of_project(const struct conf *conf, struct arena *arena, const char *project);

/* Names of the slaves that masters have: of the [slave/NAME], else option slave.name. NULL-ended; NULL: ERR_CONFIG. */
const char *const *site_slaves(const struct conf *conf, struct arena *arena, struct err *err);

/* Whether builds of masters may be on this machine's slave: it is a [slave/NAME], or there is none. */
bool site_has_us(const struct conf *conf, struct arena *arena);

/* PREFIX + project + "-" + kind: "testing-sample-gate". */
char *site_job(const struct site *site, struct arena *arena, const char *project, const char *kind);

/* The path of a job below the root: "job/A/job/B/job/NAME", each part escaped, without a slash at its end. */
char *site_job_path(const struct site *site, struct arena *arena, const char *job);

/* The path of our folder: "job/A/job/B/", or "". */
char *site_folder_path(const struct site *site, struct arena *arena);

/* As a part of a path, of a query or of a form. */
char *site_escape(struct arena *arena, const char *text);

#endif
