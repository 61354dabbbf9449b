#include "git/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/child.h"
#include "base/crypto.h"
#include "base/jsonget.h"
#include "base/strv.h"
#include "forge/dialect_git.h"
#include "forge/proposal.h"

#define NODES 64
#define PLAIN_MAXIMUM 1024
#define LIMIT_MS (10 * 1000)
#define TIME_MAXIMUM INT64_C(4102444800) /* the year 2100 */
#define BEGIN "-----BEGIN SSH SIGNATURE-----\n"
#define END "-----END SSH SIGNATURE-----\n"

extern char **environ;

static const char *const kind_words[] = {[RECORD_PROPOSE] = "propose", [RECORD_APPROVE] = "approve"};

const char *record_kind_word(enum record_kind kind)
{
	return kind_words[kind];
}

char *record_id(const void *blob, size_t length, char out[static RECORD_ID_SIZE])
{
	char digest[CRYPTO_SHA256_HEX];

	crypto_sha256(blob, length, digest);
	memcpy(out, digest, RECORD_ID_SIZE - 1);
	out[RECORD_ID_SIZE - 1] = '\0';
	return out;
}

char *record_payload(struct arena *arena, const struct record *record, struct err *err)
{
	json_t *json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "byoci", 1, "kind", kind_words[record->kind],
		"repository", record->repository, "proposal", record->proposal, "target", record->target, "commit", record->commit,
		"time", (json_int_t)record->time, "ms", (json_int_t)record->ms);
	char *text = NULL, *line = NULL;

	if (json && record->message && json_object_set_new(json, "message", json_string(record->message)) < 0) {
		json_decref(json);
		json = NULL;
	}
	if (json)
		text = json_dumps(json, JSON_COMPACT);
	if (text)
		line = arena_printf(arena, "%s\n", text);
	else
		err_set(err, ERR_INPUT, "the message is not UTF-8 text");
	free(text);
	json_decref(json);
	return line;
}

char *record_sign(struct arena *arena, const char *payload, const char *key, struct err *err)
{
	const char *const argv[] = {"ssh-keygen", "-q", "-Y", "sign", "-n", RECORD_NAMESPACE, "-f", key, NULL};
	const struct child_input input = {.bytes = payload, .length = strlen(payload), .limit_ms = LIMIT_MS};
	struct child child = CHILD_INIT;
	struct child_result result;
	char *blob = NULL;

	child.argv = argv;
	child.environment = (const char *const *)environ;
	child.session = true; /* no terminal: it must not wait for a passphrase, out of sight */
	if (child_run(&child, &input, &result, err) < 0)
		goto err0;
	if (result.status != 0 || result.out.length == 0) {
		err_set(err, ERR_REFUSED, "%s: ssh-keygen could not sign with it (when it has a passphrase, ssh-add it first): %.*s", key,
			(int)strcspn(result.err.data ? result.err.data : "", "\r\n"), result.err.data ? result.err.data : "");
		goto err0;
	}
	blob = arena_printf(arena, "%s%s", payload, result.out.data);
err0:
	child_result_release(&result);
	return blob;
}

static int read_kind(const json_t *json, enum record_kind *kind, struct err *err)
{
	const char *word;

	if (jsonget_string(json, "kind", &word, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof kind_words / sizeof kind_words[0]; i++)
		if (strcmp(word, kind_words[i]) == 0) {
			*kind = (enum record_kind)i;
			return 0;
		}
	return err_set(err, ERR_INPUT, "kind: must be propose or approve");
}

/* Control characters would reach terminals, pages and commit messages. */
static bool is_message(const char *text)
{
	for (const char *c = text; *c; c++)
		if (((unsigned char)*c < ' ' && *c != '\n' && *c != '\t') || *c == 0x7f)
			return false;
	return text[strspn(text, " \t\n")] != '\0' && strlen(text) <= DIALECT_GIT_MESSAGE;
}

static int read_fields(struct arena *arena, const json_t *json, struct record *record, struct err *err)
{
	const struct {
		const char *key;
		const char **to;
	} texts[] = {{"repository", &record->repository}, {"proposal", &record->proposal}, {"target", &record->target},
		{"commit", &record->commit}, {"message", &record->message}};
	size_t count = sizeof texts / sizeof texts[0];
	int64_t version;

	if (jsonget_integer(json, "byoci", &version, err) < 0 || read_kind(json, &record->kind, err) < 0)
		return -1;
	if (version != 1)
		return err_set(err, ERR_INPUT, "byoci: version %" PRId64 "; this program reads 1", version);
	for (size_t i = 0; i < (record->kind == RECORD_PROPOSE ? count : count - 1); i++) {
		const char *text;

		if (jsonget_string(json, texts[i].key, &text, err) < 0)
			return -1;
		*texts[i].to = arena_strdup(arena, text);
	}
	record->ms = jsonget_integer_or(json, "ms", 0);
	return jsonget_integer(json, "time", &record->time, err);
}

/* An address or a ref, as it may stand in a message. */
static bool is_plain(const char *text)
{
	size_t length = 0;

	while (text[length] > ' ' && text[length] < 0x7f)
		length++;
	return text[length] == '\0' && length > 0 && length <= PLAIN_MAXIMUM;
}

static int check_fields(const struct record *record, struct err *err)
{
	if (!is_plain(record->repository))
		return err_set(err, ERR_INPUT, "repository: must be HOST/PATH");
	if (!forge_name_valid(record->proposal))
		return err_set(err, ERR_INPUT, "proposal: must be the name of one");
	if (!forge_commit_valid(record->commit))
		return err_set(err, ERR_INPUT, "commit: must be a commit id");
	if (strncmp(record->target, "refs/heads/", strlen("refs/heads/")) != 0 || !is_plain(record->target))
		return err_set(err, ERR_INPUT, "target: must be refs/heads/BRANCH");
	if (record->time < 0 || record->time > TIME_MAXIMUM || record->ms < 0 || record->ms > 999)
		return err_set(err, ERR_INPUT, "time: must be seconds since 1970 (and ms up to 999)");
	if (record->kind == RECORD_PROPOSE && !is_message(record->message))
		return err_set(
			err, ERR_INPUT, "message: must be a text of at most %d bytes without control characters", DIALECT_GIT_MESSAGE);
	return 0;
}

/* One line, one armored signature, nothing else. */
static int split(struct arena *arena, const char *blob, size_t length, struct record *record, struct err *err)
{
	const char *newline = memchr(blob, '\n', length);
	const char *end;

	if (length > RECORD_MAXIMUM)
		return err_set(err, ERR_INPUT, "a record of %zu bytes, over %d", length, RECORD_MAXIMUM);
	if (!newline || memchr(blob, '\0', length))
		return err_set(err, ERR_INPUT, "not a record: a line of JSON and a signature");
	record->payload = arena_memdup(arena, blob, (size_t)(newline + 1 - blob));
	record->signature = arena_memdup(arena, newline + 1, length - (size_t)(newline + 1 - blob));
	end = strstr(record->signature, END);
	if (strncmp(record->signature, BEGIN, strlen(BEGIN)) != 0 || !end || end[strlen(END)] != '\0')
		return err_set(err, ERR_INPUT, "not a record: its second line does not begin an ssh signature that ends it");
	return 0;
}

int record_parse(struct arena *arena, const char *blob, size_t length, struct record *record, struct err *err)
{
	struct record found = {.why_not = NULL};
	json_t *json;
	int done;

	if (split(arena, blob, length, &found, err) < 0)
		return -1;
	json = jsonget_parse(found.payload, strlen(found.payload), NODES, err);
	if (!json)
		return err_wrap(err, "record");
	done = read_fields(arena, json, &found, err);
	json_decref(json);
	if (done < 0 || check_fields(&found, err) < 0)
		return err_wrap(err, "record");
	*record = found;
	return 0;
}

/* The signature as a file that only we and the child have. */
static int signature_file(const char *signature, struct err *err)
{
	int fd = memfd_create("signature", 0);
	size_t length = strlen(signature);

	if (fd < 0)
		return err_set_errno(err, errno, "memfd_create");
	if (write(fd, signature, length) == (ssize_t)length)
		return fd;
	err_set_errno(err, errno, "write");
	close(fd);
	return -1;
}

/* Runs ssh-keygen with the signature's file behind -s. */
static int keygen(const struct record *record, const char *const *arguments, struct child_result *result, struct err *err)
{
	static const char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/", "LC_ALL=C.UTF-8", "TZ=UTC", NULL};
	const struct child_input input = {.bytes = record->payload, .length = strlen(record->payload), .limit_ms = LIMIT_MS};
	int fd = signature_file(record->signature, err);
	const int keep[] = {fd, -1};
	struct child child = CHILD_INIT;
	struct strv argv = STRV_INIT;
	int done;

	result->out = result->err = (struct buf){.data = NULL};
	if (fd < 0)
		return -1;
	strv_pushl(&argv, "ssh-keygen", "-Y", NULL);
	for (; *arguments; arguments++)
		strv_push(&argv, *arguments);
	strv_pushf(&argv, "-s/proc/self/fd/%d", fd);
	child.argv = (const char *const *)argv.v;
	child.environment = environment;
	child.keep = keep;
	child.dies_with_parent = true;
	done = child_run(&child, &input, result, err);
	strv_release(&argv);
	close(fd);
	return done;
}

/* ssh-keygen's form of a time (TZ is UTC there). */
static const char *keygen_time(struct arena *arena, int64_t time)
{
	time_t seconds = (time_t)time;
	char text[32];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || strftime(text, sizeof text, "%Y%m%d%H%M%S", &tm) == 0)
		return "-Overify-time=19700101000000";
	return arena_printf(arena, "-Overify-time=%s", text);
}

/* The first principal that the key had at the record's time; "" when none. */
static char *find_principal(struct arena *arena, const char *allowed_signers, const struct record *record, struct err *err)
{
	const char *const arguments[] = {"find-principals", keygen_time(arena, record->time), "-f", allowed_signers, NULL};
	struct child_result result;
	char *principal = NULL;

	if (keygen(record, arguments, &result, err) == 0) {
		size_t length = result.status == 0 && result.out.data ? strcspn(result.out.data, "\n,") : 0;

		principal = arena_memdup(arena, length > 0 ? result.out.data : "", length);
	}
	child_result_release(&result);
	return principal;
}

static bool is_pattern(const char *principal)
{
	return strpbrk(principal, "*?!\"\\ \t") != NULL;
}

int record_verify(struct arena *arena, const char *allowed_signers, struct record *record, struct err *err)
{
	struct child_result result;
	const char *principal;

	if (access(allowed_signers, R_OK) < 0)
		return err_set_errno(err, errno, "%s: who may propose and approve", allowed_signers);
	principal = find_principal(arena, allowed_signers, record, err);
	if (!principal)
		return -1;
	if (principal[0] == '\0' || is_pattern(principal)) {
		record->why_not =
			principal[0] ? "allowed_signers has a pattern for this key, not a name" : "not signed by a key in allowed_signers";
		return 0;
	}
	const char *const arguments[] = {"verify", "-n", RECORD_NAMESPACE, "-I", principal, "-f", allowed_signers, NULL};
	int done = keygen(record, arguments, &result, err);
	if (done == 0 && result.status == 0)
		record->who = principal;
	else if (done == 0)
		record->why_not = "the signature is not good for this text, or the key is not allowed for it now";
	child_result_release(&result);
	return done;
}
