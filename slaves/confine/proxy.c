#include "slaves/confine/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "slaves/confine/seccomp.h"

#define NOBODY 65534
#define CHUNK 16384
#define LINGER_MS 5000 /* for a client that goes on though it was told that nothing more comes */
#define HOST_SIZE 64

/* One direction: bytes that were read from one side and not yet written to the other. */
struct flow {
	char bytes[CHUNK];
	size_t begin, end;
	bool ended;  /* nothing more comes */
	bool told;   /* and the other side knows */
};

enum { INSIDE, OUTSIDE, SIDES };

struct pair {
	int fd[SIDES]; /* -1: this place is free */
	struct flow from[SIDES];
	int64_t last_ms; /* something was read or written */
	bool connecting;
	bool refused; /* the inside was told so; until it has heard */
};

struct relay {
	int listener;
	struct proxy_address address;
	struct pair pairs[PROXY_CONNECTIONS];
};

/* All that the process does from its first connection on. */
static const int calls[] = {
	SYS_read, SYS_write, SYS_close, SYS_accept4, SYS_socket, SYS_connect, SYS_getsockopt, SYS_shutdown, SYS_ppoll, SYS_sendto,
	SYS_recvfrom, SYS_clock_gettime, SYS_exit_group, SYS_rt_sigreturn, SYS_restart_syscall,
#ifdef SYS_poll
	SYS_poll,
#endif
};

int proxy_address(const char *text, struct proxy_address *address, struct err *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST};
	const char *colon = strrchr(text, ':');
	bool brackets = *text == '[';
	struct addrinfo *found = NULL;
	char name[HOST_SIZE] = "127.0.0.1";
	const char *host = text + brackets;
	size_t length;

	if (!colon || !colon[1] || colon <= host || brackets != (colon[-1] == ']'))
		return err_set(err, ERR_CONFIG, "%s: is not HOST:PORT", text);
	length = (size_t)(colon - host) - brackets;
	if (length == 0 || length >= sizeof name)
		return err_set(err, ERR_CONFIG, "%s: is not HOST:PORT", text);
	if (length != strlen("localhost") || strncmp(host, "localhost", length) != 0) {
		memcpy(name, host, length);
		name[length] = '\0';
	}
	if (getaddrinfo(name, colon + 1, &hints, &found) != 0 || found->ai_addrlen > sizeof address->to) {
		if (found)
			freeaddrinfo(found);
		return err_set(err, ERR_CONFIG, "%s: is not HOST:PORT with a numeric host, or localhost", text);
	}
	memcpy(&address->to, found->ai_addr, found->ai_addrlen);
	address->length = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

static int64_t now_ms(void)
{
	return clock_monotonic_us() / 1000;
}

static void close_pair(struct pair *pair)
{
	for (int side = 0; side < SIDES; side++) {
		if (pair->fd[side] >= 0)
			close(pair->fd[side]);
		pair->fd[side] = -1;
	}
}

/* The one who asks for something through a proxy that is not there should know why. Kept, because closing could swallow the words. */
static void refuse(struct pair *pair)
{
	static const char words[] = "HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
		"the package proxy (worker.proxy) does not answer\n";

	if (pair->fd[OUTSIDE] >= 0)
		close(pair->fd[OUTSIDE]);
	pair->fd[OUTSIDE] = -1;
	pair->connecting = false;
	pair->refused = pair->from[OUTSIDE].told = true;
	if (send(pair->fd[INSIDE], words, sizeof words - 1, MSG_NOSIGNAL) > 0)
		shutdown(pair->fd[INSIDE], SHUT_WR);
}

static void take(struct relay *relay)
{
	struct pair *pair = relay->pairs;

	while (pair < relay->pairs + PROXY_CONNECTIONS && pair->fd[INSIDE] >= 0)
		pair++;
	if (pair == relay->pairs + PROXY_CONNECTIONS)
		return;
	pair->fd[INSIDE] = accept4(relay->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (pair->fd[INSIDE] < 0)
		return;
	memset(pair->from, 0, sizeof pair->from);
	pair->last_ms = now_ms();
	pair->connecting = true;
	pair->refused = false;
	pair->fd[OUTSIDE] = socket(relay->address.to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (pair->fd[OUTSIDE] >= 0 && (connect(pair->fd[OUTSIDE], (const struct sockaddr *)&relay->address.to, relay->address.length) == 0 ||
		errno == EINPROGRESS))
		return;
	refuse(pair);
}

/* False: the pair is of no use any more. */
static bool fill(struct pair *pair, int side)
{
	struct flow *flow = &pair->from[side];
	ssize_t got = recv(pair->fd[side], flow->bytes, CHUNK, 0);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	pair->last_ms = now_ms();
	flow->begin = 0;
	flow->end = (size_t)got;
	flow->ended = got == 0;
	return true;
}

static bool drain(struct pair *pair, int side)
{
	struct flow *flow = &pair->from[side];
	ssize_t put = send(pair->fd[!side], flow->bytes + flow->begin, flow->end - flow->begin, MSG_NOSIGNAL);

	if (put < 0)
		return errno == EAGAIN || errno == EINTR;
	pair->last_ms = now_ms();
	flow->begin += (size_t)put;
	return true;
}

static void connected(struct pair *pair)
{
	socklen_t length = sizeof(int);
	int number = 0;

	pair->connecting = false;
	if (getsockopt(pair->fd[OUTSIDE], SOL_SOCKET, SO_ERROR, &number, &length) < 0 || number)
		refuse(pair);
}

/* What is waited for on one side: room for what the other side said, or words of its own once those before are passed on. */
static short wanted(const struct pair *pair, int side)
{
	const struct flow *own = &pair->from[side], *other = &pair->from[!side];
	short events = 0;

	if (pair->connecting)
		return side == OUTSIDE ? POLLOUT : 0;
	if (pair->refused)
		return POLLIN;
	if (!own->ended && own->begin == own->end)
		events |= POLLIN;
	if (other->begin < other->end)
		events |= POLLOUT;
	return events;
}

static bool move(struct pair *pair, int side, short events)
{
	struct flow *own = &pair->from[side], *other = &pair->from[!side];

	if (pair->connecting) {
		connected(pair);
		return true;
	}
	if (pair->refused)
		return recv(pair->fd[side], own->bytes, CHUNK, 0) > 0;
	if (events & POLLOUT && other->begin < other->end && !drain(pair, !side))
		return false;
	if (events & (POLLIN | POLLHUP | POLLERR) && !own->ended && own->begin == own->end && !fill(pair, side))
		return false;
	if (own->ended && !own->told) {
		own->told = true;
		shutdown(pair->fd[!side], SHUT_WR);
	}
	return !(own->told && other->told);
}

static unsigned gather(const struct relay *relay, struct pollfd *waits)
{
	unsigned used = 0;

	for (unsigned i = 0; i < PROXY_CONNECTIONS; i++) {
		const struct pair *pair = &relay->pairs[i];

		used += pair->fd[INSIDE] >= 0;
		for (int side = 0; side < SIDES; side++) {
			short events = pair->fd[side] >= 0 ? wanted(pair, side) : 0;

			waits[1 + 2 * i + (unsigned)side] = (struct pollfd){.fd = events ? pair->fd[side] : -1, .events = events};
		}
	}
	waits[0] = (struct pollfd){.fd = used < PROXY_CONNECTIONS ? relay->listener : -1, .events = POLLIN};
	return used;
}

static _Noreturn void serve(struct relay *relay)
{
	struct pollfd waits[1 + SIDES * PROXY_CONNECTIONS];

	for (;;) {
		unsigned used = gather(relay, waits);

		if (poll(waits, sizeof waits / sizeof *waits, used ? 1000 : -1) < 0 && errno != EINTR)
			_exit(1);
		for (unsigned i = 0; i < PROXY_CONNECTIONS; i++) {
			struct pair *pair = &relay->pairs[i];

			for (int side = 0; side < SIDES && pair->fd[INSIDE] >= 0; side++)
				if (waits[1 + 2 * i + (unsigned)side].revents && !move(pair, side, waits[1 + 2 * i + (unsigned)side].revents))
					close_pair(pair);
			if (pair->fd[INSIDE] >= 0 && now_ms() - pair->last_ms > (pair->from[OUTSIDE].told ? LINGER_MS : PROXY_IDLE_MS))
				close_pair(pair);
		}
		if (waits[0].revents)
			take(relay);
	}
}

static int give_up_rights(const char *empty)
{
	const struct rlimit files = {SIDES * PROXY_CONNECTIONS + 8, SIDES * PROXY_CONNECTIONS + 8}, none = {0, 0};
	struct err err = {0};

	if (setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_NPROC, &none) < 0 || setrlimit(RLIMIT_FSIZE, &none) < 0 ||
		setrlimit(RLIMIT_CORE, &none) < 0 || chroot(empty) < 0 || chdir("/") < 0 || setgroups(0, NULL) < 0 ||
		setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		return -1;
	return seccomp_allow_only(calls, sizeof calls / sizeof *calls, &err);
}

static _Noreturn void run(int listener, const struct proxy_address *address, const char *empty)
{
	static struct relay relay;

	relay.listener = 3;
	relay.address = *address;
	for (size_t i = 0; i < PROXY_CONNECTIONS; i++)
		relay.pairs[i].fd[INSIDE] = relay.pairs[i].fd[OUTSIDE] = -1;
	if (listener != 3 && dup2(listener, 3) < 0)
		_exit(1);
	close_range(4, ~0U, 0);
	close_range(0, 2, 0);
	if (give_up_rights(empty) < 0)
		_exit(1);
	serve(&relay);
}

pid_t proxy_start(int listener, const struct proxy_address *address, const char *empty, struct err *err)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0UL);

	if (pid == 0)
		run(listener, address, empty);
	if (pid < 0)
		return err_set_errno(err, errno, "no process for the proxy");
	return pid;
}
