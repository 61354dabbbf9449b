#include "slaves/worker/mask.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define AT_ONCE ((size_t)4096) /* bytes between two looks at what can go out */

/* One text that is looked for as Knuth, Morris and Pratt do: each byte is looked at once, and how much has been seen is known. */
struct value {
	struct value *next;
	unsigned char *bytes;
	size_t *back; /* after i bytes: how many are seen still when the next one does not fit */
	size_t length;
};

struct mask {
	struct arena *arena;
	struct value *first;
	size_t count, longest;
};

struct mask_stream {
	const struct mask *mask;
	mask_put_fn *put;
	void *cookie;
	size_t *seen; /* of each value: how much of it ends the bytes so far */
	unsigned char *waiting, *marks; /* marked bytes are of a value */
	size_t length, room;
};

struct mask *mask_new(struct arena *arena)
{
	struct mask *mask = arena_alloc(arena, sizeof *mask);

	mask->arena = arena;
	return mask;
}

static void add_value(struct mask *mask, const unsigned char *bytes, size_t length)
{
	struct value *value;

	if (length < MASK_LEAST)
		return;
	for (value = mask->first; value; value = value->next)
		if (value->length == length && memcmp(value->bytes, bytes, length) == 0)
			return;
	value = arena_alloc(mask->arena, sizeof *value);
	value->bytes = (unsigned char *)arena_memdup(mask->arena, bytes, length);
	value->back = arena_alloc(mask->arena, (length + 1) * sizeof *value->back);
	value->length = length;
	for (size_t i = 1, seen = 0; i < length; i++) {
		while (seen > 0 && bytes[i] != bytes[seen])
			seen = value->back[seen];
		seen += bytes[i] == bytes[seen];
		value->back[i + 1] = seen;
	}
	value->next = mask->first;
	mask->first = value;
	mask->count++;
	if (length > mask->longest)
		mask->longest = length;
}

void mask_add(struct mask *mask, const void *bytes, size_t length)
{
	const unsigned char *at = bytes;

	while (length > 0 && (at[length - 1] == '\n' || at[length - 1] == '\r'))
		length--;
	add_value(mask, at, length);
	while (length > 0) {
		const unsigned char *newline = memchr(at, '\n', length);
		size_t line = newline ? (size_t)(newline - at) : length, used = newline ? line + 1 : length;

		add_value(mask, at, line > 0 && at[line - 1] == '\r' ? line - 1 : line);
		at += used;
		length -= used;
	}
}

size_t mask_count(const struct mask *mask)
{
	return mask->count;
}

struct mask_stream *mask_stream_new(const struct mask *mask, mask_put_fn *put, void *cookie)
{
	struct mask_stream *stream = calloc(1, sizeof *stream);

	if (!stream)
		err_fatal("out of memory");
	*stream = (struct mask_stream){.mask = mask, .put = put, .cookie = cookie, .room = mask->longest + AT_ONCE};
	stream->seen = calloc(mask->count + 1, sizeof *stream->seen);
	stream->waiting = malloc(stream->room);
	stream->marks = calloc(stream->room, 1);
	if (!stream->seen || !stream->waiting || !stream->marks)
		err_fatal("out of memory");
	return stream;
}

void mask_stream_free(struct mask_stream *stream)
{
	if (!stream)
		return;
	free(stream->seen);
	free(stream->waiting);
	free(stream->marks);
	free(stream);
}

/* One value in the bytes from `from` on. Returns how many at the end may be the beginning of it. */
static size_t look_for(struct mask_stream *stream, const struct value *value, size_t *state, size_t from)
{
	size_t seen = *state;

	for (size_t i = from; i < stream->length; i++) {
		unsigned char byte = stream->waiting[i];

		while (seen > 0 && byte != value->bytes[seen])
			seen = value->back[seen];
		seen += byte == value->bytes[seen];
		if (seen < value->length)
			continue;
		memset(stream->marks + i + 1 - seen, 1, seen);
		seen = value->back[seen];
	}
	*state = seen;
	return seen;
}

static int put_out(struct mask_stream *stream, size_t hold)
{
	size_t out = stream->length - hold;
	int rc;

	for (size_t i = 0; i < out; i++)
		if (stream->marks[i])
			stream->waiting[i] = '*';
	rc = out ? stream->put(stream->cookie, stream->waiting, out) : 0;
	memmove(stream->waiting, stream->waiting + out, hold);
	memmove(stream->marks, stream->marks + out, hold);
	memset(stream->marks + hold, 0, stream->room - hold);
	stream->length = hold;
	return rc;
}

int mask_stream_add(struct mask_stream *stream, const void *bytes, size_t length)
{
	const unsigned char *at = bytes;

	while (length > 0) {
		size_t part = length < AT_ONCE ? length : AT_ONCE, from = stream->length, hold = 0, *state = stream->seen;
		int rc;

		memcpy(stream->waiting + from, at, part);
		stream->length += part;
		for (const struct value *value = stream->mask->first; value; value = value->next) {
			size_t wanted = look_for(stream, value, state++, from);

			hold = wanted > hold ? wanted : hold;
		}
		rc = put_out(stream, hold);
		if (rc)
			return rc;
		at += part;
		length -= part;
	}
	return 0;
}

int mask_stream_end(struct mask_stream *stream)
{
	memset(stream->seen, 0, stream->mask->count * sizeof *stream->seen);
	return put_out(stream, 0);
}
