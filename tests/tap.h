/* TAP for unit tests: one program a module, run under prove. */
#ifndef BYOCI_TESTS_TAP_H
#define BYOCI_TESTS_TAP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* For what must happen: a busy machine is slow, so only what never happens takes as long as this. */
enum { TAP_LIMIT_S = 120 };
#define TAP_LIMIT_MS (TAP_LIMIT_S * 1000)
#define TAP_LIMIT_US (TAP_LIMIT_MS * INT64_C(1000))

static unsigned tap_count;
static unsigned tap_failed;

static inline bool tap_ok(bool good, const char *file, int line, const char *what)
{
	printf("%s %u - %s\n", good ? "ok" : "not ok", ++tap_count, what);
	if (!good) {
		tap_failed++;
		printf("# failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return good;
}

static inline bool tap_is(const char *got, const char *wanted, const char *file, int line, const char *what)
{
	bool same = got && wanted ? strcmp(got, wanted) == 0 : got == wanted;
	tap_ok(same, file, line, what);
	if (!same)
		printf("# got:    %s\n# wanted: %s\n", got ? got : "(null)", wanted ? wanted : "(null)");
	return same;
}

static inline int tap_done(void)
{
	printf("1..%u\n", tap_count);
	return tap_failed ? 1 : 0;
}

/* ok(condition, "what a user cares about"); is(got, wanted, what) compares texts. */
#define ok(condition, what) tap_ok((condition), __FILE__, __LINE__, (what))
#define is(got, wanted, what) tap_is((got), (wanted), __FILE__, __LINE__, (what))

#endif
