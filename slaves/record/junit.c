#include "slaves/record/junit.h"

#include <expat.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define DEPTH 64                              /* of elements in each other */
#define MEMORY ((size_t)64 * 1024 * 1024)     /* for all of the parser's own */
#define ALIGNED 16
#define NAME (2 * COUNTS_NAME_SIZE)

/* The parser's memory: what is given back is used again only when it was the last, or the last grows. All of it ends with the report. */
static struct {
	_Alignas(ALIGNED) unsigned char bytes[MEMORY];
	size_t used, last; /* where the last one begins */
} memory;

static size_t *size_of(void *block)
{
	return (size_t *)(void *)((unsigned char *)block - ALIGNED);
}

static void *allocate(size_t size)
{
	size_t rounded = (size + ALIGNED - 1) / ALIGNED * ALIGNED;
	unsigned char *block = memory.bytes + memory.used + ALIGNED;

	if (rounded < size || rounded > MEMORY || memory.used + ALIGNED > MEMORY - rounded)
		return NULL;
	memory.last = memory.used;
	memory.used += ALIGNED + rounded;
	*size_of(block) = size;
	return block;
}

static void release(void *block)
{
	if (block && (unsigned char *)block == memory.bytes + memory.last + ALIGNED && memory.used > memory.last)
		memory.used = memory.last;
}

static void *reallocate(void *block, size_t size)
{
	size_t old;
	void *moved;

	if (!block)
		return allocate(size);
	old = *size_of(block);
	release(block); /* the last one grows in place: its bytes stay */
	moved = allocate(size);
	if (moved && moved != block)
		memcpy(moved, block, old < size ? old : size);
	return moved;
}

struct reading {
	XML_Parser parser;
	struct counts *counts;
	unsigned depth;
	unsigned in_case; /* depth of the test case that we are in; 0: none */
	enum counts_end end;
	char name[NAME];
	int64_t ms;
	const char *wrong; /* why we ended it */
};

static void refuse(struct reading *reading, const char *why)
{
	reading->wrong = why;
	XML_StopParser(reading->parser, XML_FALSE);
}

/* "1,234.5678" seconds in ms, rounded down; -1: none. */
static int64_t milliseconds(const char *text)
{
	int64_t ms = 0;
	int digits = 0, decimals = -1;

	for (; *text; text++) {
		if (*text == ',' && decimals < 0)
			continue;
		if (*text == '.' && decimals < 0) {
			decimals = 0;
			continue;
		}
		if (*text < '0' || *text > '9' || ++digits > 12)
			return -1;
		if (decimals == 3)
			continue;
		ms = ms * 10 + (*text - '0');
		decimals += decimals >= 0;
	}
	for (decimals = decimals < 0 ? 0 : decimals; decimals < 3; decimals++)
		ms *= 10;
	return digits ? ms : -1;
}

static const char *attribute(const XML_Char **attributes, const char *name)
{
	for (; attributes[0]; attributes += 2)
		if (strcmp(attributes[0], name) == 0)
			return attributes[1];
	return "";
}

static void begin_case(struct reading *reading, const XML_Char **attributes)
{
	const char *class = attribute(attributes, "classname"), *name = attribute(attributes, "name");
	bool left_out = strcmp(attribute(attributes, "status"), "notrun") == 0;

	reading->in_case = reading->depth;
	reading->end = left_out ? COUNTS_SKIPPED : COUNTS_PASSED;
	reading->ms = milliseconds(attribute(attributes, "time"));
	snprintf(reading->name, sizeof reading->name, "%.*s%s%.*s", COUNTS_NAME_SIZE - 2, class, *class ? "." : "", COUNTS_NAME_SIZE, name);
}

static void XMLCALL on_start(void *cookie, const XML_Char *element, const XML_Char **attributes)
{
	struct reading *reading = cookie;

	if (++reading->depth > DEPTH)
		refuse(reading, "its elements are nested too deep");
	else if (!reading->in_case && strcmp(element, "testcase") == 0)
		begin_case(reading, attributes);
	else if (!reading->in_case || reading->depth != reading->in_case + 1)
		return;
	else if (strcmp(element, "failure") == 0 || strcmp(element, "error") == 0)
		reading->end = COUNTS_FAILED;
	else if (strcmp(element, "skipped") == 0 && reading->end == COUNTS_PASSED)
		reading->end = COUNTS_SKIPPED;
}

static void XMLCALL on_end(void *cookie, const XML_Char *element)
{
	struct reading *reading = cookie;

	(void)element;
	if (reading->in_case == reading->depth) {
		counts_add(reading->counts, reading->end, reading->name, sizeof reading->name, reading->ms);
		reading->in_case = 0;
	}
	reading->depth--;
}

static void XMLCALL on_doctype(void *cookie, const XML_Char *name, const XML_Char *system, const XML_Char *public, int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	refuse(cookie, "it has a document type, and could define entities with it");
}

int junit_count(const void *bytes, size_t length, struct counts *counts, struct err *err)
{
	static const XML_Memory_Handling_Suite suite = {.malloc_fcn = allocate, .realloc_fcn = reallocate, .free_fcn = release};
	struct reading reading = {.counts = counts};
	int rc = 0;

	memory.used = memory.last = 0;
	if (length > INT_MAX / 2)
		return err_set(err, ERR_INPUT, "JUnit report: %zu bytes are too many", length);
	reading.parser = XML_ParserCreate_MM(NULL, &suite, NULL);
	if (!reading.parser)
		return err_set(err, ERR_SYSTEM, "JUnit report: no memory for its parser");
	/* The names in a report are few and its memory is bounded; expat would ask the kernel for a number, which may not be possible here. */
	XML_SetHashSalt(reading.parser, 0x62796f63);
	XML_SetUserData(reading.parser, &reading);
	XML_SetElementHandler(reading.parser, on_start, on_end);
	XML_SetStartDoctypeDeclHandler(reading.parser, on_doctype);
	if (XML_Parse(reading.parser, bytes, (int)length, XML_TRUE) != XML_STATUS_OK)
		rc = err_set(err, ERR_INPUT, "JUnit report: line %lu: %s", (unsigned long)XML_GetCurrentLineNumber(reading.parser),
			reading.wrong ? reading.wrong : XML_ErrorString(XML_GetErrorCode(reading.parser)));
	XML_ParserFree(reading.parser);
	return rc;
}
