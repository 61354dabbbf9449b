/* Reading the configuration again while a daemon runs (SIGHUP): all of it, or nothing. */
#ifndef BYOCI_CONF_RELOAD_H
#define BYOCI_CONF_RELOAD_H

#include "base/err.h"
#include "conf/conf.h"

/*
 * What was read from `conf` when the daemon started and is not looked at again; each that is another now is logged as taking a restart.
 */
struct reload_fixed {
	const char *const *options; /* of the namespace; NULL-ended */
	const char *kind;           /* of sections ("account"); NULL: none */
};

/*
 * A new configuration from the same files, for the same namespace, if every value in it holds. NULL, with what is wrong in `err`: the
 * old one stays in force. The caller exchanges the two and frees the old one when nothing holds texts of it any more.
 */
struct conf *reload_conf(const struct conf *old, const struct conf_source *source, const struct reload_fixed *fixed, struct err *err);

#endif
