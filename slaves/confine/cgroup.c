#include "slaves/confine/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"

#define TOP "/sys/fs/cgroup/"
#define HIERARCHIES 24
#define FILE_MAXIMUM (1024 * 1024)
#define LEAVE_SCOPE "/init.scope"
#define SLICE "/byoci.slice"
#define SYSTEMD "/run/systemd/system" /* is there while it is process 1: sd_booted(3) */
#define REMOVE_LIMIT_US (10 * 1000000)
#define HURRY_NS 3000000
#define HURRY_LIMIT_US 1000000
#define DEPTH 16 /* of groups below a worker's */

struct hierarchy {
	int version;
	const char *mounted;     /* "/sys/fs/cgroup/memory" */
	const char *controllers; /* ",memory," */
	const char *base;        /* "/sys/fs/cgroup/memory/a/b", without a slash at its end */
	const char *own;         /* the group that this process was in: base, or base's init.scope, or one elsewhere */
	bool apart;              /* elsewhere */
};

struct cgroup {
	struct hierarchy list[HIERARCHIES];
	size_t count;
};

/* The n-th field of a line that is separated by spaces, in the arena. */
static char *field(struct arena *arena, const char *line, unsigned n)
{
	while (n-- && line) {
		line = strchr(line, ' ');
		line = line ? line + 1 : NULL;
	}
	return line ? arena_memdup(arena, line, strcspn(line, " ")) : NULL;
}

static const char *without_slash(struct arena *arena, const char *path)
{
	size_t length = strlen(path);

	while (length && path[length - 1] == '/')
		length--;
	return arena_memdup(arena, path, length);
}

/* Controllers of a v2 group: "cpu memory pids" -> ",cpu,memory,pids,". */
static const char *controllers_v2(struct arena *arena, const char *base)
{
	struct err err = {0};
	char *text = file_read(arena, arena_printf(arena, "%s/cgroup.controllers", base), FILE_MAXIMUM, NULL, &err);

	if (!text)
		return ",";
	for (char *c = text; *c; c++)
		if (*c == ' ' || *c == '\n')
			*c = ',';
	return arena_printf(arena, ",%s,", text);
}

/* One line of /proc/self/mountinfo: proc(5). */
static void add_mount(struct cgroup *cgroup, struct arena *arena, const char *line)
{
	const char *rest = strstr(line, " - ");
	const char *type = rest ? field(arena, rest + 3, 0) : NULL;
	const char *options = rest ? field(arena, rest + 3, 2) : NULL;
	const char *place = field(arena, line, 4);
	struct hierarchy *hierarchy = &cgroup->list[cgroup->count];

	if (!type || !options || !place || cgroup->count == HIERARCHIES || strncmp(place, "/sys/fs/cgroup", 14) != 0)
		return;
	if (strcmp(type, "cgroup") != 0 && strcmp(type, "cgroup2") != 0)
		return;
	hierarchy->version = strcmp(type, "cgroup2") == 0 ? 2 : 1;
	hierarchy->mounted = place;
	hierarchy->controllers = hierarchy->version == 1 ? arena_printf(arena, ",%s,", options) : ",";
	cgroup->count++;
}

/* One line of /proc/self/cgroup, "4:memory:/a" or "0::/a", belongs to the hierarchy with that controller. */
static void add_own(struct cgroup *cgroup, struct arena *arena, const char *line)
{
	const char *name = strchr(line, ':');
	const char *path = name ? strchr(name + 1, ':') : NULL;
	const char *wanted;

	if (!path)
		return;
	wanted = arena_printf(arena, ",%.*s,", (int)(path - name - 1), name + 1);
	for (size_t i = 0; i < cgroup->count; i++) {
		struct hierarchy *hierarchy = &cgroup->list[i];

		if (hierarchy->base || (hierarchy->version == 2) != (strcmp(wanted, ",,") == 0))
			continue;
		if (hierarchy->version == 1 && !strstr(hierarchy->controllers, wanted))
			continue;
		hierarchy->base = without_slash(arena, arena_printf(arena, "%s%s", hierarchy->mounted, path + 1));
		return;
	}
}

static const char *workers_folder(const struct hierarchy *hierarchy, struct arena *arena, const char *namespace)
{
	return arena_printf(arena, "%s" SLICE "/byoci-workers@%s.service", hierarchy->mounted, namespace);
}

static int each_line(struct arena *arena, const char *path, struct cgroup *cgroup,
	void (*call)(struct cgroup *, struct arena *, const char *), struct err *err)
{
	char *rest = file_read(arena, path, FILE_MAXIMUM, NULL, err);
	const char *line;

	if (!rest)
		return -1;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			call(cgroup, arena, line);
	return 0;
}

/* Forgets hierarchies that we are not in, and what v2 hands down here. */
static void finish(struct cgroup *cgroup, struct arena *arena)
{
	size_t kept = 0;

	for (size_t i = 0; i < cgroup->count; i++) {
		struct hierarchy hierarchy = cgroup->list[i];
		size_t length = hierarchy.base ? strlen(hierarchy.base) : 0;
		size_t scope = strlen(LEAVE_SCOPE);

		if (!hierarchy.base)
			continue;
		hierarchy.own = hierarchy.base;
		if (length > scope && strcmp(hierarchy.base + length - scope, LEAVE_SCOPE) == 0)
			hierarchy.base = arena_memdup(arena, hierarchy.base, length - scope);
		if (hierarchy.version == 2)
			hierarchy.controllers = controllers_v2(arena, hierarchy.base);
		cgroup->list[kept++] = hierarchy;
	}
	cgroup->count = kept;
}

/* The workers' own group, where it hands limits down. */
static void go_apart(struct hierarchy *hierarchy, struct arena *arena, const char *namespace)
{
	const char *folder = workers_folder(hierarchy, arena, namespace);
	const char *controllers = controllers_v2(arena, folder);

	if (!strstr(controllers, ",memory,") || !strstr(controllers, ",pids,"))
		return;
	hierarchy->base = folder;
	hierarchy->controllers = controllers;
	hierarchy->apart = strcmp(hierarchy->own, arena_printf(arena, "%s%s", folder, LEAVE_SCOPE)) != 0;
}

/* As far as they can be read. */
static struct cgroup *read_all(struct arena *arena, struct err *err)
{
	struct cgroup *cgroup = arena_alloc(arena, sizeof *cgroup);

	if (each_line(arena, "/proc/self/mountinfo", cgroup, add_mount, err) < 0 ||
		each_line(arena, "/proc/self/cgroup", cgroup, add_own, err) < 0) {
		err_wrap(err, "control groups");
		return NULL;
	}
	finish(cgroup, arena);
	return cgroup;
}

struct cgroup *cgroup_find(struct arena *arena, const char *namespace, struct err *err)
{
	struct cgroup *cgroup = read_all(arena, err);

	for (size_t i = 0; cgroup && i < cgroup->count; i++)
		if (namespace && cgroup->list[i].version == 2)
			go_apart(&cgroup->list[i], arena, namespace);
	if (!cgroup)
		return NULL;
	if (!cgroup_version(cgroup, "memory") || !cgroup_version(cgroup, "pids")) {
		err_set(err, ERR_CONFIG,
			"control groups: this machine limits no memory or no processes below %s; mount the controllers, or "
			"give byoci-worker's unit Delegate=yes", cgroup->count ? cgroup->list[0].base : TOP);
		return NULL;
	}
	return cgroup;
}

static const struct hierarchy *limiting(const struct cgroup *cgroup, const char *controller)
{
	for (size_t i = 0; i < cgroup->count; i++) {
		const char *found = strstr(cgroup->list[i].controllers, controller);

		while (found && (found[-1] != ',' || found[strlen(controller)] != ','))
			found = strstr(found + 1, controller);
		if (found)
			return &cgroup->list[i];
	}
	return NULL;
}

int cgroup_version(const struct cgroup *cgroup, const char *controller)
{
	const struct hierarchy *hierarchy = limiting(cgroup, controller);

	return hierarchy ? hierarchy->version : 0;
}

const char *cgroup_io(const struct cgroup *cgroup)
{
	return cgroup_version(cgroup, "io") == 2 ? "io" : "blkio";
}

const char *cgroup_folder(const struct cgroup *cgroup, struct arena *arena, const char *controller, const char *name)
{
	const struct hierarchy *hierarchy = limiting(cgroup, controller);

	return hierarchy ? arena_printf(arena, "%s/%s", hierarchy->base, name) : NULL;
}

const char *cgroup_folder_of(const struct cgroup *cgroup, struct arena *arena, const char *controller, const char *groups)
{
	const struct hierarchy *hierarchy = limiting(cgroup, controller);
	struct cgroup theirs = {.count = 1};
	char *rest = arena_strdup(arena, groups);
	const char *line;

	if (!hierarchy)
		return NULL;
	theirs.list[0] = (struct hierarchy){
		.version = hierarchy->version, .mounted = hierarchy->mounted, .controllers = hierarchy->controllers};
	while ((line = strsep(&rest, "\n")))
		add_own(&theirs, arena, line);
	return theirs.list[0].base;
}

int64_t cgroup_number(const char *folder, const char *file)
{
	struct arena *arena = arena_new();
	struct err err = {0};
	const char *text = file_read(arena, arena_printf(arena, "%s/%s", folder, file), FILE_MAXIMUM, NULL, &err);
	int64_t number = -1;

	if (text && *text >= '0' && *text <= '9')
		number = strtoll(text, NULL, 10);
	arena_free(arena);
	return number;
}

const char *const *cgroup_folders(const struct cgroup *cgroup, struct arena *arena, const char *name)
{
	const char **folders = arena_alloc(arena, (cgroup->count + 1) * sizeof *folders);

	for (size_t i = 0; i < cgroup->count; i++)
		folders[i] = arena_printf(arena, "%s/%s", cgroup->list[i].base, name);
	return folders;
}

const char *const *cgroup_tops(const struct cgroup *cgroup, struct arena *arena, const char *name)
{
	const char **folders = arena_alloc(arena, (cgroup->count + 1) * sizeof *folders);

	for (size_t i = 0; i < cgroup->count; i++)
		folders[i] = arena_printf(arena, "%s/%s", cgroup->list[i].mounted, name);
	return folders;
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t written = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return written < 0 ? -1 : 0;
}

int cgroup_put(const char *folder, const char *file, const char *text, struct err *err)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", folder, file);
	return put(path, text) < 0 ? err_set_errno(err, errno, "%s cannot be set", path) : 0;
}

int cgroup_approach(const struct cgroup *cgroup, struct err *err)
{
	char path[4096];

	for (size_t i = 0; i < cgroup->count; i++) {
		snprintf(path, sizeof path, "%s" LEAVE_SCOPE "/cgroup.procs", cgroup->list[i].base);
		if (cgroup->list[i].apart && put(path, "0") < 0)
			return err_set_errno(err, errno, "%s: cannot be entered", path);
	}
	return 0;
}

int cgroup_return(const struct cgroup *cgroup, struct err *err)
{
	char path[4096];

	for (size_t i = 0; i < cgroup->count; i++) {
		snprintf(path, sizeof path, "%s/cgroup.procs", cgroup->list[i].own);
		if (put(path, "0") < 0)
			return err_set_errno(err, errno, "%s: cannot be entered again", path);
	}
	return 0;
}

static int hurry(void *cookie)
{
	const struct timespec pause = {.tv_nsec = HURRY_NS};
	const struct cgroup *cgroup = cookie;
	char path[4096];

	snprintf(path, sizeof path, "%s/cgroup.procs", cgroup->list[0].own);
	for (int64_t until_us = clock_monotonic_us() + HURRY_LIMIT_US; clock_monotonic_us() < until_us;) {
		if (put(path, "0") < 0)
			return 1;
		nanosleep(&pause, NULL);
	}
	return 0;
}

pid_t cgroup_hurry(const struct cgroup *cgroup)
{
	struct cgroup copy = *cgroup;
	const struct child_task task = {.act = hurry, .cookie = &copy, .out = -1};
	struct err ignored = {0};
	pid_t child = 0;

	return cgroup->count && child_copy(&task, &child, &ignored) == 0 ? child : 0;
}

void cgroup_unhurry(pid_t child)
{
	if (child <= 0)
		return;
	kill(child, SIGKILL);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		continue;
}

/* A limit, and its file by the version of the hierarchy. */
struct limit {
	const char *controller, *files[3], *values[3];
};

static int set_limit(const struct cgroup *cgroup, struct arena *arena, const char *name, const struct limit *limit, struct err *err)
{
	const struct hierarchy *hierarchy = limiting(cgroup, limit->controller);
	const char *folder, *path;

	if (!hierarchy)
		return err_set(err, ERR_CONFIG, "this machine has no control group that limits %s", limit->controller);
	folder = arena_printf(arena, "%s/%s", hierarchy->base, name);
	path = arena_printf(arena, "%s/%s", folder, limit->files[hierarchy->version]);
	if (hierarchy->version == 2) /* handed down already where liblxc was here before; else its file is not there */
		put(arena_printf(arena, "%s/cgroup.subtree_control", hierarchy->base), arena_printf(arena, "+%s", limit->controller));
	if ((mkdir(folder, 0755) < 0 && errno != EEXIST) || put(path, limit->values[hierarchy->version]) < 0)
		return err_set_errno(err, errno, "%s cannot be set", path);
	return 0;
}

int cgroup_make(const struct cgroup *cgroup, struct arena *arena, const char *name, const struct cgroup_limits *limits,
	struct err *err)
{
	const char *memory = arena_printf(arena, "%lld", (long long)limits->memory);
	const char *processes = arena_printf(arena, "%lld", (long long)limits->processes);
	const char *quota = arena_printf(arena, "%lld", (long long)limits->cpus * 100000);
	const struct limit list[] = {
		{"memory", {"", "memory.limit_in_bytes", "memory.max"}, {"", memory, memory}},
		{"pids", {"", "pids.max", "pids.max"}, {"", processes, processes}},
		{"cpu", {"", "cpu.cfs_quota_us", "cpu.max"}, {"", quota, arena_printf(arena, "%s 100000", quota)}},
	};

	for (size_t i = 0; i < sizeof list / sizeof *list - !limits->cpus; i++)
		if (set_limit(cgroup, arena, name, &list[i], err) < 0)
			return -1;
	return 0;
}

int cgroup_enter(const struct cgroup *cgroup, struct arena *arena, const char *name, struct err *err)
{
	for (size_t i = 0; i < cgroup->count; i++) {
		const char *path = arena_printf(arena, "%s/%s/cgroup.procs", cgroup->list[i].base, name);

		if (access(path, F_OK) == 0 && put(path, "0") < 0)
			return err_set_errno(err, errno, "%s cannot be entered", path);
	}
	return 0;
}

static int make_folder(const char *folder)
{
	return mkdir(folder, 0755) < 0 && errno != EEXIST ? -1 : 0;
}

/* Lets FOLDER's groups limit what is limited at all; fails where they could not limit the least of it. */
static int hand_down(struct arena *arena, const char *folder)
{
	const char *file = arena_printf(arena, "%s/cgroup.subtree_control", folder);

	put(file, "+cpu");
	put(file, "+io");
	return put(file, "+memory") < 0 || put(file, "+pids") < 0 ? -1 : 0;
}

/* Without systemd, the tree is nobody's. */
static void make_apart(struct arena *arena, const struct hierarchy *hierarchy, const char *namespace)
{
	const char *slice = arena_printf(arena, "%s" SLICE, hierarchy->mounted);
	const char *folder = workers_folder(hierarchy, arena, namespace);

	if (hand_down(arena, hierarchy->mounted) < 0 || make_folder(slice) < 0 || hand_down(arena, slice) < 0 || make_folder(folder) < 0)
		rmdir(slice); /* if it is empty */
}

static int step_aside(struct arena *arena, const struct hierarchy *hierarchy, struct err *err)
{
	const char *scope = arena_printf(arena, "%s%s", hierarchy->base, LEAVE_SCOPE);

	if (make_folder(scope) < 0)
		return err_set_errno(err, errno, "%s: cannot be made; give byoci-worker's unit Delegate=yes", scope);
	if (hierarchy->apart)
		return 0;
	if (put(arena_printf(arena, "%s/cgroup.procs", scope), "0") < 0)
		return err_set_errno(err, errno, "%s: cannot be entered; give byoci-worker's unit Delegate=yes", scope);
	return 0;
}

int cgroup_settle(struct arena *arena, const char *namespace, struct err *err)
{
	const struct cgroup *cgroup = access(SYSTEMD, F_OK) < 0 ? read_all(arena, err) : NULL;
	const struct hierarchy *hierarchy;

	for (size_t i = 0; cgroup && i < cgroup->count; i++)
		if (cgroup->list[i].version == 2 && strstr(controllers_v2(arena, cgroup->list[i].mounted), ",memory,"))
			make_apart(arena, &cgroup->list[i], namespace);
	cgroup = cgroup_find(arena, namespace, err);
	hierarchy = cgroup ? limiting(cgroup, "memory") : NULL;
	if (!hierarchy)
		return -1;
	if (hierarchy->version == 1 || strcmp(hierarchy->base, hierarchy->mounted) == 0)
		return 0; /* the root group may have both */
	return step_aside(arena, hierarchy, err);
}

int64_t cgroup_count(const char *folder, const char *file, const char *key)
{
	struct arena *arena = arena_new();
	struct err err = {0};
	char *rest = file_read(arena, arena_printf(arena, "%s/%s", folder, file), FILE_MAXIMUM, NULL, &err);
	const char *line;
	int64_t count = 0;

	while (rest && (line = strsep(&rest, "\n")))
		if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ' ')
			count = strtoll(line + strlen(key), NULL, 10);
	arena_free(arena);
	return count;
}

/* Kills every process of one group. */
static void kill_group(int folder)
{
	int fd = openat(folder, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *procs = fd < 0 ? NULL : fdopen(fd, "r");
	char line[32];

	if (!procs) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (fgets(line, sizeof line, procs)) {
		long pid = strtol(line, NULL, 10);

		if (pid > 1)
			kill((pid_t)pid, SIGKILL);
	}
	fclose(procs);
}

/* Depth first; what can't go yet is tried again by the caller. */
static void try_remove(int parent, const char *name, unsigned depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!folder) {
		if (fd >= 0)
			close(fd);
		return;
	}
	kill_group(dirfd(folder));
	while (depth && (entry = readdir(folder)))
		if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			try_remove(dirfd(folder), entry->d_name, depth - 1);
	closedir(folder);
	unlinkat(parent, name, AT_REMOVEDIR);
}

static int remove_one(const char *path, int64_t deadline_us, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 500000};
	struct stat st;

	while (lstat(path, &st) == 0) {
		try_remove(AT_FDCWD, path, DEPTH);
		if (lstat(path, &st) < 0)
			break;
		if (clock_monotonic_us() > deadline_us)
			return err_set(err, ERR_TIMEOUT, "%s: this control group does not get empty", path);
		nanosleep(&pause, NULL); /* a killed process leaves its group only when it has ended */
	}
	return 0;
}

int cgroup_remove(const char *const *folders, struct err *err)
{
	int64_t deadline_us = clock_monotonic_us() + REMOVE_LIMIT_US;

	for (size_t i = 0; folders[i]; i++)
		if (strncmp(folders[i], TOP, strlen(TOP)) != 0 || strstr(folders[i], ".."))
			return err_set(err, ERR_REFUSED, "%s: is not inside " TOP, folders[i]);
	for (size_t i = 0; folders[i]; i++)
		if (remove_one(folders[i], deadline_us, err) < 0)
			return -1;
	return 0;
}
