#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* With the address sanitizer each allocation is a block of its own, so that it sees what runs over its end. */
#if defined(__SANITIZE_ADDRESS__)
#define BLOCK_ROOM 0
#else
#define BLOCK_ROOM 4096
#endif

struct block {
	struct block *next;
	size_t room, used;
	_Alignas(max_align_t) unsigned char bytes[];
};

struct arena {
	struct block *blocks; /* the newest first: the one with room */
};

struct arena *arena_new(void)
{
	struct arena *arena = calloc(1, sizeof *arena);

	if (!arena)
		err_fatal("out of memory");
	return arena;
}

static void free_blocks(struct block *block)
{
	while (block) {
		struct block *next = block->next;

		free(block);
		block = next;
	}
}

/* One block is kept: an arena that is used again soon needs no malloc. */
void arena_reset(struct arena *arena)
{
	struct block *first = arena->blocks;

	if (!first)
		return;
	free_blocks(first->next);
	first->next = NULL;
	if (BLOCK_ROOM == 0 || first->room > BLOCK_ROOM) {
		free(first);
		arena->blocks = NULL;
		return;
	}
	memset(first->bytes, 0, first->used);
	first->used = 0;
}

void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	free_blocks(arena->blocks);
	free(arena);
}

static size_t aligned(size_t size)
{
	size_t unit = _Alignof(max_align_t);

	return (size + unit - 1) / unit * unit;
}

static struct block *block_new(size_t room)
{
	struct block *block = calloc(1, sizeof *block + room);

	if (!block)
		err_fatal("out of memory (%zu bytes)", room);
	block->room = room;
	return block;
}

/* A large block goes behind the first one, whose room is still of use. */
static struct block *block_for(struct arena *arena, size_t size)
{
	struct block *block = arena->blocks;

	if (block && block->room - block->used >= size)
		return block;
	if (block && size > BLOCK_ROOM / 4) {
		struct block *large = block_new(size);

		large->next = block->next;
		block->next = large;
		return large;
	}
	arena->blocks = block_new(size > BLOCK_ROOM ? size : BLOCK_ROOM);
	arena->blocks->next = block;
	return arena->blocks;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct block *block;
	void *bytes;

	if (size > SIZE_MAX / 2)
		err_fatal("out of memory (%zu bytes)", size);
	if (!size)
		size = 1;
	if (BLOCK_ROOM)
		size = aligned(size);
	block = block_for(arena, size);
	bytes = block->bytes + block->used;
	block->used += size;
	return bytes;
}

char *arena_memdup(struct arena *arena, const void *bytes, size_t length)
{
	char *copy = arena_alloc(arena, length + 1);

	if (length)
		memcpy(copy, bytes, length);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return text ? arena_memdup(arena, text, strlen(text)) : NULL;
}

char *arena_vprintf(struct arena *arena, const char *format, va_list values)
{
	va_list again;
	int length;
	char *text;

	va_copy(again, values);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length < 0)
		err_fatal("a text cannot be formatted by \"%s\"", format);
	text = arena_alloc(arena, (size_t)length + 1);
	vsnprintf(text, (size_t)length + 1, format, values);
	return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list values;
	char *text;

	va_start(values, format);
	text = arena_vprintf(arena, format, values);
	va_end(values);
	return text;
}
