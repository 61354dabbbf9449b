/*
 * One request to the land daemon, worked on by a process of its own (`byoci-slave lander`): reads the request from standard input,
 * writes the reply to standard output, both one JSON text. Once begun it goes on to its end, whoever asked.
 */
#ifndef BYOCI_SLAVES_LANDER_H
#define BYOCI_SLAVES_LANDER_H

#include "slaves/common/program.h"

#define LANDER_REQUEST_MAXIMUM (1024 * 1024)
#define LANDER_REPLY_MAXIMUM (1024 * 1024 - 1024)

/* Returns the exit status: 0 when a reply was written. */
int lander_verb(const struct program *program);

#endif
