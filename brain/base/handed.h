/* Sockets that the service manager opened for us: socket activation, sd_listen_fds(3). */
#ifndef BYOCI_BASE_HANDED_H
#define BYOCI_BASE_HANDED_H

#include <stdbool.h>

/* Whether a socket is the one that is wanted. */
typedef bool handed_is_fn(int fd, const void *wanted);

/* The descriptor that is, not blocking and closed on exec; -1: none was handed over. */
int handed_socket(handed_is_fn *is, const void *wanted);

#endif
