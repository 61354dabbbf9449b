#include "slaves/worker/lxd_root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's <sys/mount.h> and the kernel's <linux/mount.h> of Debian 12 can't both be included. */
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
#define DETACH 2

/* What an instance keeps of what LXD mounted for it. */
static const char *const kept[] = {"/proc", "/sys", "/dev"};

/* As liblxc's "proc:mixed sys:ro" has it. */
static const char *const read_only[] = {"/sys", "/proc/sys", "/proc/sysrq-trigger"};

/* What nothing in a worker needs. */
static const char *const unwanted[] = {"/dev/fuse", "/dev/net/tun", "/dev/lxd", "/dev/.lxd-mounts"};

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

static int tidy(struct err *err)
{
	for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++)
		if (make_read_only(read_only[i], err) < 0)
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

static int act_change(int tree, const void *argument, struct err *err)
{
	(void)argument;
	return change(tree, err);
}

static int act_place(int tree, const void *folder, struct err *err)
{
	return move(tree, folder) < 0 ? err_set_errno(err, errno, "nothing can be mounted on %s", (const char *)folder) : 0;
}

int lxd_root_change(int mounts, const char *path, struct err *err)
{
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int rc;

	if (tree < 0)
		return err_set_errno(err, errno, "instance: %s cannot be cloned (open_tree)", path);
	rc = inside(mounts, act_change, tree, NULL, err);
	close(tree);
	return rc < 0 ? err_wrap(err, "instance") : 0;
}

int lxd_root_place(int mounts, int tree, const char *folder, struct err *err)
{
	return inside(mounts, act_place, tree, folder, err) < 0 ? err_wrap(err, "instance") : 0;
}
