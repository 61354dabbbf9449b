#include "slaves/common/hail.h"

#include <netdb.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define HAIL_LIMIT_S 5
#define HAIL_HEAD 8192 /* bytes of an answer that are looked at */

/* HOST and PORT of an address; the port is that of HTTP when there is none. */
static void split(struct arena *arena, const char *address, const char **host, const char **port)
{
	const char *bracket = address[0] == '[' ? strchr(address, ']') : NULL;
	const char *colon = strchr(bracket ? bracket : address, ':');
	size_t length = colon ? (size_t)(colon - address) : strlen(address);

	*port = colon ? colon + 1 : "80";
	if (bracket)
		*host = arena_printf(arena, "%.*s", (int)(bracket - address - 1), address + 1);
	else
		*host = arena_printf(arena, "%.*s", (int)length, address);
}

static int dial(struct arena *arena, const char *address)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	const struct timeval limit = {.tv_sec = HAIL_LIMIT_S};
	struct addrinfo *found = NULL;
	const char *host, *port;
	int fd = -1;

	split(arena, address, &host, &port);
	if (getaddrinfo(host, port, &hints, &found) != 0)
		return -1;
	for (const struct addrinfo *one = found; one && fd < 0; one = one->ai_next) {
		fd = socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
		if (connect(fd, one->ai_addr, one->ai_addrlen) < 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	return fd;
}

/* RFC 9110, 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT". */
int64_t hail_date(const char *text)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);

	return end ? (int64_t)timegm(&tm) : 0;
}

int hail_read(const char *text, int64_t *date)
{
	static const char version[] = "HTTP/1.", name[] = "Date:";
	int status = 0;

	*date = 0;
	if (strncmp(text, version, sizeof version - 1) != 0 || strlen(text) < 12 || text[8] != ' ')
		return 0;
	for (int i = 9; i < 12; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		status = status * 10 + (text[i] - '0');
	}
	for (const char *line = strchr(text, '\n'); line && line[1] != '\r' && line[1] != '\n' && line[1]; line = strchr(line + 1, '\n'))
		if (strncasecmp(line + 1, name, sizeof name - 1) == 0)
			*date = hail_date(line + sizeof name + strspn(line + sizeof name, " \t"));
	return status;
}

int hail_ask(struct hail *hail, struct arena *arena)
{
	char text[HAIL_HEAD + 1];
	size_t length = 0;
	ssize_t got = 1;
	int fd = dial(arena, hail->address);
	int64_t end = clock_monotonic_us() + HAIL_LIMIT_S * 1000000LL; /* of it all: each byte alone may be in time */

	if (fd < 0)
		return 0;
	const char *request = arena_printf(arena, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", hail->path, hail->address);
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request))
		while (length < HAIL_HEAD && clock_monotonic_us() < end && (got = recv(fd, text + length, HAIL_HEAD - length, 0)) > 0) {
			length += (size_t)got;
			text[length] = 0;
			if (strstr(text, "\r\n\r\n"))
				break;
		}
	close(fd);
	text[length] = 0;
	return hail_read(text, &hail->date);
}

const char *hail_address(struct arena *arena, const char *url)
{
	static const char plain[] = "http://";
	size_t length;

	if (strncmp(url, plain, sizeof plain - 1) != 0)
		return NULL;
	url += sizeof plain - 1;
	length = strcspn(url, "/?#");
	return length > 0 && length < 300 && !memchr(url, '@', length) ? arena_printf(arena, "%.*s", (int)length, url) : NULL;
}
