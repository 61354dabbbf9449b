#include "loop/range.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Digits only; *text is moved past them. false: none, or 2^63 or more. */
static bool number(const char **text, uint64_t *value)
{
	const char *p = *text;

	*value = 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (*value > (INT64_MAX - digit) / 10)
			return false;
		*value = *value * 10 + digit;
	}
	if (p == *text)
		return false;
	*text = p;
	return true;
}

/* The last `count` bytes. */
static enum range tail(uint64_t count, uint64_t size, uint64_t *first, uint64_t *length)
{
	*length = count < size ? count : size;
	*first = size - *length;
	return *length ? RANGE_PART : RANGE_OUTSIDE;
}

enum range range_parse(const char *header, uint64_t size, uint64_t *first, uint64_t *length)
{
	static const char unit[] = "bytes=";
	uint64_t start = 0, last = INT64_MAX;
	bool has_start, has_last;
	const char *p = header;

	*first = 0;
	*length = size;
	if (!p || strncasecmp(p, unit, sizeof unit - 1) != 0)
		return RANGE_WHOLE;
	p += sizeof unit - 1;
	has_start = number(&p, &start);
	if (*p++ != '-')
		return RANGE_WHOLE;
	has_last = number(&p, &last);
	if (*p || (!has_start && !has_last) || (has_start && has_last && last < start))
		return RANGE_WHOLE;
	if (!has_start)
		return tail(last, size, first, length);
	if (start >= size) {
		*length = 0;
		return RANGE_OUTSIDE;
	}
	*first = start;
	*length = (!has_last || last >= size ? size - 1 : last) - start + 1;
	return RANGE_PART;
}

char *range_text(enum range range, uint64_t first, uint64_t length, uint64_t size, char out[static RANGE_TEXT])
{
	if (range == RANGE_PART)
		snprintf(out, RANGE_TEXT, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first, first + length - 1, size);
	else
		snprintf(out, RANGE_TEXT, "bytes */%" PRIu64, size);
	return out;
}
