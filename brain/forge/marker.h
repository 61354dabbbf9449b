/* The mark of one thing said to the outside: hash(proposal, approved commit, merge id, kind); the same in brain and slave. */
#ifndef BYOCI_FORGE_MARKER_H
#define BYOCI_FORGE_MARKER_H

#define MARKER_SIZE 33 /* 32 hex digits and a NUL */

/* Any of the texts may be NULL (counts as empty; fields are separated unambiguously). */
struct marker_parts { const char *proposal, *approved, *merge, *kind; };
char *marker_make(const struct marker_parts *parts, char out[static MARKER_SIZE]);

#endif
