/*
 * Landing: exactly what was approved and tested is put on its target, or nothing, whoever asks. Trusts nobody: the test result is
 * verified, the approval is read from the forge, the merge is made again, the push has the old value as its condition, and what
 * the forge has afterwards is read back (promises 3 to 5).
 */
#ifndef BYOCI_SLAVES_LAND_H
#define BYOCI_SLAVES_LAND_H

#include "forge/outcome.h"
#include "forge/spec.h"
#include "slaves/common/program.h"
#include "slaves/common/steps.h"
#include "slaves/tree/tree.h"

struct land {
	enum outcome outcome;        /* success, landed, moved, refused, unreachable, infrastructure */
	const char *reason;          /* one line for people */
	const char *merge;           /* id of the tested merge; NULL: no result that can be believed */
	char target_tip[TREE_ID_SIZE]; /* "" when it was not read */
	int wait;                    /* unreachable: seconds that the forge asked to be left alone for; 0: it did not say */
	struct steps steps;
};

/* `line`: the signed result. Every end is in *land; texts are in program->arena. */
void land_run(const struct program *program, const struct spec *spec, const char *line, struct land *land);

#endif
