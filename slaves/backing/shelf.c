#include "slaves/backing/shelf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/jsonget.h"

#define DIGEST_LENGTH (JOB_DIGEST_SIZE - 1)
#define TIME_LENGTH 19 /* YYYYMMDDTHHMMSSmmmZ */
#define STATE_MAXIMUM 16384
#define STATE_NODES 64
#define LOCKS_MAXIMUM ((size_t)4 * 1024 * 1024)
#define GONE ".gone."

int shelf_find(struct shelf *shelf, struct arena *arena, const struct conf *conf, const char *digest, struct err *err)
{
	const char *state;

	if (conf_text(conf, NULL, "state", &state, err) < 0)
		return -1;
	*shelf = (struct shelf){.arena = arena, .folder = arena_printf(arena, "%s/worker/backings", state)};
	shelf->digest = arena_strdup(arena, digest);
	shelf->temporary = arena_printf(arena, "%s/.%s", shelf->folder, digest);
	shelf->log = arena_printf(arena, "%s/%s.log", shelf->folder, digest);
	return 0;
}

int shelf_make(const struct shelf *shelf, struct err *err)
{
	const char *above = arena_memdup(shelf->arena, shelf->folder, strlen(shelf->folder) - strlen("/backings"));

	if (file_make_folder(above, 0755, err) < 0 || file_make_folder(shelf->folder, 0700, err) < 0)
		return -1;
	if (chmod(shelf->folder, 0700) < 0)
		return err_set_errno(err, errno, "%s: the folder cannot be taken from others", shelf->folder);
	return 0;
}

static const char *path_of(const struct shelf *shelf, const char *name)
{
	return arena_printf(shelf->arena, "%s/%s", shelf->folder, name);
}

static bool is_digest(const char *name)
{
	return strspn(name, "0123456789abcdef") == DIGEST_LENGTH;
}

static bool is_generation(const char *name, const char *digest)
{
	const char *when = name + DIGEST_LENGTH + 1;

	return is_digest(name) && name[DIGEST_LENGTH] == '.' && (!digest || strncmp(name, digest, DIGEST_LENGTH) == 0) &&
		strlen(when) == TIME_LENGTH && strspn(when, "0123456789TZ") == TIME_LENGTH;
}

/* Where a link leads, if that is a generation that is there. */
static const char *follow(const struct shelf *shelf, const char *link)
{
	char target[DIGEST_LENGTH + TIME_LENGTH + 3] = "";
	ssize_t length = readlink(path_of(shelf, link), target, sizeof target - 1);

	if (length < 0 && errno == EINVAL && is_digest(link)) /* a folder of an earlier release */
		return arena_strdup(shelf->arena, link);
	if (length < 0 || !is_generation(target, shelf->digest))
		return NULL;
	return access(arena_printf(shelf->arena, "%s/%s/rootfs", shelf->folder, target), F_OK) == 0
		? arena_strdup(shelf->arena, target) : NULL;
}

const char *shelf_current(const struct shelf *shelf)
{
	return follow(shelf, shelf->digest);
}

const char *shelf_previous(const struct shelf *shelf)
{
	return follow(shelf, arena_printf(shelf->arena, "%s.previous", shelf->digest));
}

/* How many have it locked, by the kernel's own list: "1: FLOCK  ADVISORY  READ 4711 fe:00:123 0 EOF", proc(5). */
static unsigned count_users(const struct shelf *shelf, const char *rootfs)
{
	struct err err = {0};
	char *rest = file_read(shelf->arena, "/proc/locks", LOCKS_MAXIMUM, NULL, &err);
	const char *line;
	unsigned users = 0;
	struct stat st;

	if (stat(rootfs, &st) < 0)
		return 0;
	while (rest && (line = strsep(&rest, "\n"))) {
		unsigned major, minor;
		unsigned long long inode;
		char kind[8] = "";

		if (sscanf(line, "%*d: FLOCK ADVISORY %7s %*d %x:%x:%llu", kind, &major, &minor, &inode) == 4 &&
			strcmp(kind, "READ") == 0 && inode == st.st_ino && makedev(major, minor) == st.st_dev)
			users++;
	}
	return users;
}

static json_t *read_json(const struct shelf *shelf, const char *path)
{
	struct err err = {0};
	size_t length;
	char *text = file_read(shelf->arena, path, STATE_MAXIMUM, &length, &err);

	return text ? jsonget_parse(text, length, STATE_NODES, &err) : NULL;
}

void shelf_describe(const struct shelf *shelf, const char *name, struct shelf_generation *generation)
{
	const char *folder = path_of(shelf, name);
	json_t *about = read_json(shelf, arena_printf(shelf->arena, "%s/about.json", folder));
	struct stat st;

	*generation = (struct shelf_generation){.name = name};
	generation->users = count_users(shelf, arena_printf(shelf->arena, "%s/rootfs", folder));
	if (stat(folder, &st) == 0)
		generation->made_ms = (int64_t)st.st_mtime * 1000;
	if (!about)
		return;
	generation->on = arena_strdup(shelf->arena, jsonget_string_or(about, "on", NULL));
	generation->made_ms = jsonget_integer_or(about, "made", generation->made_ms);
	generation->bytes = jsonget_integer_or(about, "bytes", 0);
	json_decref(about);
}

/* The lock is worth something only if the folder is still where we found it. */
static bool is_there(int fd, const char *path)
{
	struct stat held, there;

	return fstat(fd, &held) == 0 && stat(path, &there) == 0 && held.st_ino == there.st_ino && held.st_dev == there.st_dev;
}

int shelf_use(const struct shelf *shelf, const char *generation, struct err *err)
{
	for (;;) {
		const char *name = generation ? generation : shelf_current(shelf);
		const char *path = name ? arena_printf(shelf->arena, "%s/%s/rootfs", shelf->folder, name) : NULL;
		int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;

		if (fd < 0 && (!path || errno == ENOENT))
			return err_set(err, ERR_NOT_FOUND, "%s/%s: there is no such backing", shelf->folder, name ? name : shelf->digest);
		if (fd < 0)
			return err_set_errno(err, errno, "%s: cannot be opened", path);
		if (flock(fd, LOCK_SH) < 0 && errno != EINTR) {
			err_set_errno(err, errno, "%s: cannot be locked", path);
			close(fd);
			return -1;
		}
		if (is_there(fd, path))
			return fd;
		close(fd); /* it was just being moved aside: there may be a newer one */
	}
}

int shelf_lock(const struct shelf *shelf, struct err *err)
{
	const char *path = arena_printf(shelf->arena, "%s/%s.lock", shelf->folder, shelf->digest);

	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return err_set_errno(err, errno, "%s: cannot be opened", path);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno == EWOULDBLOCK)
				err_set(err, ERR_BUSY, "%s: somebody else builds it", path);
			else
				err_set_errno(err, errno, "%s: cannot be locked", path);
			close(fd);
			return -1;
		}
		if (is_there(fd, path))
			return fd;
		close(fd); /* forgotten meanwhile */
	}
}

static int compare(const void *one, const void *other)
{
	return strcmp(*(const char *const *)one, *(const char *const *)other);
}

/* Names in the folder that `wanted` is true of, sorted. */
static const char *const *names(const struct shelf *shelf, bool (*wanted)(const char *name, const char *digest))
{
	DIR *folder = opendir(shelf->folder);
	const struct dirent *entry;
	size_t count = 0, room = 16;
	const char **list = arena_alloc(shelf->arena, room * sizeof *list);

	while (folder && (entry = readdir(folder))) {
		if (!wanted(entry->d_name, shelf->digest))
			continue;
		if (count + 1 == room) {
			const char **larger = arena_alloc(shelf->arena, 2 * room * sizeof *list);

			memcpy(larger, list, count * sizeof *list);
			list = larger;
			room *= 2;
		}
		list[count++] = arena_strdup(shelf->arena, entry->d_name);
	}
	if (folder)
		closedir(folder);
	qsort(list, count, sizeof *list, compare);
	list[count] = NULL;
	return list;
}

const char *const *shelf_generations(const struct shelf *shelf)
{
	return names(shelf, is_generation);
}

/* The digest that a name of any kind is about; NULL: none. */
static const char *digest_in(const char *name)
{
	const char *rest = strncmp(name, GONE, strlen(GONE)) == 0 ? name + strlen(GONE) : name + (*name == '.');

	return is_digest(rest) ? rest : NULL;
}

static bool is_any(const char *name, const char *digest)
{
	(void)digest;
	return digest_in(name) != NULL;
}

static bool is_gone(const char *name, const char *digest)
{
	return strncmp(name, GONE, strlen(GONE)) == 0 && strncmp(name + strlen(GONE), digest, DIGEST_LENGTH) == 0;
}

static bool has(const char *const *list, size_t count, const char *digest)
{
	for (size_t i = 0; i < count; i++)
		if (strncmp(list[i], digest, DIGEST_LENGTH) == 0)
			return true;
	return false;
}

const char *const *shelf_digests(const struct shelf *shelf)
{
	const char *const *all = names(shelf, is_any);
	size_t count = 0, most = 0;
	const char **list;

	while (all[most])
		most++;
	list = arena_alloc(shelf->arena, (most + 1) * sizeof *list);
	for (size_t i = 0; i < most; i++)
		if (!has(list, count, digest_in(all[i])))
			list[count++] = arena_memdup(shelf->arena, digest_in(all[i]), DIGEST_LENGTH);
	list[count] = NULL;
	return list;
}

const char *const *shelf_gone(const struct shelf *shelf)
{
	const char *const *found = names(shelf, is_gone);
	size_t count = 0;
	const char **list;

	while (found[count])
		count++;
	list = arena_alloc(shelf->arena, (count + 1) * sizeof *list);
	for (size_t i = 0; i < count; i++)
		list[i] = path_of(shelf, found[i]);
	list[count] = NULL;
	return list;
}

/* A link that leads to `target` from now on, also after a crash. */
static int point(const struct shelf *shelf, const char *link, const char *target, struct err *err)
{
	const char *beside = arena_printf(shelf->arena, "%s/%s.new", shelf->folder, shelf->digest);
	int folder, rc;

	if ((unlink(beside) < 0 && errno != ENOENT) || symlink(target, beside) < 0 || rename(beside, path_of(shelf, link)) < 0)
		return err_set_errno(err, errno, "%s: the link cannot be made", path_of(shelf, link));
	folder = open(shelf->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = folder < 0 ? -1 : fsync(folder);
	if (folder >= 0)
		close(folder);
	return rc < 0 ? err_set_errno(err, errno, "%s: cannot be brought to disk", shelf->folder) : 0;
}

static const char *name_of(const struct shelf *shelf, int64_t made_ms)
{
	char text[CLOCK_ISO_SIZE], *to = text;

	clock_iso(made_ms, text);
	for (const char *from = text; *from; from++) /* without -, : and . */
		if (!strchr("-:.", *from))
			*to++ = *from;
	*to = '\0';
	return arena_printf(shelf->arena, "%s.%s", shelf->digest, text);
}

static int move_aside(const struct shelf *shelf, const char *from, const char *name, struct err *err)
{
	const char *to = arena_printf(shelf->arena, "%s/" GONE "%s.%lld", shelf->folder, name, (long long)clock_monotonic_us());

	if (rename(from, to) < 0 && errno != ENOENT)
		return err_set_errno(err, errno, "%s: cannot be moved aside", from);
	return 0;
}

/* A folder of an earlier release becomes a generation, of the time when it was made. */
static int adopt(const struct shelf *shelf, struct err *err)
{
	const char *path = path_of(shelf, shelf->digest), *name;
	struct stat st;

	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	name = name_of(shelf, (int64_t)st.st_mtime * 1000);
	if (rename(path, path_of(shelf, name)) < 0)
		return err_set_errno(err, errno, "%s: cannot be made a generation", path);
	return point(shelf, shelf->digest, name, err);
}

int shelf_tidy(const struct shelf *shelf, struct err *err)
{
	const char *const *generations;
	size_t count = 0;

	if (move_aside(shelf, shelf->temporary, shelf->digest, err) < 0 || adopt(shelf, err) < 0)
		return -1;
	generations = shelf_generations(shelf);
	while (generations[count])
		count++;
	if (count && !shelf_current(shelf))
		return point(shelf, shelf->digest, generations[count - 1], err);
	return 0;
}

/* All of the file system that it is on, before it has its name. */
static int to_disk(const struct shelf *shelf, struct err *err)
{
	int fd = open(shelf->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 ? -1 : syncfs(fd);

	if (rc < 0)
		err_set_errno(err, errno, "%s: cannot be brought to disk", shelf->temporary);
	if (fd >= 0)
		close(fd);
	return rc;
}

int shelf_put(const struct shelf *shelf, int64_t made_ms, struct err *err)
{
	const char *before = shelf_current(shelf), *name = name_of(shelf, made_ms);

	if (to_disk(shelf, err) < 0)
		return -1;
	if (rename(shelf->temporary, path_of(shelf, name)) < 0)
		return err_set_errno(err, errno, "%s: cannot be put into its place", path_of(shelf, name));
	if (before && point(shelf, arena_printf(shelf->arena, "%s.previous", shelf->digest), before, err) < 0)
		return -1;
	return point(shelf, shelf->digest, name, err);
}

int shelf_take_away(const struct shelf *shelf, const char *generation, struct err *err)
{
	const char *path = path_of(shelf, generation);
	int fd = open(arena_printf(shelf->arena, "%s/rootfs", path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc = 0;

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
		rc = errno == EWOULDBLOCK ? err_set(err, ERR_BUSY, "%s: is in use", generation)
			: err_set_errno(err, errno, "%s: cannot be locked", path);
	if (rc == 0)
		rc = move_aside(shelf, path, generation, err);
	if (fd >= 0)
		close(fd);
	return rc;
}

static const char *state_path(const struct shelf *shelf)
{
	return arena_printf(shelf->arena, "%s/%s.json", shelf->folder, shelf->digest);
}

static int write_json(const char *path, json_t *json, struct err *err)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int rc;

	if (!text)
		err_fatal("%s: cannot be written as JSON", path);
	rc = file_write(path, text, strlen(text), 0600, err);
	free(text);
	json_decref(json);
	return rc;
}

/* A message may quote what is no text, a tarball's names for one. */
static const char *as_text(const struct shelf *shelf, const char *message)
{
	char *copy = arena_strdup(shelf->arena, message);
	json_t *text = message ? json_string(message) : NULL;

	for (char *at = copy; at && !text && *at; at++)
		if (*at & 0x80)
			*at = '?';
	json_decref(text);
	return copy;
}

int shelf_write_state(const struct shelf *shelf, const struct shelf_state *state, struct err *err)
{
	return write_json(state_path(shelf), json_pack("{s:I, s:I, s:I, s:s?}", "tried", (json_int_t)state->tried_ms, "made",
		(json_int_t)state->made_ms, "failures", (json_int_t)state->failures, "error", as_text(shelf, state->error)), err);
}

void shelf_read_state(const struct shelf *shelf, struct shelf_state *state)
{
	json_t *json = read_json(shelf, state_path(shelf));

	*state = (struct shelf_state){0};
	if (!json)
		return;
	state->tried_ms = jsonget_integer_or(json, "tried", 0);
	state->made_ms = jsonget_integer_or(json, "made", 0);
	state->failures = jsonget_integer_or(json, "failures", 0);
	state->error = arena_strdup(shelf->arena, jsonget_string_or(json, "error", NULL));
	json_decref(json);
}

int shelf_write_about(const struct shelf *shelf, const struct shelf_generation *about, const char *name, struct err *err)
{
	return write_json(arena_printf(shelf->arena, "%s/about.json", shelf->temporary), json_pack("{s:s, s:s, s:I, s:I, s:s?}",
		"backing", name, "digest", shelf->digest, "made", (json_int_t)about->made_ms, "bytes", (json_int_t)about->bytes, "on",
		about->on), err);
}

void shelf_forget(const struct shelf *shelf)
{
	static const char *const endings[] = {"", ".previous", ".new", ".json", ".log", ".lock"};

	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
		unlink(arena_printf(shelf->arena, "%s/%s%s", shelf->folder, shelf->digest, endings[i]));
}
