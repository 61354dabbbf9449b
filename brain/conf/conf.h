/*
 * The configuration: files in, values out. Every option is one row of conf/option.h; a
 * value is looked up for one namespace and one section, expanded, checked against its
 * row, and its place (file:line) is known. Immutable after conf_load.
 *
 * Files, later ones win: /etc/byoci/ *.conf, /etc/byoci/NAMESPACE/ *.conf (both sorted); and, unless
 * `system_only`, ~/.config/byoci/ *.conf, ./byov.conf, ./byov.conf.d/ *.conf (only if owned by the caller or root
 * and not writable by others). `-O` overrides win over all.
 *
 * Sections: [byoci] (every namespace), [NAMESPACE], [project/NAME], [job/NAME], [backing/NAME], [account/NAME], [slave/NAME],
 * [master/NAME].
 * A namespaced option X is written `byoci.X` (every namespace) or `NAMESPACE.X`, in [byoci] or [NAMESPACE]; in [NAMESPACE]
 * also plain X. Options of the other sections are written plain, or `NAMESPACE.X` for one namespace only.
 * The more special wins: NAMESPACE.X over X; then the later file, and in a file the later line. An empty value is as none: the
 * default holds. A line is a section, an option or a comment (# or ; in the first column): values are not continued. A namespace
 * has no name that options begin with (`git`: git.user). One that the files do not speak of, though they do of others, is
 * ERR_USAGE: it is mistyped.
 * Overrides: `-O X=V`, `-O NAMESPACE.X=V`, `-O SECTION:X=V` (`-O project/sample:tests.limit=10s`).
 *
 * Expansion: `{X}` is the value of option X (in the same section, then in the namespace); `{byoci}` is the namespace;
 * `{name}` in a named section is its NAME unless an option `name` exists; innermost first, so `{{byoci}.X}` is `{testing.X}`, which is the
 * namespace's where section and namespace both have an X (secrets).
 * A brace that is meant as itself is `\{`, `\}`; `{{` is never a literal. A cycle is an error that prints the chain. An
 * unknown option, a bad value, an unknown section kind: ERR_CONFIG,
 * "FILE:LINE: [SECTION] OPTION: what is wrong; what would be right" (nearest known name).
 */
#ifndef BYOCI_CONF_CONF_H
#define BYOCI_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct conf;

struct conf_source {
	/* [a-z][a-z0-9]{0,15}; NULL: BYOCI_NAMESPACE, else the only one in /etc/byoci, else ERR_USAGE that lists them */
	const char *namespace;
	bool system_only; /* daemons: only files in /etc/byoci, each owned by root and writable by nobody else */
	/*
	 * Prefix of /etc, for tests: there also files of the caller's own are believed. NULL: BYOCI_ROOT from the
	 * environment, which is not asked in programs with more rights than their caller (secure_getenv(3)), else "".
	 */
	const char *root;
	const char *const *files; /* NULL-ended list read instead of all the above; each must exist; may be NULL */
	const char *const *overrides; /* NULL-ended "NAME=VALUE" of -O; may be NULL */
};

int conf_load(struct conf **conf, const struct conf_source *source, struct err *err);
void conf_free(struct conf *conf);

const char *conf_namespace(const struct conf *conf);

/*
 * Reads one option. `section` is NULL for namespaced options, else "project/sample". The name must be a row of conf/option.h
 * of that section's kind (anything else ends the process: it is a mistake of ours, not of the user). Text belongs to `conf`.
 * A section that is not there: ERR_CONFIG with the nearest that is.
 * Unset and mandatory: ERR_CONFIG with the option, the section and the files that were read. Unset, optional, without default:
 * text NULL / 0.
 */
int conf_text(const struct conf *conf, const char *section, const char *option, const char **value, struct err *err);
/* Also durations in ms and sizes in bytes. */
int conf_integer(const struct conf *conf, const char *section, const char *option, int64_t *value, struct err *err);
int conf_boolean(const struct conf *conf, const char *section, const char *option, bool *value, struct err *err);
/* Comma separated; NULL-ended, in the arena. */
int conf_list(const struct conf *conf, struct arena *arena, const char *section, const char *option, const char *const **values,
	struct err *err);

/* Names of the sections of a kind ("project"), sorted; NULL-ended, in the arena. */
const char *const *conf_sections(const struct conf *conf, struct arena *arena, const char *kind);
bool conf_has_section(const struct conf *conf, const char *section);

/*
 * Calls back for every option of a section: expanded value (NULL: unset) and its place ("FILE:LINE", "-O", "default"), in a fixed
 * order. For `byoci config` and digests. A call that returns another than 0 ends it, and is returned.
 */
struct conf_value {
	const char *section; /* "" for namespaced ones */
	const char *option;
	const char *value;
	const char *place;
};
typedef int conf_each_fn(const struct conf_value *value, void *cookie);
int conf_each(const struct conf *conf, const char *section, conf_each_fn *each, void *cookie, struct err *err);

/*
 * Expands and checks everything, and that every section that is named is there: the first error, or 0. For `byoci config` and
 * before a daemon starts.
 */
int conf_check(const struct conf *conf, struct err *err);

#endif
