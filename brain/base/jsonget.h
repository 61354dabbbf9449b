/*
 * Typed reads from jansson objects that came from outside. Each says by name
 * what is wrong; none keeps a reference: strings belong to the object (borrowed).
 */
#ifndef BYOCI_BASE_JSONGET_H
#define BYOCI_BASE_JSONGET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Parses one JSON text (duplicate keys refused, NUL inside strings refused). Before jansson sees it,
 * structural characters are counted: more than `maximum_nodes` of [ { , : is ERR_INPUT, as is nesting over 64.
 * Returns a new reference.
 */
json_t *jsonget_parse(const void *bytes, size_t length, size_t maximum_nodes, struct err *err);
/* The same for those who repeat keys: the last counts. */
json_t *jsonget_parse_last(const void *bytes, size_t length, size_t maximum_nodes, struct err *err);

/* -1 with ERR_INPUT "KEY: missing" / "KEY: must be …". *value is set only on success. */
int jsonget_string(const json_t *object, const char *key, const char **value, struct err *err);
int jsonget_integer(const json_t *object, const char *key, int64_t *value, struct err *err);
int jsonget_array(const json_t *object, const char *key, json_t **value, struct err *err);
int jsonget_object(const json_t *object, const char *key, json_t **value, struct err *err);

/* Absent, null or of another type: the default. */
const char *jsonget_string_or(const json_t *object, const char *key, const char *fallback);
int64_t jsonget_integer_or(const json_t *object, const char *key, int64_t fallback);
bool jsonget_boolean_or(const json_t *object, const char *key, bool fallback);

#endif
