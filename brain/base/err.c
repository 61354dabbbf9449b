#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void err_clear(struct err *err)
{
	*err = (struct err){.kind = ERR_NONE};
}

/* The arguments may point into err->text itself, so the new text is made beside it. */
static void put(struct err *err, const char *format, va_list values, const char *tail) __attribute__((format(printf, 2, 0)));

static void put(struct err *err, const char *format, va_list values, const char *tail)
{
	char text[sizeof err->text];
	int length = vsnprintf(text, sizeof text, format, values);

	if (length < 0)
		length = 0;
	if ((size_t)length < sizeof text)
		snprintf(text + length, sizeof text - (size_t)length, "%s", tail);
	memcpy(err->text, text, sizeof text);
	err->text[sizeof err->text - 1] = '\0';
}

int err_set(struct err *err, enum err_kind kind, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	put(err, format, values, "");
	va_end(values);
	err->kind = kind;
	err->number = err->wait = 0;
	return -1;
}

int err_set_errno(struct err *err, int number, const char *format, ...)
{
	char words[128];
	char tail[sizeof words + 2];
	va_list values;

	/* The GNU strerror_r: the text may be elsewhere than in the buffer. */
	snprintf(tail, sizeof tail, ": %s", strerror_r(number, words, sizeof words));
	va_start(values, format);
	put(err, format, values, tail);
	va_end(values);
	err->kind = number == ENOSPC || number == EDQUOT ? ERR_FULL : ERR_SYSTEM;
	err->number = number;
	err->wait = 0;
	return -1;
}

int err_wrap(struct err *err, const char *format, ...)
{
	char tail[sizeof err->text];
	va_list values;

	snprintf(tail, sizeof tail, ": %.*s", (int)(sizeof tail - 3), err->text);
	va_start(values, format);
	put(err, format, values, tail);
	va_end(values);
	return -1;
}

void err_fatal(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	fputs("fatal ", stderr);
	vfprintf(stderr, format, values);
	fputc('\n', stderr);
	va_end(values);
	abort();
}
