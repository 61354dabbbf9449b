#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

void buf_init(struct buf *buf, size_t maximum)
{
	*buf = (struct buf){.maximum = maximum};
}

void buf_release(struct buf *buf)
{
	free(buf->data);
	buf_init(buf, buf->maximum);
}

void buf_clear(struct buf *buf)
{
	buf->length = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

/* Room for `more` bytes and the NUL. */
static int reserve(struct buf *buf, size_t more)
{
	size_t needed, room;
	char *data;

	if (buf->length > buf->maximum || more > buf->maximum - buf->length || more >= SIZE_MAX / 2 - buf->length)
		return -1;
	needed = buf->length + more + 1;
	if (needed <= buf->room)
		return 0;
	room = buf->room ? buf->room : 64;
	while (room < needed)
		room *= 2;
	data = realloc(buf->data, room);
	if (!data)
		err_fatal("out of memory (%zu bytes)", room);
	buf->data = data;
	buf->room = room;
	return 0;
}

int buf_add(struct buf *buf, const void *bytes, size_t length)
{
	if (reserve(buf, length) < 0)
		return -1;
	if (length)
		memcpy(buf->data + buf->length, bytes, length);
	buf->length += length;
	buf->data[buf->length] = '\0';
	return 0;
}

int buf_adds(struct buf *buf, const char *text)
{
	return buf_add(buf, text, strlen(text));
}

int buf_printf(struct buf *buf, const char *format, ...)
{
	va_list values;
	int length;

	va_start(values, format);
	length = vsnprintf(NULL, 0, format, values);
	va_end(values);
	if (length < 0 || reserve(buf, (size_t)length) < 0)
		return -1;
	va_start(values, format);
	vsnprintf(buf->data + buf->length, (size_t)length + 1, format, values);
	va_end(values);
	buf->length += (size_t)length;
	return 0;
}

void buf_consume(struct buf *buf, size_t length)
{
	if (!buf->data)
		return;
	if (length > buf->length)
		length = buf->length;
	memmove(buf->data, buf->data + length, buf->length - length + 1);
	buf->length -= length;
}
