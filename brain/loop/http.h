/*
 * The HTTP client: libcurl multi joined to the loop. The only file that includes curl.h is http.c.
 * Only http and https; redirects are not followed (credentials are in headers); no proxy and no .netrc from the environment;
 * certificates are always checked.
 */
#ifndef BYOCI_LOOP_HTTP_H
#define BYOCI_LOOP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "loop/loop.h"

struct http;      /* the connections of one loop */
struct http_call; /* one request under way */

/* All is copied by http_request(). */
struct http_request {
	const char *method;         /* NULL: GET, or POST when there is a body */
	const char *url;            /* http://… or https://…; no user and password in it */
	const char *const *headers; /* "Name: value", NULL-ended; NULL: none. Content-Type is yours to say. */
	const void *body;           /* NULL: none */
	size_t length;
	int64_t limit_ms;           /* for the whole; 0: 30 s */
	size_t maximum;             /* bytes of the reply's body, and of its headers; 0: 1 MiB. More is ERR_FULL. */
	const char *unix_socket;    /* connects here instead; NULL: by the URL */
	const int *to;              /* descriptor that the body of a 2xx goes to; NULL: it is kept */
	int64_t to_maximum;         /* bytes that go there; 0: any number. More is ERR_FULL. */
	const char *ca;             /* file of the certificates that count, PEM; NULL: the system's */
	bool fresh; /* on a connection of its own: on one that was used before, what gets no answer is sent a second time */
};

struct http_reply {
	unsigned status;     /* 200 … 599; any of them is a reply, not an error */
	const char *headers; /* "Name: value\n" for each, NUL-ended */
	const char *body;    /* NUL-ended */
	size_t length;
};

/*
 * `reply` is NULL when there is none, and then `err` says why (ERR_NETWORK, ERR_TIMEOUT, ERR_FULL, ERR_INPUT); both are
 * borrowed. Called once. err->number is ECONNREFUSED when nothing was sent, because nothing was connected.
 */
typedef void http_fn(void *cookie, const struct http_reply *reply, const struct err *err);

struct http *http_new(struct loop *loop, struct err *err);
/* Cancels every call. Not from a callback. NULL is allowed. */
void http_free(struct http *http);

/* Starts it; the callback comes from the loop, never from here. NULL: the request itself is wrong (ERR_USAGE). */
struct http_call *http_request(struct http *http, const struct http_request *request, http_fn *call, void *cookie,
	struct err *err);

/* No callback any more. NULL is allowed; not after the callback. */
void http_cancel(struct http_call *call);

/* The value of the first header of that name (any case), in the arena; NULL: absent. */
const char *http_header(const struct http_reply *reply, struct arena *arena, const char *name);

/* Blocking, for command-line tools: the same without a loop; what `reply` points to is in the arena. */
int http_once(const struct http_request *request, struct arena *arena, struct http_reply *reply, struct err *err);

#endif
