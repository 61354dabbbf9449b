#include "forge/spec.h"

#include <string.h>

#include "base/jsonget.h"
#include "forge/proposal.h"

#define MESSAGE_MAXIMUM (64 * 1024)
#define TEXT_MAXIMUM 1024
#define ATTEMPTS 1000000
#define DATE_MAXIMUM 253402300799 /* the year 9999: git's own limit of four digits */

typedef bool check_fn(const char *text);

bool spec_build_valid(const char *build)
{
	return strspn(build, "0123456789abcdef") == 32 && build[32] == '\0';
}

static bool is_digest(const char *text)
{
	return strspn(text, "0123456789abcdef") == 64 && text[64] == '\0';
}

static bool is_namespace(const char *text)
{
	static const char others[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t length = strspn(text, others);

	return length > 0 && length <= 16 && text[length] == '\0' && text[0] >= 'a' && text[0] <= 'z';
}

/* Control characters: those of ASCII, and DEL. */
static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

static bool has_control(const char *text, const char *allowed)
{
	for (; *text; text++)
		if (is_control(*text) && !strchr(allowed, *text))
			return true;
	return false;
}

/* As git-check-ref-format(1) has it, below `prefix`. */
static bool is_ref_below(const char *text, const char *prefix)
{
	const char *name = text + strlen(prefix);
	size_t length = strlen(text);

	if (strncmp(text, prefix, strlen(prefix)) != 0 || *name == '\0' || length > TEXT_MAXIMUM)
		return false;
	if (has_control(text, "") || strpbrk(text, " ~^:?*[\\") || strstr(text, "..") || strstr(text, "@{") || strstr(text, "//"))
		return false;
	if (strstr(text, "/.") || strstr(text, ".lock/") || text[length - 1] == '/' || text[length - 1] == '.' || *name == '-')
		return false;
	return length < 5 || strcmp(text + length - 5, ".lock") != 0;
}

static bool is_target(const char *text)
{
	return is_ref_below(text, "refs/heads/");
}

static bool is_ref(const char *text)
{
	return is_ref_below(text, "refs/");
}

static bool is_identity(const char *text)
{
	size_t length = strlen(text);

	return strchr(text, '/') && length <= TEXT_MAXIMUM && !has_control(text, "") && !strpbrk(text, " \"'\\<>") &&
		!strstr(text, "..");
}

static bool is_empty(const char *text)
{
	return *text == '\0';
}

static bool is_merge(const char *text)
{
	return strcmp(text, "merge") == 0;
}

static bool is_message(const char *text)
{
	return text[strspn(text, " \t\n")] != '\0' && strlen(text) <= MESSAGE_MAXIMUM && !has_control(text, "\t\n");
}

static bool is_author(const char *text)
{
	struct arena *arena = arena_new();
	const char *name, *mail;
	bool good = strlen(text) <= TEXT_MAXIMUM && spec_author_split(arena, text, &name, &mail);

	arena_free(arena);
	return good;
}

bool spec_author_split(struct arena *arena, const char *author, const char **name, const char **mail)
{
	const char *open = strstr(author, " <");
	size_t length = strlen(author);

	if (!open || open == author || has_control(author, "") || author[length - 1] != '>')
		return false;
	size_t name_length = (size_t)(open - author), mail_length = length - name_length - 3;
	if (mail_length == 0 || strcspn(author, "<>") != name_length + 1 || strcspn(open + 2, "<>") != mail_length)
		return false;
	if (strspn(author, " ") > 0 || open[-1] == ' ' || open[2] == ' ' || author[length - 2] == ' ')
		return false;
	*name = arena_memdup(arena, author, name_length);
	*mail = arena_memdup(arena, open + 2, mail_length);
	return true;
}

/* Without '<', '>', control characters and blanks at its ends; "unknown" when nothing is left. */
static const char *author_part(struct arena *arena, const char *text)
{
	size_t length = strlen(text), kept = 0, first;
	char *part = arena_alloc(arena, length + 1);

	for (size_t i = 0; i < length; i++)
		if (text[i] != '<' && text[i] != '>' && !is_control(text[i]))
			part[kept++] = text[i];
	while (kept > 0 && part[kept - 1] == ' ')
		part[--kept] = '\0';
	first = strspn(part, " ");
	return part[first] ? part + first : "unknown";
}

char *spec_author_join(struct arena *arena, const char *name, const char *mail)
{
	return arena_printf(arena, "%s <%s>", author_part(arena, name), author_part(arena, mail));
}

/* One text field: where it goes, what it must be. */
struct field {
	const char *key;
	const char **to;
	check_fn *check;
	const char *must;
};

static int read_texts(struct arena *arena, const json_t *json, const struct field *fields, struct err *err)
{
	for (; fields->key; fields++) {
		const char *text;

		if (jsonget_string(json, fields->key, &text, err) < 0)
			return -1;
		if (!fields->check(text))
			return err_set(err, ERR_INPUT, "%s: must be %s", fields->key, fields->must);
		*fields->to = arena_strdup(arena, text);
	}
	return 0;
}

static int read_number(const json_t *json, const char *key, int64_t minimum, int64_t maximum, int64_t *to, struct err *err)
{
	int64_t number;

	if (jsonget_integer(json, key, &number, err) < 0)
		return -1;
	if (number < minimum || number > maximum)
		return err_set(err, ERR_INPUT, "%s: must be from %lld to %lld", key, (long long)minimum, (long long)maximum);
	*to = number;
	return 0;
}

/* Every key of the object is one of the NULL-ended list. */
static int only(const json_t *json, const char *const *keys, struct err *err)
{
	for (void *at = json_object_iter((json_t *)(uintptr_t)json); at; at = json_object_iter_next((json_t *)(uintptr_t)json, at)) {
		const char *const *key = keys;

		while (*key && strcmp(*key, json_object_iter_key(at)) != 0)
			key++;
		if (!*key)
			return err_set(err, ERR_INPUT, "a field that spec 1 does not have");
	}
	return 0;
}

/* The one element of a list. */
static const json_t *only_one(const json_t *json, const char *key, struct err *err)
{
	json_t *list;

	if (jsonget_array(json, key, &list, err) < 0)
		return NULL;
	if (json_array_size(list) != 1) {
		err_set(err, ERR_INPUT, "%s: %zu of them; spec 1 can do exactly one", key, json_array_size(list));
		return NULL;
	}
	if (!json_is_object(json_array_get(list, 0))) {
		err_set(err, ERR_INPUT, "%s[0]: must be an object", key);
		return NULL;
	}
	return json_array_get(list, 0);
}

static int read_merge(struct arena *arena, const json_t *json, struct spec_merge *merge, struct err *err)
{
	static const char *const keys[] = {"source", "commit", "method", "message", "author", "date", "from", "ref", NULL};
	const struct field fields[] = {
		{"source", &merge->source, forge_commit_valid, "a commit id"},
		{"method", &merge->method, is_merge, "\"merge\""},
		{"message", &merge->message, is_message, "a text of at most 64 KiB without control characters"},
		{"author", &merge->author, is_author, "\"Name <mail>\""},
		{.key = NULL},
	};
	const struct field elsewhere[] = {
		{"from", &merge->from, is_identity, "HOST/PATH"},
		{"ref", &merge->ref, is_ref, "the full name of a ref"},
		{.key = NULL},
	};
	const struct field expected[] = {{"commit", &merge->commit, forge_commit_valid, "null or a commit id"}, {.key = NULL}};

	if (only(json, keys, err) < 0 || read_texts(arena, json, fields, err) < 0)
		return -1;
	if (!json_is_null(json_object_get(json, "commit")) && read_texts(arena, json, expected, err) < 0)
		return -1;
	merge->from = merge->ref = NULL;
	if ((json_object_get(json, "from") || json_object_get(json, "ref")) && read_texts(arena, json, elsewhere, err) < 0)
		return -1;
	return read_number(json, "date", 0, DATE_MAXIMUM, &merge->date, err);
}

static int read_tree(struct arena *arena, const json_t *json, struct spec_tree *tree, struct err *err)
{
	static const char *const keys[] = {"repository", "base", "path", "merges", NULL};
	const struct field fields[] = {
		{"repository", &tree->repository, is_identity, "HOST/PATH"},
		{"base", &tree->base, forge_commit_valid, "a commit id"},
		{"path", &tree->path, is_empty, "\"\""},
		{.key = NULL},
	};
	const json_t *merge;

	if (only(json, keys, err) < 0 || read_texts(arena, json, fields, err) < 0)
		return -1;
	merge = only_one(json, "merges", err);
	if (!merge)
		return -1;
	tree->merge_count = 1;
	tree->merges = arena_alloc(arena, sizeof *tree->merges);
	return read_merge(arena, merge, tree->merges, err) < 0 ? err_wrap(err, "merges[0]") : 0;
}

static int read_job(struct arena *arena, const json_t *json, struct spec_job *job, struct err *err)
{
	static const char *const keys[] = {"name", "digest", NULL};
	const struct field fields[] = {
		{"name", &job->name, forge_name_valid, "the name of a job"},
		{"digest", &job->digest, is_digest, "64 hex digits"},
		{.key = NULL},
	};

	return only(json, keys, err) < 0 ? -1 : read_texts(arena, json, fields, err);
}

static int read_lists(struct arena *arena, const json_t *json, struct spec *spec, struct err *err)
{
	const json_t *tree = only_one(json, "trees", err);
	const json_t *job = tree ? only_one(json, "jobs", err) : NULL;

	if (!tree || !job)
		return -1;
	spec->tree_count = spec->job_count = 1;
	spec->trees = arena_alloc(arena, sizeof *spec->trees);
	spec->jobs = arena_alloc(arena, sizeof *spec->jobs);
	if (read_tree(arena, tree, spec->trees, err) < 0)
		return err_wrap(err, "trees[0]");
	return read_job(arena, job, spec->jobs, err) < 0 ? err_wrap(err, "jobs[0]") : 0;
}

static int read_spec(struct arena *arena, const json_t *json, struct spec *spec, struct err *err)
{
	static const char *const keys[] = {
		"spec", "build", "namespace", "project", "proposal", "target", "attempt", "trees", "jobs", NULL};
	const struct field fields[] = {
		{"build", &spec->build, spec_build_valid, "32 hex digits"},
		{"namespace", &spec->namespace, is_namespace, "the name of a namespace"},
		{"project", &spec->project, forge_name_valid, "the name of a project"},
		{"proposal", &spec->proposal, forge_name_valid, "the name of a proposal"},
		{"target", &spec->target, is_target, "refs/heads/BRANCH"},
		{.key = NULL},
	};
	int64_t version;

	if (!json_is_object(json))
		return err_set(err, ERR_INPUT, "must be an object");
	if (only(json, keys, err) < 0 || read_number(json, "spec", 1, 1, &version, err) < 0 ||
		read_texts(arena, json, fields, err) < 0)
		return -1;
	if (read_number(json, "attempt", 1, ATTEMPTS, &spec->attempt, err) < 0)
		return -1;
	return read_lists(arena, json, spec, err);
}

/* "trees[0]: merges[0]: date: …" as a path: "spec: trees[0].merges[0].date: …". */
static void dot_path(char *text)
{
	char *at;

	while ((at = strstr(text, "]: "))) {
		at[1] = '.';
		memmove(at + 2, at + 3, strlen(at + 3) + 1);
	}
}

int spec_parse(struct arena *arena, const json_t *json, struct spec *spec, struct err *err)
{
	struct spec found = {.build = NULL};

	if (read_spec(arena, json, &found, err) < 0) {
		dot_path(err->text);
		return err_wrap(err, "spec");
	}
	*spec = found;
	return 0;
}

static json_t *merge_json(const struct spec_merge *merge)
{
	return json_pack("{s:s, s:s?, s:s, s:s, s:s, s:I, s:s*, s:s*}", "source", merge->source, "commit", merge->commit, "method",
		merge->method, "message", merge->message, "author", merge->author, "date", (json_int_t)merge->date, "from", merge->from,
		"ref", merge->ref);
}

static json_t *tree_json(const struct spec_tree *tree)
{
	json_t *merges = json_array();

	for (size_t i = 0; i < tree->merge_count; i++)
		if (json_array_append_new(merges, merge_json(&tree->merges[i])) < 0) {
			json_decref(merges);
			return NULL;
		}
	return json_pack(
		"{s:s, s:s, s:s, s:o}", "repository", tree->repository, "base", tree->base, "path", tree->path, "merges", merges);
}

json_t *spec_build(const struct spec *spec, struct err *err)
{
	json_t *trees = json_array(), *jobs = json_array(), *json;

	for (size_t i = 0; i < spec->tree_count; i++)
		if (json_array_append_new(trees, tree_json(&spec->trees[i])) < 0)
			goto err0;
	for (size_t i = 0; i < spec->job_count; i++)
		if (json_array_append_new(jobs, json_pack("{s:s, s:s}", "name", spec->jobs[i].name, "digest", spec->jobs[i].digest)) < 0)
			goto err0;
	json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:I, s:O, s:O}", "spec", 1, "build", spec->build, "namespace",
		spec->namespace, "project", spec->project, "proposal", spec->proposal, "target", spec->target, "attempt",
		(json_int_t)spec->attempt, "trees", trees, "jobs", jobs);
	if (!json)
		goto err0;
	json_decref(trees);
	json_decref(jobs);
	return json;
err0:
	json_decref(trees);
	json_decref(jobs);
	err_set(err, ERR_INPUT, "spec: a text of it is not UTF-8");
	return NULL;
}
