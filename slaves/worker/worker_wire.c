#include "slaves/worker/worker_wire.h"

#include <string.h>

enum field { FIELD_NONE, FIELD_ALLOWED, FIELD_NEEDED };

static const struct operation {
	const char *name;
	size_t descriptors;
	enum field build, section, digest;
} operations[WORKER_OPERATIONS] = {
	[WORKER_BUILD_BACKING] = {"build-backing", 1, FIELD_NONE, FIELD_NEEDED, FIELD_NONE},
	[WORKER_START] = {"start", 1, FIELD_NEEDED, FIELD_NEEDED, FIELD_NEEDED},
	[WORKER_EXEC] = {"exec", 2, FIELD_NEEDED, FIELD_NEEDED, FIELD_NONE},
	[WORKER_STOP] = {"stop", 0, FIELD_ALLOWED, FIELD_NONE, FIELD_NONE},
	[WORKER_REMOVE] = {"remove", 0, FIELD_ALLOWED, FIELD_NONE, FIELD_NONE},
	[WORKER_READY] = {"ready", 0, FIELD_NONE, FIELD_NEEDED, FIELD_NEEDED},
	[WORKER_ATTACH] = {"attach", 1, FIELD_NEEDED, FIELD_NEEDED, FIELD_NEEDED},
	[WORKER_KEEP] = {"keep", 0, FIELD_NEEDED, FIELD_NONE, FIELD_NONE},
	[WORKER_DISCARD] = {"discard", 0, FIELD_NEEDED, FIELD_NONE, FIELD_NONE},
	[WORKER_SHELL] = {"shell", 3, FIELD_NEEDED, FIELD_NONE, FIELD_NONE},
	[WORKER_TERMINAL] = {"terminal", 0, FIELD_NEEDED, FIELD_NONE, FIELD_NONE},
	[WORKER_COPY] = {"copy", 0, FIELD_NEEDED, FIELD_NONE, FIELD_NONE},
	[WORKER_REAP] = {"reap", 0, FIELD_NONE, FIELD_NONE, FIELD_NONE},
	[WORKER_CHECK] = {"check", 0, FIELD_NONE, FIELD_NONE, FIELD_NONE},
	[WORKER_SECRETS] = {"secrets", 0, FIELD_NEEDED, FIELD_NEEDED, FIELD_NONE},
	[WORKER_COLLECT] = {"collect", 2, FIELD_NEEDED, FIELD_NEEDED, FIELD_NONE},
	[WORKER_REFRESH_BACKING] = {"refresh-backing", 1, FIELD_NONE, FIELD_NEEDED, FIELD_NONE},
	[WORKER_LIST_BACKINGS] = {"list-backings", 1, FIELD_NONE, FIELD_NONE, FIELD_NONE},
	[WORKER_PRUNE_BACKINGS] = {"prune-backings", 1, FIELD_NONE, FIELD_NONE, FIELD_NONE},
};

static const enum err_kind kinds[] = {
	[WORKER_OK] = ERR_NONE,
	[WORKER_INVALID] = ERR_INPUT,
	[WORKER_REFUSED] = ERR_REFUSED,
	[WORKER_BUSY] = ERR_BUSY,
	[WORKER_ABSENT] = ERR_NOT_FOUND,
	[WORKER_TROUBLE] = ERR_SYSTEM,
};

size_t worker_wire_descriptors(enum worker_operation operation)
{
	return operation < WORKER_OPERATIONS ? operations[operation].descriptors : 0;
}

bool worker_wire_builds(enum worker_operation operation)
{
	return operation < WORKER_OPERATIONS && operations[operation].build != FIELD_NONE;
}

const char *worker_wire_name(uint32_t operation)
{
	return operation < WORKER_OPERATIONS && operations[operation].name ? operations[operation].name : "?";
}

enum err_kind worker_wire_kind(int32_t error)
{
	if (error < 0 || (size_t)error >= sizeof kinds / sizeof *kinds)
		return ERR_INPUT;
	return kinds[error];
}

enum worker_error worker_wire_error(enum err_kind kind)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i] == kind)
			return (enum worker_error)i;
	return WORKER_TROUBLE;
}

static int put(char *field, size_t room, const char *text, const char *what, struct err *err)
{
	size_t length = text ? strlen(text) : 0;

	if (length >= room)
		return err_set(err, ERR_INPUT, "%s: longer than %zu characters", what, room - 1);
	if (length)
		memcpy(field, text, length);
	return 0;
}

int worker_wire_request(struct worker_request *request, enum worker_operation operation, const char *build, const char *section,
	const char *digest, struct err *err)
{
	memset(request, 0, sizeof *request);
	request->version = WORKER_VERSION;
	request->operation = operation;
	if (put(request->build, sizeof request->build, build, "build", err) < 0 ||
		put(request->section, sizeof request->section, section, "section", err) < 0 ||
		put(request->digest, sizeof request->digest, digest, "digest", err) < 0)
		return -1;
	return 0;
}

/* Ended by a NUL, and only NULs after it. */
static bool is_text(const char *field, size_t room)
{
	const char *end = memchr(field, 0, room);

	if (!end)
		return false;
	for (; end < field + room; end++)
		if (*end)
			return false;
	return true;
}

static bool is_hex(const char *text, size_t digits)
{
	return strlen(text) == digits && strspn(text, "0123456789abcdef") == digits;
}

static bool is_section(const char *text)
{
	if (!*text || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-") != strlen(text))
		return false;
	return *text != '.' && *text != '_' && *text != '-' && !strstr(text, "..");
}

static int check_field(enum field wanted, bool empty, bool good, const char *what, struct err *err)
{
	if (wanted == FIELD_NONE && !empty)
		return err_set(err, ERR_INPUT, "%s: given, but not used by this operation", what);
	if (wanted != FIELD_NONE && !good && !(wanted == FIELD_ALLOWED && empty))
		return err_set(err, ERR_INPUT, "%s: missing or malformed", what);
	return 0;
}

static int check_fields(const struct worker_request *request, const struct operation *operation, struct err *err)
{
	if (!is_text(request->build, sizeof request->build) || !is_text(request->section, sizeof request->section) ||
		!is_text(request->digest, sizeof request->digest))
		return err_set(err, ERR_INPUT, "a text of it is not ended by zeros");
	if (request->unused[0] || request->unused[1] ||
		(request->number && request->operation != WORKER_KEEP && request->operation != WORKER_COPY))
		return err_set(err, ERR_INPUT, "a field that is not used is not zero");
	if (check_field(operation->build, !*request->build, is_hex(request->build, WORKER_BUILD_SIZE - 1), "build", err) < 0 ||
		check_field(operation->section, !*request->section, is_section(request->section), "section", err) < 0 ||
		check_field(operation->digest, !*request->digest, is_hex(request->digest, WORKER_DIGEST_SIZE - 1), "digest", err) < 0)
		return -1;
	return 0;
}

int worker_wire_check(const void *bytes, size_t length, size_t descriptors, struct worker_request *request, struct err *err)
{
	const struct operation *operation;

	if (length != sizeof *request)
		return err_set(err, ERR_INPUT, "a packet of %zu bytes is not a request (%zu)", length, sizeof *request);
	memcpy(request, bytes, sizeof *request);
	if (request->version != WORKER_VERSION)
		return err_set(err, ERR_INPUT, "version %u is spoken, this worker speaks %u: use programs of one release",
			(unsigned)request->version, WORKER_VERSION);
	if (request->operation >= WORKER_OPERATIONS || !operations[request->operation].name)
		return err_set(err, ERR_INPUT, "there is no operation %u", (unsigned)request->operation);
	operation = &operations[request->operation];
	if (descriptors != operation->descriptors)
		return err_set(err, ERR_INPUT, "%s: %zu descriptors were sent, it takes %zu", operation->name, descriptors,
			operation->descriptors);
	if (check_fields(request, operation, err) < 0)
		return err_wrap(err, "%s", operation->name);
	return 0;
}
