#include "slaves/confine/proxy.h"

#include <arpa/inet.h>
#include <string.h>

#include "tests/tap.h"

static void test_good(const char *text, int family, const char *host, unsigned port)
{
	struct proxy_address address = {0};
	const struct sockaddr_in *in = (const void *)&address.to;
	const struct sockaddr_in6 *in6 = (const void *)&address.to;
	char name[INET6_ADDRSTRLEN] = "";
	struct err err = {0};

	ok(proxy_address(text, &address, &err) == 0 && address.to.ss_family == family, text);
	inet_ntop(family, family == AF_INET ? (const void *)&in->sin_addr : &in6->sin6_addr, name, sizeof name);
	is(name, host, "its host");
	ok(ntohs(family == AF_INET ? in->sin_port : in6->sin6_port) == port, "its port");
}

int main(void)
{
	static const char *const bad[] = {"", ":", "192.0.2.1", "192.0.2.1:", ":3128", "[::1]", "[::1:3128", "proxy.example:3128",
		"192.0.2.1:http", "192.0.2.1:3128:1", "[]:3128",
		"1111111111111111111111111111111111111111111111111111111111111111111111111111111:1"};

	test_good("192.0.2.1:3128", AF_INET, "192.0.2.1", 3128);
	test_good("[2001:db8::1]:80", AF_INET6, "2001:db8::1", 80);
	test_good("localhost:8000", AF_INET, "127.0.0.1", 8000);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct proxy_address address;
		struct err err = {0};

		ok(proxy_address(bad[i], &address, &err) < 0 && err.kind == ERR_CONFIG, bad[i]);
	}
	return tap_done();
}
