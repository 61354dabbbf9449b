/*
 * What the test reports of a job say, added up. Plain memory without pointers: it comes out of a process that may do nothing but read
 * and write (slaves/test/reports.h). Pure.
 */
#ifndef BYOCI_FORGE_COUNTS_H
#define BYOCI_FORGE_COUNTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define COUNTS_SLOWEST 10
#define COUNTS_NAME_SIZE 160
#define COUNTS_MAXIMUM INT64_C(1000000000000) /* of anything that is counted: more is taken as that many */

enum counts_end { COUNTS_PASSED, COUNTS_FAILED, COUNTS_SKIPPED };

struct counts { /* begins as zeros */
	int64_t run;     /* all that were reported, the failed and the skipped among them */
	int64_t failed;
	int64_t skipped;
	int64_t reports; /* that were read */
	int64_t broken;  /* of these, not to their end: counted is what comes before */
	struct counts_slow {
		int64_t ms;
		char name[COUNTS_NAME_SIZE]; /* the beginning of its name; ended by a NUL */
	} slowest[COUNTS_SLOWEST];       /* the slowest first */
	int64_t slow_count;
};

/* One test. `name` need not end with a NUL; `ms` < 0: not known how long it took. Allocates nothing. */
void counts_add(struct counts *counts, enum counts_end end, const char *name, size_t length, int64_t ms);

/* So many tests without a name. */
void counts_add_many(struct counts *counts, enum counts_end end, int64_t many);

void counts_join(struct counts *counts, const struct counts *more);

/* Whether every number and text is of its form: for bytes that came from elsewhere. */
bool counts_valid(const struct counts *counts);

/* A new reference; what counts_read takes. */
json_t *counts_json(const struct counts *counts);

/* ERR_INPUT; *counts is set only on success. */
int counts_read(const json_t *json, struct counts *counts, struct err *err);

/*
 * "412 tests, 3 failed, 5 skipped, slowest NAME (12.345 s)", in the arena. Names come from the tests: `names` false leaves them out, for
 * what is written to a forge, where a name could pretend to be a report's marker.
 */
char *counts_text(struct arena *arena, const struct counts *counts, bool names);

#endif
