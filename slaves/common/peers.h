/* Who may ask something of a daemon: the users whose processes may connect to its socket (SO_PEERCRED, unix(7)). */
#ifndef BYOCI_SLAVES_PEERS_H
#define BYOCI_SLAVES_PEERS_H

#include <stdbool.h>
#include <sys/types.h>

#include "slaves/common/program.h"

#define PEERS_MAXIMUM 64

struct peers {
	uid_t ids[PEERS_MAXIMUM];
	size_t count;
};

/*
 * root, the users that the `users` options name (NULL-ended), those in the list option `clients` (NULL: none), and agent.user where there
 * is such a user. Others that this host does not have are left out and logged.
 */
int peers_read(const struct program *program, const char *const *users, const char *clients, struct peers *peers, struct err *err);
bool peers_allowed(const struct peers *peers, uid_t uid);

#endif
