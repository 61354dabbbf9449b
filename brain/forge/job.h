/* The digest of a job as configured here: brain and slave compute it alike, so that a difference between them shows. */
#ifndef BYOCI_FORGE_JOB_H
#define BYOCI_FORGE_JOB_H

#include "base/err.h"
#include "conf/conf.h"

#define JOB_DIGEST_SIZE 65 /* 64 hex digits and a NUL */

/*
 * SHA-256 over every option of [job/JOB] and over what its backing is made from (recipe.h): "[SECTION]\n", then "OPTION=VALUE\n" in
 * conf_each order, nothing for unset ones and those that are `aside`; backslash and newline in values are written \\ and \n.
 * ERR_NOT_FOUND: no such job, or its backing has no section; what else is wrong with the backing: recipe.h.
 */
int job_digest(const struct conf *conf, const char *job, char out[static JOB_DIGEST_SIZE], struct err *err);

/* The backing's part of it alone: which image a test ran in. The same for each generation that a refresh makes of it. */
int job_backing_digest(const struct conf *conf, const char *backing, char out[static JOB_DIGEST_SIZE], struct err *err);

#endif
