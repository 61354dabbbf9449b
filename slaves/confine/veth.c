#include "slaves/confine/veth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/route.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define INSIDE "eth0"
#define MESSAGE_MAXIMUM 1024
#define MAC_BYTES 6

/* One request of rtnetlink's, which is small. */
struct message {
	_Alignas(NLMSG_ALIGNTO) char bytes[MESSAGE_MAXIMUM];
	size_t length;
};

static void *add(struct message *message, size_t length)
{
	void *at = message->bytes + message->length;

	if (message->length + NLMSG_ALIGN(length) > sizeof message->bytes)
		err_fatal("a request for a link is longer than %d bytes", MESSAGE_MAXIMUM);
	message->length += NLMSG_ALIGN(length);
	return at;
}

/* Returns where it begins, for nest_end(). */
static size_t add_attribute(struct message *message, unsigned short type, const void *value, size_t length)
{
	size_t begin = message->length;
	struct rtattr *attribute = add(message, RTA_LENGTH(length));

	attribute->rta_type = type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(length);
	if (length)
		memcpy(RTA_DATA(attribute), value, length);
	return begin;
}

/* All that came since then is in that attribute. */
static void nest_end(struct message *message, size_t begin)
{
	((struct rtattr *)(void *)(message->bytes + begin))->rta_len = (unsigned short)(message->length - begin);
}

static void add_name(struct message *message, const char *name)
{
	add_attribute(message, IFLA_IFNAME, name, strlen(name) + 1);
}

static void parse_mac(const char *text, unsigned char mac[static MAC_BYTES])
{
	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) != MAC_BYTES)
		err_fatal("%s is no hardware address", text);
}

static void write_request(struct message *message, const struct nat_worker *worker, int net)
{
	unsigned char mac[MAC_BYTES], own[MAC_BYTES];
	struct nlmsghdr *header = add(message, sizeof *header);
	size_t link, data, peer;

	parse_mac(worker->mac, mac);
	memcpy(own, mac, sizeof own);
	own[0] = 0xfe; /* high, so that the bridge does not take it as its own, which would change with the workers */
	add(message, sizeof(struct ifinfomsg));
	add_name(message, worker->veth);
	add_attribute(message, IFLA_ADDRESS, own, sizeof own);
	link = add_attribute(message, IFLA_LINKINFO, NULL, 0);
	add_attribute(message, IFLA_INFO_KIND, "veth", 4);
	data = add_attribute(message, IFLA_INFO_DATA, NULL, 0);
	peer = add_attribute(message, VETH_INFO_PEER, NULL, 0);
	add(message, sizeof(struct ifinfomsg));
	add_name(message, INSIDE);
	add_attribute(message, IFLA_ADDRESS, mac, sizeof mac);
	add_attribute(message, IFLA_NET_NS_FD, &net, sizeof net);
	nest_end(message, peer);
	nest_end(message, data);
	nest_end(message, link);
	*header = (struct nlmsghdr){.nlmsg_len = (uint32_t)message->length, .nlmsg_type = RTM_NEWLINK,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL};
}

static int make_pair(const struct nat_worker *worker, int net, struct err *err)
{
	struct message message = {.length = 0};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[MESSAGE_MAXIMUM];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t got = -1;
	int rc = 0;

	write_request(&message, worker, net);
	if (fd >= 0 && send(fd, message.bytes, message.length, 0) == (ssize_t)message.length)
		got = recv(fd, &answer, sizeof answer, 0);
	if (got >= 0 && ((size_t)got < sizeof answer.header + sizeof answer.error || answer.header.nlmsg_type != NLMSG_ERROR))
		errno = EPROTO;
	else if (got >= 0)
		errno = -answer.error.error;
	if (got < 0 || errno)
		rc = err_set_errno(err, errno, "%s: this end of a worker's network cannot be made", worker->veth);
	if (fd >= 0)
		close(fd);
	return rc;
}

static struct sockaddr address_of(uint32_t address)
{
	const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = address};
	struct sockaddr any;

	memcpy(&any, &in, sizeof any);
	return any;
}

static int raise_link(int fd, const char *name)
{
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return -1;
	request.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &request);
}

/* In the worker's network namespace. */
static int give_address(const struct nat_worker *worker, int fd)
{
	struct ifreq address = {.ifr_name = INSIDE}, mask = {.ifr_name = INSIDE};
	struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
	struct in_addr own, gateway;

	if (inet_pton(AF_INET, worker->address, &own) != 1 || inet_pton(AF_INET, worker->gateway, &gateway) != 1)
		err_fatal("%s and %s are no addresses", worker->address, worker->gateway);
	address.ifr_addr = address_of(own.s_addr);
	mask.ifr_netmask = address_of(htonl(UINT32_MAX << (32 - worker->bits)));
	route.rt_dst = route.rt_genmask = address_of(0);
	route.rt_gateway = address_of(gateway.s_addr);
	if (ioctl(fd, SIOCSIFADDR, &address) < 0 || ioctl(fd, SIOCSIFNETMASK, &mask) < 0 || raise_link(fd, INSIDE) < 0)
		return -1;
	return ioctl(fd, SIOCADDRT, &route);
}

static int open_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* What `act` does in a worker's network namespace, whose `what` it is when it can't; we are back in ours afterwards. */
static int inside(int net, int (*act)(const struct nat_worker *, int), const struct nat_worker *worker, const char *what, struct err *err)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int rc = 0, fd = -1;

	if (own < 0 || setns(net, CLONE_NEWNET) < 0) {
		rc = err_set_errno(err, errno, "the worker's network cannot be reached");
		goto err0;
	}
	fd = open_socket();
	if (fd < 0 || act(worker, fd) < 0)
		rc = err_set_errno(err, errno, "the worker's %s cannot be set up", what);
	if (fd >= 0)
		close(fd);
	if (setns(own, CLONE_NEWNET) < 0)
		err_fatal("a worker's network can't be left");
err0:
	if (own >= 0)
		close(own);
	return rc;
}

static int raise_lo(const struct nat_worker *worker, int fd)
{
	(void)worker;
	return raise_link(fd, "lo");
}

int veth_lo(int net, struct err *err)
{
	return inside(net, raise_lo, NULL, "lo", err);
}

int veth_make(const struct nat_worker *worker, int net, struct err *err)
{
	int fd, rc;

	if (make_pair(worker, net, err) < 0)
		return -1;
	fd = open_socket();
	rc = fd < 0 || raise_link(fd, worker->veth) < 0 ? err_set_errno(err, errno, "%s: cannot be set up", worker->veth) : 0;
	if (fd >= 0)
		close(fd);
	return rc < 0 ? -1 : inside(net, give_address, worker, INSIDE, err);
}
