#include "git/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/jsonget.h"
#include "forge/dialect_git.h"
#include "forge/proposal.h"
#include "forge/text.h"
#include "git/record.h"
#include "git/sshsig.h"

#define PROPOSALS "refs/proposals/"
#define REFS_MAXIMUM 100000 /* of the whole repository, for the list */
#define REFS_OUTPUT ((size_t)64 * 1024 * 1024)
#define VERIFIED 64 /* records of one proposal that are verified; the newest */
#define REPORTS 64  /* of one proposal that are looked at */
#define REPORT_MAXIMUM (64 * 1024)
#define REPORT_NODES 100
#define AHEAD 600   /* seconds that a record may be dated after now */

/* One ref as for-each-ref shows it; texts in the arena. */
struct ref {
	const char *name, *id, *type, *size, *time, *author, *mail, *subject;
};
struct refs {
	struct ref *list;
	size_t count;
};
#define REF_FIELDS 8
#define REF_FORMAT \
	"--format=%(refname)%00%(objectname)%00%(objecttype)%00%(objectsize)%00%(committerdate:unix)%00%(authorname)%00" \
	"%(authoremail:trim)%00%(contents:subject)%00"
/* For lists: nothing that anybody's object could make long. */
#define REF_FORMAT_SHORT "--format=%(refname)%00%(objectname)%00%00%00%00%00%00%00"
#define SUBJECT 1000 /* bytes of what a commit says of itself that are taken */

/* One proposal on its way to a reply. */
struct reading {
	const struct reader *reader;
	struct arena *arena;
	const char *name;
	struct refs refs;
	const struct ref *head; /* NULL: closed */
	struct record *records; /* the newest first */
	size_t record_count;
	size_t verified;
	const struct record *proposed; /* the one that counts; NULL: none */
	const struct ref *asked;       /* whether the head is on this one is being found out; NULL: of none */
	struct repo_job asking;
	int64_t rejected;              /* the approval under which the head was rejected, as its report says; 0: there is none */
};

/* Takes the output apart: `REF_FIELDS` texts that end with NUL, then a newline. */
static size_t split_refs(char *text, size_t length, struct ref *refs, size_t room)
{
	const char *end = text + length;
	size_t count = 0;

	while (text < end && count < room) {
		const char *fields[REF_FIELDS];
		size_t field = 0;

		while (*text == '\n' && text < end)
			text++;
		for (; field < REF_FIELDS && text < end; field++) {
			fields[field] = text;
			text += strlen(text) + 1;
		}
		if (field < REF_FIELDS)
			break;
		refs[count++] = (struct ref){.name = fields[0], .id = fields[1], .type = fields[2], .size = fields[3], .time = fields[4],
			.author = fields[5], .mail = fields[6], .subject = fields[7]};
	}
	return count;
}

/* The refs that match; -1: not readable, or over `maximum` of them. */
static int list_refs(const struct reader *reader, struct arena *arena, const char *const *patterns, size_t maximum,
	struct refs *refs, struct err *err)
{
	struct strv arguments = STRV_INIT;
	struct repo_call call = {.maximum = REFS_OUTPUT};
	size_t length;
	char *text;

	strv_pushl(&arguments, "for-each-ref", maximum == REFS_MAXIMUM ? REF_FORMAT_SHORT : REF_FORMAT, NULL);
	strv_pushf(&arguments, "--count=%zu", maximum + 1);
	for (; *patterns; patterns++)
		strv_push(&arguments, *patterns);
	for (const char *const *target = reader->place->targets; *target; target++)
		strv_push(&arguments, *target);
	call.arguments = (const char *const *)arguments.v;
	text = repo_text(reader->repo, arena, &call, &length, err);
	strv_release(&arguments);
	if (!text)
		return -1;
	refs->list = arena_alloc(arena, (maximum + 1) * sizeof *refs->list);
	refs->count = split_refs(text, length, refs->list, maximum + 1);
	if (refs->count > maximum)
		return err_set(err, ERR_FULL, "over %zu refs; remove proposals that are done", maximum);
	return 0;
}

static const struct ref *find_ref(const struct reading *reading, const char *name)
{
	for (size_t i = 0; i < reading->refs.count; i++)
		if (strcmp(reading->refs.list[i].name, name) == 0)
			return &reading->refs.list[i];
	return NULL;
}

/* "refs/proposals/NAME/records/ID" → ID, else NULL. */
static const char *record_of(const struct reading *reading, const struct ref *ref)
{
	const char *rest = ref->name + strlen(PROPOSALS) + strlen(reading->name);

	if (strncmp(ref->name, PROPOSALS, strlen(PROPOSALS)) != 0 || strncmp(rest, "/records/", strlen("/records/")) != 0)
		return NULL;
	return rest + strlen("/records/");
}

static bool is_small_blob(const struct ref *ref)
{
	return strcmp(ref->type, "blob") == 0 && strtoumax(ref->size, NULL, 10) <= RECORD_MAXIMUM;
}

/* Why a record that was read is not this proposal's; NULL: it is. */
static const char *other_place(const struct reading *reading, const struct record *record)
{
	const struct place *place = reading->reader->place;

	if (strcmp(record->repository, place->identity) != 0)
		return arena_printf(reading->arena, "it is for the repository %.200s", record->repository);
	if (strcmp(record->proposal, reading->name) != 0)
		return arena_printf(reading->arena, "it is for the proposal %.100s", record->proposal);
	if (!place_has_target(place, record->target))
		return arena_printf(reading->arena, "%.200s is not a target of this project", record->target);
	if (record->time > reading->reader->now + AHEAD)
		return "it is dated in the future";
	return NULL;
}

static void add_record(struct reading *reading, const struct ref *ref, const char *blob, size_t length)
{
	struct record *record = &reading->records[reading->record_count++];
	char id[RECORD_ID_SIZE];
	struct err why;

	*record = (struct record){.kind = RECORD_APPROVE, .target = "", .commit = ""};
	if (strcmp(record_id(blob, length, id), record_of(reading, ref)) != 0)
		record->why_not = "it is not what its ID says";
	else if (record_parse(reading->arena, blob, length, record, &why) < 0)
		record->why_not = arena_strdup(reading->arena, why.text);
	else
		record->why_not = other_place(reading, record);
}

/* The contents of the blobs in one go: "ID blob SIZE\n", the bytes, "\n", for each. */
static int load_blobs(struct reading *reading, const struct ref *const *wanted, size_t count, struct err *err)
{
	struct repo_call call = {
		.arguments = REPO_ARGUMENTS("cat-file", "--batch"), .maximum = 4096 + count * (RECORD_MAXIMUM + 128)};
	struct buf input;
	size_t length, at = 0;
	char *text;

	buf_init(&input, count * 80);
	for (size_t i = 0; i < count; i++)
		if (buf_printf(&input, "%s\n", wanted[i]->id) < 0)
			err_fatal("object ids over their size");
	call.input = input.data;
	call.input_length = input.length;
	text = repo_text(reading->reader->repo, reading->arena, &call, &length, err);
	buf_release(&input);
	if (!text)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const char *newline = at < length ? memchr(text + at, '\n', length - at) : NULL;
		size_t size = strtoumax(wanted[i]->size, NULL, 10), header = newline ? (size_t)(newline + 1 - (text + at)) : 0;

		if (!newline || size > length - at - header)
			return err_set(err, ERR_INPUT, "git cat-file: its output ends too early");
		add_record(reading, wanted[i], text + at + header, size);
		at += header + size + 1;
	}
	return 0;
}

static bool is_report(const struct reading *reading, const struct ref *ref)
{
	const char *rest = ref->name + strlen(PROPOSALS) + strlen(reading->name);

	return strncmp(ref->name, PROPOSALS, strlen(PROPOSALS)) == 0 && strncmp(rest, "/reports/", strlen("/reports/")) == 0 &&
		strcmp(ref->type, "blob") == 0 && strtoumax(ref->size, NULL, 10) <= REPORT_MAXIMUM;
}

/* What the landing account told the proposal; only it can write there. */
static void take_report(struct reading *reading, const char *bytes, size_t length)
{
	struct err ignored;
	json_t *json = jsonget_parse(bytes, length, REPORT_NODES, &ignored);
	int64_t approval = jsonget_integer_or(json, "approval", 0);

	if (strcmp(jsonget_string_or(json, "kind", ""), "rejected") == 0 &&
		strcmp(jsonget_string_or(json, "approved", ""), reading->head->id) == 0 && approval > reading->rejected)
		reading->rejected = approval;
	json_decref(json);
}

/* What cannot be read says nothing. */
static void load_reports(struct reading *reading)
{
	struct repo_call call = {.arguments = REPO_ARGUMENTS("cat-file", "--batch"), .maximum = REPORTS * (REPORT_MAXIMUM + 128)};
	struct err ignored = {.kind = ERR_NONE};
	struct buf input;
	size_t length = 0, count = 0;

	buf_init(&input, REPORTS * 80);
	for (size_t i = 0; i < reading->refs.count && count < REPORTS; i++)
		if (is_report(reading, &reading->refs.list[i]) && buf_printf(&input, "%s\n", reading->refs.list[i].id) == 0)
			count++;
	call.input = input.data;
	call.input_length = input.length;
	const char *text = count > 0 && reading->head ? repo_text(reading->reader->repo, reading->arena, &call, &length, &ignored) : NULL;
	buf_release(&input);
	for (const char *end = text + length, *newline; text && text < end && (newline = memchr(text, '\n', (size_t)(end - text)));) {
		const char *space = memrchr(text, ' ', (size_t)(newline - text));
		size_t size = space ? strtoumax(space + 1, NULL, 10) : 0;
		if (size > (size_t)(end - newline - 1))
			break;
		take_report(reading, newline + 1, size);
		text = newline + 1 + size + 1;
	}
}

static int newest_first(const void *one, const void *other)
{
	const struct record *a = one, *b = other;

	if (a->time != b->time)
		return a->time < b->time ? 1 : -1;
	return a->ms < b->ms ? 1 : a->ms > b->ms ? -1 : strcmp(a->commit, b->commit);
}

static int load_records(struct reading *reading, struct err *err)
{
	const struct ref **wanted = arena_alloc(reading->arena, (reading->refs.count + 1) * sizeof *wanted);
	size_t count = 0;

	reading->records = arena_alloc(reading->arena, (reading->refs.count + 1) * sizeof *reading->records);
	for (size_t i = 0; i < reading->refs.count; i++)
		if (record_of(reading, &reading->refs.list[i]) && is_small_blob(&reading->refs.list[i]))
			wanted[count++] = &reading->refs.list[i];
	if (count == 0)
		return 0;
	if (load_blobs(reading, wanted, count, err) < 0)
		return -1;
	qsort(reading->records, reading->record_count, sizeof *reading->records, newest_first);
	return 0;
}

static bool is_for_head(const struct reading *reading, const struct record *record)
{
	return reading->head && strcmp(record->commit, reading->head->id) == 0;
}

static int verify(struct reading *reading, struct record *record, struct err *err)
{
	if (reading->verified++ >= VERIFIED) {
		record->why_not = "there are too many newer ones";
		return 0;
	}
	if (reading->reader->unchecked) {
		record->who = "somebody (this host does not know the signers)";
		return 0;
	}
	if (reading->reader->allowed) {
		const struct sshsig signature = {.armored = record->signature, .namespace = RECORD_NAMESPACE, .message = record->payload,
			.length = strlen(record->payload)};

		record->who = sshsig_signer(reading->arena, &signature, reading->reader->allowed);
	}
	return record->who ? 0 : record_verify(reading->arena, reading->reader->place->allowed_signers, record, err);
}

/* Verifies proposals, the newest first, until one is good: those for the head, or the others. */
static int find_proposed(struct reading *reading, bool for_head, struct err *err)
{
	for (size_t i = 0; i < reading->record_count && !reading->proposed; i++) {
		struct record *record = &reading->records[i];

		if (record->kind != RECORD_PROPOSE || record->why_not || is_for_head(reading, record) != for_head)
			continue;
		if (verify(reading, record, err) < 0)
			return -1;
		if (record->who)
			reading->proposed = record;
	}
	return 0;
}

static int verify_records(struct reading *reading, struct err *err)
{
	if (find_proposed(reading, true, err) < 0 || find_proposed(reading, false, err) < 0)
		return -1;
	for (size_t i = 0; i < reading->record_count; i++) {
		struct record *record = &reading->records[i];

		if (record->why_not || record->who)
			continue;
		if (record->kind == RECORD_PROPOSE)
			record->why_not = "a newer proposal counts";
		else if (!is_for_head(reading, record))
			record->why_not = "it is for another commit than the proposal has now";
		else if (verify(reading, record, err) < 0)
			return -1;
	}
	return 0;
}

static json_t *records_json(const struct reading *reading)
{
	json_t *list = json_array();

	for (size_t i = 0; i < reading->record_count; i++) {
		const struct record *record = &reading->records[i];

		json_array_append_new(list,
			json_pack("{s:s, s:s?, s:s, s:I, s:s, s:o}", "kind", record_kind_word(record->kind), "who", record->who, "commit",
				record->commit, "time", (json_int_t)record->time, "target", record->target, "why_not",
				record->why_not ? text_json(record->why_not) : json_null()));
	}
	return list;
}

/* -1: not known yet. */
static int remembered(const struct reader_memory *memory, const char *head, const char *tip)
{
	for (size_t i = 0; memory && i < READER_MEMORY; i++)
		if (strcmp(memory->known[i].head, head) == 0 && strcmp(memory->known[i].tip, tip) == 0)
			return memory->known[i].merged;
	return -1;
}

static void remember(struct reader_memory *memory, const char *head, const char *tip, bool merged)
{
	size_t i = memory ? memory->next++ % READER_MEMORY : 0;

	if (!memory)
		return;
	snprintf(memory->known[i].head, sizeof memory->known[i].head, "%s", head);
	snprintf(memory->known[i].tip, sizeof memory->known[i].tip, "%s", tip);
	memory->known[i].merged = merged;
}

static int ask_merged(struct reading *reading, const struct ref *tip, struct err *err)
{
	const struct repo_call call = {.arguments = REPO_ARGUMENTS("merge-base", "--is-ancestor", reading->head->id, tip->id)};

	return repo_begin(reading->reader->repo, &call, &reading->asking, err);
}

/* Asks for the usual target, while the records are read, which say of which one it has to be known. */
static void ask_ahead(struct reading *reading)
{
	const struct ref *tip = find_ref(reading, reading->reader->place->targets[0]);
	struct err ignored;

	if (reading->head && tip && remembered(reading->reader->memory, reading->head->id, tip->id) < 0 &&
		ask_merged(reading, tip, &ignored) == 0)
		reading->asked = tip;
}

static void ask_no_more(struct reading *reading)
{
	if (reading->asked)
		repo_abandon(&reading->asking);
	reading->asked = NULL;
}

/* Whether the head is on the target already; -1: that cannot be found out. */
static int is_merged(struct reading *reading, const struct ref *tip, struct err *err)
{
	struct reader_memory *memory = reading->reader->memory;
	int known = remembered(memory, reading->head->id, tip->id);
	int status;

	if (known >= 0)
		return known;
	if (reading->asked != tip) {
		ask_no_more(reading);
		if (ask_merged(reading, tip, err) < 0)
			return -1;
	}
	reading->asked = NULL;
	status = repo_end(&reading->asking, err);
	if (status > 1)
		return err_set(err, ERR_SYSTEM, "git merge-base: it ended with %d", status);
	if (status >= 0)
		remember(memory, reading->head->id, tip->id, status == 0);
	return status < 0 ? -1 : status == 0;
}

static const char *word_of_state(struct reading *reading, const struct ref *tip, struct err *err)
{
	int merged;

	if (!reading->head)
		return "closed";
	merged = is_merged(reading, tip, err);
	return merged < 0 ? NULL : merged ? "merged" : "open";
}

/*
 * The merge of exactly this head on the target's own line, however it came there: what is told about it has the same mark then as what
 * was told by whoever landed it. NULL: there is none among the newest, or it cannot be found out.
 */
static const char *merge_of_head(const struct reading *reading, const struct ref *tip)
{
	const char *head = reading->head->id, *not_below = arena_printf(reading->arena, "^%s", head);
	const struct repo_call call = {
		.arguments = REPO_ARGUMENTS("rev-list", "--first-parent", "--merges", "--parents", "-n", "1000", tip->id, not_below)};
	size_t length = 0, size = strlen(head);
	struct err ignored = {.kind = ERR_NONE};
	char *text = repo_text(reading->reader->repo, reading->arena, &call, &length, &ignored);

	for (char *line = text, *next; line && *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (strlen(line) == 3 * size + 2 && line[size] == ' ' && strcmp(line + 2 * size + 2, head) == 0)
			return arena_printf(reading->arena, "%.*s", (int)size, line);
	}
	return NULL;
}

static json_t *cut_json(const struct reading *reading, const char *text)
{
	return text_json(arena_printf(reading->arena, "%.*s", SUBJECT, text));
}

static json_t *reply(const struct reading *reading, const char *target, const struct ref *tip, const char *state)
{
	const struct place *place = reading->reader->place;
	const struct ref *head = reading->head;
	const struct record *proposed = reading->proposed;
	json_t *json = json_object();

	json_object_set_new(json, "proposal", text_json(reading->name));
	json_object_set_new(json, "repository", text_json(place->identity));
	json_object_set_new(json, "url", text_json(arena_printf(reading->arena, "%s#%s", place->repository, reading->name)));
	json_object_set_new(json, "target", text_json(target));
	json_object_set_new(json, "target_tip", text_json(tip ? tip->id : ""));
	json_object_set_new(json, "target_time", json_integer(tip ? strtoll(tip->time, NULL, 10) : 0));
	json_object_set_new(json, "head", text_json(head ? head->id : ""));
	json_object_set_new(json, "head_time", json_integer(head ? strtoll(head->time, NULL, 10) : 0));
	json_object_set_new(json, "author_name", cut_json(reading, head ? head->author : ""));
	json_object_set_new(json, "author_email", cut_json(reading, head ? head->mail : ""));
	json_object_set_new(json, "state", text_json(state));
	const char *merge = strcmp(state, "merged") == 0 ? merge_of_head(reading, tip) : NULL;
	json_object_set_new(json, "merge", merge ? text_json(merge) : json_null());
	json_object_set_new(json, "rejected", reading->rejected ? json_integer(reading->rejected) : json_null());
	/* Of this commit: else whoever pushes over somebody's proposal could approve that push themselves. */
	json_object_set_new(json, "proposer", proposed && is_for_head(reading, proposed) ? text_json(proposed->who) : json_null());
	json_object_set_new(json, "message", proposed ? text_json(proposed->message) : cut_json(reading, head ? head->subject : ""));
	json_object_set_new(json, "subject", cut_json(reading, head ? head->subject : ""));
	json_object_set_new(json, "records", records_json(reading));
	return json;
}

static json_t *read_proposal(struct reading *reading, struct err *err)
{
	const struct place *place = reading->reader->place;
	const char *refs[] = {arena_printf(reading->arena, PROPOSALS "%s/head", reading->name),
		arena_printf(reading->arena, PROPOSALS "%s/records", reading->name),
		arena_printf(reading->arena, PROPOSALS "%s/reports", reading->name), NULL};
	const char *target = place->targets[0], *state;
	const struct ref *tip;

	if (list_refs(reading->reader, reading->arena, refs, DIALECT_GIT_RECORDS, &reading->refs, err) < 0)
		return NULL;
	reading->head = find_ref(reading, refs[0]);
	if (reading->head && strcmp(reading->head->type, "commit") != 0) {
		err_set(err, ERR_INPUT, "%s is not a commit", refs[0]);
		return NULL;
	}
	ask_ahead(reading);
	if (load_records(reading, err) < 0 || verify_records(reading, err) < 0)
		return NULL;
	load_reports(reading);
	if (reading->proposed)
		target = reading->proposed->target;
	tip = find_ref(reading, target);
	if (!tip && reading->head) {
		err_set(err, ERR_NOT_FOUND, "the target %s is not in %s: push it there first", target, place->identity);
		return NULL;
	}
	state = word_of_state(reading, tip, err);
	return state ? reply(reading, target, tip, state) : NULL;
}

json_t *reader_proposal(const struct reader *reader, const char *name, struct err *err)
{
	struct reading reading = {.reader = reader, .arena = arena_new(), .name = name};
	json_t *json;

	json = read_proposal(&reading, err);
	ask_no_more(&reading);
	if (!json)
		err_wrap(err, "%s", name);
	arena_free(reading.arena);
	return json;
}

/* What a proposal's version is made of: its head and its records; reports are our own. */
static bool is_versioned(const struct ref *ref, const char *name)
{
	const char *rest = ref->name + strlen(PROPOSALS) + strlen(name);

	return strcmp(rest, "/head") == 0 || strncmp(rest, "/records/", strlen("/records/")) == 0;
}

/* The refs of one proposal stand together, sorted, from `i` on. */
static size_t add_proposal(json_t *list, struct arena *arena, const struct refs *refs, size_t i)
{
	const char *name = dialect_git_proposal_of(arena, refs->list[i].name), *head = NULL;
	char digest[CRYPTO_SHA256_HEX];
	struct buf text;
	size_t prefix;

	if (!name)
		return i + 1;
	prefix = strlen(PROPOSALS) + strlen(name) + 1;
	buf_init(&text, REFS_OUTPUT);
	for (const char *first = refs->list[i].name; i < refs->count && strncmp(refs->list[i].name, first, prefix) == 0; i++) {
		if (!is_versioned(&refs->list[i], name))
			continue;
		if (strcmp(refs->list[i].name + prefix, "head") == 0)
			head = refs->list[i].id;
		if (buf_printf(&text, "%s %s\n", refs->list[i].name, refs->list[i].id) < 0)
			err_fatal("refs over their size");
	}
	crypto_sha256(text.length > 0 ? text.data : "", text.length, digest);
	json_array_append_new(list, json_pack("{s:s, s:s?, s:s}", "name", name, "head", head, "version", digest));
	buf_release(&text);
	return i;
}

json_t *reader_list(const struct reader *reader, struct err *err)
{
	static const char *const patterns[] = {"refs/proposals", NULL};
	struct arena *arena = arena_new();
	json_t *proposals = json_array(), *targets = json_array();
	struct refs refs;

	if (list_refs(reader, arena, patterns, REFS_MAXIMUM, &refs, err) < 0) {
		json_decref(proposals);
		json_decref(targets);
		arena_free(arena);
		return NULL;
	}
	for (size_t i = 0; i < refs.count;) {
		const struct ref *ref = &refs.list[i];

		if (strncmp(ref->name, PROPOSALS, strlen(PROPOSALS)) == 0) {
			i = add_proposal(proposals, arena, &refs, i);
			continue;
		}
		json_array_append_new(targets, json_pack("{s:s, s:s}", "ref", ref->name, "tip", ref->id));
		i++;
	}
	arena_free(arena);
	return json_pack("{s:o, s:o}", "proposals", proposals, "targets", targets);
}
