/* What every verb of byoci-slave has at hand, and how the program runs another of its verbs as a process of its own. */
#ifndef BYOCI_SLAVES_PROGRAM_H
#define BYOCI_SLAVES_PROGRAM_H

#include "base/arena.h"
#include "base/err.h"
#include "base/strv.h"
#include "conf/conf.h"

struct program {
	struct conf *conf;
	const char *const *overrides; /* of -O, NULL-ended; may be NULL */
	const char *root;             /* prefix of /etc, for tests; NULL: none */
	struct arena *arena;          /* lives as long as the process */
};

/* A namespaced option's text; NULL and err when it has none. */
const char *program_option(const struct program *program, const char *option, struct err *err);

/* A mandatory option of [KIND/NAME]; texts belong to the configuration. NULL and err. */
const char *program_section_option(const struct program *program, const char *kind, const char *name, const char *option, struct err *err);

/*
 * Begins a command line `file` -n NAMESPACE -O …, and its whole environment. `file` NULL: this very program, even when it
 * was replaced meanwhile.
 */
void program_command(const struct program *program, const char *file, struct strv *argv, struct strv *environment);

/* {secrets}/FILE, {state}/FILE, and ROOT/etc/byoci/NAMESPACE/FILE, in the arena; NULL and err. */
char *program_secret(const struct program *program, const char *file, struct err *err);
char *program_state(const struct program *program, const char *file, struct err *err);
char *program_etc(const struct program *program, const char *file);

/*
 * Reads the configuration again (SIGHUP): `program` has the new one afterwards, or, when that does not hold, still the old one. `first`
 * is the program as it began, whose configuration is its owner's to free; program_forget() frees the last one. -1: it did not hold, logged.
 */
int program_reload(struct program *program, const struct program *first);
void program_forget(struct program *program, const struct program *first);

#endif
