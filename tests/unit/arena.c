#include "base/arena.h"

#include <stdint.h>

#include "tests/tap.h"

static bool is_zero(const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Every size from nothing to more than a block: zeroed, aligned, and none over another. */
static void test_many(struct arena *arena, const char *what)
{
	unsigned char *all[600];
	bool zero = true, aligned = true, kept = true;

	for (size_t i = 0; i < 600; i++) {
		all[i] = arena_alloc(arena, i * 17);
		zero = zero && is_zero(all[i], i * 17);
		aligned = aligned && (uintptr_t)all[i] % _Alignof(max_align_t) == 0;
		memset(all[i], (int)(i % 255 + 1), i * 17);
	}
	for (size_t i = 0; i < 600; i++)
		for (size_t j = 0; j < i * 17; j++)
			kept = kept && all[i][j] == i % 255 + 1;
	ok(zero && aligned && kept, what);
}

int main(void)
{
	struct arena *arena = arena_new();
	const char *text = "some text";
	char *copy = arena_strdup(arena, text);

	is(copy, text, "strdup copies");
	ok(copy != text, "… and does not borrow");
	ok(!arena_strdup(arena, NULL), "a copy of no text is none");
	is(arena_memdup(arena, "abcdef", 3), "abc", "memdup ends with a NUL");
	is(arena_memdup(arena, NULL, 0), "", "memdup of nothing is an empty text");
	is(arena_printf(arena, "%d-%s", 42, "x"), "42-x", "printf");
	ok(strlen(arena_printf(arena, "%0*d", 100000, 1)) == 100000, "printf of more than a block");
	test_many(arena, "allocations are zeroed, aligned, apart");
	is(copy, text, "what was allocated first is still there");
	arena_reset(arena);
	test_many(arena, "so are those after a reset");
	arena_reset(arena);
	arena_reset(arena);
	is(arena_strdup(arena, "again"), "again", "an arena can be reset twice and used again");
	arena_free(arena);
	arena_free(NULL);
	return tap_done();
}
