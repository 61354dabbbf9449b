/* What goes into a worker with a request: ends of pipes, and shells on them. */
#ifndef BYOCI_SLAVES_ENTRY_H
#define BYOCI_SLAVES_ENTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "slaves/worker/worker.h"

/* All of them are writing ends of pipes: what a test gets is a way out, and nothing that it could read, truncate or map. */
bool entry_writable(const int *descriptors, size_t count);

/* Those of WORKER_SHELL. ERR_INPUT: they are not a reading and two writing ends of pipes. */
int entry_check(const int *descriptors, struct err *err);

/* Begins WORKER_SHELL or WORKER_TERMINAL in a worker; *master: of the terminal, the caller's to close, else -1. */
int entry_begin(struct worker *worker, enum worker_operation operation, const int *descriptors, int *master, struct err *err);

#endif
