#include "slaves/confine/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 64
#define TEXT(number) TEXT_OF(number)
#define TEXT_OF(number) #number
#define URL "http://127.0.0.1:" TEXT(NETWORK_PORT)

static const char *const kind_names[] = {
	[NETWORK_NONE] = "none",
	[NETWORK_PROXY] = "proxy",
	[NETWORK_NAT] = "nat",
};

/* Names as programs look for them: curl and apt the lower-case ones, others either. */
static const char *const proxy_environment[] = {
	"http_proxy=" URL, "https_proxy=" URL, "HTTP_PROXY=" URL, "HTTPS_PROXY=" URL,
	"no_proxy=localhost,127.0.0.1,::1", "NO_PROXY=localhost,127.0.0.1,::1", NULL,
};

static int read_proxy(struct network *network, const struct conf *conf, const char *section, struct err *err)
{
	const char *address;

	if (conf_text(conf, NULL, "worker.proxy", &address, err) < 0)
		return -1;
	if (!address || !*address)
		return err_set(err, ERR_CONFIG, "[%s] network = proxy: option worker.proxy does not say which", section);
	return proxy_address(address, &network->proxy, err) < 0 ? err_wrap(err, "worker.proxy") : 0;
}

int network_read(struct network *network, struct arena *arena, const struct conf *conf, const char *job, unsigned slot,
	struct err *err)
{
	const char *section = arena_printf(arena, "job/%s", job);
	const char *name;

	*network = (struct network){.kind = NETWORK_NONE};
	if (conf_text(conf, section, "network", &name, err) < 0)
		return -1;
	while (strcmp(kind_names[network->kind], name) != 0)
		network->kind++;
	switch (network->kind) {
	case NETWORK_PROXY:
		return read_proxy(network, conf, section, err);
	case NETWORK_NAT:
		return nat_read(&network->nat, conf, slot, err);
	case NETWORK_NONE:
		break;
	}
	return 0;
}

int network_prepare(const struct network *network, struct arena *arena, const struct conf *conf, struct err *err)
{
	return network->kind == NETWORK_NAT ? nat_prepare(&network->nat, arena, conf, err) : 0;
}

void network_settings(const struct network *network, struct lxc_settings *settings)
{
	lxc_settings_add(settings, "lxc.net.0.type", "%s", network->kind == NETWORK_NAT ? "veth" : "empty");
	lxc_settings_add(settings, "lxc.net.0.flags", "up");
	if (network->kind == NETWORK_NAT)
		nat_settings(&network->nat, settings);
}

/* A listening socket on lo of the network namespace that we are in. */
static int listen_here(struct err *err)
{
	const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(NETWORK_PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	err_set_errno(err, errno, "port %d inside cannot be listened on", NETWORK_PORT);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The same in a container's; we are back in ours afterwards. */
static int listen_inside(int init, struct err *err)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int fd = -1;

	if (own < 0 || setns(init, CLONE_NEWNET) < 0) {
		err_set_errno(err, errno, "the worker's network cannot be reached");
		goto err0;
	}
	fd = listen_here(err);
	if (setns(own, CLONE_NEWNET) < 0)
		err_fatal("a container's network can't be left");
err0:
	if (own >= 0)
		close(own);
	return fd;
}

int network_begin(struct network *network, int init, const char *empty, struct err *err)
{
	int listener;

	if (network->kind == NETWORK_NAT)
		return nat_begin(&network->nat, err);
	if (network->kind == NETWORK_NONE)
		return 0;
	listener = listen_inside(init, err);
	if (listener < 0)
		return -1;
	network->relay = proxy_start(listener, &network->proxy, empty, err);
	close(listener);
	if (network->relay < 0)
		network->relay = 0;
	return network->relay ? 0 : -1;
}

const char *const *network_environment(const struct network *network)
{
	static const char *const none[] = {NULL};

	return network->kind == NETWORK_PROXY ? proxy_environment : none;
}

int network_end(struct network *network, struct err *err)
{
	if (network->relay)
		kill(network->relay, SIGKILL);
	network->relay = 0;
	return network->kind == NETWORK_NAT ? nat_gone(network->nat.veth, err) : 0;
}
