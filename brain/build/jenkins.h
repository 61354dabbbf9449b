/*
 * Builds and landings that a Jenkins or Hudson runs: performers (calls/calls.h) for both kinds, exactly once.
 *
 * The act's key is the nonce: the parameter BRAIN_BUILD of its job, by which it is found again. An act that begins for the first time
 * triggers: its intent is committed, and nobody did before. Whenever it may have been triggered (it is begun again; no answer; an answer
 * that does not say), the queue and the builds are looked through for the nonce, again and again for a while, before it is triggered
 * once more; what was seen started never is. Then the log is followed, and the answer is the signed line in it. A build that ended
 * without one is trouble of ours, as are a master that loses builds again and again and jobs that it does not have.
 */
#ifndef BYOCI_BUILD_JENKINS_H
#define BYOCI_BUILD_JENKINS_H

#include "calls/calls.h"

/* What is wanted of a master; texts in the arena. */
struct jenkins_wish {
	const char *master;  /* as of site_of_project() */
	const char *project;
	const char *spec;    /* parameters of the job */
	const char *result;  /* NULL: it has no such one */
};

/* `about` of the performers. */
struct jenkins_kind {
	const char *job;    /* "gate": its job is PREFIX + project + "-gate" */
	const char *begins; /* what the signed line begins with */
	bool logged;        /* its log is kept (build_log_path), and its asker told "began" */
	/* Reads an act. -1: it is none. */
	int (*wish)(struct arena *arena, const struct calls_act *act, struct jenkins_wish *wish, struct err *err);
};

extern const struct jenkins_kind jenkins_build;

/* The lane of a build that goes to that master; and whether a lane is one. */
char *jenkins_lane(struct arena *arena, const char *master, const char *build);
bool jenkins_is_lane(const char *lane);

void jenkins_begin(struct calls_act *act, const void *about);
void jenkins_cancel(struct calls_act *act);
void jenkins_drop(struct calls_act *act);

#endif
