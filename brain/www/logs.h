/* The log of a build over HTTP: the brain's own copy, as a file or as it grows. */
#ifndef BYOCI_WWW_LOGS_H
#define BYOCI_WWW_LOGS_H

#include "calls/brain.h"
#include "loop/httpd.h"

struct logs;

struct logs *logs_new(struct brain *brain);
void logs_free(struct logs *logs); /* after the listener; NULL is allowed */

/* `build` is a build's id that was found. While it runs, and without a Range header, the answer goes on until its end. */
void logs_answer(struct logs *logs, struct httpd_request *request, const char *build, bool running);

/* The build's log has more bytes. */
void logs_grew(struct logs *logs, const char *build);

/* The request is gone; also for requests that were not ours. */
void logs_gone(struct logs *logs, struct httpd_request *request);

#endif
