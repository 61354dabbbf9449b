#include "loop/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/handed.h"


/* "HOST:PORT" or "[HOST]:PORT" into its two parts. */
static bool split(const char *address, char host[static 64], char port[static 8])
{
	const char *colon = strrchr(address, ':');
	size_t length = colon ? (size_t)(colon - address) : 0;

	if (!length || strlen(colon + 1) > 5 || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return false;
	if (address[0] == '[' && colon[-1] == ']' && length > 2) {
		address++;
		length -= 2;
	} else if (memchr(address, ':', length)) {
		return false;
	}
	if (length >= 64)
		return false;
	memcpy(host, address, length);
	host[length] = '\0';
	memcpy(port, colon + 1, strlen(colon + 1) + 1);
	return strtol(port, NULL, 10) <= 65535;
}

static struct addrinfo *resolve(const char *address, const char *option, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *found;
	char host[64], port[8];

	if (!split(address, host, port) || getaddrinfo(host, port, &hints, &found) != 0) {
		err_set(err, ERR_CONFIG, "%s: `%s` is not an address to listen on; write 127.0.0.1:PORT or [::1]:PORT", option, address);
		return NULL;
	}
	return found;
}

static bool listens_at(int fd, const void *cookie)
{
	const struct addrinfo *wanted = cookie;
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t length = sizeof address;
	int value = 0;
	socklen_t size = sizeof value;

	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0 || length != wanted->ai_addrlen)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) < 0 || !value)
		return false;
	return memcmp(&address, wanted->ai_addr, length) == 0;
}

static int explain(int number, const char *address, const char *option, struct err *err)
{
	if (number != EADDRINUSE)
		return err_set_errno(err, number, "%s: cannot listen on %s", option, address);
	return err_set(err, ERR_BUSY, "%s: %s is taken; stop what listens there (ss -ltnp) or set another address", option, address);
}

int listen_tcp(const char *address, const char *option, struct err *err)
{
	struct addrinfo *wanted = resolve(address, option, err);
	int fd, one = 1;

	if (!wanted)
		return -1;
	fd = handed_socket(listens_at, wanted);
	if (fd >= 0)
		goto done;
	fd = socket(wanted->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		explain(errno, address, option, err);
		goto done;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, wanted->ai_addr, wanted->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0) {
		explain(errno, address, option, err);
		close(fd);
		fd = -1;
	}
done:
	freeaddrinfo(wanted);
	return fd;
}

unsigned listen_port(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
		struct sockaddr_storage room;
	} address = {.room = {.ss_family = AF_UNSPEC}};
	socklen_t length = sizeof address;

	if (getsockname(fd, &address.any, &length) < 0)
		return 0;
	if (address.any.sa_family == AF_INET6)
		return ntohs(address.six.sin6_port);
	return address.any.sa_family == AF_INET ? ntohs(address.four.sin_port) : 0;
}

void listen_name(const struct sockaddr *address, char out[static LISTEN_NAME])
{
	const void *bytes = NULL;

	if (address && address->sa_family == AF_INET)
		bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
	else if (address && address->sa_family == AF_INET6)
		bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	if (!bytes || !inet_ntop(address->sa_family, bytes, out, LISTEN_NAME))
		snprintf(out, LISTEN_NAME, "?");
}
