/*
 * Whose turn it is to land by hand on a target: one connection to the landing daemon for each, as long as that is open. So only who may ask
 * to land can hold others up, whoever else is on this machine, and nothing is left of who was killed.
 */
#ifndef BYOCI_SLAVES_TURNS_H
#define BYOCI_SLAVES_TURNS_H

#include <jansson.h>
#include <sys/queue.h>

#include "slaves/common/program.h"

struct turn;
LIST_HEAD(turns, turn);

/* {"project","target"}, a ref. NULL: ERR_BUSY, somebody has it; ERR_REFUSED, ERR_INPUT: there is no such target. */
struct turn *turns_take(struct turns *turns, const struct program *program, const json_t *request, struct err *err);

/* NULL is allowed. */
void turns_end(struct turn *turn);

#endif
