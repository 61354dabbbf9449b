/* A growing byte buffer with a hard maximum: the only way to collect bytes whose number is not known. */
#ifndef BYOCI_BASE_BUF_H
#define BYOCI_BASE_BUF_H

#include <stddef.h>

struct buf {
	char *data;    /* NUL after `length` once anything was added; NULL before */
	size_t length; /* bytes, the NUL not counted */
	size_t room;
	size_t maximum;
};

/* `maximum` bytes at most; nothing is allocated yet. */
void buf_init(struct buf *buf, size_t maximum);

/* Frees the bytes; the buffer is as after buf_init. */
void buf_release(struct buf *buf);

/* Forgets the bytes and keeps the memory. */
void buf_clear(struct buf *buf);

/* Each returns 0, or -1 when the maximum would be passed (nothing is added then). Out of memory ends the process. */
int buf_add(struct buf *buf, const void *bytes, size_t length) __attribute__((warn_unused_result));
int buf_adds(struct buf *buf, const char *text) __attribute__((warn_unused_result));
int buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3), warn_unused_result));

/* Removes the first `length` bytes (at most all). */
void buf_consume(struct buf *buf, size_t length);

#endif
