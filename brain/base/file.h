/* Whole small files: configuration, secrets, specs, results. */
#ifndef BYOCI_BASE_FILE_H
#define BYOCI_BASE_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"

/* The whole file, NUL-ended, in the arena; *length may be NULL. Over `maximum` bytes: ERR_FULL. Absent: ERR_NOT_FOUND. */
char *file_read(struct arena *arena, const char *path, size_t maximum, size_t *length, struct err *err);

/*
 * As file_read, for what decides over others: a regular file of root's or `owner`'s that nobody else may write, else
 * ERR_REFUSED and what mends it.
 */
char *file_read_owned(struct arena *arena, const char *path, uid_t owner, size_t maximum, size_t *length, struct err *err);

/*
 * As file_read, for a secret: a regular file that is not a link, owned by the caller or root, with no right for group or
 * others, else ERR_REFUSED and the chmod that mends it. Trailing newlines are cut; nothing left is ERR_REFUSED too: an empty
 * secret protects nothing. At most 64 KiB.
 */
char *file_read_secret(struct arena *arena, const char *path, size_t *length, struct err *err);

/* Temporary file beside it, fsync, rename, fsync of the folder: whole or not at all, also after a crash. */
int file_write(const char *path, const void *bytes, size_t length, mode_t mode, struct err *err);

/* mkdir -p for the last component's parents and itself, each with exactly `mode`. Existing folders are left as they are. */
int file_make_folder(const char *path, mode_t mode, struct err *err);

#endif
