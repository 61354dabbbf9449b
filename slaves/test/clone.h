/* The slave's clone of a project, which all who fetch and merge share. */
#ifndef BYOCI_SLAVES_CLONE_H
#define BYOCI_SLAVES_CLONE_H

#include "slaves/common/program.h"
#include "slaves/tree/tree.h"

/* Opened as one of those who say `word` (tree.h: shared); NULL and err. */
struct tree *clone_open(const struct program *program, const char *project, const char *word, struct err *err);

#endif
