#include "loop/framing.h"

#include <stdbool.h>
#include <string.h>

static bool has_body(const char *method)
{
	return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
}

/* Stops at the first number over `maximum`, so that no number is too long. */
static bool over(const char *digits, size_t maximum, size_t *value)
{
	*value = 0;
	for (; *digits; digits++) {
		size_t digit = (size_t)(*digits - '0');

		if (*value > (maximum - (digit < maximum ? digit : maximum)) / 10 || digit > maximum)
			return true;
		*value = *value * 10 + digit;
	}
	return false;
}

unsigned framing_check(const struct framing *framing, size_t *declared, const char **text)
{
	*declared = 0;
	*text = "say the length of the body in Content-Length";
	if (framing->coding || (!framing->length && has_body(framing->method)))
		return 411;
	if (!framing->length)
		return 0;
	*text = "Content-Length must be one number";
	if (framing->lengths > 1 || !*framing->length || strspn(framing->length, "0123456789") != strlen(framing->length))
		return 400;
	*text = "the body is too large";
	return over(framing->length, framing->maximum, declared) ? 413 : 0;
}
