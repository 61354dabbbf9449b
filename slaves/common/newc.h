/*
 * What comes out of a worker comes as a stream of files in cpio's format "newc" (cpio(5)): for each a header of 110 bytes, six of magic
 * and thirteen numbers of eight hex digits, then its name with a NUL, then its bytes, name and bytes each filled up to four. The file
 * named TRAILER!!! ends it. Only names and sizes mean anything here; every file is a plain one.
 */
#ifndef BYOCI_SLAVES_NEWC_H
#define BYOCI_SLAVES_NEWC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define NEWC_HEADER 110
#define NEWC_NAME_MAXIMUM 1024 /* bytes, the NUL not counted */
#define NEWC_HEAD_MAXIMUM (NEWC_HEADER + NEWC_NAME_MAXIMUM + 1 + 4)
#define NEWC_SIZE_MAXIMUM INT64_C(0xffffffff)
#define NEWC_TRAILER "TRAILER!!!"

/* Header, name and what fills them up. Returns the length. The name fits, the size too: the caller has looked. */
size_t newc_head(char out[static NEWC_HEAD_MAXIMUM], const char *name, int64_t size);

/* How many zeros follow `size` bytes of a file. */
size_t newc_padding(int64_t size);

/* Who takes what a reader finds. -1 and err ends the reading. */
struct newc_taker {
	void *cookie;
	int (*begin)(void *cookie, const char *name, int64_t size, struct err *err);
	int (*bytes)(void *cookie, const void *bytes, size_t length, struct err *err);
	int (*end)(void *cookie, struct err *err); /* of that file */
};

struct newc_reader { /* begins as zeros */
	char head[NEWC_HEAD_MAXIMUM];
	size_t have;    /* of the head */
	size_t head_length;
	int64_t left;   /* of the file's bytes */
	size_t padding; /* after them */
	bool inside;    /* a file */
	bool ended;
};

/* Takes bytes as they come, in any parts. -1: ERR_INPUT, they are not of that format, or what the taker says. After it none may come. */
int newc_read(struct newc_reader *reader, const struct newc_taker *taker, const void *bytes, size_t length, struct err *err);

#endif
