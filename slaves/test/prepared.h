/* What was done of a build before its worker is needed, as one JSON text: who prepares writes it, who tests reads it. */
#ifndef BYOCI_SLAVES_PREPARED_H
#define BYOCI_SLAVES_PREPARED_H

#include <stddef.h>

#include "slaves/common/ending.h"

/* Outcome, reason, merge, tree ("" each: none) and steps. 0, or -1 when it can't be written. */
int prepared_write(int fd, const struct ending *ending);

/* Reads that into *ending; texts are in the arena. OUTCOME_SUCCESS: exported, go on. ERR_INPUT. */
int prepared_read(struct arena *arena, const void *bytes, size_t length, struct ending *ending, struct err *err);

#endif
