/*
 * Whether a build may have its project's secrets: when the commit that it merges is the one that was approved, by the forge's own record,
 * which is read here and now; where that takes a token (Launchpad), by the landing daemon, whose it is. What the brain asked for is not
 * believed: a build that came before an approval has none.
 */
#ifndef BYOCI_SLAVES_ENTITLED_H
#define BYOCI_SLAVES_ENTITLED_H

#include "forge/spec.h"
#include "slaves/common/program.h"

/*
 * 1: it may. 0: it may not, *why says it in one line, in program->arena; NULL: the project has no secrets. -1: the record could not be
 * read.
 */
int entitled(const struct program *program, const struct spec *spec, const char **why, struct err *err);

/* Whether that commit is approved, and who proposed it (NULL: nobody, for certain); texts as above. */
int entitled_author(const struct program *program, const struct spec *spec, const char **author, const char **why, struct err *err);

#endif
