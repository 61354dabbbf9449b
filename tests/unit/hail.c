#include "slaves/common/hail.h"

#include "tests/tap.h"

static void test_answers(void)
{
	static const struct {
		const char *what, *text;
		int status;
		int64_t date;
	} rows[] = {
		{"an answer", "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n", 200, 784111777},
		{"another one, in small letters", "HTTP/1.0 503 No\r\nServer: x\r\ndate:\tSun, 06 Nov 1994 08:49:37 GMT\r\n\r\nbody", 503, 784111777},
		{"a date in the body", "HTTP/1.1 200 OK\r\n\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200, 0},
		{"a date that is none", "HTTP/1.1 200 OK\r\nDate: yesterday\r\n\r\n", 200, 0},
		{"another field's date", "HTTP/1.1 200 OK\r\nX-Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n", 200, 0},
		{"no end of the line", "HTTP/1.1 200", 200, 0},
		{"a status that is cut off", "HTTP/1.1 20", 0, 0},
		{"a status that is no number", "HTTP/1.1 2x0 OK\r\n\r\n", 0, 0},
		{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", 0, 0},
		{"a version that is none of ours", "HTTP/2.0 200 OK\r\n", 0, 0},
		{"nothing", "", 0, 0},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int64_t date = -1;
		int status = hail_read(rows[i].text, &date);

		ok(status == rows[i].status && date == rows[i].date, rows[i].what);
	}
}

static void test_addresses(struct arena *arena)
{
	static const struct {
		const char *url, *address;
	} rows[] = {{"http://127.0.0.1:8811", "127.0.0.1:8811"}, {"http://ci.example.org/jenkins/", "ci.example.org"},
		{"http://[::1]:80?x", "[::1]:80"}, {"https://ci.example.org/", NULL}, {"http:///x", NULL}, {"http://user@host/", NULL},
		{"file:///etc/passwd", NULL}, {"", NULL}};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *address = hail_address(arena, rows[i].url);

		ok(rows[i].address ? address && strcmp(address, rows[i].address) == 0 : !address, rows[i].url);
	}
}

int main(void)
{
	struct arena *arena = arena_new();

	test_answers();
	test_addresses(arena);
	arena_free(arena);
	return tap_done();
}
