#include "slaves/record/artefacts.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "slaves/common/ending.h"
#include "slaves/common/newc.h"
#include "slaves/common/pattern.h"
#include "slaves/record/builds.h"
#include "slaves/record/quota.h"

#define LIST_MAXIMUM ((size_t)256 * 1024 * 1024)
#define LIST_NODES 2000000
#define PAGE_MAXIMUM ((size_t)4 * 1024 * 1024) /* of a list that somebody waits for */

struct file {
	const char *path; /* as the test called it */
	int64_t size;
	const char *sha256; /* NULL: it is not whole */
	bool report;
};

struct artefacts {
	struct artefacts_from from;
	const char *folder, *list;
	const char *const *patterns, *const *reports;
	int64_t bytes_left, count_left; /* of the job's limits */
	int64_t space;                  /* in artefacts.total */
	int64_t bytes, left_out;
	struct file *files;
	size_t count, room;
	int file; /* that is being taken; -1: none */
	struct newc_reader reader;
};

static const char *file_name(const struct artefacts *artefacts, size_t index)
{
	return arena_printf(artefacts->from.arena, "%s/%zu", artefacts->folder, index + 1);
}

static int read_want(struct artefacts *artefacts, struct err *err)
{
	const struct conf *conf = artefacts->from.program->conf;
	struct arena *arena = artefacts->from.arena;
	const char *section = arena_printf(arena, "job/%s", artefacts->from.job);

	if (conf_list(conf, arena, section, "artefacts", &artefacts->patterns, err) < 0 ||
		conf_list(conf, arena, section, "reports", &artefacts->reports, err) < 0 ||
		conf_integer(conf, section, "artefacts.limit", &artefacts->bytes_left, err) < 0 ||
		conf_integer(conf, section, "artefacts.count", &artefacts->count_left, err) < 0)
		return -1;
	return 0;
}

struct artefacts *artefacts_new(const struct artefacts_from *from, struct err *err)
{
	struct artefacts *artefacts = calloc(1, sizeof *artefacts);

	if (!artefacts)
		err_fatal("out of memory");
	*artefacts = (struct artefacts){.from = *from, .file = -1};
	artefacts->folder = builds_path(from->program, from->arena, from->build, "artefacts", err);
	artefacts->list = builds_path(from->program, from->arena, from->build, "artefacts.json", err);
	if (artefacts->folder && artefacts->list && read_want(artefacts, err) == 0 && builds_remove(artefacts->folder, err) == 0 &&
		quota_make_room(&(struct quota){from->program, from->arena, from->build, artefacts->bytes_left}, &artefacts->space, err) == 0 &&
		file_make_folder(artefacts->folder, 0700, err) == 0)
		return artefacts;
	artefacts_free(artefacts);
	return NULL;
}

void artefacts_free(struct artefacts *artefacts)
{
	if (!artefacts)
		return;
	if (artefacts->file >= 0)
		close(artefacts->file);
	free(artefacts->files);
	free(artefacts);
}

static struct file *add_file(struct artefacts *artefacts)
{
	if (artefacts->count == artefacts->room) {
		artefacts->room = artefacts->room ? 2 * artefacts->room : 64;
		artefacts->files = reallocarray(artefacts->files, artefacts->room, sizeof *artefacts->files);
		if (!artefacts->files)
			err_fatal("out of memory");
	}
	return &artefacts->files[artefacts->count++];
}

/* The worker's side has looked at all of this; here it is not believed. */
static int begin(void *cookie, const char *name, int64_t size, struct err *err)
{
	struct artefacts *artefacts = cookie;
	bool report = pattern_any(artefacts->reports, name) == PATTERN_YES;

	if (!pattern_path_valid(name) || (!report && pattern_any(artefacts->patterns, name) != PATTERN_YES))
		return err_set(err, ERR_INPUT, "artefacts: a file came that was not asked for");
	if (artefacts->count_left-- <= 0 || size > artefacts->bytes_left)
		return err_set(err, ERR_INPUT, "artefacts: more came than may be kept");
	artefacts->bytes_left -= size;
	if (size > artefacts->space) {
		artefacts->left_out++;
		return 0;
	}
	artefacts->space -= size;
	const char *path = file_name(artefacts, artefacts->count);
	artefacts->file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (artefacts->file < 0)
		return err_set_errno(err, errno, "open %s", path);
	*add_file(artefacts) = (struct file){.path = arena_strdup(artefacts->from.arena, name), .size = size, .report = report};
	return 0;
}

static int bytes(void *cookie, const void *bytes, size_t length, struct err *err)
{
	struct artefacts *artefacts = cookie;
	const char *at = bytes;

	if (artefacts->file < 0)
		return 0;
	while (length > 0) {
		ssize_t done = write(artefacts->file, at, length);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_set_errno(err, errno, "write an artefact");
		at += done;
		length -= (size_t)done;
	}
	return 0;
}

static int end(void *cookie, struct err *err)
{
	struct artefacts *artefacts = cookie;
	struct file *file;
	char hex[CRYPTO_SHA256_HEX];

	if (artefacts->file < 0)
		return 0;
	file = &artefacts->files[artefacts->count - 1];
	int done = crypto_sha256_file(artefacts->file, hex, err);
	if (close(artefacts->file) < 0 && done == 0)
		done = err_set_errno(err, errno, "write an artefact");
	artefacts->file = -1;
	if (done < 0)
		return -1;
	file->sha256 = arena_strdup(artefacts->from.arena, hex);
	artefacts->bytes += file->size;
	return 0;
}

int artefacts_add(struct artefacts *artefacts, const void *at, size_t length, struct err *err)
{
	const struct newc_taker taker = {.cookie = artefacts, .begin = begin, .bytes = bytes, .end = end};

	return newc_read(&artefacts->reader, &taker, at, length, err);
}

/* Of those that are whole; the last may not be. */
static size_t whole(const struct artefacts *artefacts)
{
	return artefacts->count && !artefacts->files[artefacts->count - 1].sha256 ? artefacts->count - 1 : artefacts->count;
}

static int write_list(const struct artefacts *artefacts, struct err *err)
{
	json_t *list = json_array();

	for (size_t i = 0; i < whole(artefacts); i++) {
		const struct file *file = &artefacts->files[i];
		json_array_append_new(list, json_pack("{s:s, s:I, s:s, s:I}", "path", file->path, "size", (json_int_t)file->size, "sha256",
										file->sha256, "file", (json_int_t)i + 1));
	}
	json_t *json = json_pack("{s:I, s:o}", QUOTA_BYTES, (json_int_t)artefacts->bytes, "artefacts", list);
	char *text = json_dumps(json, JSON_COMPACT);
	if (!text)
		err_fatal("out of memory");
	int done = file_write(artefacts->list, text, strlen(text), 0600, err);
	free(text);
	json_decref(json);
	return done;
}

int artefacts_end(struct artefacts *artefacts, struct err *err)
{
	if (whole(artefacts) < artefacts->count)
		unlink(file_name(artefacts, artefacts->count - 1));
	if (write_list(artefacts, err) < 0)
		return -1;
	return artefacts->reader.ended ? 0 : err_set(err, ERR_INPUT, "artefacts: not all of them came");
}

const struct result_artefacts *artefacts_summary(const struct artefacts *artefacts)
{
	struct arena *arena = artefacts->from.arena;
	struct result_artefacts *summary = arena_alloc(arena, sizeof *summary);
	size_t count = whole(artefacts);

	*summary = (struct result_artefacts){.count = (int64_t)count, .bytes = artefacts->bytes};
	summary->listed = count < RESULT_ARTEFACTS ? count : RESULT_ARTEFACTS;
	summary->list = arena_alloc(arena, (summary->listed + 1) * sizeof *summary->list);
	for (size_t i = 0; i < summary->listed; i++) {
		const struct file *file = &artefacts->files[i];
		summary->list[i] = (struct result_artefact){.path = file->path, .size = file->size, .sha256 = file->sha256};
	}
	return summary;
}

int64_t artefacts_left_out(const struct artefacts *artefacts)
{
	return artefacts->left_out;
}

const char *artefacts_report(const struct artefacts *artefacts, size_t number, const char **name)
{
	for (size_t i = 0; i < whole(artefacts); i++) {
		if (!artefacts->files[i].report || number-- > 0)
			continue;
		*name = artefacts->files[i].path;
		return file_name(artefacts, i);
	}
	return NULL;
}

static int print_file(const char *path, struct err *err)
{
	char part[64 * 1024];
	size_t length;
	FILE *file = fopen(path, "re");

	if (!file)
		return err_set_errno(err, errno, "open %s", path);
	while ((length = fread(part, 1, sizeof part, file)) > 0)
		if (fwrite(part, 1, length, stdout) != length)
			break;
	bool bad = ferror(file) || fflush(stdout) != 0;
	fclose(file);
	return bad ? err_set(err, ERR_SYSTEM, "it could not be copied to standard output") : 0;
}

static int print_one(const struct program *program, const char *build, const json_t *list, const char *path, struct err *err)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one) {
		if (strcmp(jsonget_string_or(one, "path", ""), path) != 0)
			continue;
		const char *name = arena_printf(program->arena, "artefacts/%lld", (long long)jsonget_integer_or(one, "file", 0));
		const char *file = builds_path(program, program->arena, build, name, err);
		return file ? print_file(file, err) : -1;
	}
	return err_set(err, ERR_NOT_FOUND, "build %s has kept no %s", build, path);
}

int artefacts_open(const struct program *program, struct arena *arena, const char *build, int64_t number, struct err *err)
{
	const char *path = builds_path(program, arena, build, arena_printf(arena, "artefacts/%lld", (long long)number), err);
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;

	if (path && fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "build %s has no such artefact here, or none any more", build);
	if (path && fd < 0)
		return err_set_errno(err, errno, "open %s", path);
	return fd;
}

static void print_list(const json_t *list)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
		printf("%s %12lld %s\n", jsonget_string_or(one, "sha256", "?"), (long long)jsonget_integer_or(one, "size", 0),
			jsonget_string_or(one, "path", "?"));
}

/* {"bytes","artefacts":[…]}. */
static json_t *read_list(const struct program *program, struct arena *arena, const char *build, size_t maximum, struct err *err)
{
	size_t length = 0;
	json_t *json, *list;

	const char *file = builds_path(program, arena, build, "artefacts.json", err);
	const char *text = file ? file_read(arena, file, maximum, &length, err) : NULL;
	if (!text && err->kind == ERR_NOT_FOUND)
		err_set(err, ERR_NOT_FOUND, "there is no build %s here, or it has kept nothing", build);
	json = text ? jsonget_parse(text, length, LIST_NODES, err) : NULL;
	if (json && jsonget_array(json, "artefacts", &list, err) == 0 && json_object_get(json, QUOTA_THROWN))
		err_set(err, ERR_NOT_FOUND, "what build %s had kept was thrown away to make room (artefacts.total)", build);
	if (err->kind == ERR_NONE)
		return json;
	json_decref(json);
	return NULL;
}

json_t *artefacts_page(const struct artefacts_page *page, struct err *err)
{
	json_t *all = read_list(page->program, page->arena, page->build, PAGE_MAXIMUM, err);
	json_t *list = json_object_get(all, "artefacts"), *some;
	int64_t count = (int64_t)json_array_size(list);

	if (!all)
		return NULL;
	some = json_array();
	for (int64_t i = page->first; i > 0 && i <= count && i - page->first < page->count; i++)
		json_array_append(some, json_array_get(list, (size_t)(i - 1)));
	json_decref(all);
	return json_pack("{s:I, s:o}", "count", (json_int_t)count, "artefacts", some);
}

int artefacts_verb(const struct program *program, const char *build, const char *path)
{
	struct err err = {0};
	json_t *json = read_list(program, program->arena, build, LIST_MAXIMUM, &err), *list = json_object_get(json, "artefacts");
	int done = json ? 0 : -1;

	if (json && path)
		done = print_one(program, build, list, path, &err);
	else if (json)
		print_list(list);
	json_decref(json);
	if (done < 0)
		fprintf(stderr, "byoci-slave artefact: %s\n", err.text);
	return done < 0 ? outcome_exit(err.kind == ERR_NOT_FOUND ? OUTCOME_NOTHING : ending_of_error(&err)) : 0;
}
