/*
 * byoci jenkins: our jobs, views and nodes on the masters of a namespace. It works as the brain's user, who reads the masters' secrets:
 * root becomes that first.
 */
#ifndef BYOCI_JOBS_JENKINS_H
#define BYOCI_JOBS_JENKINS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "master/master.h"
#include "master/site.h"
#include "verb/verb.h"

struct jenkins {
	const struct verb_call *call; /* what stands behind the word: argc, argv, json */
	const struct conf *conf;
	struct arena *arena;
	const char *const *names;     /* of the masters, for site_load(): "" is the namespace's own; NULL-ended */
};

/* 0, or -1 with err; *status is the exit status where it is another. */
typedef int jenkins_fn(struct jenkins *jenkins, int *status, struct err *err);

jenkins_fn jenkins_sync;    /* jenkins_sync.c */
jenkins_fn jenkins_sync_remove; /* jenkins_sync.c */
jenkins_fn jenkins_ask_status;  /* jenkins_ask.c */
jenkins_fn jenkins_node_update; /* jenkins_node.c */
jenkins_fn jenkins_node_secret; /* jenkins_node.c */
jenkins_fn jenkins_ask_run; /* jenkins_ask.c */

/* The master of that name, asked once, so that its dialect is known; its site in *site. NULL with err. */
struct master *jenkins_masters_open(struct jenkins *jenkins, const char *name, struct site *site, struct err *err);

/* "Hudson 3.3.2", "Jenkins 2.440.1"; in the arena. */
const char *jenkins_masters_dialect(struct arena *arena, struct master *master);

/*
 * {masters: [{master, url, dialect ("jenkins", "hudson"), version, nodes: [{name, offline, taken, why, busy}], queue: [{id, job, why,
 * since}]}]}, or of a master {master, url, error}. `taken`: somebody took the node offline. Without `always`, one whose
 * secret the caller may not read is {master, url}. A new reference; never NULL.
 */
json_t *jenkins_ask_report(struct jenkins *jenkins, bool always);

/* That for who asks how the brain is: masters whose secret the caller may not read are named only. NULL: there is no master. */
json_t *jenkins_report_if_any(const struct verb_call *call);

/* For people: a line for each master and each of our nodes, and what waits. */
void jenkins_ask_print(const json_t *report);

/* The masters of the configuration; NULL-ended, in the arena. NULL: ERR_CONFIG. */
const char *const *jenkins_masters(const struct conf *conf, struct arena *arena, struct err *err);

#endif
