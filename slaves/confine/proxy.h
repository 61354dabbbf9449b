/*
 * The way out of a worker with `network = proxy`: a process without rights that takes connections from a listening socket (which
 * is in the worker's network namespace) and relays their bytes to one address on this side, and to no other. It looks at nothing.
 */
#ifndef BYOCI_SLAVES_PROXY_H
#define BYOCI_SLAVES_PROXY_H

#include <sys/socket.h>
#include <sys/types.h>

#include "base/err.h"

#define PROXY_CONNECTIONS 64 /* at a time; more wait */
#define PROXY_IDLE_MS (5 * 60 * 1000) /* a connection that says nothing for so long is closed */

struct proxy_address {
	struct sockaddr_storage to;
	socklen_t length;
};

/* "192.0.2.1:3128", "[::1]:3128", "localhost:3128"; ERR_CONFIG. */
int proxy_address(const char *text, struct proxy_address *address, struct err *err);

/*
 * Starts it, as a child of the caller that ends when it is killed: in an empty folder, as nobody, with the descriptor `listener`
 * (non-blocking) and no other. Returns its process id. Real root only; `empty` is an empty folder.
 */
pid_t proxy_start(int listener, const struct proxy_address *address, const char *empty, struct err *err);

#endif
