#include "slaves/cage/ids.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "slaves/cage/cage.h"

#define FILE_MAXIMUM (16 * 1024 * 1024)

/* Lines of fields with colons: the number of ids is in the third (files of subids), or it is one (files of users). */
static const struct list {
	const char *path;
	unsigned field; /* of the first id, from 0 */
	bool ranges;
} lists[] = {
	{"/etc/subuid", 1, true},
	{"/etc/subgid", 1, true},
	{"/etc/passwd", 2, false},
	{"/etc/group", 2, false},
};

int ids_read(struct ids *ids, const struct conf *conf, struct err *err)
{
	int64_t slots, kept;

	if (conf_integer(conf, NULL, "worker.slots", &slots, err) < 0 || conf_integer(conf, NULL, "worker.kept", &kept, err) < 0 ||
		conf_integer(conf, NULL, "worker.ids.first", &ids->first, err) < 0)
		return -1;
	ids->count = (slots + 1 + kept) * ROOTFS_IDS;
	return 0;
}

static bool overlap(const struct ids *one, const struct ids *other)
{
	return one->first < other->first + other->count && other->first < one->first + one->count;
}

static int refuse(const struct ids *ids, const char *whose, const char *where, struct err *err)
{
	return err_set(err, ERR_CONFIG, "worker.ids.first = %lld: ids from there to %lld are also those of %s (%s): choose another",
		(long long)ids->first, (long long)(ids->first + ids->count - 1), whose, where);
}

/* One line, which is taken apart. */
static int check_line(const struct ids *ids, const struct list *list, char *line, struct err *err)
{
	const char *name = strsep(&line, ":"), *first = NULL, *count = NULL;
	struct ids other;

	for (unsigned i = 0; i < list->field && line; i++)
		first = strsep(&line, ":");
	if (list->ranges && line)
		count = strsep(&line, ":");
	if (!first || (list->ranges && !count))
		return 0;
	other = (struct ids){strtoll(first, NULL, 10), count ? strtoll(count, NULL, 10) : 1};
	if (list->ranges && strcmp(name, "root") == 0 && other.first == ids->first)
		return 0; /* what setup/byoci wrote for us */
	return overlap(ids, &other) ? refuse(ids, name, list->path, err) : 0;
}

static int check_list(const struct ids *ids, const struct list *list, const char *root, struct err *err)
{
	struct arena *arena = arena_new();
	struct err absent = {0};
	char *rest = file_read(arena, arena_printf(arena, "%s%s", root, list->path), FILE_MAXIMUM, NULL, &absent);
	char *line;
	int rc = 0;

	while (rc == 0 && rest && (line = strsep(&rest, "\n")))
		rc = check_line(ids, list, line, err);
	arena_free(arena);
	return rc;
}

static bool has_workers(const struct conf *conf)
{
	struct arena *arena = arena_new();
	struct err unread = {0};
	const char *state;
	bool has = conf_text(conf, NULL, "state", &state, &unread) == 0 &&
		access(arena_printf(arena, "%s/worker/slots", state), F_OK) == 0;

	arena_free(arena);
	return has;
}

/* Another namespace of this machine's, or a folder that is none. */
static int check_namespace(const struct ids *ids, const char *namespace, const char *root, struct err *err)
{
	const struct conf_source source = {.namespace = namespace, .system_only = true, .root = root};
	struct err unread = {0};
	struct conf *conf;
	struct ids other;
	int rc = 0;

	if (conf_load(&conf, &source, &unread) < 0)
		return 0;
	if (has_workers(conf) && ids_read(&other, conf, &unread) == 0 && overlap(ids, &other))
		rc = refuse(ids, "the workers of another namespace", namespace, err);
	conf_free(conf);
	return rc;
}

static int check_namespaces(const struct ids *ids, const char *own, const char *root, struct err *err)
{
	struct arena *arena = arena_new();
	DIR *folder = opendir(arena_printf(arena, "%s/etc/byoci", root));
	const struct dirent *entry;
	int rc = 0;

	while (rc == 0 && folder && (entry = readdir(folder)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.' && strcmp(entry->d_name, own) != 0)
			rc = check_namespace(ids, entry->d_name, root, err);
	if (folder)
		closedir(folder);
	arena_free(arena);
	return rc;
}

int ids_check(const struct ids *ids, const char *namespace, const char *root, struct err *err)
{
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		if (check_list(ids, &lists[i], root, err) < 0)
			return -1;
	return check_namespaces(ids, namespace, root, err);
}
