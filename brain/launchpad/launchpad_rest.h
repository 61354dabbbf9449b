/*
 * Launchpad's REST API as byoci asks it: entries, collections page by page, named operations. Blocking.
 * Sources: Launchpad manual, "Web service" and "Signing web service requests"; lazr.restful _resource.py, marshallers.py.
 */
#ifndef BYOCI_LAUNCHPAD_LAUNCHPAD_REST_H
#define BYOCI_LAUNCHPAD_LAUNCHPAD_REST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"

#define LAUNCHPAD_REST_ROOT "https://api.launchpad.net/devel"
#define LAUNCHPAD_REST_ENTRIES 20000 /* of one collection that are taken */

struct launchpad_rest;

/*
 * For [account/ACCOUNT]: its api.url, and the token that the caller may read: {secrets}/brain/launchpad-ACCOUNT or
 * {secrets}/land/launchpad-ACCOUNT, a line of three words: consumer key, token, secret. Without one, what anybody may read.
 */
struct launchpad_rest *launchpad_rest_new(const struct conf *conf, const char *account, struct err *err);
void launchpad_rest_free(struct launchpad_rest *rest); /* NULL is allowed */

/*
 * Entries that were read earlier by our own user are only asked for when they changed (ETag; {state}/brain/launchpad-ACCOUNT or
 * {state}/land/launchpad-ACCOUNT). After this call they are read anew, for who takes nobody's word.
 */
void launchpad_rest_anew(struct launchpad_rest *rest);

/*
 * `link` is an address that the API gave, or what stands behind the API's root. A new reference to an object. What is passing (no
 * connection, 429, 5xx) is tried again for a second or two before it is told; where Retry-After asks for longer, err->wait has the
 * seconds, and nobody of our user asks anything before they are over.
 * ERR_NETWORK: out of reach, too busy, or a page of somebody between us; ERR_NOT_FOUND; ERR_MOVED: 409, 412; ERR_REFUSED: 403;
 * ERR_SYSTEM: the token is not taken (401), and others; ERR_INPUT: an answer that is none.
 */
json_t *launchpad_rest_get(const struct launchpad_rest *rest, const char *link, struct err *err);

/* All entries of a collection, as a new list. Over LAUNCHPAD_REST_ENTRIES of them: ERR_FULL. */
json_t *launchpad_rest_all(const struct launchpad_rest *rest, const char *link, struct err *err);

/* One parameter of a named operation. Texts are quoted as JSON, choices are not. */
struct launchpad_rest_value {
	const char *name, *value; /* a NULL name ends the list; a NULL value is left out */
	bool choice;
};
/* Once: whether it was done, when that is not sure, is seen by reading back. */
int launchpad_rest_call(const struct launchpad_rest *rest, const char *link, const char *operation,
	const struct launchpad_rest_value *values, struct err *err);

/* "NAME=VALUE&…" for the query of a link, in the arena. */
char *launchpad_rest_form(struct arena *arena, const char *operation, const struct launchpad_rest_value *values);

#endif
