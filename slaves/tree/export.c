#include "slaves/tree/export.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "slaves/common/output.h"

#define POINTER_MAXIMUM 1024 /* bytes of a pointer file, git-lfs spec: "must be less than 1024 bytes" */
#define POINTER_MINIMUM 80
#define PATH_WORDS 200
#define BLOCK 4096
#define ID_DIGITS 64

/* The first line of every pointer that git-lfs ever wrote (git-lfs docs/spec.md; "hawser" was its name once). */
static const char *const pointer_lines[] = {
	"version https://git-lfs.github.com/spec/v1\n",
	"version https://hawser.github.com/spec/v1\n",
	"version http://git-media.io/v/2\n",
};

static bool is_pointer(const char *bytes, size_t length)
{
	for (size_t i = 0; i < sizeof pointer_lines / sizeof pointer_lines[0]; i++) {
		size_t line = strlen(pointer_lines[i]);
		if (length >= line && memcmp(bytes, pointer_lines[i], line) == 0)
			return true;
	}
	return false;
}

static int refuse(const char *path, size_t length, const char *what, struct err *err)
{
	struct arena *arena = arena_new();

	err_set(err, ERR_REFUSED, "%s %s", output_line(arena, path, length, PATH_WORDS), what);
	arena_free(arena);
	return -1;
}

/* "MODE SP TYPE SP ID SP+ SIZE TAB PATH" of git ls-tree -z -l. */
struct entry {
	const char *mode, *id, *path;
	size_t id_length, path_length;
	long long size; /* -1: has none */
};

static bool read_entry(const char *at, const char *end, struct entry *entry)
{
	const char *type = memchr(at, ' ', (size_t)(end - at));
	const char *tab = memchr(at, '\t', (size_t)(end - at));

	if (!type || !tab || type > tab)
		return false;
	const char *id = memchr(type + 1, ' ', (size_t)(tab - type - 1));
	if (!id)
		return false;
	const char *size = memchr(id + 1, ' ', (size_t)(tab - id - 1));
	if (!size || size - id - 1 > ID_DIGITS)
		return false;
	*entry = (struct entry){.mode = at, .id = id + 1, .id_length = (size_t)(size - id - 1), .path = tab + 1,
		.path_length = (size_t)(end - tab - 1), .size = -1};
	while (size < tab && *size == ' ')
		size++;
	if (*size != '-')
		entry->size = strtoll(size, NULL, 10);
	return true;
}

/* Whole blocks; what has no size is one. */
static int64_t blocks_of(long long size)
{
	return size <= 0 ? BLOCK : ((int64_t)size + BLOCK - 1) / BLOCK * BLOCK;
}

/* Refuses submodules, and more than `left` bytes; collects the ids of files that are small enough to be pointers. */
static int look_through(const char *list, size_t length, int64_t left, struct buf *small, struct err *err)
{
	for (const char *at = list, *last = list + length; at < last;) {
		struct entry entry;
		const char *end = memchr(at, 0, (size_t)(last - at));
		if (!end)
			end = last;
		if (!read_entry(at, end, &entry))
			return err_set(err, ERR_SYSTEM, "git ls-tree wrote a line of another form");
		if (entry.size > left || (left -= blocks_of(entry.size)) < 0)
			return refuse(entry.path, entry.path_length, "and the files before it take more disk than tree.limit of the project", err);
		if (memcmp(entry.mode, "160000", 6) == 0)
			return refuse(entry.path, entry.path_length, "is a submodule; these are not supported: merge its files, or fetch it in tests",
				err);
		if (memcmp(entry.mode, "120000", 6) != 0 && entry.size >= POINTER_MINIMUM && entry.size <= POINTER_MAXIMUM)
			if (buf_add(small, entry.id, entry.id_length) < 0 || buf_adds(small, "\n") < 0)
				return err_set(err, ERR_FULL, "too many small files to look for pointers of git-lfs");
		at = end + 1;
	}
	return 0;
}

/* The path of the first file with this content. */
static int refuse_pointer(const char *list, size_t length, const char *id, size_t id_length, struct err *err)
{
	for (const char *at = list, *last = list + length; at < last;) {
		struct entry entry;
		const char *end = memchr(at, 0, (size_t)(last - at));
		if (!end)
			end = last;
		if (read_entry(at, end, &entry) && entry.id_length == id_length && memcmp(entry.id, id, id_length) == 0)
			return refuse(entry.path, entry.path_length, "is a pointer of git-lfs; git-lfs is not supported: commit the file itself", err);
		at = end + 1;
	}
	return err_set(err, ERR_REFUSED, "the tree has a pointer of git-lfs; git-lfs is not supported");
}

/* "ID SP TYPE SP SIZE LF CONTENT LF" for each, as git cat-file --batch writes. */
static int look_for_pointers(const struct buf *contents, const char *list, size_t length, struct err *err)
{
	const char *at = contents->data, *last = contents->data + contents->length;

	while (at < last) {
		const char *end = memchr(at, '\n', (size_t)(last - at));
		const char *size = end ? memrchr(at, ' ', (size_t)(end - at)) : NULL;
		const char *id_end = end ? memchr(at, ' ', (size_t)(end - at)) : NULL;
		long long bytes = size ? strtoll(size, NULL, 10) : -1;
		if (bytes < 0 || bytes > last - end - 1 || !id_end)
			return err_set(err, ERR_SYSTEM, "git cat-file wrote something of another form");
		if (is_pointer(end + 1, (size_t)bytes))
			return refuse_pointer(list, length, at, (size_t)(id_end - at), err);
		at = end + 1 + bytes + 1;
	}
	return 0;
}

int export_check(struct tree *tree, const char *tree_id, int64_t maximum, struct err *err)
{
	struct arena *arena = arena_new();
	struct child_result result = {0};
	struct buf small;
	size_t length = 0;
	int done = -1;

	buf_init(&small, (size_t)64 * 1024 * 1024);
	const struct git_call listing = {.arguments = GIT_ARGUMENTS("ls-tree", "-r", "-z", "-l", "--full-tree", tree_id)};
	const char *list = git_text(tree_git(tree), arena, &listing, &length, err);
	if (!list && err->kind == ERR_FULL) /* a tree of trees that are the same can have any number of files */
		err_set(err, ERR_REFUSED, "the tree has too many files to be listed");
	if (!list || look_through(list, length, maximum, &small, err) < 0)
		goto err0;
	if (small.length == 0) {
		done = 0;
		goto err0;
	}
	const struct git_call reading = {.arguments = GIT_ARGUMENTS("cat-file", "--batch"), .input = small.data, .input_length = small.length};
	done = git_run(tree_git(tree), &reading, &result, err);
	if (done == 0 && result.status != 0)
		done = git_failed(&result, "cat-file", err);
	if (done == 0)
		done = look_for_pointers(&result.out, list, length, err);
	child_result_release(&result);
err0:
	buf_release(&small);
	arena_free(arena);
	return done;
}

int export_files(struct tree *tree, const char *tree_id, const char *folder, const char *index, struct err *err)
{
	static const char *const options[] = {"-c", "core.symlinks=true", "-c", "core.fileMode=true", "-c", "core.autocrlf=false", "-c",
		"core.eol=lf",
		"-c", "core.protectHFS=true", "-c", "core.protectNTFS=true", "-c", "core.sparseCheckout=false", "-c", "core.splitIndex=false",
		"-c", "core.untrackedCache=false", "-c", "core.fsmonitor=false", NULL};
	struct arena *arena = arena_new();
	int done = -1;

	const char *environment[] = {arena_printf(arena, "GIT_INDEX_FILE=%s", index), arena_printf(arena, "GIT_WORK_TREE=%s", folder), NULL};
	const struct git_call call = {
		.arguments = GIT_ARGUMENTS("read-tree", "--reset", "-u", "--no-recurse-submodules", tree_id), .options = options,
		.environment = environment};
	if (git_text(tree_git(tree), arena, &call, NULL, err))
		done = 0;
	unlink(index);
	arena_free(arena);
	return done;
}
