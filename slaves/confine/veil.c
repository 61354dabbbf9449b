#include "slaves/confine/veil.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* What tells of the host, or of other workers. What this kernel does not have is left out. */
static const struct veil {
	const char *path; /* below / */
	bool folder;
} veils[] = {
	{"proc/kcore", false}, /* its memory */
	{"proc/kmsg", false},
	{"proc/kallsyms", false}, /* addresses */
	{"sys/kernel/notes", false}, /* the same: CVE-2024-26816 */
	{"proc/modules", false},
	{"proc/iomem", false},
	{"proc/ioports", false},
	{"proc/vmallocinfo", false},
	{"proc/slabinfo", false},
	{"proc/pagetypeinfo", false},
	{"proc/keys", false},
	{"proc/key-users", false},
	{"proc/timer_list", false},
	{"proc/sched_debug", false},
	{"proc/latency_stats", false},
	{"proc/interrupts", false}, /* counts what others do */
	{"proc/cmdline", false}, /* a boot loader may have written anything into it */
	{"proc/acpi", true},
	{"proc/asound", true},
	{"proc/scsi", true},
	{"proc/bus", true},
	{"proc/driver", true},
	{"proc/dynamic_debug", true},
	{"proc/fs", true},
	{"proc/irq", true},
	{"proc/pressure", true},
	{"sys/firmware", true},
	{"sys/kernel/slab", true},
	{"sys/devices/virtual/dmi", true},
	{"sys/devices/virtual/powercap", true}, /* measures what others compute: CVE-2020-8694 */
};

#define VEILS (sizeof veils / sizeof *veils)

void veil_settings(struct lxc_settings *settings)
{
	for (size_t i = 0; i < VEILS; i++) {
		char host[64];

		snprintf(host, sizeof host, "/%s", veils[i].path);
		if (access(host, F_OK) < 0)
			continue;
		if (veils[i].folder)
			lxc_settings_add(settings, "lxc.mount.entry", "none %s tmpfs ro,nosuid,nodev,noexec,size=4k,mode=0,optional 0 0",
				veils[i].path);
		else
			lxc_settings_add(settings, "lxc.mount.entry", "/dev/null %s none bind,optional 0 0", veils[i].path);
	}
}

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int clone_mount(const char *path)
{
	return (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

/* What the container has of it. */
struct inside {
	int proc, sys;
	bool there[VEILS];
};

static int top_of(const struct inside *inside, const struct veil *veil)
{
	return veil->path[0] == 'p' ? inside->proc : inside->sys;
}

/* After "proc/" or "sys/". */
static const char *below_top(const struct veil *veil)
{
	return veil->path + (veil->path[0] == 'p' ? 5 : 4);
}

/* For each folder an empty one, which nobody can write to. */
static int clone_folders(const char *empty, const struct inside *inside, int folders[VEILS], struct err *err)
{
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};

	for (size_t i = 0; i < VEILS; i++) {
		const bool wanted = veils[i].folder && inside->there[i];

		folders[i] = wanted ? clone_mount(empty) : -1;
		if (!wanted)
			continue;
		if (folders[i] < 0 || syscall(SYS_mount_setattr, folders[i], "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) {
			err_set_errno(err, errno, "%s cannot be mounted again", empty);
			close_all(folders, i + 1);
			return -1;
		}
	}
	return 0;
}

/* /proc or /sys of the container, and nothing else that may be in its place. */
static int open_top(const char *path, long magic, struct err *err)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0) {
		err_set_errno(err, errno, "the container's %s", path);
		close_all(&fd, 1);
		return -1;
	}
	if ((long)fs.f_type == magic)
		return fd;
	close(fd);
	return err_set(err, ERR_SYSTEM, "the container's %s is something else", path);
}

/* A mount that nobody takes is not made: letting go of it takes the kernel a millisecond. */
static int look(struct inside *inside, struct err *err)
{
	inside->proc = open_top("/proc", PROC_SUPER_MAGIC, err);
	inside->sys = inside->proc < 0 ? -1 : open_top("/sys", SYSFS_MAGIC, err);
	for (size_t i = 0; inside->sys >= 0 && i < VEILS; i++)
		inside->there[i] = faccessat(top_of(inside, &veils[i]), below_top(&veils[i]), F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
			errno != ENOENT;
	return inside->sys < 0 ? -1 : 0;
}

static int hang_one(const struct veil *veil, int top, int folder, struct err *err)
{
	int mount = veil->folder ? folder : clone_mount("/dev/null");
	int rc = 0;

	if (mount < 0)
		return err_set_errno(err, errno, "the container's /dev/null cannot be mounted again");
	if (syscall(SYS_move_mount, mount, "", top, below_top(veil), MOVE_MOUNT_F_EMPTY_PATH) < 0 && errno != ENOENT)
		rc = err_set_errno(err, errno, "the container's /%s cannot be hidden", veil->path);
	if (!veil->folder)
		close(mount);
	return rc;
}

/* In the mount namespace of a process. */
static int enter(int process, struct err *err)
{
	return setns(process, CLONE_NEWNS) < 0 ? err_set_errno(err, errno, "the container's mounts cannot be reached") : 0;
}

static void leave(int own)
{
	if (setns(own, CLONE_NEWNS) < 0)
		err_fatal("a container's mount namespace can't be left");
}

static int hang_all(int process, int own, const struct inside *inside, const int folders[VEILS], struct err *err)
{
	int rc = enter(process, err);

	if (rc < 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < VEILS; i++)
		if (inside->there[i])
			rc = hang_one(&veils[i], top_of(inside, &veils[i]), folders[i], err);
	leave(own);
	return rc;
}

int veil_hang(int process, const char *empty, struct err *err)
{
	int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	struct inside inside = {.proc = -1, .sys = -1};
	int folders[VEILS];
	int rc;

	if (own < 0)
		return err_set_errno(err, errno, "/proc/self/ns/mnt");
	rc = enter(process, err);
	if (rc < 0)
		goto err0;
	rc = look(&inside, err);
	leave(own);
	if (rc == 0)
		rc = clone_folders(empty, &inside, folders, err);
	if (rc < 0)
		goto err0;
	rc = hang_all(process, own, &inside, folders, err);
	close_all(folders, VEILS);
err0:
	close_all((const int[]){inside.proc, inside.sys, own}, 3);
	return rc;
}
