/* A NULL-ended vector of own copies: argument lists and environments. */
#ifndef BYOCI_BASE_STRV_H
#define BYOCI_BASE_STRV_H

#include <stddef.h>

struct strv {
	char **v;     /* NULL-ended; NULL itself while empty */
	size_t count;
};

#define STRV_INIT {0}

/* Out of memory ends the process. */
void strv_push(struct strv *strv, const char *text);
void strv_pushf(struct strv *strv, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Pushes each text up to the NULL that ends the list. */
void strv_pushl(struct strv *strv, ...) __attribute__((sentinel));

void strv_release(struct strv *strv);

#endif
