#include "slaves/lxd/lxd_root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's <sys/mount.h> and the kernel's <linux/mount.h> of Debian 12 can't both be included. */
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
#define DETACH 2

#define GROUPS "/sys/fs/cgroup"

/* What an instance keeps of what LXD mounted for it. */
static const char *const kept[] = {"/proc", "/sys", "/dev"};

/* As liblxc's "proc:mixed sys:ro" has it. */
static const char *const read_only[] = {"/sys", "/proc/sys", "/proc/sysrq-trigger"};

/* What nothing in a worker needs. */
static const char *const unwanted[] = {"/dev/fuse", "/dev/net/tun", "/dev/lxd", "/dev/.lxd-mounts", "/dev/console"};

/* What LXD binds from the host. */
static const char *const bound[] = {"/sys/kernel/tracing", "/sys/kernel/debug", "/sys/kernel/security", "/sys/kernel/config",
	"/sys/fs/pstore", "/sys/fs/fuse/connections", "/sys/firmware/efi/efivars", "/proc/sys/fs/binfmt_misc", GROUPS};

/* Where security.nesting shows them in full: the kernel lets them be mounted inside only where they are. */
static const struct {
	const char *path;
	uint64_t more; /* attributes */
} shown[] = {{"/dev/.lxc/proc", 0}, {"/dev/.lxc/sys", MOUNT_ATTR_RDONLY}};

static int move(int tree, const char *target)
{
	return (int)syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);
}

static int keep(const char *folder, struct err *err)
{
	char target[64];
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, folder, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	int rc = 0;

	snprintf(target, sizeof target, LXD_ROOT_FOLDER "%s", folder);
	if (tree < 0 || move(tree, target) < 0)
		rc = err_set_errno(err, errno, "%s cannot be kept", folder);
	if (tree >= 0)
		close(tree);
	return rc;
}

/* With everything mounted below it; a path that is no mount of its own becomes one. */
static int make_read_only(const char *path, struct err *err)
{
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	int rc = 0;

	if (tree < 0 && errno == ENOENT)
		return 0; /* this kernel has none */
	if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0 ||
		move(tree, path) < 0)
		rc = err_set_errno(err, errno, "%s cannot be made read-only", path);
	if (tree >= 0)
		close(tree);
	return rc;
}

static int tame_shown(struct err *err)
{
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
		struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | shown[i].more};

		if (syscall(SYS_mount_setattr, AT_FDCWD, shown[i].path, AT_SYMLINK_NOFOLLOW, &attributes, sizeof attributes) < 0 &&
			errno != ENOENT)
			return err_set_errno(err, errno, "%s cannot be made harmless", shown[i].path);
	}
	return 0;
}

static int tidy(struct err *err)
{
	for (size_t i = 0; i < sizeof bound / sizeof *bound; i++) {
		while (umount2(bound[i], DETACH) == 0)
			;
		if (errno != ENOENT && errno != EINVAL)
			return err_set_errno(err, errno, "%s cannot be unmounted", bound[i]);
	}
	for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++)
		if (make_read_only(read_only[i], err) < 0)
			return -1;
	if (tame_shown(err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++) {
		struct stat st;

		if (umount2(unwanted[i], DETACH) < 0 && errno != ENOENT && errno != EINVAL)
			return err_set_errno(err, errno, "%s cannot be unmounted", unwanted[i]);
		if (lstat(unwanted[i], &st) == 0 && (S_ISDIR(st.st_mode) ? rmdir(unwanted[i]) : unlink(unwanted[i])) < 0)
			return err_set_errno(err, errno, "%s cannot be removed", unwanted[i]);
	}
	return 0;
}

/* As a worker of liblxc's has it: of version 2, its own group as the root of it. */
static int mount_groups(int groups, int own, struct err *err)
{
	int rc = 0;

	if (setns(groups, CLONE_NEWCGROUP) < 0)
		return err_set_errno(err, errno, "the instance's control groups cannot be reached");
	if (mount("cgroup2", GROUPS, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		rc = err_set_errno(err, errno, GROUPS " cannot be mounted");
	if (setns(own, CLONE_NEWCGROUP) < 0)
		err_fatal("an instance's control groups can't be left");
	return rc;
}

static int place_file(int tree, const char *file, struct err *err)
{
	int fd = open(file, O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_set_errno(err, errno, "%s cannot be made", file);
	close(fd);
	return move(tree, file) < 0 ? err_set_errno(err, errno, "nothing can be mounted on %s", file) : 0;
}

/* `path` as a detached mount that can't be written. */
static int clone_file(const char *path, struct err *err)
{
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree >= 0 && syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0)
		return tree;
	err_set_errno(err, errno, "%s cannot be mounted again", path);
	if (tree >= 0)
		close(tree);
	return -1;
}

static int change(int tree, struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set_errno(err, errno, "its mounts cannot be made its own");
	if (move(tree, LXD_ROOT_FOLDER) < 0)
		return err_set_errno(err, errno, "nothing can be mounted on " LXD_ROOT_FOLDER);
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		if (keep(kept[i], err) < 0)
			return -1;
	/* The old root ends up on top of the new one, and goes: pivot_root(2). */
	if (chdir(LXD_ROOT_FOLDER) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", DETACH) < 0 || chdir("/") < 0)
		return err_set_errno(err, errno, "its root cannot be changed");
	return tidy(err);
}

/* In another mount namespace; we are back in ours afterwards. */
static int inside(int mounts, int (*act)(int, const void *, struct err *), int tree, const void *argument, struct err *err)
{
	int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	int rc = 0;

	if (own < 0 || setns(mounts, CLONE_NEWNS) < 0) {
		rc = err_set_errno(err, errno, "the instance's mounts cannot be reached");
	} else {
		rc = act(tree, argument, err);
		if (setns(own, CLONE_NEWNS) < 0)
			err_fatal("an instance's mount namespace can't be left");
	}
	if (own >= 0)
		close(own);
	return rc;
}

struct change {
	const struct lxd_root *root;
	int own; /* our namespace of control groups */
};

static int act_change(int tree, const void *argument, struct err *err)
{
	const struct change *wanted = argument;

	if (change(tree, err) < 0)
		return -1;
	return wanted->root->groups < 0 ? 0 : mount_groups(wanted->root->groups, wanted->own, err);
}

static int act_place(int tree, const void *folder, struct err *err)
{
	return move(tree, folder) < 0 ? err_set_errno(err, errno, "nothing can be mounted on %s", (const char *)folder) : 0;
}

int lxd_root_change(const struct lxd_root *root, struct err *err)
{
	const struct change wanted = {.root = root, .own = open("/proc/self/ns/cgroup", O_RDONLY | O_CLOEXEC)};
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, root->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int rc;

	if (tree < 0 || wanted.own < 0)
		rc = err_set_errno(err, errno, "%s cannot be cloned (open_tree)", root->path);
	else
		rc = inside(root->mounts, act_change, tree, &wanted, err);
	if (tree >= 0)
		close(tree);
	if (wanted.own >= 0)
		close(wanted.own);
	return rc < 0 ? err_wrap(err, "instance") : 0;
}

int lxd_root_place(int mounts, int tree, const char *folder, struct err *err)
{
	return inside(mounts, act_place, tree, folder, err) < 0 ? err_wrap(err, "instance") : 0;
}

static int act_file(int tree, const void *file, struct err *err)
{
	return place_file(tree, file, err);
}

int lxd_root_file(int mounts, const char *path, const char *file, struct err *err)
{
	int tree = clone_file(path, err);
	int rc = tree < 0 ? -1 : inside(mounts, act_file, tree, file, err);

	if (tree >= 0)
		close(tree);
	return rc < 0 ? err_wrap(err, "instance") : 0;
}
