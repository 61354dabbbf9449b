/* Inside conf/: files and overrides into the table. */
#ifndef BYOCI_CONF_LOAD_H
#define BYOCI_CONF_LOAD_H

#include "base/err.h"
#include "conf/conf.h"

/* Fills an empty one that has an arena. */
int load_conf(struct conf *conf, const struct conf_source *source, struct err *err);

#endif
