#include "slaves/worker/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "slaves/common/pattern.h"
#include "slaves/confine/rootfs.h"

#define MAXIMUM 32 /* secrets of a project */
#define BYTES ((size_t)64 * 1024)
#define FOLDER "/run/secrets/" /* where those are that have no path of their own */
#define STORE ROOTFS_SCRATCH "/secrets"

struct one {
	const char *source; /* whole path */
	const char *path;   /* in the worker, without the first '/' */
	int mount;          /* detached, of the file alone; -1: not made */
};

static int split(struct arena *arena, const struct secrets *secrets, const char *folder, const char *text, struct one *one,
	struct err *err)
{
	const char *project = secrets->project;
	const char *colon = strchr(text, ':');
	const char *source = colon ? arena_memdup(arena, text, (size_t)(colon - text)) : text;
	const char *path = colon ? colon + 1 : arena_printf(arena, FOLDER "%s", source);

	if (!pattern_path_valid(source) || *path != '/' || !pattern_path_valid(path + 1))
		return err_set(err, ERR_CONFIG, "[project/%s] secrets: %s: right is SOURCE or SOURCE:/PATH, without . and ..", project, text);
	*one = (struct one){.source = arena_printf(arena, "%s/worker/%s", folder, source), .path = path + 1, .mount = -1};
	return 0;
}

static int set_option(int context, const char *name, const char *value)
{
	return (int)syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, name, value, 0);
}

/* A tmpfs, in the mounts of this process alone: before Linux 6.15, what is mounted nowhere can't be cloned. */
static int make_store(struct err *err)
{
	int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), store = -1;

	if (context >= 0) {
		syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, "noswap", NULL, 0); /* Linux 6.4 */
		if (set_option(context, "size", "4m") == 0 && set_option(context, "nr_inodes", "64") == 0 &&
			set_option(context, "mode", "0700") == 0 && syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
			store = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	}
	if (store >= 0 && (mkdir(STORE, 0700) < 0 || syscall(SYS_move_mount, store, "", AT_FDCWD, STORE, MOVE_MOUNT_F_EMPTY_PATH) < 0)) {
		err_set_errno(err, errno, "a tmpfs for secrets cannot be mounted");
		close(store);
		store = -1;
	} else if (store < 0) {
		err_set_errno(err, errno, "a tmpfs for secrets cannot be made");
	}
	if (context >= 0)
		close(context);
	return store;
}

/* What was made of it stays. */
static int hide_store(int store, struct err *err)
{
	close(store);
	if (syscall(SYS_umount2, STORE, 0) < 0 || rmdir(STORE) < 0)
		return err_set_errno(err, errno, "the tmpfs of secrets stays mounted");
	return 0;
}

/* The file with a number as its name, as a mount of its own, read-only. */
static int detach(int store, const char *name)
{
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
	int mount = (int)syscall(SYS_open_tree, store, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (mount >= 0 && syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) {
		close(mount);
		return -1;
	}
	return mount;
}

static int store_one(struct arena *arena, const struct secrets *secrets, int store, struct one *one, struct err *err)
{
	const char *name = strrchr(one->source, '/') + 1;
	struct err absent = {0};
	size_t length = 0;
	const char *bytes;
	int file;

	/* Whether it is a secret at all, and then its bytes as they are. */
	if (!file_read_secret(arena, one->source, NULL, &absent))
		return err_set(err, absent.kind, "secret %s: %.700s", name, absent.text);
	bytes = file_read(arena, one->source, BYTES, &length, err);
	if (!bytes)
		return err_wrap(err, "secret %s", name);
	mask_add(secrets->mask, bytes, length);
	name = arena_printf(arena, "%p", (void *)one);
	file = openat(store, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
	if (file < 0 || write(file, bytes, length) != (ssize_t)length || fchown(file, (uid_t)secrets->ids, (gid_t)secrets->ids) < 0)
		err_set_errno(err, errno, "a secret cannot be stored for the worker");
	else
		one->mount = detach(store, name);
	if (file >= 0)
		close(file);
	if (one->mount < 0 && err->kind == ERR_NONE)
		err_set_errno(err, errno, "a secret cannot be mounted");
	return one->mount < 0 ? -1 : 0;
}

static int open_inside(int folder, const char *name, uint64_t flags, uint64_t mode)
{
	const struct open_how how = {.flags = flags | O_CLOEXEC | O_NOFOLLOW, .mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, folder, name, &how, sizeof how);
}

/* The file that it is mounted on, with the folders above it; made when it is not there. No link is followed. */
static int open_place(const char *path)
{
	char part[256];
	int folder = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), next;

	for (const char *slash; folder >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
		snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
		next = open_inside(folder, part, O_PATH | O_DIRECTORY, 0);
		if (next < 0 && errno == ENOENT && mkdirat(folder, part, 0755) == 0)
			next = open_inside(folder, part, O_PATH | O_DIRECTORY, 0);
		close(folder);
		folder = next;
	}
	if (folder < 0)
		return -1;
	next = open_inside(folder, path, O_PATH, 0);
	if (next < 0 && errno == ENOENT)
		next = open_inside(folder, path, O_RDONLY | O_CREAT | O_EXCL, 0400);
	close(folder);
	return next;
}

/* In the worker's mounts. Files and folders are made as its root would. */
static int mount_one(const struct one *one, int64_t ids, struct err *err)
{
	struct stat st;
	int place, rc = -1;

	setfsgid((gid_t)ids);
	setfsuid((uid_t)ids);
	place = open_place(one->path);
	setfsuid(0);
	setfsgid(0);
	if (place < 0)
		return err_set_errno(err, errno, "secrets: /%s cannot be made in the worker", one->path);
	if (fstat(place, &st) < 0 || !S_ISREG(st.st_mode))
		err_set(err, ERR_CONFIG, "secrets: /%s is in the worker, and is no plain file", one->path);
	else if (syscall(SYS_move_mount, one->mount, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		err_set_errno(err, errno, "secrets: nothing can be mounted on /%s in the worker", one->path);
	else
		rc = 0;
	close(place);
	return rc;
}

static int mount_all(const struct secrets *secrets, const struct one *list, size_t count, struct err *err)
{
	int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	int rc = 0;

	if (own < 0 || setns(secrets->mounts, CLONE_NEWNS) < 0) {
		rc = err_set_errno(err, errno, "the worker's mounts cannot be reached");
	} else {
		for (size_t i = 0; i < count && rc == 0; i++)
			rc = mount_one(&list[i], secrets->ids, err);
		if (setns(own, CLONE_NEWNS) < 0)
			err_fatal("a worker's mount namespace can't be left");
	}
	if (own >= 0)
		close(own);
	return rc;
}

static int reveal(struct arena *arena, const struct secrets *secrets, struct one *list, size_t count, struct err *err)
{
	int store = make_store(err);
	int rc = store < 0 ? -1 : 0;
	struct err other = {0};

	for (size_t i = 0; i < count && rc == 0; i++)
		rc = store_one(arena, secrets, store, &list[i], err);
	if (store >= 0 && hide_store(store, rc == 0 ? err : &other) < 0)
		rc = -1;
	if (rc == 0)
		rc = mount_all(secrets, list, count, err);
	for (size_t i = 0; i < count; i++)
		if (list[i].mount >= 0)
			close(list[i].mount);
	return rc;
}

int secrets_reveal(struct arena *arena, const struct secrets *secrets, struct err *err)
{
	const char *section = arena_printf(arena, "project/%s", secrets->project), *folder;
	const char *const *wanted = NULL;
	struct one list[MAXIMUM];
	size_t count = 0;

	if (conf_text(secrets->conf, NULL, "secrets", &folder, err) < 0 ||
		conf_list(secrets->conf, arena, section, "secrets", &wanted, err) < 0)
		return -1;
	for (; wanted && *wanted; wanted++) {
		if (count == MAXIMUM)
			return err_set(err, ERR_CONFIG, "[%s] secrets: over %d", section, MAXIMUM);
		if (split(arena, secrets, folder, *wanted, &list[count++], err) < 0)
			return -1;
	}
	/* This process has the values now: a core of it would, too. */
	if (count && prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_set_errno(err, errno, "secrets: it can't be ruled out that they end in a core file");
	if (count && reveal(arena, secrets, list, count, err) < 0)
		return -1;
	return (int)count;
}
