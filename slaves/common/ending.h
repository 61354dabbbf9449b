/* How a build ended, put on disk: the signed result that everything after it is decided on. */
#ifndef BYOCI_SLAVES_ENDING_H
#define BYOCI_SLAVES_ENDING_H

#include "forge/outcome.h"
#include "forge/spec.h"
#include "slaves/common/program.h"
#include "slaves/common/steps.h"

struct ending {
	enum outcome outcome;
	const char *reason;        /* one line for people; NULL: none */
	const char *merge, *tree;  /* NULL: did not get that far */
	const char *backing;       /* digest; NULL: did not get that far */
	bool ran;                  /* the tests did: `exit` and the times hold */
	int64_t exit;
	int64_t started, ended;    /* of the tests, ms since 1970 */
	const struct counts *reports;             /* NULL: none were asked for, or it did not get that far */
	const struct result_artefacts *artefacts; /* NULL: likewise */
	struct steps steps;
};

/* Signs it with the slave's key and writes it to `path`, whole or not at all. */
int ending_write(const struct program *program, const struct spec *spec, const struct ending *ending, const char *path, struct err *err);

/* The slave's private key; NULL and err when there is none to sign with. */
struct crypto_key *ending_key(const struct program *program, struct err *err);

/* The outcome in a signed line of our own slave's; its signature is not looked at. ERR_INPUT. */
int ending_outcome(const char *line, enum outcome *outcome, struct err *err);

/* The merge's id in it, in the arena; NULL: it has none. */
const char *ending_merge(struct arena *arena, const char *line);

/* Its reason, in the arena; "" when it has none. */
const char *ending_reason(struct arena *arena, const char *line);

/* What an error means for the build or landing that it ended. */
enum outcome ending_of_error(const struct err *err);

#endif
