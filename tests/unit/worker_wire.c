#include "slaves/worker/worker_wire.h"

#include <stddef.h>

#include "tests/tap.h"

#define BUILD "0123456789abcdef0123456789abcdef"
#define DIGEST BUILD BUILD

static struct worker_request good(void)
{
	struct worker_request request;
	struct err err = {0};

	ok(worker_wire_request(&request, WORKER_START, BUILD, "lint-1.0_x", DIGEST, &err) == 0, "a request is made");
	return request;
}

static bool taken(const struct worker_request *request, size_t length, size_t descriptors)
{
	struct worker_request copy;
	struct err err = {0};
	int rc = worker_wire_check(request, length, descriptors, &copy, &err);

	if (rc < 0 && (err.kind != ERR_INPUT || !*err.text))
		ok(false, "a refusal has the kind of input and says why");
	return rc == 0;
}

static void test_shape(void)
{
	const struct worker_request request = good();

	ok(taken(&request, sizeof request, 1), "a good request is taken");
	ok(!taken(&request, sizeof request - 1, 1), "a short one is not");
	ok(!taken(&request, 0, 1), "an empty one is not");
	ok(!taken(&request, sizeof request + 1, 1), "a long one is not");
	ok(!taken(&request, sizeof request, 0), "without its descriptor it is not");
	ok(!taken(&request, sizeof request, 2), "with one descriptor too many it is not");
}

/* Every byte of a request counts: setting one that should be zero, or spoiling one that should not, is seen. */
static void test_every_byte(void)
{
	const struct worker_request request = good();
	size_t missed = 0;

	for (size_t i = 0; i < sizeof request; i++) {
		union {
			struct worker_request request;
			unsigned char bytes[sizeof request];
		} spoiled = {.request = request};

		spoiled.bytes[i] = 0xff;
		missed += taken(&spoiled.request, sizeof spoiled, 1);
	}
	ok(missed == 0, "a request with any one byte set to 0xff is refused");
}

static void test_names(void)
{
	static const char *const bad[] = {"", ".", "..", "../a", "a/b", "a..b", "A", "a b", "-a", ".a", "_a", "a\n", "job/a"};
	struct worker_request request;
	struct err err = {0};
	size_t missed = 0;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (worker_wire_request(&request, WORKER_START, BUILD, bad[i], DIGEST, &err) == 0)
			missed += taken(&request, sizeof request, 1);
	ok(missed == 0, "names that are no section are refused");
	ok(worker_wire_request(&request, WORKER_START, BUILD "0", "a", DIGEST, &err) < 0,
		"a build that does not fit is refused where it is made");
	request = good();
	memset(request.build, '0', sizeof request.build);
	ok(!taken(&request, sizeof request, 1), "a text without an end is refused");
	request = good();
	request.build[5] = '\0';
	ok(!taken(&request, sizeof request, 1), "something after the end of a text is refused");
}

static void test_fields(void)
{
	struct worker_request request;
	struct err err = {0};

	ok(worker_wire_request(&request, WORKER_STOP, BUILD, NULL, NULL, &err) == 0 && taken(&request, sizeof request, 0),
		"STOP needs only its build");
	ok(worker_wire_request(&request, WORKER_STOP, BUILD, "job", NULL, &err) == 0 && !taken(&request, sizeof request, 0),
		"STOP with a section is refused");
	ok(worker_wire_request(&request, WORKER_BUILD_BACKING, NULL, "small", NULL, &err) == 0 && taken(&request, sizeof request, 1),
		"BUILD_BACKING needs only its section");
	ok(worker_wire_request(&request, WORKER_EXEC, BUILD, "job", NULL, &err) == 0 && taken(&request, sizeof request, 2),
		"EXEC takes two descriptors");
	ok(worker_wire_request(&request, WORKER_REMOVE, NULL, NULL, NULL, &err) == 0 && taken(&request, sizeof request, 0),
		"REMOVE needs not even that before there is a build");
	ok(worker_wire_request(&request, WORKER_REMOVE, "0123", NULL, NULL, &err) == 0 && !taken(&request, sizeof request, 0),
		"but what is given must be a build");
	ok(worker_wire_request(&request, WORKER_READY, NULL, "job", DIGEST, &err) == 0 && taken(&request, sizeof request, 0),
		"READY needs job and digest");
	ok(worker_wire_request(&request, WORKER_READY, BUILD, "job", DIGEST, &err) == 0 && !taken(&request, sizeof request, 0),
		"READY for a build is refused");
	ok(worker_wire_request(&request, WORKER_ATTACH, BUILD, "job", DIGEST, &err) == 0 && taken(&request, sizeof request, 1),
		"ATTACH needs all and a layer");
	ok(!taken(&request, sizeof request, 0), "without its layer it is refused");
	ok(worker_wire_request(&request, WORKER_CHECK, NULL, NULL, NULL, &err) == 0 && taken(&request, sizeof request, 0),
		"CHECK needs nothing");
	ok(worker_wire_request(&request, WORKER_REAP, NULL, NULL, NULL, &err) == 0 && taken(&request, sizeof request, 0),
		"nor does REAP");
	ok(!worker_wire_builds(WORKER_CHECK) && worker_wire_builds(WORKER_STOP) && !worker_wire_builds(WORKER_OPERATIONS),
		"some operations name a build");
	ok(worker_wire_request(&request, WORKER_KEEP, BUILD, NULL, NULL, &err) == 0 && taken(&request, sizeof request, 0),
		"KEEP needs its build");
	request.number = 60;
	ok(taken(&request, sizeof request, 0), "and has a number");
	request.operation = WORKER_STOP;
	ok(!taken(&request, sizeof request, 0), "which STOP has not");
	ok(worker_wire_request(&request, WORKER_SHELL, BUILD, NULL, NULL, &err) == 0 && taken(&request, sizeof request, 3),
		"SHELL takes three descriptors");
	is(worker_wire_name(WORKER_OPERATIONS), "?", "an operation that does not exist has no name");
	is(worker_wire_name(4000000000), "?", "nor has one that is far out");
}

static void test_errors(void)
{
	bool same = true;

	for (int32_t error = WORKER_OK; error <= WORKER_TROUBLE; error++)
		same = same && (int32_t)worker_wire_error(worker_wire_kind(error)) == error;
	ok(same, "errors survive the wire");
	ok(worker_wire_error(ERR_TIMEOUT) == WORKER_TROUBLE, "kinds that have no word of their own are trouble");
	ok(worker_wire_kind(-1) == ERR_INPUT && worker_wire_kind(1000) == ERR_INPUT, "an unknown error is bad input");
}

int main(void)
{
	test_shape();
	test_every_byte();
	test_names();
	test_fields();
	test_errors();
	return tap_done();
}
