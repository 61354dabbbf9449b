/*
 * Libraries that are loaded when they are needed first: one that brings thirty others along makes the start of a program, and each fork of
 * it, take longer by all their mappings. A module has a table of pointers to the functions that it calls, declared by the library's own
 * header, and their names.
 */
#ifndef BYOCI_BASE_LAZY_H
#define BYOCI_BASE_LAZY_H

#include <stddef.h>

#include "base/err.h"

struct lazy_call {
	const char *name;
	size_t at; /* of its pointer in the table */
};

/* `library` is a name as dlopen(3) takes it; the pointers are set. Again is fine, but not free: remember that it was done. */
int lazy_load(const char *library, const struct lazy_call *calls, size_t count, void *table, struct err *err);

#endif
