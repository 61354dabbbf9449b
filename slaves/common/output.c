#include "slaves/common/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_NOTE 64 /* room for the note on a cut line */
#define OUTPUT_STREAMS 4

struct output_stream {
	struct output *output;
	const char *prefix;
	struct buf line; /* escaped, with prefix */
	uint64_t cut;    /* bytes of this line that were left out */
	char part[4];    /* of an UTF-8 sequence at the end of what came */
	size_t part_length;
};

struct output {
	int fd;
	int64_t limit, taken;
	struct output_stream streams[OUTPUT_STREAMS];
	size_t stream_count;
};

/* Bytes of the well-formed UTF-8 sequence at `s` (Unicode 15, table 3-7) and its code point; 0: not one; -1: needs more bytes. */
static int sequence(const unsigned char *s, size_t length, uint32_t *point)
{
	static const struct {
		unsigned char first, last, low, high, bytes;
	} rows[] = {
		{0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (s[0] < rows[i].first || s[0] > rows[i].last)
			continue;
		uint32_t value = rows[i].bytes == 1 ? s[0] : s[0] & (0xffU >> (rows[i].bytes + 1));
		for (size_t k = 1; k < rows[i].bytes; k++) {
			if (k >= length)
				return -1;
			if (s[k] < (k == 1 ? rows[i].low : 0x80) || s[k] > (k == 1 ? rows[i].high : 0xbf))
				return 0;
			value = value << 6 | (s[k] & 0x3f);
		}
		*point = value;
		return rows[i].bytes;
	}
	return 0;
}

/* Controls, and the marks that reorder or hide text on a screen. */
static bool harmful(uint32_t point)
{
	static const struct {
		uint32_t first, last;
	} rows[] = {
		{0x00, 0x08},     {0x0a, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},     {0x200b, 0x200f},
		{0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (point >= rows[i].first && point <= rows[i].last)
			return true;
	return false;
}

static int add_hex(struct buf *to, const unsigned char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (buf_printf(to, "\\x%02x", bytes[i]) < 0)
			return -1;
	return 0;
}

/* Adds what stands at `s` and returns how many bytes that were; -1: full; 0: an unfinished sequence. */
static int add_one(struct buf *to, const unsigned char *s, size_t length)
{
	uint32_t point = 0;
	int bytes = sequence(s, length, &point);

	if (bytes < 0)
		return 0;
	if (bytes > 0 && !harmful(point))
		return buf_add(to, s, (size_t)bytes) < 0 ? -1 : bytes;
	if (bytes == 0)
		bytes = 1;
	return add_hex(to, s, (size_t)bytes) < 0 ? -1 : bytes;
}

int output_escape(struct buf *to, const char *bytes, size_t length)
{
	const unsigned char *s = (const unsigned char *)bytes;

	while (length > 0 && (s[length - 1] == '\n' || s[length - 1] == '\r'))
		length--;
	while (length > 0) {
		int done = add_one(to, s, length);
		if (done < 0)
			return -1;
		if (done == 0)
			return add_hex(to, s, length);
		s += done;
		length -= (size_t)done;
	}
	return 0;
}

char *output_line(struct arena *arena, const char *bytes, size_t length, size_t maximum)
{
	struct buf text;

	buf_init(&text, maximum);
	while (length > 0 && (bytes[length - 1] == '\n' || bytes[length - 1] == '\r' || bytes[length - 1] == ' '))
		length--;
	while (length > 0) {
		const char *end = memchr(bytes, '\n', length);
		size_t part = end ? (size_t)(end - bytes) : length;
		if (output_escape(&text, bytes, part) < 0)
			break;
		if (!end || buf_adds(&text, " / ") < 0)
			break;
		bytes += part + 1;
		length -= part + 1;
	}

	char *line = arena_strdup(arena, text.data ? text.data : "");
	buf_release(&text);
	return line;
}

struct output *output_open(const char *path, int64_t limit, struct err *err)
{
	struct output *output = calloc(1, sizeof *output);

	if (!output)
		abort();
	output->limit = limit;
	output->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (output->fd < 0) {
		err_set_errno(err, errno, "open log %s", path);
		free(output);
		return NULL;
	}
	return output;
}

void output_close(struct output *output)
{
	if (!output)
		return;
	for (size_t i = 0; i < output->stream_count; i++)
		buf_release(&output->streams[i].line);
	close(output->fd);
	free(output);
}

static int write_line(struct output *output, const char *bytes, size_t length, struct err *err)
{
	while (length > 0) {
		ssize_t done = write(output->fd, bytes, length);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0) {
			err_set_errno(err, errno, "write the build's log");
			err->kind = ERR_SYSTEM; /* a full disk is not a test that writes too much */
			return -1;
		}
		bytes += done;
		length -= (size_t)done;
	}
	return 0;
}

int output_say(struct output *output, struct err *err, const char *format, ...)
{
	char text[OUTPUT_LINE];
	struct buf line;
	va_list values;

	va_start(values, format);
	int length = vsnprintf(text, sizeof text - OUTPUT_NOTE, format, values);
	va_end(values);
	if (length < 0)
		return err_set(err, ERR_SYSTEM, "write the build's log: a line that cannot be formatted");

	buf_init(&line, OUTPUT_LINE);
	int bad = buf_adds(&line, "byoci: ");
	bad |= output_escape(&line, text, strnlen(text, sizeof text));
	if (bad && line.length == OUTPUT_LINE)
		line.length--;
	int done = buf_adds(&line, "\n") < 0 ? 0 : write_line(output, line.data, line.length, err);
	buf_release(&line);
	return done;
}

struct output_stream *output_stream(struct output *output, const char *prefix)
{
	if (output->stream_count == OUTPUT_STREAMS)
		abort();
	struct output_stream *stream = &output->streams[output->stream_count++];
	stream->output = output;
	stream->prefix = prefix;
	buf_init(&stream->line, OUTPUT_LINE - OUTPUT_NOTE);
	return stream;
}

static int end_line(struct output_stream *stream, struct err *err)
{
	struct buf whole;
	int bad = 0;

	buf_init(&whole, OUTPUT_LINE);
	if (stream->line.length == 0)
		bad |= buf_adds(&whole, stream->prefix);
	else
		bad |= buf_add(&whole, stream->line.data, stream->line.length);
	if (stream->cut > 0)
		bad |= buf_printf(&whole, " [byoci: %llu bytes cut]", (unsigned long long)stream->cut);
	bad |= buf_adds(&whole, "\n");
	buf_clear(&stream->line);
	stream->cut = 0;
	int done = bad ? 0 : write_line(stream->output, whole.data, whole.length, err);
	buf_release(&whole);
	return done;
}

/* One byte sequence of a line, or its end. Returns the number of bytes used; 0: needs more. */
static int take_one(struct output_stream *stream, const unsigned char *s, size_t length, struct err *err)
{
	if (s[0] == '\n')
		return end_line(stream, err) < 0 ? -1 : 1;
	if (s[0] == '\r' && length == 1)
		return 0;
	if (s[0] == '\r' && s[1] == '\n')
		return 1;
	if (stream->line.length == 0 && buf_adds(&stream->line, stream->prefix) < 0)
		return err_set(err, ERR_SYSTEM, "a prefix is longer than a line");
	if (stream->cut > 0) {
		stream->cut++;
		return 1;
	}
	int done = add_one(&stream->line, s, length);
	if (done < 0) {
		stream->cut = 1;
		return 1;
	}
	return done;
}

static int take(struct output_stream *stream, const unsigned char *s, size_t length, struct err *err)
{
	while (length > 0) {
		int done = take_one(stream, s, length, err);
		if (done < 0)
			return -1;
		if (done == 0) {
			memcpy(stream->part, s, length);
			stream->part_length = length;
			return 0;
		}
		s += done;
		length -= (size_t)done;
	}
	return 0;
}

int output_stream_add(struct output_stream *stream, const char *bytes, size_t length, struct err *err)
{
	int64_t room = stream->output->limit - stream->output->taken;
	bool over = (uint64_t)length > (uint64_t)(room < 0 ? 0 : room);

	if (over)
		length = room < 0 ? 0 : (size_t)room;
	stream->output->taken += (int64_t)length;

	/* What was left of the last bytes, joined with the first of these. */
	while (stream->part_length > 0 && length > 0) {
		unsigned char joined[sizeof stream->part + 1];
		size_t kept = stream->part_length;
		memcpy(joined, stream->part, kept);
		joined[kept++] = (unsigned char)*bytes++;
		length--;
		stream->part_length = 0;
		if (take(stream, joined, kept, err) < 0)
			return -1;
	}
	if (take(stream, (const unsigned char *)bytes, length, err) < 0)
		return -1;
	if (over)
		return err_set(err, ERR_FULL, "more than %lld bytes of output", (long long)stream->output->limit);
	return 0;
}

int output_stream_end(struct output_stream *stream, struct err *err)
{
	if (stream->part_length > 0 && stream->part[0] != '\r') {
		if (stream->line.length == 0 && buf_adds(&stream->line, stream->prefix) < 0)
			return err_set(err, ERR_SYSTEM, "a prefix is longer than a line");
		if (add_hex(&stream->line, (const unsigned char *)stream->part, stream->part_length) < 0)
			stream->cut += stream->part_length;
	}
	stream->part_length = 0;
	return stream->line.length > 0 ? end_line(stream, err) : 0;
}
