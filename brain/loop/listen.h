/* Listening TCP sockets: own, or handed over by socket activation. */
#ifndef BYOCI_LOOP_LISTEN_H
#define BYOCI_LOOP_LISTEN_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/err.h"

/*
 * A listening socket (close-on-exec, non-blocking) at `address`: "127.0.0.1:8810", "[::1]:8810", "0.0.0.0:0"; port 0 is any
 * free one. One of LISTEN_FDS (sd_listen_fds(3)) that is bound to exactly that address is used as it is. -1: ERR_CONFIG
 * when it is not an address, ERR_BUSY when it is taken; both name the option.
 */
int listen_tcp(const char *address, const char *option, struct err *err);

/* The port that it listens on, 0 when it is no internet socket. */
unsigned listen_port(int fd);

/* An address in words, without its port: "127.0.0.1", "::1"; "?" for anything else. */
#define LISTEN_NAME INET6_ADDRSTRLEN
void listen_name(const struct sockaddr *address, char out[static LISTEN_NAME]);

#endif
