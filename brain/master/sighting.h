/*
 * What a master's lists say of the one build that has our nonce among its parameters: BRAIN_BUILD. Pure. What is not of the form that
 * it must have is an error, never an absence: what seems to be absent is triggered again.
 */
#ifndef BYOCI_MASTER_SIGHTING_H
#define BYOCI_MASTER_SIGHTING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define SIGHTING_NONCE "BRAIN_BUILD"

/* Its fields, for ?tree= */
#define SIGHTING_ACTIONS "actions[parameters[name,value]]"
#define SIGHTING_ITEM "id,why,cancelled,executable[number]," SIGHTING_ACTIONS
#define SIGHTING_BUILD "number,building,result," SIGHTING_ACTIONS

/* The nonce of a queue's item or a build, borrowed; "" when it has none. -1: it does not say, as when a proxy has taken ?tree= away. */
int sighting_nonce(const json_t *thing, const char **nonce, struct err *err);

enum sighting_where { SIGHTING_NOWHERE, SIGHTING_QUEUED, SIGHTING_STARTED, SIGHTING_CANCELLED };

struct sighting_found {
	enum sighting_where where;
	int64_t id;      /* of a queued one */
	int64_t number;  /* of a started one */
	const char *why; /* a queued one still waits: the master's words, borrowed; NULL: none */
};

/* `queue`: {"items":[…]}. Each 0, -1. */
int sighting_queue(const json_t *queue, const char *nonce, struct sighting_found *found, struct err *err);
/* `item`: one by its id, also one that has left the queue. One with another nonce is nowhere: ids are used again. */
int sighting_item(const json_t *item, const char *nonce, struct sighting_found *found, struct err *err);

/* How a build ended. */
struct sighting_end {
	bool building;
	const char *result; /* "SUCCESS", "ABORTED" …, borrowed; "" when there is none */
};
int sighting_end(const json_t *build, struct sighting_end *end, struct err *err);

#endif
