#include "slaves/record/quota.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "slaves/record/builds.h"

#define HEAD_MAXIMUM 64 /* of artefacts.json: its first key and value are in it */

struct left {
	const char *build;
	int64_t bytes, started;
};

static int64_t add_up(const char *folder)
{
	DIR *files = opendir(folder);
	const struct dirent *entry;
	struct stat st;
	int64_t bytes = 0;

	while (files && (entry = readdir(files)))
		if (fstatat(dirfd(files), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			bytes += st.st_size;
	if (files)
		closedir(files);
	return bytes;
}

/* As its list says; without one that does, its leader was killed, or it is of an older byoci. */
static int64_t bytes_of(const struct program *program, struct arena *arena, const char *build)
{
	struct err err = {0};
	const char *list = builds_path(program, arena, build, "artefacts.json", &err);
	const char *folder = builds_path(program, arena, build, "artefacts", &err);
	char head[HEAD_MAXIMUM] = "";
	long long bytes = 0;
	int fd = list ? open(list, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

	if (fd >= 0) {
		if (read(fd, head, sizeof head - 1) < 0)
			head[0] = '\0';
		close(fd);
	}
	if (sscanf(head, "{\"" QUOTA_BYTES "\":%lld", &bytes) == 1 && bytes >= 0)
		return bytes;
	return folder && access(folder, F_OK) == 0 ? add_up(folder) : 0;
}

static int older(const void *one, const void *other)
{
	const struct left *a = one, *b = other;

	return a->started < b->started ? -1 : a->started > b->started ? 1 : strcmp(a->build, b->build);
}

/* Those of other builds, the oldest first; *bytes of all of them. */
static struct left *others(const struct quota *quota, size_t *count, int64_t *bytes, struct err *err)
{
	const char *const *builds = builds_list(quota->program, quota->arena, err);
	struct left *list;
	size_t all = 0;

	if (!builds)
		return NULL;
	while (builds[all])
		all++;
	list = arena_alloc(quota->arena, (all + 1) * sizeof *list);
	for (; *builds; builds++) {
		struct left *left = &list[*count];

		*left = (struct left){.build = *builds, .bytes = bytes_of(quota->program, quota->arena, *builds)};
		if (!left->bytes || strcmp(*builds, quota->build) == 0)
			continue;
		left->started = builds_started(quota->program, quota->arena, *builds);
		*bytes += left->bytes;
		++*count;
	}
	qsort(list, *count, sizeof *list, older);
	return list;
}

/* The files first: what is killed in between is thrown away once more. */
static int throw_away(const struct quota *quota, const struct left *left, struct err *err)
{
	const struct program *program = quota->program;
	struct arena *arena = quota->arena;
	const char *folder = builds_path(program, arena, left->build, "artefacts", err);
	const char *list = builds_path(program, arena, left->build, "artefacts.json", err);
	const char *text = arena_printf(arena, "{\"" QUOTA_BYTES "\":0,\"" QUOTA_THROWN "\":%lld,\"artefacts\":[]}",
		(long long)clock_wall_ms());

	if (!folder || !list || builds_remove(folder, err) < 0 || file_write(list, text, strlen(text), 0600, err) < 0)
		return -1;
	log_info(LOG_WHAT("artefacts are thrown away to make room"), LOG_TEXT("build", left->build), LOG_NUMBER("bytes", left->bytes));
	return 0;
}

int quota_make_room(const struct quota *quota, int64_t *room, struct err *err)
{
	int64_t total = 0, taken = 0;
	struct left *list;
	size_t count = 0;

	if (conf_integer(quota->program->conf, NULL, "artefacts.total", &total, err) < 0)
		return -1;
	*room = quota->bytes < total ? quota->bytes : total;
	list = others(quota, &count, &taken, err);
	if (!list)
		return -1;
	for (size_t i = 0; i < count && taken + *room > total; i++) {
		if (throw_away(quota, &list[i], err) < 0)
			return err_wrap(err, "artefacts.total");
		taken -= list[i].bytes;
	}
	return 0;
}
