#include "slaves/common/output.h"

#include "base/file.h"

#include "tests/tap.h"
#include "tests/tmp.h"

static struct arena *arena;

static const char *escaped(const char *bytes, size_t length)
{
	struct buf text;

	buf_init(&text, 10000);
	if (output_escape(&text, bytes, length) < 0)
		return "full";
	const char *copy = arena_strdup(arena, text.data ? text.data : "");
	buf_release(&text);
	return copy;
}

#define ESCAPED(text) escaped(text, sizeof(text) - 1)

static void test_escape(void)
{
	is(ESCAPED("plain \t text\r\n"), "plain \t text", "printable text and tabs stay, the line's end goes");
	is(ESCAPED("gr\303\274\303\237e \342\202\254 \360\237\232\200"), "gr\303\274\303\237e \342\202\254 \360\237\232\200", "UTF-8 stays");
	is(ESCAPED("\033[31mred\033[0m\a\b"), "\\x1b[31mred\\x1b[0m\\x07\\x08", "terminal escapes are written out");
	is(ESCAPED("a\0b"), "a\\x00b", "NUL too");
	is(ESCAPED("a\rb"), "a\\x0db", "and a carriage return inside a line");
	is(ESCAPED("\302\233[31m"), "\\xc2\\x9b[31m", "C1 controls in UTF-8");
	is(ESCAPED("\342\200\256evil\342\200\213\357\273\277"), "\\xe2\\x80\\xaeevil\\xe2\\x80\\x8b\\xef\\xbb\\xbf",
		"marks that reorder or hide text");
	is(ESCAPED("\377\376 \300\257 \355\240\200 \364\220\200\200 \303"), "\\xff\\xfe \\xc0\\xaf \\xed\\xa0\\x80 \\xf4\\x90\\x80\\x80 \\xc3",
		"bytes that are not UTF-8: stray, overlong, surrogates, too large, unfinished");
	is(output_line(arena, "one\ntwo\033\n\n", 9, 100), "one / two\\x1b", "several lines become one");
	is(output_line(arena, "abcdef", 6, 3), "abc", "what does not fit is left out");
}

static const char *whole(const char *path)
{
	struct err err = {0};

	return file_read(arena, path, 1000000, NULL, &err);
}

/* What a stream makes of these bytes when they come `step` at a time. */
static const char *logged(const char *bytes, size_t length, size_t step)
{
	static unsigned count;
	const char *path = arena_strdup(arena, tmp_path(arena_printf(arena, "log%u", count++)));
	struct err err = {0};
	struct output *output = output_open(path, 1000000, &err);
	struct output_stream *stream = output_stream(output, "| ");

	for (size_t at = 0; at < length; at += step)
		if (output_stream_add(stream, bytes + at, length - at < step ? length - at : step, &err) < 0)
			return arena_strdup(arena, err.text);
	output_stream_end(stream, &err);
	output_close(output);
	return whole(path);
}

static void test_stream(void)
{
	static const char text[] = "one\r\n\ntwo \303\274 \342\202\254\r\n\033x\xff\r\rend \303";
	const char *wanted = "| one\n| \n| two \303\274 \342\202\254\n| \\x1bx\\xff\\x0d\\x0dend \\xc3\n";

	for (size_t step = 1; step < 8; step++)
		is(logged(text, sizeof text - 1, step), wanted, arena_printf(arena, "%zu byte(s) at a time", step));
	is(logged("byoci: forged\n", 14, 14), "| byoci: forged\n", "what a test writes can't look like our own lines");
	is(logged("\r", 1, 1), "", "a lone carriage return is nothing");
}

static void test_long_lines(void)
{
	size_t length = 10000;
	char *bytes = arena_alloc(arena, length + 6);

	memset(bytes, 'x', length);
	memcpy(bytes + length, "\nnext\n", 6);
	const char *text = logged(bytes, length + 6, 333);
	const char *end = text ? strchr(text, '\n') : NULL;
	ok(end && end - text < OUTPUT_LINE, "a line is cut");
	ok(end && strncmp(end - 11, " bytes cut]\n", 12) == 0 && strstr(text, "[byoci: "), "with a note on how much");
	is(end ? end + 1 : NULL, "| next\n", "and the next one is whole");

	memset(bytes, 1, length);
	text = logged(bytes, length, 100);
	end = text ? strchr(text, '\n') : NULL;
	ok(end && end - text < OUTPUT_LINE, "escaping makes no longer lines");
}

static void test_limit(void)
{
	const char *path = arena_strdup(arena, tmp_path("limited"));
	struct err err = {0};
	struct output *output = output_open(path, 10, &err);
	struct output_stream *out = output_stream(output, "| "), *errors = output_stream(output, "! ");

	ok(output_stream_add(out, "1234\n", 5, &err) == 0 && output_stream_add(errors, "123\n", 4, &err) == 0, "up to the limit all is taken");
	ok(output_stream_add(out, "abc\n", 4, &err) < 0 && err.kind == ERR_FULL, "what is over it is refused");
	ok(output_stream_add(errors, "x", 1, &err) < 0, "for both streams together");
	ok(output_say(output, &err, "the end: %s", "\033[2J") == 0, "our own lines go on");
	output_stream_end(out, &err);
	output_close(output);
	is(whole(path), "| 1234\n! 123\nbyoci: the end: \\x1b[2J\n| a\n", "what fitted is there");
}

static void test_full_disk(void)
{
	struct err err = {0};
	struct output *output = output_open("/dev/full", 1000, &err);
	struct output_stream *stream = output ? output_stream(output, "| ") : NULL;

	ok(stream && output_stream_add(stream, "text\n", 5, &err) < 0 && err.kind == ERR_SYSTEM, "a full disk is not the limit of the output");
	output_close(output);
}

static void test_say(void)
{
	const char *path = arena_strdup(arena, tmp_path("said"));
	char *bytes = arena_alloc(arena, 9001);
	struct err err = {0};
	struct output *output = output_open(path, 10, &err);

	memset(bytes, '\a', 9000);
	ok(output_say(output, &err, "%s", bytes) == 0, "a long line of our own");
	ok(output_say(output, &err, "next") == 0, "and another");
	output_close(output);
	const char *text = whole(path), *end = text ? strchr(text, '\n') : NULL;
	ok(end && end - text < OUTPUT_LINE, "is cut");
	is(end ? end + 1 : NULL, "byoci: next\n", "and ended");
}

int main(void)
{
	tmp_make();
	arena = arena_new();
	test_escape();
	test_stream();
	test_long_lines();
	test_limit();
	test_full_disk();
	test_say();
	arena_free(arena);
	return tap_done();
}
