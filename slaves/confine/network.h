/*
 * What a worker can reach: option `network` of its job. Its network namespace is always its own.
 *   none   its own lo, and nobody else.
 *   proxy  the same, and one HTTP proxy of the configuration (worker.proxy), at 127.0.0.1:NETWORK_PORT in there: proxy.h.
 *   nat    the world by way of the host, but not the host, other workers or what worker.nat.deny names: nat.h.
 */
#ifndef BYOCI_SLAVES_NETWORK_H
#define BYOCI_SLAVES_NETWORK_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "slaves/confine/lxc_settings.h"
#include "slaves/confine/nat.h"
#include "slaves/confine/proxy.h"

#define NETWORK_PORT 3128

enum network_kind { NETWORK_NONE, NETWORK_PROXY, NETWORK_NAT };

struct network {
	enum network_kind kind;
	struct proxy_address proxy; /* of NETWORK_PROXY */
	struct nat_worker nat;      /* of NETWORK_NAT */
	pid_t relay;                /* 0: none */
};

/* As the job's section has it, for the worker in this slot. ERR_CONFIG. */
int network_read(struct network *network, struct arena *arena, const struct conf *conf, const char *job, unsigned slot,
	struct err *err);

/* Before the container starts: what it needs on the host. */
int network_prepare(const struct network *network, struct arena *arena, const struct conf *conf, struct err *err);

/* What liblxc has to know. */
void network_settings(const struct network *network, struct lxc_settings *settings);

/* When it runs; `init` is a pidfd of its first process, `empty` an empty folder. The relay is a child of the caller. */
int network_begin(struct network *network, int init, const char *empty, struct err *err);

/* Variables of programs that run in it: NULL-ended. */
const char *const *network_environment(const struct network *network);

/* Kills the relay, which the caller reaps; waits until nothing of the network is left on the host. Again is fine. */
int network_end(struct network *network, struct err *err);

#endif
