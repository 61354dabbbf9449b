/*
 * One JSON text a line over Unix stream sockets: the control, slave and land sockets. Server and client, on the loop.
 * A line is at most LINES_MAXIMUM bytes; longer, or not JSON, ends the connection. Writes are queued, at most
 * LINES_BACKLOG bytes: lines_full() says when to pause.
 */
#ifndef BYOCI_LOOP_LINES_H
#define BYOCI_LOOP_LINES_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "loop/loop.h"

#define LINES_MAXIMUM (1024 * 1024)
#define LINES_BACKLOG (4 * 1024 * 1024)

struct lines;        /* one connection */
struct lines_server;

/*
 * `message` is borrowed. NULL message: the other side closed, or broke the rules (`err` then says how); the connection is
 * freed after the call.
 */
typedef void lines_fn(void *cookie, struct lines *lines, const json_t *message, const struct err *err);

/* A new connection by `uid`. Returns the cookie for its calls, or NULL to refuse (it gets {"error":…} and is closed). */
typedef void *lines_accept_fn(void *cookie, struct lines *lines, uid_t uid, pid_t pid);

/*
 * Listens at `path` (sock_listen). At most 256 connections at once: more are refused with {"error":…}. Nothing is read from
 * a connection whose other side does not take its answers.
 */
struct lines_server *lines_serve(struct loop *loop, const char *path, lines_accept_fn *accept, lines_fn *message, void *cookie,
	struct err *err);
/* Not from a callback. Connections that are open get their last call, without an error. NULL is allowed. */
void lines_server_free(struct lines_server *server);

/* Connects; local and at once. */
struct lines *lines_connect(struct loop *loop, const char *path, lines_fn *message, void *cookie, struct err *err);

/*
 * Queues one line; the reference to `message` is taken (json_decref by lines). -1: over the backlog, the connection will be
 * closed.
 */
int lines_send(struct lines *lines, json_t *message);
/*
 * The same at once, with a descriptor, which stays the caller's: sock_receive() at the other end gives it. -1: something is queued before
 * it, or the other side takes nothing.
 */
int lines_send_descriptor(struct lines *lines, json_t *message, int descriptor);
bool lines_full(const struct lines *lines);
/* Called once when the queue has drained to under half after lines_full() was true. */
void lines_on_drain(struct lines *lines, loop_fn *call, void *cookie);

/* Sends what is queued, then closes; no further calls. */
void lines_close(struct lines *lines);

/* Blocking, for command-line clients: send one request, read one line. New reference, or NULL. `limit_ms` for each line. */
int lines_call_open(const char *path, struct err *err); /* the descriptor, yours to close */
int lines_call_send(int fd, const json_t *message, struct err *err);
struct lines_reader;
struct lines_reader *lines_reader_new(int fd);
json_t *lines_reader_next(struct lines_reader *reader, int64_t limit_ms, struct err *err); /* NULL and ERR_NONE at the end */
void lines_reader_free(struct lines_reader *reader);

#endif
