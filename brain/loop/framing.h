/* Whether a request's body may come: RFC 9112 section 6, and stricter, because web hooks always say how long they are. */
#ifndef BYOCI_LOOP_FRAMING_H
#define BYOCI_LOOP_FRAMING_H

#include <stddef.h>

struct framing {
	const char *method;
	const char *length; /* value of Content-Length; NULL: absent */
	unsigned lengths;   /* how many of them there are */
	const char *coding; /* value of Transfer-Encoding; NULL: absent */
	size_t maximum;     /* bytes of a body */
};

/* 0 with *declared (bytes that follow), or the status to refuse it with and *text, which says why. */
unsigned framing_check(const struct framing *framing, size_t *declared, const char **text);

#endif
