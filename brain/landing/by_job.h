/* Landings that a job on a master asks for: the request of such a call, and what its signed answer says. */
#ifndef BYOCI_LANDING_BY_JOB_H
#define BYOCI_LANDING_BY_JOB_H

#include "build/build.h"
#include "build/jenkins.h"
#include "forge/landed.h"

/* A master's name comes first in the request of a call that goes to it, so that both kinds can be told apart. */
#define BY_JOB_MASTER "master"

bool by_job_is(const char *request);

/* For the performer. */
extern const struct jenkins_kind by_job_kind;

/* Verifies the line, and that it is about this build; texts in the arena. */
int by_job_read(struct brain *brain, struct arena *arena, const char *line, const struct build_row *build, struct landed *landed,
	struct err *err);

#endif
