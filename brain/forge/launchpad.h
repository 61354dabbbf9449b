/*
 * The forms in which Launchpad writes names, addresses and times. Pure.
 * Sources: Launchpad manual, "Web service"; lp/services/webapp/publisher.py canonical_url; lazr.restful marshallers.
 */
#ifndef BYOCI_FORGE_LAUNCHPAD_H
#define BYOCI_FORGE_LAUNCHPAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

/* "~o/p/+git/r": parts of letters, digits and ".+-_~", none empty, "." or "..". */
bool launchpad_name_valid(const char *name);

/* A ref that begins with `prefix`: no blanks, no control characters, nothing that git refuses. */
bool launchpad_ref_valid(const char *ref, const char *prefix);

/* "~o/p/+git/r/+merge/12" → "12", a part of `place`; NULL: not the place of a proposal. */
const char *launchpad_number_of(const char *place);

/* Where the proposal NUMBER of a source repository is: "~o/p/+git/r/+merge/12", in the arena. */
char *launchpad_place(struct arena *arena, const char *source, const char *number);

/* An address of the API, "https://HOST/VERSION/REST" → REST, a part of `link`; NULL: not one. */
const char *launchpad_below_root(const char *link);

/* "2026-11-21T07:34:03.123456+00:00" or "…Z", the fraction of 1 to 6 digits or none, → microseconds since 1970. -1: not such a time. */
int64_t launchpad_time(const char *text);

/*
 * What a Retry-After header asks for (RFC 9110, 10.2.3: seconds, or a date in one of three forms), in seconds from `now` (seconds since
 * 1970), at most LAUNCHPAD_WAIT_MAXIMUM. 0: nothing that is understood, or a time that is over.
 */
#define LAUNCHPAD_WAIT_MAXIMUM 3600
int launchpad_wait(const char *text, int64_t now);

#endif
