/*
 * One line an event on standard error (systemd's journal, or the file that setup
 * redirects it to): `level what key=value key="foreign \x1b text"`. Values are
 * escaped; secrets are never handed to it. Not for threads.
 */
#ifndef BYOCI_BASE_LOG_H
#define BYOCI_BASE_LOG_H

#include <stdint.h>

#include "base/err.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

struct log_field {
	const char *key;  /* NULL ends the list; "" is the event's own words */
	const char *text; /* NULL: `number` is meant */
	int64_t number;
};

static inline const char *log_text(const char *text)
{
	return text ? text : "-";
}

#define LOG_WHAT(words) {.key = "", .text = (words)}
#define LOG_TEXT(name, value) {.key = (name), .text = log_text(value)}
#define LOG_NUMBER(name, value) {.key = (name), .number = (value)}
#define LOG_ERR(error) {.key = "error", .text = (error)->text}
#define LOG_END {.key = NULL}

#define log_debug(...) log_write(LOG_LEVEL_DEBUG, (const struct log_field[]){__VA_ARGS__, LOG_END})
#define log_info(...) log_write(LOG_LEVEL_INFO, (const struct log_field[]){__VA_ARGS__, LOG_END})
#define log_warning(...) log_write(LOG_LEVEL_WARNING, (const struct log_field[]){__VA_ARGS__, LOG_END})
#define log_error(...) log_write(LOG_LEVEL_ERROR, (const struct log_field[]){__VA_ARGS__, LOG_END})

/* Lines below `level` are dropped. Default: LOG_LEVEL_INFO. */
void log_threshold(enum log_level level);

/* Writes one line by one write(2). errno is kept. */
void log_write(enum log_level level, const struct log_field *fields);

#endif
