/* The operations health and refresh of the slave socket (doc/INTERFACES.md): each is done by a process of its own, and then answered. */
#ifndef BYOCI_SLAVES_UPKEEP_H
#define BYOCI_SLAVES_UPKEEP_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "loop/loop.h"
#include "slaves/common/program.h"

struct upkeep;

/* `reply` is yours. Once, and not from upkeep_start(); the upkeep is gone then. */
typedef void upkeep_done_fn(void *cookie, json_t *reply);

struct upkeep_want {
	struct loop *loop;
	const struct program *program;
	const json_t *message; /* the request, "op" one of the two; borrowed */
	upkeep_done_fn *done;
	void *cookie;
};

/* NULL and err: ERR_INPUT, ERR_BUSY. */
struct upkeep *upkeep_start(const struct upkeep_want *want, struct err *err);

/* `done` is not called any more. NULL is allowed. */
void upkeep_free(struct upkeep *upkeep);

#endif
