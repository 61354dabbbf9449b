/* The operations artefact and artefacts of the slave socket: open files for who may ask the slave and can't see its folder. */
#ifndef BYOCI_SLAVES_HANDOUT_H
#define BYOCI_SLAVES_HANDOUT_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "loop/lines.h"
#include "slaves/common/program.h"

#define HANDOUT_PAGE 100

struct handout {
	const struct program *program;
	struct arena *arena;
	struct lines *lines;
};

/*
 * Sends {"ok":true} with the file of {"build":ID,"number":N}; with "named":true also its "path" and "size". ERR_INPUT, ERR_NOT_FOUND:
 * nothing was sent.
 */
int handout_artefact(const struct handout *handout, const json_t *message, struct err *err);

/* The answer to {"build":ID,"first":N}: HANDOUT_PAGE of them from that on (artefacts_page()). NULL and err. */
json_t *handout_list(const struct handout *handout, const json_t *message, struct err *err);

#endif
