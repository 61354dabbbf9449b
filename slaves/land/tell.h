/* What the land daemon tells the forge: one report of one kind for one approved commit of a proposal, marked so that it is there once. */
#ifndef BYOCI_SLAVES_TELL_H
#define BYOCI_SLAVES_TELL_H

#include "forge/marker.h"
#include "slaves/common/program.h"

#define TELL_TEXT_MAXIMUM (64 * 1024)

struct tell {
	const char *project, *proposal;
	const char *kind;     /* "landed", "rejected", …: [a-z-]{1,32} */
	const char *approved; /* commit */
	int64_t approval;     /* seconds: the newest approval that it is about; 0: the forge's newest */
	const char *merge;    /* commit, or NULL */
	const char *text;     /* UTF-8, for people */
	const char *place;    /* forge_proposal.place; NULL: its name says it, or it is not known */
};

/*
 * On a forge with a teller (forge/dialect.h) that is run; else pushes refs/proposals/NAME/reports/MARKER, a blob with JSON. That it is
 * there already is success. `marker` is set when the request is in order. ERR_INPUT, ERR_REFUSED, ERR_NETWORK, ERR_SYSTEM.
 */
int tell_forge(const struct program *program, const struct tell *tell, char marker[static MARKER_SIZE], struct err *err);

#endif
