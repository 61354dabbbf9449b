/* Unix sockets: listening (own or handed over), connecting, who is at the other end, descriptors in messages. */
#ifndef BYOCI_BASE_SOCK_H
#define BYOCI_BASE_SOCK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * A listening Unix socket (close-on-exec, non-blocking) of `type` SOCK_STREAM or SOCK_SEQPACKET, mode 0660.
 * Handed over by socket activation (LISTEN_FDS, any descriptor bound to that path) it is used as it is. A stale
 * file is removed first; a living server there is ERR_BUSY, after some seconds: a killed one's children may still be about to execute.
 */
int sock_listen(const char *path, int type, struct err *err);

/* Connected, close-on-exec, blocking. Nobody there: ERR_NETWORK and what to start. */
int sock_connect(const char *path, int type, struct err *err);

/* Effective ids of the process at the other end when it connected (SO_PEERCRED, unix(7)). Any pointer may be NULL. */
int sock_peer(int fd, uid_t *uid, gid_t *gid, pid_t *pid, struct err *err);

/*
 * One message with up to 4 descriptors (SCM_RIGHTS). Both block, EINTR is retried. ERR_TIMEOUT: the socket has a limit (SO_RCVTIMEO,
 * SO_SNDTIMEO), and that was reached.
 */
#define SOCK_DESCRIPTORS 4
int sock_send(int fd, const void *bytes, size_t length, const int *descriptors, size_t count, struct err *err);
/* Returns the length, 0 at the end; received descriptors are close-on-exec; *count is set. */
ssize_t sock_receive(int fd, void *bytes, size_t room, int descriptors[static SOCK_DESCRIPTORS], size_t *count, struct err *err);

#endif
