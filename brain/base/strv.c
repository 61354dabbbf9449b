#include "base/strv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* Takes the text over. */
static void append(struct strv *strv, char *text)
{
	char **v = text ? realloc(strv->v, (strv->count + 2) * sizeof *v) : NULL;

	if (!v)
		err_fatal("out of memory");
	strv->v = v;
	strv->v[strv->count++] = text;
	strv->v[strv->count] = NULL;
}

void strv_push(struct strv *strv, const char *text)
{
	append(strv, strdup(text));
}

void strv_pushf(struct strv *strv, const char *format, ...)
{
	va_list values;
	char *text = NULL;

	va_start(values, format);
	if (vasprintf(&text, format, values) < 0)
		text = NULL;
	va_end(values);
	append(strv, text);
}

void strv_pushl(struct strv *strv, ...)
{
	va_list values;
	const char *text;

	va_start(values, strv);
	while ((text = va_arg(values, const char *)))
		strv_push(strv, text);
	va_end(values);
}

void strv_release(struct strv *strv)
{
	for (size_t i = 0; i < strv->count; i++)
		free(strv->v[i]);
	free(strv->v);
	*strv = (struct strv)STRV_INIT;
}
