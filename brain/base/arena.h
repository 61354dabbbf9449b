/*
 * Memory that ends all at once: one arena for each step, request or command. Out of memory ends the process: everything that matters is
 * on disk before it is acted on, so a restart loses and doubles nothing (promise 6). Not for threads.
 */
#ifndef BYOCI_BASE_ARENA_H
#define BYOCI_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena;

struct arena *arena_new(void);

/* Gives every allocation back; the arena can be used again. */
void arena_reset(struct arena *arena);

/* NULL is allowed. */
void arena_free(struct arena *arena);

/* `size` zeroed bytes, aligned for any type. Never NULL. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));

/* Copies; the results end with a NUL byte. `text` may be NULL: the result is NULL too. */
char *arena_strdup(struct arena *arena, const char *text);
char *arena_memdup(struct arena *arena, const void *bytes, size_t length) __attribute__((returns_nonnull));

char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3), returns_nonnull));
char *arena_vprintf(struct arena *arena, const char *format, va_list values) __attribute__((format(printf, 2, 0), returns_nonnull));

#endif
