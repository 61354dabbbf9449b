/* A node of a slave on a master, as the configuration wants it: what it is called, is known by, and is started with. Pure. */
#ifndef BYOCI_JOBS_JENKINS_LAUNCH_H
#define BYOCI_JOBS_JENKINS_LAUNCH_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "jobs/jenkins_xml.h"

struct jenkins_node {
	const char *name;        /* "local", "local-land" */
	const char *about;       /* its description, with our mark and the digest of all the rest */
	const char *work;        /* folder on the slave */
	const char *labels;      /* with blanks between them */
	const char *command;     /* that the master starts it with; NULL: it comes by itself (an inbound agent) */
	const char *launcher;    /* class */
};

/*
 * The two nodes of [slave/`slave`], for tests and for landings, one executor each. `inbound`: they connect to the master; else it comes
 * by ssh, with the host key that master.known.hosts pins. ERR_NOT_FOUND: no such section; ERR_CONFIG.
 */
int jenkins_launch_nodes(const struct conf *conf, struct arena *arena, const char *slave, bool inbound, struct jenkins_node nodes[static 2],
	struct err *err);

/* What the forms doCreateItem and configSubmit send as `json`; both dialects understand it. A new reference. */
json_t *jenkins_launch_form(const struct jenkins_node *node);

/*
 * Makes a node's config.xml of Jenkins as it is wanted; what it says besides stays. False: it was.
 */
bool jenkins_launch_mend(struct arena *arena, struct jenkins_xml *root, const struct jenkins_node *node);

#endif
