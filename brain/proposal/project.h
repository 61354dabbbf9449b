/* What the configuration says of a project, as the stages ask it. */
#ifndef BYOCI_PROPOSAL_PROJECT_H
#define BYOCI_PROPOSAL_PROJECT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "forge/approve.h"
#include "forge/dialect.h"

/* The project of that repository and account; NULL: none is configured. In the arena. `by_name`: as dialect.h says. */
const char *project_find(const struct conf *conf, struct arena *arena, const char *account, const char *repository, bool by_name);
bool project_exists(const struct conf *conf, struct arena *arena, const char *project);

/* The row of its account's dialect; NULL and err when the project is not configured any more. */
const struct dialect *project_dialect(const struct conf *conf, struct arena *arena, const char *project, struct err *err);

/* Whether `target` (a full ref) is one of its gated branches. */
bool project_gates(const struct conf *conf, struct arena *arena, const char *project, const char *target);

/* `now` is in seconds. */
int project_criteria(const struct conf *conf, struct arena *arena, const char *project, int64_t now,
	struct approve_criteria *criteria, struct err *err);

#endif
