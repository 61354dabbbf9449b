/*
 * Our copy of a log that a master keeps: control characters escaped, Hudson's CRLF made LF, and the last line of it that begins like a
 * signed one, whatever else is before or after it.
 */
#ifndef BYOCI_BUILD_JENKINS_LOG_H
#define BYOCI_BUILD_JENKINS_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct jenkins_log;

/* `path` NULL: only the line is wanted. What the file had is cut: it is taken again from the start. */
struct jenkins_log *jenkins_log_open(const char *path, const char *begins, struct err *err);
/* NULL is allowed. */
void jenkins_log_free(struct jenkins_log *log);

/* The master's log is another than before: all is taken again. */
int jenkins_log_restart(struct jenkins_log *log, struct err *err);

/* Some bytes that follow. After -1 the copy has fewer, and is to be taken again. */
int jenkins_log_add(struct jenkins_log *log, const char *bytes, size_t length, struct err *err);

/* The line, without its end; NULL: none so far. A line that has not ended counts: a log may end without. */
const char *jenkins_log_line(struct jenkins_log *log);

#endif
