/*
 * A leader that was started before there is a build for it (`byoci-slave standby JOB DIGEST DESCRIPTOR`): it has a worker started, which
 * waits, and waits itself for an order of the daemon over the socket that is its DESCRIPTOR; one that comes while the worker still starts
 * is obeyed at once. When the daemon is gone or does not want it any more, the socket closes, and worker and process end. So no
 * connection ever changes hands, and a killed daemon leaves nothing.
 */
#ifndef BYOCI_SLAVES_STANDBY_H
#define BYOCI_SLAVES_STANDBY_H

#include "forge/spec.h"
#include "slaves/common/program.h"

#define STANDBY_READY 'r' /* what it says when its worker waits; nothing else is ever said */

/* The daemon's side. A packet socket; the process has the other end. -1 and err: it could not be started. */
int standby_start(const struct program *program, const char *job, const char *digest, pid_t *pid, int *pidfd, struct err *err);

/*
 * The same before it is known of which job (`byoci-slave spare DESCRIPTOR`): it has no worker until it is named, and takes nothing but
 * memory. standby_name(): -1: it is gone.
 */
int standby_spare(const struct program *program, pid_t *pid, int *pidfd, struct err *err);
int standby_name(int fd, const char *job, const char *digest, struct err *err);

/* Hands it a build, with the descriptor of its locked leader.pid, which stays the caller's too. -1: it is gone, nothing was begun. */
int standby_order(int fd, const char *build, int claim);

/* The process. Returns its exit status. */
int standby_verb(const struct program *program, const char *job, const char *digest, int fd);
int standby_spare_verb(const struct program *program, int fd);

#endif
