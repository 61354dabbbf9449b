/*
 * `network = nat`: a bridge of the namespace on the host, and rules of nftables for all that comes from it. A worker reaches what
 * the host can reach, but no address of the host itself, no other worker, nothing in worker.nat.deny, and of the name servers
 * only their port 53. It can't take another's address: the rules tie each port of the bridge to one. IPv4 only.
 * Bridge and rules are made when they are needed first, and again, to the same result, for each worker; they go with the namespace.
 */
#ifndef BYOCI_SLAVES_NAT_H
#define BYOCI_SLAVES_NAT_H

#include <net/if.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "slaves/confine/lxc_settings.h"

#define NAT_ADDRESS_SIZE 24
#define NAT_MAC_SIZE 18

struct nat_worker {
	char bridge[IFNAMSIZ]; /* byoHASH, of the namespace's name */
	char veth[IFNAMSIZ];   /* byoHASH.SLOT: its end on the host */
	char mac[NAT_MAC_SIZE];
	char address[NAT_ADDRESS_SIZE], gateway[NAT_ADDRESS_SIZE]; /* without a length */
	unsigned bits; /* of the network's prefix */
};

/* Names and addresses of the worker in this slot. ERR_CONFIG. */
int nat_read(struct nat_worker *worker, const struct conf *conf, unsigned slot, struct err *err);

/*
 * Makes the rules, then the bridge. ERR_CONFIG with the reason when this machine can't: no nft, no support in the kernel, or it
 * does not forward.
 */
int nat_prepare(const struct nat_worker *worker, struct arena *arena, const struct conf *conf, struct err *err);

/* The rules as nft takes them; of every slot. */
char *nat_rules(const struct nat_worker *worker, struct arena *arena, const struct conf *conf, struct err *err);

/* What liblxc has to know. */
void nat_settings(const struct nat_worker *worker, struct lxc_settings *settings);

/* When the container was started: its end on the host becomes a port of the bridge. */
int nat_begin(const struct nat_worker *worker, struct err *err);

/* Lines for the worker's /etc/resolv.conf. */
char *nat_resolvers(struct arena *arena, const struct conf *conf, struct err *err);

/* The name of its end on the host: for a container "byoci-NAMESPACE-SLOT". */
void nat_link_name(char link[static IFNAMSIZ], const char *container);

/* Waits until there is no such link on the host, and removes it when it stays; ERR_TIMEOUT. */
int nat_gone(const char *link, struct err *err);

/* For a daemon that starts: makes all of it when a job of the configuration wants it, removes it when none does. */
int nat_settle(const struct conf *conf, struct err *err);

/* Removes rules and bridge of a namespace; those that are not there are fine. */
int nat_remove(const char *namespace, struct err *err);

#endif
