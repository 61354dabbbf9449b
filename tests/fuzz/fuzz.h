/*
 * What the fuzz targets share. A target is a file NAME.c with LLVMFuzzerTestOneInput (libFuzzer's interface) and a folder
 * NAME.corpus of inputs to begin with; an input that once made it crash stays in there.
 */
#ifndef BYOCI_TESTS_FUZZ_H
#define BYOCI_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* What must hold whatever the input is. */
#define MUST(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* The bytes as a text, up to the first NUL; yours to free. Of exact size, so that a read behind it is seen. */
static inline char *fuzz_text(const uint8_t *bytes, size_t length)
{
	char *text = strndup((const char *)bytes, length);

	MUST(text);
	return text;
}

#endif
