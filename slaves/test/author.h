/*
 * Who proposed what a kept worker has tested, and so may be let into a copy of it: options author.shell and author.limit of its project. It
 * is written down beside the build when the worker is kept, if the commit that was tested is the approved one by the forge's record.
 */
#ifndef BYOCI_SLAVES_AUTHOR_H
#define BYOCI_SLAVES_AUTHOR_H

#include <stdint.h>

#include "forge/spec.h"
#include "slaves/common/program.h"

struct author {
	const char *build, *project, *proposal;
	const char *who;  /* on the forge */
	int64_t limit_ms; /* a copy lives no longer */
};

/* Writes it down. A line for the build's log, in program->arena; NULL without err: the project lets nobody in. */
const char *author_note(const struct program *program, const struct spec *spec, struct err *err);

/* Of a build; 0: nobody is to be let in (any more). Texts are in program->arena. */
int author_read(const struct program *program, const char *build, struct author *author, struct err *err);

/*
 * Their ssh keys as the forge published them when it was asked, at most AUTHOR_AGE_MS ago: "TYPE BASE64" each, NULL-ended, in
 * program->arena. When it did not answer there are none. NULL: it must be asked.
 */
#define AUTHOR_AGE_MS (60 * 1000)
const char *const *author_known(const struct program *program, const struct author *author);

/*
 * Asks it, unless somebody else does, who is waited for: nobody else's keys are waited for. Takes AUTHOR_FETCH_MS at most.
 * Who was not asked for in a day is forgotten.
 */
#define AUTHOR_FETCH_MS 8000
int author_fetch(const struct program *program, const struct author *author, struct err *err);

#endif
