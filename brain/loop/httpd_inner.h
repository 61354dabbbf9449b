/*
 * What the files of the server share, and nobody else sees: httpd_daemon.c drives it, httpd.c is a request as its handler
 * sees it, httpd_answer.c answers it, httpd_crowd.c bounds those that have no deadline.
 */
#ifndef BYOCI_LOOP_HTTPD_INNER_H
#define BYOCI_LOOP_HTTPD_INNER_H

#include <microhttpd.h>
#include <sys/queue.h>

#include "loop/deadlines.h"
#include "loop/httpd.h"
#include "loop/listen.h"
#include "loop/spool.h"

#define HTTPD_STALL_S 60 /* a file or stream whose reader takes nothing for so long is ended */

struct httpd {
	struct loop *loop;
	struct MHD_Daemon *daemon;
	struct loop_source *ready, *again; /* the daemon's epoll descriptor; it has more to do at once */
	struct loop_source *stall; /* the daemon's own time limits: HTTPD_STALL_S */
	struct loop_source *settle; /* who waits for an answer is suspended if it does not come soon */
	struct deadlines deadlines;
	const struct httpd_handler *handler;
	void *cookie;
	struct httpd_config config;
	size_t unverified;
	bool stopping;
	bool moved;       /* something came of the last MHD_run */
	unsigned waiting; /* requests that wait for their answer and are not suspended */
	unsigned tick;    /* counts while some wait */
	LIST_HEAD(, connection) connections;
	TAILQ_HEAD(, httpd_request) crowd; /* unlimited ones; the first is silent longest */
	unsigned crowd_count;
};

struct connection {
	LIST_ENTRY(connection) link;
	struct httpd *httpd;
	struct MHD_Connection *mhd;
	struct httpd_request *request; /* NULL between requests */
	struct deadline deadline;
	char peer[LISTEN_NAME];
};

struct httpd_request {
	struct connection *connection;
	const char *method, *path;
	void *own;
	struct spool body;
	size_t counted; /* bytes of it in httpd->unverified */
	struct MHD_Response *response;
	unsigned status;
	httpd_read_fn *read; /* NULL: no stream */
	void *read_cookie;
	const char *refused; /* why the body is not kept: then the answer is 503 */
	bool begun, uncounted, answered, hidden_nul; /* the last: %00 in the path */
	bool unlimited; /* a file or stream: HTTPD_STALL_S instead of the deadline */
	bool waiting;   /* for its answer: in the turn that goes on, or later */
	unsigned tick;  /* when it began to */
	bool suspended; /* it took longer */
	bool paused, more; /* a stream: waits for httpd_more(); it was called meanwhile */
	bool crowded, ended; /* it is in the crowd; others need its place */
	TAILQ_ENTRY(httpd_request) link; /* in the crowd */
};

/* The request has as long again as at its beginning. */
void httpd_deadline_start(struct connection *connection);

/* The daemon goes on with it. */
void httpd_go_on(struct connection *connection);

/* The crowd: files and streams, which have no deadline, are at most half of the connections. Who is silent longest ends for a new one. */
void httpd_crowd_join(struct httpd *httpd, struct httpd_request *request);
void httpd_crowd_leave(struct httpd *httpd, struct httpd_request *request); /* no member: nothing */
/* The stream has just had something to say: others are silent longer. */
void httpd_crowd_spoke(struct httpd_request *request);

#endif
