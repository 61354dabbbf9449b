#include "slaves/confine/pivot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's <sys/mount.h> and the kernel's <linux/mount.h> of Debian 12 can't both be included. */
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
#define UNMOUNT_DETACH 2

#define NEW PIVOT_NEW

static const char *const tops[] = PIVOT_TOPS;

static int move_tops(struct err *err)
{
	for (size_t i = 0; i < sizeof tops / sizeof *tops; i++) {
		char path[32];

		snprintf(path, sizeof path, NEW "%s", tops[i]);
		if (syscall(SYS_move_mount, AT_FDCWD, tops[i], AT_FDCWD, path, 0) < 0)
			return err_set_errno(err, errno, "the container's %s cannot be moved to its root file system", tops[i]);
	}
	return 0;
}

/* pivot_root(2): with the same place for both, the old root is what is mounted on top. */
static int change_root(struct err *err)
{
	if (chdir(NEW) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_set_errno(err, errno, "the container does not get its root file system (pivot_root)");
	if (umount2(".", UNMOUNT_DETACH) < 0)
		return err_set_errno(err, errno, "the container's first root file system stays");
	return 0;
}

static int pivot_here(int root, int64_t shared, struct err *err)
{
	char size[48];

	/* Nothing moves from or to where others see it too; liblxc makes all of a container's mounts like that, and so do we afterwards. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set_errno(err, errno, "the container's mounts do not become its own");
	if (syscall(SYS_move_mount, root, "", AT_FDCWD, NEW, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_set_errno(err, errno, "the container's root file system cannot be mounted in it");
	if (move_tops(err) < 0 || change_root(err) < 0)
		return -1;
	if (mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
		return err_set_errno(err, errno, "the container's mounts are not shared in it");
	snprintf(size, sizeof size, "mode=1777,size=%lld", (long long)shared);
	if (mount("tmpfs", "/dev/shm", "tmpfs", MS_REMOUNT | MS_NOSUID | MS_NODEV, size) < 0)
		return err_set_errno(err, errno, "the container's /dev/shm does not take its size");
	return 0;
}

int pivot_root_of(int process, int root, int64_t shared, struct err *err)
{
	int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	int rc;

	if (own < 0)
		return err_set_errno(err, errno, "/proc/self/ns/mnt");
	if (setns(process, CLONE_NEWNS) < 0) {
		rc = err_set_errno(err, errno, "the container's mounts cannot be reached");
	} else {
		rc = pivot_here(root, shared, err);
		if (setns(own, CLONE_NEWNS) < 0)
			err_fatal("a container's mount namespace can't be left");
	}
	close(own);
	return rc;
}
