/* `byoci-slave shell BUILD`: a shell in the kept worker of a build. Blocks. */
#ifndef BYOCI_SLAVES_SHELL_H
#define BYOCI_SLAVES_SHELL_H

#include "slaves/common/program.h"

/*
 * On a terminal: the shell has one of its own, and what is typed and printed goes between the two, the window's size too; ours is
 * never known in there. Otherwise standard input, output and error go through pipes. Returns the shell's exit status.
 */
int shell_verb(const struct program *program, const char *build);

/* The same in a copy that waits for it on this connection to byoci-worker, which is taken over. */
int shell_in_copy(int connection, const char *build);

#endif
