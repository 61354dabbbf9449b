/* How options stand in a text that a digest is of. */
#ifndef BYOCI_FORGE_DIGEST_TEXT_H
#define BYOCI_FORGE_DIGEST_TEXT_H

#include "base/buf.h"
#include "conf/conf.h"

/* Adds the value and a newline, backslash and newline in it written \\ and \n. -1: it is full. */
int digest_text_escaped(struct buf *text, const char *value);

/* A conf_each_fn: adds "OPTION=VALUE\n" to the struct buf `text`, nothing for an unset one. Another than 0: it is full. */
int digest_text_option(const struct conf_value *value, void *text);

#endif
