#include "slaves/confine/nat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"

#define HASH_DIGITS 8
#define RULES_MAXIMUM 65536
#define FIRST_HOST 2   /* 1 is the bridge */
#define LONGEST_PREFIX 25 /* 64 slots and the bridge fit */
#define GONE_LIMIT_US (10 * 1000000)
#define FILE_MAXIMUM 65536
#define FLOWS "1024" /* of one worker at a time */

/* The bridge's own: what comes from it is forwarded, and nothing is learned from it. */
static const struct {
	const char *family, *name, *value;
} sysctls[] = {
	{"ipv6", "disable_ipv6", "1"},
	{"ipv4", "forwarding", "1"},
	{"ipv4", "rp_filter", "1"},
	{"ipv4", "accept_redirects", "0"},
	{"ipv4", "send_redirects", "0"},
	{"ipv4", "accept_source_route", "0"},
	{"ipv4", "arp_ignore", "1"},
};

static void hash_name(const char *namespace, char hash[static CRYPTO_SHA256_HEX])
{
	crypto_sha256(namespace, strlen(namespace), hash);
}

static void bridge_name(char bridge[static IFNAMSIZ], const char *namespace)
{
	char hash[CRYPTO_SHA256_HEX];

	hash_name(namespace, hash);
	snprintf(bridge, IFNAMSIZ, "byo%.*s", HASH_DIGITS, hash);
}

void nat_link_name(char link[static IFNAMSIZ], const char *container)
{
	const char *slot = strrchr(container, '-'), *namespace = strchr(container, '-');
	char name[32] = "", bridge[IFNAMSIZ];

	if (namespace && slot && slot > namespace)
		snprintf(name, sizeof name, "%.*s", (int)(slot - namespace - 1), namespace + 1);
	bridge_name(bridge, name);
	snprintf(link, IFNAMSIZ, "%.11s.%.3s", bridge, slot ? slot + 1 : "");
}

/* "10.213.0.0/24" */
static int read_network(const struct conf *conf, uint32_t *network, unsigned *bits, struct err *err)
{
	const char *text;
	char address[NAT_ADDRESS_SIZE];
	struct in_addr in;
	size_t length;

	if (conf_text(conf, NULL, "worker.nat", &text, err) < 0)
		return -1;
	length = strcspn(text, "/");
	snprintf(address, sizeof address, "%.*s", (int)length, text);
	*bits = text[length] ? (unsigned)strtoul(text + length + 1, NULL, 10) : 0;
	if (inet_pton(AF_INET, address, &in) != 1 || *bits < 8 || *bits > LONGEST_PREFIX ||
		ntohl(in.s_addr) & (UINT32_MAX >> *bits))
		return err_set(err, ERR_CONFIG, "worker.nat = %s: is no network for up to 64 workers; as in 10.213.0.0/24", text);
	*network = ntohl(in.s_addr);
	return 0;
}

static void address_of(char text[static NAT_ADDRESS_SIZE], uint32_t network, uint32_t host)
{
	const struct in_addr in = {.s_addr = htonl(network + host)};

	inet_ntop(AF_INET, &in, text, NAT_ADDRESS_SIZE);
}

int nat_read(struct nat_worker *worker, const struct conf *conf, unsigned slot, struct err *err)
{
	char hash[CRYPTO_SHA256_HEX];
	uint32_t network = 0;

	if (read_network(conf, &network, &worker->bits, err) < 0)
		return -1;
	hash_name(conf_namespace(conf), hash);
	bridge_name(worker->bridge, conf_namespace(conf));
	snprintf(worker->veth, sizeof worker->veth, "%.11s.%u", worker->bridge, slot % 1000);
	snprintf(worker->mac, sizeof worker->mac, "02:%.2s:%.2s:%.2s:00:%02x", hash, hash + 2, hash + 4, slot & 0xff);
	address_of(worker->gateway, network, 1);
	address_of(worker->address, network, FIRST_HOST + slot);
	return 0;
}

void nat_settings(const struct nat_worker *worker, struct lxc_settings *settings)
{
	lxc_settings_add(settings, "lxc.net.0.veth.pair", "%s", worker->veth);
	lxc_settings_add(settings, "lxc.net.0.name", "eth0");
	lxc_settings_add(settings, "lxc.net.0.hwaddr", "%s", worker->mac);
	lxc_settings_add(settings, "lxc.net.0.ipv4.address", "%s/%u", worker->address, worker->bits);
	lxc_settings_add(settings, "lxc.net.0.ipv4.gateway", "%s", worker->gateway);
	lxc_settings_add(settings, "lxc.net.1.type", "empty");
	lxc_settings_add(settings, "lxc.net.1.flags", "up");
}

/* The name servers of the configuration, else the host's own that others can reach; comma separated. */
static int resolvers(struct arena *arena, const struct conf *conf, const char **list, struct err *err)
{
	struct err unread = {0};
	struct in_addr in;
	char *rest;
	const char *line;

	if (conf_text(conf, NULL, "worker.nat.dns", list, err) < 0)
		return -1;
	if (*list && **list)
		return 0;
	*list = "";
	rest = file_read(arena, "/etc/resolv.conf", FILE_MAXIMUM, NULL, &unread);
	while (rest && (line = strsep(&rest, "\n"))) {
		const char *address = line + strlen("nameserver ");

		if (strncmp(line, "nameserver ", strlen("nameserver ")) == 0 && inet_pton(AF_INET, address, &in) == 1 &&
			ntohl(in.s_addr) >> 24 != 127)
			*list = arena_printf(arena, "%s%s%s", *list, **list ? ", " : "", address);
	}
	return 0;
}

char *nat_resolvers(struct arena *arena, const struct conf *conf, struct err *err)
{
	const char *list;
	char *rest, *text = arena_strdup(arena, "");
	const char *address;

	if (resolvers(arena, conf, &list, err) < 0)
		return NULL;
	rest = arena_strdup(arena, list);
	while ((address = strsep(&rest, ", ")))
		if (*address)
			text = arena_printf(arena, "%snameserver %s\n", text, address);
	return text;
}

/* A dollar and a letter is a value: see nat_rules(). */
static const char rules[] =
	"table inet byoci_$N\n"
	"delete table inet byoci_$N\n"
	"table inet byoci_$N {\n"
	"	set refused { type ipv4_addr; flags interval; auto-merge; elements = { $R }; }\n"
	"	set resolvers { type ipv4_addr; flags interval; auto-merge; $D }\n"
	"	set flows { type ipv4_addr; flags dynamic; size 1024; }\n"
	/* Before any other rule changes where a packet goes to. */
	"	chain begin {\n"
	"		type filter hook prerouting priority raw - 10; policy accept;\n"
	"		iifname != \"$B\" accept\n"
	"		meta nfproto != ipv4 drop\n"
	"		fib daddr type != unicast drop\n"
	"		jump judge\n"
	"	}\n"
	"	chain judge {\n"
	"		ip daddr @resolvers meta l4proto { tcp, udp } th dport 53 return\n"
	"		ip daddr @refused reject with icmp type admin-prohibited\n"
	"	}\n"
	"	chain host {\n"
	"		type filter hook input priority filter - 10; policy accept;\n"
	"		iifname \"$B\" drop\n"
	"	}\n"
	"	chain pass {\n"
	"		type filter hook forward priority filter - 10; policy accept;\n"
	"		iifname \"$B\" jump out\n"
	"		oifname \"$B\" jump back\n"
	"	}\n"
	"	chain out {\n"
	"		oifname \"$B\" drop\n"
	"		jump judge\n"
	"		ct state new add @flows { ip saddr ct count over $F } drop\n"
	"	}\n"
	"	chain back {\n"
	"		ct state established,related accept\n"
	"		drop\n"
	"	}\n"
	"	chain source {\n"
	"		type nat hook postrouting priority srcnat; policy accept;\n"
	"		ip saddr $S oifname != \"$B\" masquerade\n"
	"	}\n"
	"}\n"
	"table bridge byoci_$N\n"
	"delete table bridge byoci_$N\n"
	"table bridge byoci_$N {\n"
	"	set workers { type ifname . ether_addr . ipv4_addr; elements = { $W }; }\n"
	"	chain begin {\n"
	"		type filter hook prerouting priority -300; policy accept;\n"
	"		iifname != \"$B.*\" accept\n"
	"		iifname . ether saddr . ip saddr @workers accept\n"
	"		iifname . ether saddr . arp saddr ip @workers accept\n"
	"		drop\n"
	"	}\n"
	"	chain pass {\n"
	"		type filter hook forward priority -200; policy accept;\n"
	"		iifname \"$B.*\" oifname \"$B.*\" drop\n"
	"	}\n"
	"}\n";

/* `text` with the value of each "$X" in its place; `values` has one for each capital letter that occurs. */
static char *fill(struct arena *arena, const char *text, const char *const values['Z' + 1])
{
	char *made, *filled;
	struct buf buf;
	int rc = 0;

	buf_init(&buf, RULES_MAXIMUM);
	while (rc == 0 && *text) {
		size_t plain = strcspn(text, "$");

		rc = buf_add(&buf, text, plain);
		text += plain;
		if (rc == 0 && *text) {
			rc = buf_adds(&buf, values[(unsigned char)text[1]]);
			text += 2;
		}
	}
	made = rc == 0 ? buf.data : NULL;
	filled = arena_strdup(arena, made);
	buf_release(&buf);
	return filled;
}

/* Every worker there may be: its port, hardware address and address. */
static const char *workers(struct arena *arena, const struct conf *conf, struct err *err)
{
	const char *list = "";
	int64_t slots;

	if (conf_integer(conf, NULL, "worker.slots", &slots, err) < 0)
		return NULL;
	for (unsigned slot = 0; slot < (unsigned)slots; slot++) {
		struct nat_worker worker;

		if (nat_read(&worker, conf, slot, err) < 0)
			return NULL;
		list = arena_printf(arena, "%s%s\"%s\" . %s . %s", list, slot ? ", " : "", worker.veth, worker.mac, worker.address);
	}
	return list;
}

char *nat_rules(const struct nat_worker *worker, struct arena *arena, const struct conf *conf, struct err *err)
{
	const char *denied, *servers, *every = workers(arena, conf, err);
	uint32_t network = 0;
	char first[NAT_ADDRESS_SIZE], *text;
	unsigned bits = 0;

	if (!every || conf_text(conf, NULL, "worker.nat.deny", &denied, err) < 0 || resolvers(arena, conf, &servers, err) < 0 ||
		read_network(conf, &network, &bits, err) < 0)
		return NULL;
	if (strspn(denied, "0123456789./, ") != strlen(denied) || strspn(servers, "0123456789./, ") != strlen(servers)) {
		err_set(err, ERR_CONFIG, "worker.nat.deny, worker.nat.dns: want IPv4 addresses and networks, not %s; %s", denied, servers);
		return NULL;
	}
	address_of(first, network, 0);
	text = fill(arena, rules, (const char *const['Z' + 1]){
		['N'] = conf_namespace(conf),
		['B'] = worker->bridge,
		['R'] = denied,
		['D'] = *servers ? arena_printf(arena, "elements = { %s };", servers) : "",
		['F'] = FLOWS,
		['S'] = arena_printf(arena, "%s/%u", first, bits),
		['W'] = every,
	});
	if (!text)
		err_set(err, ERR_CONFIG, "worker.nat.deny: over %d bytes of rules", RULES_MAXIMUM);
	return text;
}

/* Runs it to its end; what it complains of is the reason. */
static int run(const char *const *argv, const char *input, struct err *err)
{
	const struct child child = {.argv = argv, .in = -1, .out = -1, .err = -1};
	const struct child_input in = {.bytes = input, .length = input ? strlen(input) : 0};
	struct child_result result;
	int rc = child_run(&child, &in, &result, err);

	if (rc == 0 && result.status)
		rc = err_set(err, ERR_CONFIG, "%s: %.*s", argv[0], (int)strcspn(result.err.data ? result.err.data : "", "\n"),
			result.err.data ? result.err.data : "");
	child_result_release(&result);
	if (rc < 0)
		err->kind = ERR_CONFIG;
	return rc < 0 ? err_wrap(err, "network = nat: this machine can't") : 0;
}

static int put(const char *path, const char *value, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t written = fd < 0 ? -1 : write(fd, value, strlen(value));

	if (written < 0)
		err_set_errno(err, errno, "%s: cannot be set to %s", path, value);
	if (fd >= 0)
		close(fd);
	return written < 0 ? -1 : 0;
}

/* Answers come back by the interface of the default route; whether the host forwards is its owner's to say. */
static int check_forwarding(struct arena *arena, struct err *err)
{
	struct err unread = {0};
	char *rest = file_read(arena, "/proc/self/net/route", FILE_MAXIMUM, NULL, &unread);
	char *line;

	while (rest && (line = strsep(&rest, "\n"))) {
		const char *name = strsep(&line, "\t");
		const char *path, *value;

		if (!line || strncmp(line, "00000000\t", 9) != 0)
			continue;
		path = arena_printf(arena, "/proc/sys/net/ipv4/conf/%s/forwarding", name);
		value = file_read(arena, path, 16, NULL, err);
		if (!value)
			return -1;
		if (*value == '1')
			return 0;
		return err_set(err, ERR_CONFIG, "network = nat: this machine does not forward what comes by %s: sysctl net.ipv4.ip_forward=1 "
			"(and see to it that others can't use it as a router)", name);
	}
	return err_set(err, ERR_CONFIG, "network = nat: this machine has no default route");
}

/* Another namespace's bridge with the same network would get our workers' answers. */
static int check_unused(const struct nat_worker *worker, const struct conf *conf, struct err *err)
{
	struct ifaddrs *list;
	uint32_t network = 0;
	unsigned bits = 0;
	int rc = 0;

	if (read_network(conf, &network, &bits, err) < 0)
		return -1;
	if (getifaddrs(&list) < 0)
		return err_set_errno(err, errno, "network = nat: the addresses of this machine");
	for (const struct ifaddrs *one = list; one && rc == 0; one = one->ifa_next) {
		const struct sockaddr_in *address = (const void *)one->ifa_addr, *mask = (const void *)one->ifa_netmask;
		uint32_t both;

		if (!address || !mask || address->sin_family != AF_INET || strcmp(one->ifa_name, worker->bridge) == 0)
			continue;
		both = ntohl(mask->sin_addr.s_addr) & ~(UINT32_MAX >> bits);
		if ((ntohl(address->sin_addr.s_addr) & both) == (network & both))
			rc = err_set(err, ERR_CONFIG, "worker.nat: this machine has addresses of that network already, on %s; choose another",
				one->ifa_name);
	}
	freeifaddrs(list);
	return rc;
}

static int make_bridge(const struct nat_worker *worker, struct arena *arena, const struct conf *conf, struct err *err)
{
	const char *address = arena_printf(arena, "%s/%u", worker->gateway, worker->bits);
	const char *alias = arena_printf(arena, "byoci, namespace %s", conf_namespace(conf));
	const char *const add[] = {"ip", "link", "add", worker->bridge, "type", "bridge", NULL};
	const char *const name[] = {"ip", "link", "set", worker->bridge, "alias", alias, NULL};
	const char *const give[] = {"ip", "address", "replace", address, "dev", worker->bridge, NULL};
	const char *const up[] = {"ip", "link", "set", worker->bridge, "up", NULL};

	if (if_nametoindex(worker->bridge))
		return 0;
	if (run(add, NULL, err) < 0 || run(name, NULL, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof sysctls / sizeof *sysctls; i++) {
		const char *path = arena_printf(arena, "/proc/sys/net/%s", sysctls[i].family);

		path = arena_printf(arena, "%s/conf/%s/%s", path, worker->bridge, sysctls[i].name);
		if (access(path, F_OK) == 0 && put(path, sysctls[i].value, err) < 0)
			return -1;
	}
	return run(give, NULL, err) < 0 ? -1 : run(up, NULL, err);
}

/* Held until it is closed. */
static int lock(struct arena *arena, const struct conf *conf, struct err *err)
{
	const char *state, *path;
	int fd;

	if (conf_text(conf, NULL, "state", &state, err) < 0)
		return -1;
	path = arena_printf(arena, "%s/worker/nat.lock", state);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX) == 0)
		return fd;
	err_set_errno(err, errno, "%s: cannot be locked", path);
	if (fd >= 0)
		close(fd);
	return -1;
}

int nat_prepare(const struct nat_worker *worker, struct arena *arena, const struct conf *conf, struct err *err)
{
	const char *const nft[] = {"nft", "-f", "-", NULL};
	const char *text = nat_rules(worker, arena, conf, err);
	int held, rc;

	if (!text || check_forwarding(arena, err) < 0 || check_unused(worker, conf, err) < 0)
		return -1;
	held = lock(arena, conf, err);
	if (held < 0)
		return -1;
	rc = run(nft, text, err);
	if (rc == 0)
		rc = make_bridge(worker, arena, conf, err);
	close(held);
	return rc;
}

int nat_begin(const struct nat_worker *worker, struct err *err)
{
	struct ifreq request = {.ifr_ifindex = (int)if_nametoindex(worker->veth)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = 0;

	memcpy(request.ifr_name, worker->bridge, sizeof request.ifr_name);
	if (fd < 0 || ioctl(fd, SIOCBRADDIF, &request) < 0)
		rc = err_set_errno(err, errno, "%s: cannot be put into the bridge %s", worker->veth, worker->bridge);
	if (fd >= 0)
		close(fd);
	return rc;
}

int nat_gone(const char *link, struct err *err)
{
	const char *const remove[] = {"ip", "link", "delete", link, NULL};
	const struct timespec pause = {.tv_nsec = 1000000};
	int64_t begin_us = clock_monotonic_us();
	struct err ignored = {0};
	bool tried = false;

	while (if_nametoindex(link)) {
		int64_t waited_us = clock_monotonic_us() - begin_us;

		if (waited_us > GONE_LIMIT_US)
			return err_set(err, ERR_TIMEOUT, "%s: this end of a worker's network stays", link);
		if (waited_us > GONE_LIMIT_US / 10 && !tried) {
			tried = true;
			if (run(remove, NULL, &ignored) < 0)
				continue; /* it has gone by itself, or stays: the next look tells */
		}
		nanosleep(&pause, NULL); /* the kernel takes a network namespace down after its last process has ended */
	}
	return 0;
}

int nat_remove(const char *namespace, struct err *err)
{
	char bridge[IFNAMSIZ];
	const char *const remove[] = {"ip", "link", "delete", bridge, NULL};
	const char *const nft[] = {"nft", "-f", "-", NULL};
	struct arena *arena = arena_new();
	int rc = 0;

	bridge_name(bridge, namespace);
	if (if_nametoindex(bridge)) {
		rc = run(remove, NULL, err);
		if (rc == 0) /* a table that is made and deleted in one go is gone, whether it was there or not */
			rc = run(nft, fill(arena, "table inet byoci_$N\ndelete table inet byoci_$N\ntable bridge byoci_$N\n"
				"delete table bridge byoci_$N\n", (const char *const['Z' + 1]){['N'] = namespace}), err);
	}
	arena_free(arena);
	return rc;
}

int nat_settle(const struct conf *conf, struct err *err)
{
	struct arena *arena = arena_new();
	const char *const *jobs = conf_sections(conf, arena, "job");
	struct nat_worker worker;
	bool wanted = false;
	int rc = 0;

	for (; rc == 0 && *jobs; jobs++) {
		const char *network;

		rc = conf_text(conf, arena_printf(arena, "job/%s", *jobs), "network", &network, err);
		wanted |= rc == 0 && strcmp(network, "nat") == 0;
	}
	if (rc == 0 && wanted)
		rc = nat_read(&worker, conf, 0, err) < 0 ? -1 : nat_prepare(&worker, arena, conf, err);
	else if (rc == 0)
		rc = nat_remove(conf_namespace(conf), err);
	arena_free(arena);
	return rc;
}
