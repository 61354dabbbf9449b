/*
 * What a spec must be for this host to act on it: its namespace, project, repository, target and job, all by the
 * root-owned configuration.
 */
#ifndef BYOCI_SLAVES_CHECK_H
#define BYOCI_SLAVES_CHECK_H

#include "forge/spec.h"
#include "slaves/common/program.h"

/* ERR_REFUSED, with what is different and what to do. */
int check_spec(const struct program *program, const struct spec *spec, struct err *err);

/* Whether that ref is a target of that project. ERR_REFUSED. */
int check_gated(const struct program *program, const char *project, const char *ref, struct err *err);

/*
 * Where a checked spec's source is fetched from. *url NULL: from where its target is. In program->arena. ERR_CONFIG: the project's own
 * address does not lead to its host.
 */
struct check_source {
	const char *url, *ref;
};
int check_source(const struct program *program, const struct spec *spec, struct check_source *source, struct err *err);

#endif
