#include "loop/listen.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/tap.h"

static void refuses(const char *address)
{
	struct err err = {0};

	ok(listen_tcp(address, "hook.listen", &err) < 0 && err.kind == ERR_CONFIG && strstr(err.text, "hook.listen"), address);
}

static void own(void)
{
	struct err err = {0};
	int fd = listen_tcp("127.0.0.1:0", "hook.listen", &err), other;
	char address[64];

	ok(fd >= 0 && listen_port(fd) > 0, "any free port");
	ok(fcntl(fd, F_GETFD) & FD_CLOEXEC && fcntl(fd, F_GETFL) & O_NONBLOCK, "close-on-exec and non-blocking");
	snprintf(address, sizeof address, "127.0.0.1:%u", listen_port(fd));
	ok(listen_tcp(address, "hook.listen", &err) < 0 && err.kind == ERR_BUSY, "a port that is taken");
	ok(strstr(err.text, address) && strstr(err.text, "hook.listen"), "is named, with its option");
	close(fd);
	other = listen_tcp(address, "hook.listen", &err);
	ok(other >= 0 && listen_port(other) > 0, "and is free again after a close");
	close(other);
}

/* As socket activation does: the descriptor is 3, the environment says so. */
static void handed_over(void)
{
	struct err err = {0};
	int fd = listen_tcp("127.0.0.1:0", "hook.listen", &err), got;
	char address[64], pid[32];

	snprintf(address, sizeof address, "127.0.0.1:%u", listen_port(fd));
	ok(dup2(fd, 3) == 3, "a listener handed over");
	if (fd != 3)
		close(fd);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_PID", pid, 1);
	got = listen_tcp(address, "hook.listen", &err);
	ok(got == 3 && fcntl(3, F_GETFD) & FD_CLOEXEC, "is used for its address, and is not passed on");
	got = listen_tcp("127.0.0.1:0", "hook.listen", &err);
	ok(got >= 0 && got != 3, "but not for another one");
	close(got);
	setenv("LISTEN_PID", "1", 1);
	ok(listen_tcp(address, "hook.listen", &err) < 0 && err.kind == ERR_BUSY, "nor when it is for another process");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	close(3);
}

static void names(void)
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} address = {.four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
	char name[LISTEN_NAME];

	listen_name(&address.any, name);
	is(name, "127.0.0.1", "the name of an IPv4 address");
	address.six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	listen_name(&address.any, name);
	is(name, "::1", "and of an IPv6 one");
	listen_name(NULL, name);
	is(name, "?", "and of none");
}

int main(void)
{
	static const char *const wrong[] = {"", "8810", ":8810", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
		"127.0.0.1:-1", "localhost:8810", "::1:8810", "[::1]", "[::1:8810", "[]:8810", "1.2.3.4.5:80", "127.0.0.1:80 ",
		"/run/socket"};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		refuses(wrong[i]);
	own();
	handed_over();
	names();
	return tap_done();
}
