/*
 * A load generator for web hooks: CLIENTS keep-alive connections from one thread, each sends its next request when it has
 * the answer to the last one.
 *
 *	load PORT FILE CLIENTS SECONDS STATUS
 *
 * PORT is on 127.0.0.1. FILE holds whole HTTP requests, each after a line "LENGTH OFFSET": its bytes, and where in it 16
 * digits stand that are counted up, so that every request has a delivery id of its own. An answer of another status than
 * STATUS, or an end of the connection, is wrong. Prints one line of key=value; times are microseconds, from the first byte
 * sent to the last one of the answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DIGITS = 16, ANSWER_SIZE = 4096, TIMES_MAXIMUM = 4 * 1024 * 1024, PATIENCE_MS = 5000 };

struct request {
	char *bytes;
	size_t length, digits;
};

struct client {
	int fd;
	bool idle; /* nothing is asked any more */
	const struct request *request;
	size_t sent, length;
	int64_t began;
	char answer[ANSWER_SIZE];
};

struct load {
	struct request *requests;
	size_t count, next;
	struct client *clients;
	int client_count, busy, epoll;
	struct sockaddr_in address;
	unsigned status;
	uint64_t number, wrong;
	uint32_t *times;
	size_t answers;
	int64_t end;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static char *slurp(const char *path, size_t *length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	char *bytes;

	if (fd < 0 || fstat(fd, &status) < 0)
		die(path);
	*length = (size_t)status.st_size;
	bytes = malloc(*length + 1);
	if (!bytes || read(fd, bytes, *length) != (ssize_t)*length)
		die(path);
	bytes[*length] = '\0';
	close(fd);
	return bytes;
}

static void load_requests(struct load *load, const char *path)
{
	size_t length;
	char *at = slurp(path, &length), *end = at + length;

	while (at < end) {
		struct request *request;

		load->requests = realloc(load->requests, (load->count + 1) * sizeof *load->requests);
		if (!load->requests)
			die("requests");
		request = &load->requests[load->count++];
		request->length = strtoul(at, &at, 10);
		request->digits = strtoul(at, &at, 10);
		request->bytes = at + 1;
		if (*at != '\n' || !request->length || request->bytes + request->length > end ||
			request->digits + DIGITS > request->length) {
			fprintf(stderr, "%s: request %zu is cut\n", path, load->count);
			exit(2);
		}
		at = request->bytes + request->length;
	}
}

static void connect_client(struct load *load, struct client *client)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
	int one = 1;

	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&load->address, sizeof load->address) < 0)
		die("connect");
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (fcntl(client->fd, F_SETFL, O_NONBLOCK) < 0 || epoll_ctl(load->epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
		die("epoll");
}

static void again(struct load *load, struct client *client);

static void fail(struct load *load, struct client *client)
{
	load->wrong++;
	close(client->fd);
	connect_client(load, client);
	again(load, client);
}

/* What does not fit into the socket now follows when it has room. */
static void push(struct load *load, struct client *client)
{
	const struct request *request = client->request;
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = client};
	bool waited = client->sent > 0;

	while (client->sent < request->length) {
		ssize_t put = send(client->fd, request->bytes + client->sent, request->length - client->sent, MSG_NOSIGNAL);

		if (put < 0 && errno == EAGAIN) {
			epoll_ctl(load->epoll, EPOLL_CTL_MOD, client->fd, &event);
			return;
		}
		if (put < 0) {
			fail(load, client);
			return;
		}
		client->sent += (size_t)put;
	}
	event.events = EPOLLIN;
	if (waited)
		epoll_ctl(load->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

static void again(struct load *load, struct client *client)
{
	struct request *request = &load->requests[load->next];
	uint64_t number = load->number++;

	client->sent = client->length = 0;
	client->began = now_us();
	if (client->began >= load->end) {
		client->idle = true;
		load->busy--;
		return;
	}
	load->next = (load->next + 1) % load->count;
	for (int i = DIGITS - 1; i >= 0; i--, number /= 10)
		request->bytes[request->digits + (size_t)i] = (char)('0' + number % 10);
	client->request = request;
	push(load, client);
}

/* Bytes of the whole answer, once its head is there; 0 until then. */
static size_t answer_length(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n"), *length = strcasestr(answer, "\r\nContent-Length:");

	if (!end)
		return 0;
	return (size_t)(end + 4 - answer) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
}

static void pull(struct load *load, struct client *client)
{
	ssize_t got = recv(client->fd, client->answer + client->length, ANSWER_SIZE - 1 - client->length, 0);
	size_t whole;

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		fail(load, client);
		return;
	}
	client->length += (size_t)got;
	client->answer[client->length] = '\0';
	whole = answer_length(client->answer);
	if (!whole || client->length < whole)
		return;
	if (strtoul(client->answer + strlen("HTTP/1.1 "), NULL, 10) != load->status)
		load->wrong++;
	else if (load->answers < TIMES_MAXIMUM)
		load->times[load->answers++] = (uint32_t)(now_us() - client->began);
	again(load, client);
}

static void run(struct load *load)
{
	struct epoll_event events[64];

	load->busy = load->client_count;
	for (int i = 0; i < load->client_count; i++) {
		connect_client(load, &load->clients[i]);
		again(load, &load->clients[i]);
	}
	while (load->busy) {
		int count = epoll_wait(load->epoll, events, 64, PATIENCE_MS);

		if (count == 0) {
			fprintf(stderr, "no answer for %d ms\n", PATIENCE_MS);
			load->wrong += (uint64_t)load->busy;
			return;
		}
		for (int i = 0; i < count; i++) {
			struct client *client = events[i].data.ptr;

			if (client->idle)
				continue;
			if (events[i].events & EPOLLOUT)
				push(load, client);
			if (events[i].events & ~(uint32_t)EPOLLOUT)
				pull(load, client);
		}
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

	return (one > other) - (one < other);
}

static void report(struct load *load, int64_t took)
{
	size_t count = load->answers;

	qsort(load->times, count, sizeof *load->times, compare);
	printf("answers=%zu wrong=%llu rate=%.0f p50=%u p99=%u most=%u\n", count, (unsigned long long)load->wrong,
		(double)count * 1e6 / (double)took, count ? load->times[count / 2] : 0, count ? load->times[count * 99 / 100] : 0,
		count ? load->times[count - 1] : 0);
}

int main(int argc, char **argv)
{
	struct load load = {.address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
	int64_t began;

	if (argc != 6) {
		fputs("usage: load PORT FILE CLIENTS SECONDS STATUS\n", stderr);
		return 64;
	}
	load.address.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	load_requests(&load, argv[2]);
	load.client_count = (int)strtol(argv[3], NULL, 10);
	load.clients = calloc((size_t)load.client_count, sizeof *load.clients);
	load.times = calloc(TIMES_MAXIMUM, sizeof *load.times);
	load.status = (unsigned)strtoul(argv[5], NULL, 10);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	load.number = (uint64_t)now_us() * 1000;
	if (!load.count || load.client_count < 1 || !load.clients || !load.times || load.epoll < 0)
		die("load");
	began = now_us();
	load.end = began + (int64_t)(strtod(argv[4], NULL) * 1e6);
	run(&load);
	report(&load, now_us() - began);
	return 0;
}
