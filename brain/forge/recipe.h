/*
 * What a backing is made from and how: its section [backing/NAME], read as a whole and held against what its source takes. Brain,
 * slave, worker and landing daemon read it alike, so that each can say which backing a job must run on without having one.
 */
#ifndef BYOCI_FORGE_RECIPE_H
#define BYOCI_FORGE_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "conf/conf.h"

#define RECIPE_FILES_MAXIMUM 64
#define RECIPE_FILE_MAXIMUM ((size_t)4 * 1024 * 1024) /* bytes of one: brain and landing daemon read it too */
#define RECIPE_BASES_MAXIMUM 16 /* one on top of another */

enum recipe_source { RECIPE_MMDEBSTRAP, RECIPE_TARBALL, RECIPE_BACKING, RECIPE_LXD, RECIPE_SOURCES };

struct recipe_file {
	const char *source; /* path, below option backing.files */
	const char *target; /* absolute path in the backing */
};

/* Texts are NULL when they are not set or empty, but for those with a default. */
struct recipe {
	const char *name;
	const char *section; /* "backing/NAME" */
	enum recipe_source source;
	const char *suite, *variant, *mirror;
	const char *tarball, *sha256;
	bool setuid; /* members of the tarball or the image may be setuid */
	const char *base; /* name of another backing */
	const char *image, *server, *fingerprint; /* LXD's */
	const char *const *packages; /* NULL-ended */
	const struct recipe_file *files;
	size_t file_count;
	const char *setup, *smoke;
	int64_t refresh_ms; /* 0: never */
};

/*
 * Reads it; everything is in the arena or belongs to `conf`. ERR_NOT_FOUND: no such section. ERR_CONFIG: an option is missing or has
 * no meaning with this source, a file has no good name, the base is not there or is built on this one.
 */
int recipe_read(struct recipe *recipe, const struct conf *conf, struct arena *arena, const char *name, struct err *err);

/*
 * Adds the text that its digest is of: "[backing/NAME]\n" and the options that are set, as job.h has them, but for those that are
 * `aside`; then "file TARGET MODE SHA256\n" for each file as it is now; then what its base's digest is of. ERR_NOT_FOUND, ERR_REFUSED: a
 * file that is not there, or that others than root may write.
 */
int recipe_text(const struct conf *conf, const char *name, struct buf *text, struct err *err);

/* "mmdebstrap", … as the option has it. */
const char *recipe_source_name(enum recipe_source source);

/* Bytes of one of its files as they are now, in the arena, and 0644 or 0755. */
char *recipe_file_read(struct arena *arena, const struct recipe_file *file, size_t *length, unsigned *mode, struct err *err);

#endif
