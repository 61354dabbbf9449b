#include "slaves/confine/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "slaves/confine/pivot.h"

/* glibc's <sys/mount.h> and the kernel's <linux/mount.h> of Debian 12 can't both be included. */
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
#define UNMOUNT_NOFOLLOW 8

#define MOUNTS_MAXIMUM ((size_t)4 * 1024 * 1024)
#define RUN "/run"
#define BACKING RUN "/b"
#define LAYER RUN "/l"
#define WRITTEN RUN "/w"
#define TREE ROOTFS_PATH ROOTFS_WORKSPACE /* as the processes of byoci-worker see it */
#define MAKING RUN "/t"
#define HOLDER_STACK 16384

/* The ids [inside, inside + count) of a folder's files become [outside, …) in its mount. */
struct idmap {
	int64_t uid, gid, outside;
	unsigned count;
};

static int make_private(struct err *err)
{
	if (unshare(CLONE_NEWNS) < 0)
		return err_set_errno(err, errno, "no mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_set_errno(err, errno, "no mounts of its own");
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_set_errno(err, errno, "/proc cannot be mounted");
	return 0;
}

static int write_map(pid_t pid, const char *file, int64_t inside, const struct idmap *map)
{
	char path[64], line[96];
	int fd, length;
	ssize_t put;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
	length = snprintf(line, sizeof line, "%lld %lld %u\n", (long long)inside, (long long)map->outside, map->count);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	put = write(fd, line, (size_t)length);
	close(fd);
	return put == length ? 0 : -1;
}

static int hold(void *cookie)
{
	(void)cookie;
	while (pause() < 0)
		continue;
	return 0;
}

/*
 * A user namespace with this map, held by its descriptor. It takes a process to make one; that ends at once, and shares our memory until
 * then, which takes a third of the time that a copy would.
 */
static int user_namespace(const struct idmap *map, struct err *err)
{
	_Alignas(16) char stack[HOLDER_STACK];
	char path[64];
	int fd = -1;
	pid_t pid = clone(hold, stack + sizeof stack, CLONE_VM | CLONE_NEWUSER | SIGCHLD, NULL);

	if (pid < 0)
		return err_set_errno(err, errno, "no user namespace");
	snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
	if (write_map(pid, "uid_map", map->uid, map) == 0 && write_map(pid, "gid_map", map->gid, map) == 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err_set_errno(err, errno, "no user namespace for ids %lld..%lld", (long long)map->outside,
		(long long)map->outside + map->count - 1);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}

static int clone_tree(int folder)
{
	return (int)syscall(SYS_open_tree, folder, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

/* As clone_tree, from inside another mount namespace; we are back in ours afterwards. */
static int clone_tree_of(int folder, int mounts)
{
	int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	int tree = -1, number;

	if (own >= 0 && setns(mounts, CLONE_NEWNS) == 0) {
		tree = clone_tree(folder);
		number = errno;
		if (setns(own, CLONE_NEWNS) < 0)
			err_fatal("a foreign mount namespace can't be left");
		errno = number;
	}
	number = errno;
	if (own >= 0)
		close(own);
	errno = number;
	return tree;
}

/*
 * A folder can be cloned only where its file system is mounted: in our mount namespace, else in that of who sent it. Ours is
 * the host's no more, so that is the rule.
 */
static int clone_layer(const struct rootfs_tree *tree, struct err *err)
{
	int clone = clone_tree(tree->layer);

	if (clone < 0 && errno == EINVAL && tree->mounts >= 0)
		clone = clone_tree_of(tree->layer, tree->mounts);
	if (clone < 0)
		return err_set_errno(err, errno, "the layer cannot be mounted (open_tree)");
	return clone;
}

/* Mounts a cloned tree, read-only and with mapped ids, on `target`. */
static int mount_mapped(int tree, const char *target, const struct idmap *map, struct err *err)
{
	struct mount_attr attributes = {
		.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV,
	};
	int space = user_namespace(map, err);
	int rc = -1;

	if (space < 0)
		return -1;
	attributes.userns_fd = (__u64)space;
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
		err_set_errno(err, errno, "%s: this kernel maps no ids on its file system (mount_setattr); ext4, xfs and btrfs are fine", target);
	else if (mkdir(target, 0755) < 0 || syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		err_set_errno(err, errno, "%s: cannot be mounted", target);
	else
		rc = 0;
	close(space);
	return rc;
}

static int make_folder(const char *path, int64_t owner, struct err *err)
{
	if (mkdir(path, 0755) < 0 || (owner && chown(path, (uid_t)owner, (gid_t)owner) < 0))
		return err_set_errno(err, errno, "%s: the folder cannot be made", path);
	return 0;
}

/* A private /run: all other mounts are in it, and liblxc's own files. */
static int mount_run(struct err *err)
{
	if (mount("byoci", RUN, "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,mode=755") < 0)
		return err_set_errno(err, errno, "a private " RUN " cannot be mounted");
	if (mkdir(ROOTFS_SCRATCH, 0711) < 0 || mkdir(ROOTFS_EMPTY, 0555) < 0)
		return err_set_errno(err, errno, RUN ": its folders cannot be made");
	return 0;
}

/* Once. */
static int begin(struct err *err)
{
	static bool begun;

	if (begun)
		return 0;
	begun = true;
	return make_private(err) < 0 ? -1 : mount_run(err);
}

static const char *const tops[] = PIVOT_TOPS;

int rootfs_blank(int64_t ids, struct err *err)
{
	if (begin(err) < 0 || make_folder(ROOTFS_BLANK, ids, err) < 0 || make_folder(ROOTFS_BLANK PIVOT_NEW, ids, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof tops / sizeof *tops; i++) {
		char path[64];

		snprintf(path, sizeof path, ROOTFS_BLANK "%s", tops[i]);
		if (make_folder(path, ids, err) < 0)
			return -1;
	}
	return 0;
}

int rootfs_written(struct err *err)
{
	int folder = open(WRITTEN, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return folder < 0 ? err_set_errno(err, errno, "what was written in a worker cannot be reached") : folder;
}

static int fill(const struct rootfs_fill *fill, struct err *err)
{
	int written = rootfs_written(err);
	int rc = written < 0 ? -1 : fill->call(fill->cookie, written, err);

	if (written >= 0)
		close(written);
	return rc;
}

static int mount_written(const struct rootfs *rootfs, struct err *err)
{
	if (make_folder(WRITTEN, 0, err) < 0 || disk_mount(rootfs->disk, WRITTEN, err) < 0)
		return -1;
	if (make_folder(WRITTEN "/u", rootfs->ids, err) < 0 || make_folder(WRITTEN "/k", rootfs->ids, err) < 0 ||
		make_folder(WRITTEN "/u" ROOTFS_WORKSPACE, rootfs->ids, err) < 0)
		return -1;
	return rootfs->fill ? fill(rootfs->fill, err) : 0;
}

static int mount_all(const struct rootfs *rootfs, int backing_tree, struct err *err)
{
	const struct idmap backing = {.outside = rootfs->ids, .count = ROOTFS_IDS};
	const char *options = "lowerdir=" BACKING ",upperdir=" WRITTEN "/u,workdir=" WRITTEN "/k";

	if (begin(err) < 0 || mount_mapped(backing_tree, BACKING, &backing, err) < 0 ||
		mount_written(rootfs, err) < 0 || make_folder(ROOTFS_PATH, 0, err) < 0)
		return -1;
	if (mount("byoci", ROOTFS_PATH, "overlay", MS_NODEV, options) < 0)
		return err_set_errno(err, errno, "the overlay cannot be mounted");
	return 0;
}

int rootfs_mount(const struct rootfs *rootfs, struct err *err)
{
	int backing = clone_tree(rootfs->backing);
	int rc;

	if (backing < 0)
		return err_set_errno(err, errno, "root file system: the backing cannot be mounted (open_tree)");
	rc = mount_all(rootfs, backing, err);
	close(backing);
	return rc < 0 ? err_wrap(err, "root file system") : 0;
}

static int mount_tree(const struct rootfs_tree *tree, int layer, struct err *err)
{
	const struct idmap map = {.uid = tree->owner, .gid = tree->group, .outside = tree->ids, .count = 1};
	const char *options = "lowerdir=" LAYER ROOTFS_WORKSPACE ",upperdir=" WRITTEN "/tu,workdir=" WRITTEN "/tk";

	if (mount_mapped(layer, LAYER, &map, err) < 0 || make_folder(WRITTEN "/tk", tree->ids, err) < 0 || make_folder(MAKING, 0, err) < 0)
		return -1;
	if (access(WRITTEN "/tu", F_OK) < 0 && make_folder(WRITTEN "/tu", tree->ids, err) < 0) /* it was filled */
		return -1;
	if (mount("byoci", MAKING, "overlay", MS_NODEV, options) < 0)
		return err_set_errno(err, errno, "the tree's overlay cannot be mounted");
	return 0;
}

int rootfs_attach(const struct rootfs_tree *tree, struct err *err)
{
	int layer = clone_layer(tree, err);
	int rc = layer < 0 ? -1 : mount_tree(tree, layer, err);
	int made = -1;

	if (rc == 0) {
		made = (int)syscall(SYS_open_tree, AT_FDCWD, MAKING, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		/* Not by mount(2): that would follow a link, and something may have run in there already. */
		if (made < 0 || syscall(SYS_move_mount, AT_FDCWD, MAKING, AT_FDCWD, TREE, 0) < 0)
			rc = err_set_errno(err, errno, "the tree cannot be mounted");
	}
	if (layer >= 0)
		close(layer);
	if (rc == 0)
		return made;
	if (made >= 0)
		close(made);
	return err_wrap(err, "root file system");
}

int rootfs_tree(struct err *err)
{
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, TREE, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);

	return tree < 0 ? err_set_errno(err, errno, "root file system: the tree cannot be mounted again") : tree;
}

int rootfs_detached(int64_t ids, struct err *err)
{
	int root;

	for (size_t i = 0; i < sizeof tops / sizeof *tops; i++) {
		char path[64];
		struct stat st;

		snprintf(path, sizeof path, ROOTFS_PATH "%s", tops[i]);
		if (lstat(path, &st) < 0 && make_folder(path, ids, err) < 0)
			return -1;
	}
	root = (int)syscall(SYS_open_tree, AT_FDCWD, ROOTFS_PATH, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return root < 0 ? err_set_errno(err, errno, "root file system: it cannot be mounted again") : root;
}

/* Where we mount something, or did: nothing may be there any more. */
static const char *const targets[] = {TREE, MAKING, ROOTFS_PATH, WRITTEN, LAYER, BACKING};

static bool is_ours(const char *place)
{
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		size_t length = strlen(targets[i]);

		if (strncmp(place, targets[i], length) == 0 && (place[length] == '/' || !place[length]))
			return true;
	}
	return false;
}

static int verify(struct err *err)
{
	struct arena *arena = arena_new();
	char *rest = file_read(arena, "/proc/self/mountinfo", MOUNTS_MAXIMUM, NULL, err);
	int rc = rest ? 0 : -1;
	char *line;

	while (rc == 0 && (line = strsep(&rest, "\n"))) {
		const char *place = NULL;

		for (unsigned field = 0; field < 5; field++) /* proc(5) */
			place = strsep(&line, " ");
		if (place && is_ours(place))
			rc = err_set(err, ERR_SYSTEM, "root file system: %s stays mounted", place);
	}
	arena_free(arena);
	return rc;
}

int rootfs_unmount(struct err *err)
{
	struct stat st;

	if (lstat(ROOTFS_SCRATCH, &st) < 0)
		return 0; /* there is no private /run */
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
		if (umount2(targets[i], UNMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT) /* it did not come to that */
			return err_set_errno(err, errno, "root file system: %s stays mounted", targets[i]);
	return verify(err);
}
