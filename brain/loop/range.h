/* The Range header, RFC 9110 section 14: one range of bytes. */
#ifndef BYOCI_LOOP_RANGE_H
#define BYOCI_LOOP_RANGE_H

#include <stdint.h>

enum range {
	RANGE_WHOLE,  /* no header, not one we know, or several ranges: answer 200 with everything */
	RANGE_PART,   /* 206 */
	RANGE_OUTSIDE /* 416 */
};

/* `header` may be NULL. *first and *length are set in every case, for a content of `size` bytes: to nothing when outside. */
enum range range_parse(const char *header, uint64_t size, uint64_t *first, uint64_t *length);

/* The value of Content-Range for a part, or for none of it. Returns `out`. */
#define RANGE_TEXT 80
char *range_text(enum range range, uint64_t first, uint64_t length, uint64_t size, char out[static RANGE_TEXT]);

#endif
