#include "slaves/worker/mask.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "tests/tap.h"

static int put(void *cookie, const void *bytes, size_t length)
{
	return buf_add(cookie, bytes, length);
}

/* The whole text in parts of `step` bytes. */
static const char *masked(struct arena *arena, const struct mask *mask, const char *text, size_t step)
{
	struct buf out;
	struct mask_stream *stream;
	char *copy;
	size_t length = strlen(text);

	buf_init(&out, 1 << 20);
	stream = mask_stream_new(mask, put, &out);
	for (size_t at = 0; at < length; at += step)
		mask_stream_add(stream, text + at, length - at < step ? length - at : step);
	mask_stream_end(stream);
	copy = arena_memdup(arena, out.data ? out.data : "", out.length);
	mask_stream_free(stream);
	buf_release(&out);
	return copy;
}

static void test_words(struct arena *arena)
{
	struct mask *mask = mask_new(arena);

	mask_add(mask, "hunter2!\n", 9);
	mask_add(mask, "short\n\n", 7);
	mask_add(mask, "one line\nsecond line\n\nx\n", 24);
	ok(mask_count(mask) == 4, "values and their lines are looked for, the short ones are not");
	for (size_t step = 1; step < 12; step += 5) {
		is(masked(arena, mask, "is hunter2! it? hunter2 no, hhunter2!!", step), "is ******** it? hunter2 no, h********!", "a value is masked");
		is(masked(arena, mask, "short second line", step), "short ***********", "as is a line of one");
		is(masked(arena, mask, "[one line\nsecond line\n\nx]", step), "[***********************]", "and the whole of it");
	}
}

static void test_waiting(struct arena *arena)
{
	struct mask *mask = mask_new(arena);
	struct buf out;
	struct mask_stream *stream;

	mask_add(mask, "abcabd", 6);
	buf_init(&out, 100);
	stream = mask_stream_new(mask, put, &out);
	mask_stream_add(stream, "prompt: ", 8);
	ok(out.length == 8, "what can't be the beginning of a value does not wait");
	mask_stream_add(stream, "abcab", 5);
	ok(out.length == 8, "what can be does");
	mask_stream_add(stream, "c", 1);
	is(out.data, "prompt: abc", "until it is known, and no longer");
	mask_stream_add(stream, "abd", 3);
	mask_stream_end(stream);
	is(out.data, "prompt: abc******", "and it may begin in the middle of another beginning");
	mask_stream_free(stream);
	buf_release(&out);
}

/* Against looking at every place, for texts and values of few letters, which overlap. */
static void test_all(struct arena *arena)
{
	uint32_t state = 7;
	size_t wrong = 0;

	for (int round = 0; round < 400; round++) {
		struct mask *mask = mask_new(arena);
		char text[200], wanted[200], values[3][12];

		for (size_t i = 0; i < sizeof text - 1; i++)
			text[i] = "ab"[(state = state * 1664525 + 1013904223) >> 31];
		text[sizeof text - 1] = '\0';
		memcpy(wanted, text, sizeof text);
		for (int v = 0; v < 3; v++) {
			size_t length = MASK_LEAST + (size_t)v;

			memcpy(values[v], text + (state >> 8) % 150 + (size_t)v, length);
			values[v][length] = '\0';
			mask_add(mask, values[v], length);
			for (const char *at = text; (at = strstr(at, values[v])); at++)
				memset(wanted + (at - text), '*', length);
		}
		wrong += strcmp(masked(arena, mask, text, 1 + (size_t)round % 17), wanted) != 0;
	}
	ok(wrong == 0, "every place of every value is found, however the bytes come");
}

int main(void)
{
	struct arena *arena = arena_new();

	test_words(arena);
	test_waiting(arena);
	test_all(arena);
	arena_free(arena);
	return tap_done();
}
