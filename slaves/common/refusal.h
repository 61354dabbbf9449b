/* What a daemon of the slave's says when it does not do what it was asked: {"error":TEXT,"kind":…} (doc/INTERFACES.md). */
#ifndef BYOCI_SLAVES_REFUSAL_H
#define BYOCI_SLAVES_REFUSAL_H

#include <jansson.h>

#include "base/err.h"

/* A new reference. What is wrong may quote what came from outside: its bytes are made harmless. */
json_t *refusal_json(const struct err *err);

#endif
