/*
 * Result v1: what a slave says about one build, and the line it signs it with (doc/INTERFACES.md). Pure but for the key.
 * Only result_read_line() makes a result from outside, and it verifies first.
 */
#ifndef BYOCI_FORGE_RESULT_H
#define BYOCI_FORGE_RESULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/crypto.h"
#include "base/err.h"
#include "forge/counts.h"
#include "forge/outcome.h"
#include "forge/timing.h"

#define RESULT_LINE_MAXIMUM (256 * 1024) /* bytes of a signed line */

#define RESULT_ARTEFACTS 100 /* that are listed; more are only counted */

/* What the tests left to be kept. */
struct result_artefacts {
	int64_t count, bytes; /* of all */
	struct result_artefact {
		const char *path; /* below the workspace */
		const char *sha256;
		int64_t size;
	} *list;
	size_t listed; /* the first of them; at most RESULT_ARTEFACTS */
};

struct result_job {
	const char *name;
	const char *digest;  /* see forge/job.h */
	const char *backing; /* digest of the backing; "" when it did not get that far */
	enum outcome outcome;
	int64_t exit;           /* of the tests; -1: did not get that far */
	int64_t started, ended; /* ms since 1970; 0: did not get that far */
	const struct counts *reports;             /* NULL: none were asked for */
	const struct result_artefacts *artefacts; /* NULL: likewise */
};

struct result {
	const char *build, *namespace, *project, *proposal, *target;
	int64_t attempt;
	const char *slave;
	const char *base, *source;
	const char *merge, *tree; /* "" when it did not get that far */
	enum outcome outcome;
	const char *reason;       /* one line for people; "" when there is nothing to say */
	struct result_job *jobs;
	size_t job_count;
	struct timing *steps;
	size_t step_count;
	int64_t time; /* ms since 1970 */
};

/* The payload, compact JSON in the arena; bytes that are not UTF-8 are replaced by '?'. */
char *result_payload(struct arena *arena, const struct result *result);

/* "byoci-result-1 PAYLOAD SIGNATURE" without newline, in the arena. NULL and err when it cannot be signed. */
char *result_sign_line(struct arena *arena, const struct result *result, const struct crypto_key *key, struct err *err);

/*
 * Verifies, then parses. A trailing newline is allowed. ERR_INPUT: not such a line or payload; ERR_REFUSED: the signature is not
 * the key's. Texts are in the arena; *result is set only on success.
 */
int result_read_line(struct arena *arena, const char *line, const struct crypto_key *key, struct result *result, struct err *err);

/*
 * Of a line that was verified before, as those are that are stored: its payload, a new reference; NULL: it is none. And what its jobs'
 * test reports are counted to; false: there are none.
 */
json_t *result_line_payload(struct arena *arena, const char *line);
bool result_line_counts(struct arena *arena, const char *line, struct counts *counts);

#endif
