/* Real links, in network namespaces of the test's own: nothing of them is on the machine's network. */
#include "slaves/confine/veth.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "tests/tap.h"


static const struct nat_worker worker = {.bridge = "byounit", .veth = "byounit.3", .mac = "02:00:5e:10:00:03", .address = "10.9.8.7",
	.gateway = "10.9.8.1", .bits = 22};

static int host = -1, net = -1; /* network namespaces: where the test is, and the worker's */

static int own_net(void)
{
	return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

static bool is_in(int namespace)
{
	char path[32], there[64] = "", here[64] = "";

	snprintf(path, sizeof path, "/proc/self/fd/%d", namespace);
	return readlink(path, there, sizeof there - 1) > 0 && readlink("/proc/self/ns/net", here, sizeof here - 1) > 0 &&
		strcmp(there, here) == 0;
}

/* Root needs none, others a user namespace for it. */
static bool set_up(void)
{
	if (unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	host = own_net();
	if (host < 0 || unshare(CLONE_NEWNET) < 0)
		return false;
	net = own_net();
	return net >= 0 && setns(host, CLONE_NEWNET) == 0;
}

/* What `request` says of that link of the namespace that we are in; false: there is none, or it has none of that. */
static bool ask(const char *link, unsigned long request, struct ifreq *answer)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	*answer = (struct ifreq){0};
	snprintf(answer->ifr_name, sizeof answer->ifr_name, "%s", link);
	rc = fd < 0 ? -1 : ioctl(fd, request, answer);
	if (fd >= 0)
		close(fd);
	return rc == 0;
}

static bool is_up(const char *link)
{
	struct ifreq answer;

	return ask(link, SIOCGIFFLAGS, &answer) && answer.ifr_flags & IFF_UP;
}

/* Of eth0 in the worker's namespace. */
static const char *address(unsigned long request)
{
	static char text[INET_ADDRSTRLEN];
	struct sockaddr_in in;
	struct ifreq answer;

	if (!ask("eth0", request, &answer))
		return "none";
	memcpy(&in, &answer.ifr_addr, sizeof in);
	return inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
}

static const char *mac(const char *link)
{
	static char text[NAT_MAC_SIZE];
	unsigned char bytes[6];
	struct ifreq answer;

	if (!ask(link, SIOCGIFHWADDR, &answer))
		return "none";
	memcpy(bytes, answer.ifr_hwaddr.sa_data, sizeof bytes);
	snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]);
	return text;
}

/* "0001A8C0" of the route to everywhere, as the kernel prints it. */
static const char *gateway(struct arena *arena)
{
	struct err err = {0};
	char *rest = file_read(arena, "/proc/self/net/route", 65536, NULL, &err);
	const char *line;
	char link[IFNAMSIZ], to[16], by[16];
	struct in_addr in;

	while (rest && (line = strsep(&rest, "\n"))) {
		if (sscanf(line, "%15s %15s %15s", link, to, by) != 3 || strcmp(link, "eth0") != 0 || strcmp(to, "00000000") != 0)
			continue;
		in.s_addr = (uint32_t)strtoul(by, NULL, 16);
		return arena_strdup(arena, inet_ntoa(in));
	}
	return "none";
}

static void test_lo(void)
{
	struct err err = {0};

	ok(veth_lo(net, &err) == 0, "a worker's lo is set up");
	ok(is_in(host) && !is_up("lo"), "and not ours, where we are again");
	ok(setns(net, CLONE_NEWNET) == 0 && is_up("lo"), "it is up in there");
	setns(host, CLONE_NEWNET);
}

static void test_make(struct arena *arena)
{
	struct err err = {0};

	ok(veth_make(&worker, net, &err) == 0, "a worker gets a pair of links");
	ok(is_in(host), "we are where we were");
	ok(is_up(worker.veth), "our end is up");
	is(mac(worker.veth), "fe:00:5e:10:00:03", "with a high address, which a bridge does not take as its own");
	ok(!is_up("eth0"), "the other one is not here");
	if (setns(net, CLONE_NEWNET) < 0)
		return;
	ok(is_up("eth0"), "but in there, and up");
	is(mac("eth0"), worker.mac, "with the worker's hardware address");
	is(address(SIOCGIFADDR), worker.address, "its address");
	is(address(SIOCGIFNETMASK), "255.255.252.0", "its network");
	is(gateway(arena), worker.gateway, "and the way to everywhere");
	ok(!is_up(worker.veth), "ours is not in there");
	setns(host, CLONE_NEWNET);
}

static void test_trouble(void)
{
	struct nat_worker other = worker;
	struct err err = {0};
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ok(veth_make(&worker, net, &err) < 0 && strncmp(err.text, worker.veth, strlen(worker.veth)) == 0, "a second of that name is refused");
	snprintf(other.veth, sizeof other.veth, "byounit.4");
	err = (struct err){0};
	ok(veth_make(&other, net, &err) < 0 && err.kind != ERR_NONE, "and a second eth0 in the same worker");
	ok(!is_up(other.veth), "of which no end stays here");
	err = (struct err){0};
	ok(veth_make(&other, nothing, &err) < 0 && err.kind != ERR_NONE, "what is no network namespace is refused");
	err = (struct err){0};
	ok(veth_lo(nothing, &err) < 0 && strstr(err.text, "cannot be reached"), "for lo as well");
	ok(is_in(host) && is_up(worker.veth), "and what there was stays as it was");
	close(nothing);
}

static void test_end(void)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int64_t deadline_us = clock_monotonic_us() + TAP_LIMIT_US;

	close(net);
	while (is_up(worker.veth) && clock_monotonic_us() < deadline_us)
		nanosleep(&pause, NULL);
	ok(!is_up(worker.veth), "with the namespace goes our end");
	close(host);
}

int main(void)
{
	struct arena *arena = arena_new();

	if (!set_up()) {
		puts("1..0 # SKIP this kernel gives us no network namespace");
		arena_free(arena);
		return 0;
	}
	test_lo();
	test_make(arena);
	test_trouble();
	test_end();
	arena_free(arena);
	return tap_done();
}
