/*
 * The links of a worker's network namespace, where liblxc does not make them: its lo, and a pair of ends, one in there with its address
 * and the route to everywhere (nat.h), the other here. By rtnetlink(7) and netdevice(7); no program is started.
 */
#ifndef BYOCI_SLAVES_VETH_H
#define BYOCI_SLAVES_VETH_H

#include "base/err.h"
#include "slaves/confine/nat.h"

/* `net` is a descriptor of the network namespace. */
int veth_lo(int net, struct err *err);

/* nat_begin() comes next; both ends go with the namespace. */
int veth_make(const struct nat_worker *worker, int net, struct err *err);

#endif
