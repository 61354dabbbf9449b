/*
 * The hooks of a plain git repository, run by git-receive-pack under git.user: what may be pushed by whom (doc/INTERFACES.md),
 * and telling the brain. BYOCI_PUSHER is who pushes; without it somebody works in the repository itself.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "forge/marker.h"
#include "forge/outcome.h"
#include "forge/proposal.h"
#include "forge/text.h"
#include "git/place.h"
#include "git/record.h"
#include "git/repo.h"
#include "loop/http.h"
#include "verb/verb.h"

#define HEADS "refs/heads/"
#define REFS 256         /* in one push */
#define LINE 1100        /* of a hook's input: two ids and a ref of at most 1 KiB */
#define RECORDS 256      /* of one proposal */
#define REPORT_MAXIMUM (64 * 1024)
#define TELL_LIMIT_MS 5000

struct change {
	const char *old, *new, *ref; /* old, new: NULL when there is none */
};

struct push {
	const struct verb_call *call;
	struct arena *arena;
	struct place place;
	struct repo *repo;
	const char *pusher; /* NULL: nobody, it is done here */
	bool landing;
	const char *landing_principal;
	struct change changes[REFS];
	size_t count;
};

/* "…/NAME.git" → NAME */
static const char *name_of_folder(struct arena *arena, const char *folder)
{
	const char *slash = strrchr(folder, '/');
	char *name = arena_strdup(arena, slash ? slash + 1 : folder);
	size_t length = strlen(name);

	if (length > 4 && strcmp(name + length - 4, ".git") == 0)
		name[length - 4] = '\0';
	return name;
}

static const char *id_or_null(struct arena *arena, const char *text, size_t length)
{
	char *id = arena_memdup(arena, text, length);

	return id[strspn(id, "0")] == '\0' ? NULL : id;
}

/* "OLD NEW REF" */
static int read_change(struct arena *arena, char *line, struct change *change, struct err *err)
{
	size_t old = strcspn(line, " ");
	size_t new = line[old] ? strcspn(line + old + 1, " ") : 0;
	const char *ref = line + old + 1 + new + 1;

	line[strcspn(line, "\n")] = '\0';
	if ((old != 40 && old != 64) || new != old || line[old + 1 + new] != ' ' || *ref == '\0')
		return err_set(err, ERR_INPUT, "standard input is not a hook's: this verb is run by git");
	change->old = id_or_null(arena, line, old);
	change->new = id_or_null(arena, line + old + 1, new);
	change->ref = arena_strdup(arena, ref);
	return 0;
}

static int read_changes(struct push *push, struct err *err)
{
	char line[LINE];

	while (fgets(line, sizeof line, stdin)) {
		if (!strchr(line, '\n'))
			return err_set(err, ERR_REFUSED, "a ref of over 1 KiB");
		if (push->count == REFS)
			return err_set(err, ERR_REFUSED, "over %d refs in one push: push them in parts", REFS);
		if (read_change(push->arena, line, &push->changes[push->count], err) < 0)
			return -1;
		push->count++;
	}
	return 0;
}

/* New objects are in git's quarantine until the hook agrees: git(1), git-receive-pack(1). */
static void see_quarantine(struct repo *repo)
{
	static const char *const names[] = {"GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (getenv(names[i]))
			repo_environment(repo, names[i], getenv(names[i]));
}

static int open_push(const struct verb_call *call, struct push *push, struct err *err)
{
	char *folder = realpath(getenv("GIT_DIR") ? getenv("GIT_DIR") : ".", NULL);
	int done = -1;

	push->call = call;
	push->arena = arena_new();
	push->pusher = getenv("BYOCI_PUSHER");
	if (!folder) {
		err_set(err, ERR_USAGE, "this verb is run by git in a repository");
		goto err0;
	}
	if (call->argc > 0) {
		err_set(err, ERR_USAGE, "%s: one argument too many", call->argv[0]);
		goto err0;
	}
	if (place_of_path(call->conf, push->arena, name_of_folder(push->arena, folder), &push->place, err) < 0)
		goto err0;
	if (conf_text(call->conf, NULL, "landing.principal", &push->landing_principal, err) < 0 || read_changes(push, err) < 0)
		goto err0;
	push->landing = push->pusher && strcmp(push->pusher, push->landing_principal) == 0;
	push->repo = repo_open(call->conf, folder, err);
	if (push->repo) {
		see_quarantine(push->repo);
		done = 0;
	}
err0:
	free(folder);
	return done;
}

static void close_push(struct push *push)
{
	repo_close(push->repo);
	arena_free(push->arena);
}

/* The type and size of a pushed object. */
static int look(struct push *push, const char *id, const char **type, size_t *size, struct err *err)
{
	char *line = arena_printf(push->arena, "%s\n", id), *space;
	const struct repo_call call = {.arguments = REPO_ARGUMENTS("cat-file", "--batch-check=%(objecttype) %(objectsize)"),
		.input = line,
		.input_length = strlen(line)};
	char *text = repo_text(push->repo, push->arena, &call, NULL, err);

	space = text ? strchr(text, ' ') : NULL;
	if (!space)
		return text ? err_set(err, ERR_INPUT, "%s: git does not know this object", id) : -1;
	*space = '\0';
	*type = text;
	*size = strtoumax(space + 1, NULL, 10);
	return 0;
}

static char *read_blob(struct push *push, const char *id, size_t maximum, size_t *length, struct err *err)
{
	const struct repo_call call = {.arguments = REPO_ARGUMENTS("cat-file", "blob", id), .maximum = maximum + 1};
	const char *type = "";
	size_t size = 0;
	char *blob;

	if (look(push, id, &type, &size, err) < 0)
		return NULL;
	if (strcmp(type, "blob") != 0 || size == 0 || size > maximum) {
		err_set(err, ERR_REFUSED, "it must be a blob of at most %zu bytes, not a %s of %zu", maximum, type, size);
		return NULL;
	}
	blob = repo_text(push->repo, push->arena, &call, length, err);
	if (blob && *length == size - 1) /* repo_text() takes the last newline off */
		blob[(*length)++] = '\n';
	return blob;
}

static int check_commit(struct push *push, const char *id, struct err *err)
{
	const char *type;
	size_t size;

	if (look(push, id, &type, &size, err) < 0)
		return -1;
	return strcmp(type, "commit") == 0 ? 0 : err_set(err, ERR_REFUSED, "it must be a commit, not a %s", type);
}

static int check_target(struct push *push, const struct change *change, struct err *err)
{
	int status;

	if (!push->pusher && !change->old)
		return 0; /* the first commit of a new repository, made on the spot */
	if (!push->landing)
		return err_set(
			err, ERR_REFUSED, "only what was approved and tested lands here: push a branch of another name, then byoci propose");
	if (!change->new || !change->old)
		return err_set(err, ERR_REFUSED, "a gated branch is neither made nor deleted by a push");
	if (check_commit(push, change->new, err) < 0)
		return -1;
	const struct repo_call call = {.arguments = REPO_ARGUMENTS("merge-base", "--is-ancestor", change->old, change->new)};
	status = repo_status(push->repo, &call, err);
	if (status < 0)
		return -1;
	return status == 0 ? 0 : err_set(err, ERR_REFUSED, "it does not descend from what is there");
}

static int check_branch(struct push *push, const struct change *change, struct err *err)
{
	if (push->landing)
		return err_set(err, ERR_REFUSED, "the landing account pushes gated branches and reports only");
	/* git-push(1) takes a ref for one whose name ends like it: proposals would go to such a branch. */
	if (change->new && strncmp(change->ref, HEADS "refs/", strlen(HEADS "refs/")) == 0)
		return err_set(err, ERR_REFUSED, "a branch called like the ref %s would be taken for it: choose another name",
			change->ref + strlen(HEADS));
	return change->new ? check_commit(push, change->new, err) : 0;
}

static int check_head(struct push *push, const struct change *change, struct err *err)
{
	if (push->landing)
		return err_set(err, ERR_REFUSED, "the landing account proposes nothing");
	return change->new ? check_commit(push, change->new, err) : 0;
}

static int count_records(struct push *push, const char *name, size_t *count, struct err *err)
{
	const struct repo_call call = {
		.arguments = REPO_ARGUMENTS("for-each-ref", "--format=x", arena_printf(push->arena, "--count=%d", RECORDS),
			arena_printf(push->arena, "refs/proposals/%s/records", name))};
	size_t length;
	char *text = repo_text(push->repo, push->arena, &call, &length, err);

	if (!text)
		return -1;
	*count = (length + 1) / 2;
	return 0;
}

/* The record's own words, and whose they are. */
static int check_words(struct push *push, const char *name, struct record *record, struct err *err)
{
	if (strcmp(record->repository, push->place.identity) != 0)
		return err_set(
			err, ERR_REFUSED, "it is signed for the repository %.200s, not %s", record->repository, push->place.identity);
	if (strcmp(record->proposal, name) != 0)
		return err_set(err, ERR_REFUSED, "it is signed for the proposal %s", record->proposal);
	if (!place_has_target(&push->place, record->target))
		return err_set(err, ERR_REFUSED, "%.200s is not a target of this project", record->target);
	if (record_verify(push->arena, push->place.allowed_signers, record, err) < 0)
		return -1;
	if (!record->who)
		return err_set(err, ERR_REFUSED, "%s (%s)", record->why_not, push->place.allowed_signers);
	if (strcmp(record->who, push->landing_principal) == 0)
		return err_set(err, ERR_REFUSED, "the landing account neither proposes nor approves");
	return 0;
}

static int check_record(struct push *push, const char *name, const char *id, const struct change *change, struct err *err)
{
	char right[RECORD_ID_SIZE];
	struct record record;
	size_t length, count;
	char *blob;

	if (push->landing)
		return err_set(err, ERR_REFUSED, "the landing account neither proposes nor approves");
	if (change->old || !change->new)
		return err_set(err, ERR_REFUSED, "a record is never changed or deleted");
	if (count_records(push, name, &count, err) < 0)
		return -1;
	if (count >= RECORDS)
		return err_set(err, ERR_REFUSED, "%s has %d records already: propose again under another name", name, RECORDS);
	blob = read_blob(push, change->new, RECORD_MAXIMUM, &length, err);
	if (!blob)
		return -1;
	if (strcmp(record_id(blob, length, right), id) != 0)
		return err_set(err, ERR_REFUSED, "the ID of that record is %s", right);
	if (record_parse(push->arena, blob, length, &record, err) < 0)
		return -1;
	return check_words(push, name, &record, err);
}

static int check_report(struct push *push, const char *marker, const struct change *change, struct err *err)
{
	size_t length;
	json_t *json;
	char *blob;

	if (!push->landing)
		return err_set(err, ERR_REFUSED, "reports are written by the landing account only");
	if (change->old || !change->new)
		return err_set(err, ERR_REFUSED, "a report is never changed or deleted");
	if (strspn(marker, "0123456789abcdef") != MARKER_SIZE - 1 || marker[MARKER_SIZE - 1] != '\0')
		return err_set(err, ERR_REFUSED, "a marker is %d hex digits", MARKER_SIZE - 1);
	blob = read_blob(push, change->new, REPORT_MAXIMUM, &length, err);
	json = blob ? jsonget_parse(blob, length, 1024, err) : NULL;
	json_decref(json);
	return json ? 0 : -1;
}

/* refs/proposals/NAME/{head,records/ID,reports/MARKER} */
static int check_proposal(struct push *push, const struct change *change, struct err *err)
{
	const char *rest = change->ref + strlen("refs/proposals/"), *what;
	size_t length = strcspn(rest, "/");
	const char *name = arena_memdup(push->arena, rest, length);

	if (!forge_name_valid(name) || rest[length] == '\0')
		return err_set(err, ERR_REFUSED, "a proposal's name is up to 63 of a-z 0-9 . _ - and begins with a letter or digit");
	what = rest + length + 1;
	if (strcmp(what, "head") == 0)
		return check_head(push, change, err);
	if (strncmp(what, "records/", strlen("records/")) == 0)
		return check_record(push, name, what + strlen("records/"), change, err);
	if (strncmp(what, "reports/", strlen("reports/")) == 0)
		return check_report(push, what + strlen("reports/"), change, err);
	return err_set(err, ERR_REFUSED, "a proposal has a head, records and reports only");
}

static int check_change(struct push *push, const struct change *change, struct err *err)
{
	if (place_has_target(&push->place, change->ref))
		return check_target(push, change, err);
	if (!push->pusher)
		return err_set(err, ERR_REFUSED, "push over ssh, to %s", push->place.repository);
	if (strncmp(change->ref, HEADS, strlen(HEADS)) == 0)
		return check_branch(push, change, err);
	if (strncmp(change->ref, "refs/proposals/", strlen("refs/proposals/")) == 0)
		return check_proposal(push, change, err);
	return err_set(err, ERR_REFUSED, "only branches and proposals are kept here");
}

/* Each ref that is refused is told with its reason; one refused is the whole push refused (git does that). */
int git_hook_pre_receive(const struct verb_call *call)
{
	struct push push = {.count = 0};
	struct err err;
	int status = 0;

	if (open_push(call, &push, &err) < 0) {
		close_push(&push);
		return verb_fail(call, &err);
	}
	for (size_t i = 0; i < push.count; i++)
		if (check_change(&push, &push.changes[i], &err) < 0) {
			fprintf(stderr, "byoci: %s: refused: %s\n", push.changes[i].ref, err.text);
			status = outcome_exit(OUTCOME_REFUSED);
		}
	close_push(&push);
	return status;
}

/* What the brain is told: doc/INTERFACES.md. */
static char *body_of(const struct push *push)
{
	json_t *refs = json_array();
	json_t *json;
	char *text;

	for (size_t i = 0; i < push->count; i++)
		json_array_append_new(refs,
			json_pack("{s:o, s:s?, s:s?}", "ref", text_json(push->changes[i].ref), "old", push->changes[i].old, "new",
				push->changes[i].new));
	json = json_pack("{s:s, s:s, s:I, s:o}", "repository", push->place.identity, "pusher", push->pusher ? push->pusher : "",
		"time", (json_int_t)clock_wall_ms(), "refs", refs);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	if (!text)
		err_fatal("out of memory");
	json_decref(json);
	return text;
}

static char *signature_of(struct arena *arena, const char *secrets, const char *body, struct err *err)
{
	unsigned char digest[CRYPTO_DIGEST_MAXIMUM];
	char hex[2 * CRYPTO_DIGEST_MAXIMUM + 1];
	struct crypto_hmac *hmac;
	size_t length;
	char *secret = file_read_secret(arena, arena_printf(arena, "%s/git/hook", secrets), &length, err);

	hmac = secret ? crypto_hmac_new("SHA256", secret, length, err) : NULL;
	if (!hmac)
		return NULL;
	crypto_hmac_add(hmac, body, strlen(body));
	length = crypto_hmac_end(hmac, digest);
	crypto_hmac_free(hmac);
	crypto_hex(digest, length, hex);
	return arena_printf(arena, "X-Byoci-Signature: sha256=%s", hex);
}

static int post(struct push *push, const char *body, struct err *err)
{
	const char *secrets, *listen, *signature;
	struct arena *arena = push->arena;
	struct http_reply reply;
	char delivery[33];

	if (conf_text(push->call->conf, NULL, "secrets", &secrets, err) < 0 ||
		conf_text(push->call->conf, NULL, "hook.listen", &listen, err) < 0)
		return -1;
	signature = signature_of(arena, secrets, body, err);
	if (!signature)
		return -1;
	crypto_random_hex(16, delivery);
	const char *const headers[] = {"Content-Type: application/json", "X-Byoci-Event: push",
		arena_printf(arena, "X-Byoci-Delivery: %s", delivery), signature, NULL};
	const struct http_request request = {
		.url = arena_printf(arena, "http://%s/hook/git%s%s", listen, strcmp(push->place.account, "git") == 0 ? "" : "/",
			strcmp(push->place.account, "git") == 0 ? "" : push->place.account),
		.headers = headers, .body = body, .length = strlen(body), .limit_ms = TELL_LIMIT_MS};
	if (http_once(&request, arena, &reply, err) < 0)
		return -1;
	if (reply.status / 100 == 2)
		return 0;
	return err_set(err, ERR_NETWORK, "%s answered %u: %.200s", request.url, reply.status, reply.body);
}

/* The push has happened: nothing here makes it fail. The brain's poll finds what it was not told. */
int git_hook_post_receive(const struct verb_call *call)
{
	struct push push = {.count = 0};
	struct err err;
	char *body;

	if (open_push(call, &push, &err) == 0) {
		body = body_of(&push);
		if (post(&push, body, &err) < 0)
			fprintf(stderr, "byoci: pushed, but the brain was not told and will find it later: %s\n", err.text);
		free(body);
	} else {
		fprintf(stderr, "byoci: pushed, but the brain was not told and will find it later: %s\n", err.text);
	}
	close_push(&push);
	return 0;
}
