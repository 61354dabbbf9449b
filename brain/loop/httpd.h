/*
 * The HTTP server: libmicrohttpd in external epoll mode on the loop, one struct httpd for each listening address.
 * microhttpd.h is included in httpd_inner.h only. HTTP semantics: RFC 9110, RFC 9112.
 *
 * A request's life: begin → body … → end → (waits for httpd_answer) → gone. Every request that began gets
 * exactly one `gone`, whatever happens to it; its pointer is good until then and never after.
 * Done here, before the handler is asked: a body without Content-Length (or a POST, PUT, PATCH without it) is 411, one
 * over `body_maximum` 413 (it is not read), too many unverified bytes 503, a request that is not complete and answered
 * in `deadline_ms` 408 or 503.
 */
#ifndef BYOCI_LOOP_HTTPD_H
#define BYOCI_LOOP_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "loop/loop.h"

struct httpd;
struct httpd_request;

#define HTTPD_SPOOL_FROM (64 * 1024) /* bytes; a body over this goes to an unlinked temporary file */

struct httpd_config {
	const char *listen;         /* "127.0.0.1:8810", "[::1]:8810"; port 0: any free one, see httpd_daemon_port() */
	const char *option;         /* the option that holds it, named when the address can't be had: "hook.listen" */
	size_t body_maximum;        /* bytes of one body; 0: a request with a body is 413 */
	size_t unverified_maximum;  /* bytes of all bodies of this listener that httpd_verified() was not called for; 0: no cap */
	size_t uncounted_maximum;   /* a body of at most so many bytes is taken whatever that cap says: it stays in memory */
	int64_t deadline_ms;        /* from the connection (or the answer before) to the answer; 0: 30 s */
	/*
	 * At once; 0: 1000. From 7/8 on, the one that is silent longest ends as at its deadline. At most half of them are files and
	 * streams that are being sent: of more, the one that is silent longest ends.
	 */
	unsigned connections;
	unsigned connections_each;  /* at once from one address, more are closed; 0: no limit (behind a proxy all come from one) */
};

/* Any of them may be NULL. `cookie` is the one of httpd_daemon_new(). None may call httpd_daemon_free(). */
struct httpd_handler {
	/* Method, path and headers are there, the body is not. Answering here means that the body is never read. */
	void (*begin)(void *cookie, struct httpd_request *request);
	/* A piece of the body, in order. It is collected too: see httpd_body(). */
	void (*body)(void *cookie, struct httpd_request *request, const void *bytes, size_t length);
	/* The whole body is there. Answer now or later. NULL: 404. */
	void (*end)(void *cookie, struct httpd_request *request);
	/* Answered and sent, or the other side went away, or too late: the last call, also without `end`. */
	void (*gone)(void *cookie, struct httpd_request *request);
};

/*
 * Listens at once (a listener handed over in LISTEN_FDS with that address is used as it is). NULL: ERR_BUSY when the
 * address is taken, ERR_CONFIG when it is not an address; both name the option. `handler` stays the caller's and must
 * live as long; the texts of `config` are copied or not needed any more.
 */
struct httpd *httpd_daemon_new(struct loop *loop, const struct httpd_config *config, const struct httpd_handler *handler, void *cookie,
	struct err *err);

/* Answers what is open with 503, calls their `gone`, closes. NULL is allowed. */
void httpd_daemon_free(struct httpd *httpd);

/* The port that it listens on. */
unsigned httpd_daemon_port(const struct httpd *httpd);

/* Borrowed until `gone`. The path is without the query and decoded (%XX); it can't hold a NUL. */
const char *httpd_method(const struct httpd_request *request);
const char *httpd_path(const struct httpd_request *request);
const char *httpd_header(const struct httpd_request *request, const char *name); /* any case; the first; NULL: absent */
const char *httpd_query(const struct httpd_request *request, const char *name);  /* NULL: absent; "" : without a value */
const char *httpd_peer(const struct httpd_request *request);                     /* "127.0.0.1", for logs */

/* Every header, in the order they came in. */
typedef void httpd_header_fn(void *cookie, const char *name, const char *value);
void httpd_headers(const struct httpd_request *request, httpd_header_fn *call, void *cookie);

/* The caller's own pointer on a request; NULL at first. */
void httpd_set(struct httpd_request *request, void *own);
void *httpd_get(const struct httpd_request *request);

/*
 * The body's bytes, from `end` on, until `gone`; a spooled one is mapped. NULL only on failure; length may be 0. Not
 * NUL-ended.
 */
const void *httpd_body(struct httpd_request *request, size_t *length, struct err *err);

/* The bytes are known to come from where they say (or are of no more interest): they count no more. */
void httpd_verified(struct httpd_request *request);

struct httpd_field {
	const char *name; /* NULL ends the list */
	const char *value;
};

/*
 * The answer, now or later (from the COMMIT). Everything is copied. The first answer counts: a later one for the same
 * request does nothing, so that one that comes after the deadline is harmless. `type`: Content-Type, NULL for none.
 * `headers` may be NULL.
 */
void httpd_answer(struct httpd_request *request, unsigned status, const char *type, const struct httpd_field *headers,
	const void *body, size_t length);

/* {"error":TEXT} as application/json; 429 and 503 get Retry-After. */
void httpd_answer_error(struct httpd_request *request, unsigned status, const char *text);

/* A file as it is now: 200, or 206 and 416 for one range. The descriptor is taken (closed by httpd) in every case. */
void httpd_answer_file(struct httpd_request *request, const char *type, const struct httpd_field *headers, int fd);

/*
 * An answer of unknown length (server-sent events, a log that grows). `read` puts at most `room` bytes into `out` and
 * returns their number; 0: nothing now, it is asked again after httpd_more(); -1: the end. That the other side went away
 * is noticed only by sending: send something at least now and then. The deadline ends with this call.
 */
typedef ssize_t httpd_read_fn(void *cookie, struct httpd_request *request, char *out, size_t room);
void httpd_answer_stream(struct httpd_request *request, const char *type, const struct httpd_field *headers, httpd_read_fn *read,
	void *cookie);
void httpd_more(struct httpd_request *request);

bool httpd_answered(const struct httpd_request *request);

#endif
