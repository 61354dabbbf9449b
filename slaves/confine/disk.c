#include "slaves/confine/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"

int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);

#define FILE_BYTES 4096      /* of disk for each file there may be */
#define FILES_MINIMUM 16384
#define BLOCK 4096
#define LOOP_TRIES 64        /* another process may take a free device before us */
#define GONE_LIMIT_US (10 * 1000000)
#define FORMAT "1"           /* of templates: another number when what mkfs is told changes */

int64_t disk_files(int64_t size)
{
	int64_t files = size / FILE_BYTES;

	return files < FILES_MINIMUM ? FILES_MINIMUM : files;
}

static int mount_memory(const struct disk *disk, const char *target, struct err *err)
{
	char options[96];

	snprintf(options, sizeof options, "size=%lld,nr_inodes=%lld,mode=755", (long long)disk->size, (long long)disk_files(disk->size));
	if (mount("byoci", target, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return err_set_errno(err, errno, "a disk of %lld bytes cannot be mounted", (long long)disk->size);
	return 0;
}

/* Without a journal: nobody reads it after a crash. */
static int format(struct arena *arena, const char *path, int64_t size, struct err *err)
{
	const char *files = arena_printf(arena, "%lld", (long long)disk_files(size));
	const char *const argv[] = {"mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-N", files, "-O", "^has_journal,^resize_inode", "-E",
		"lazy_itable_init=1,nodiscard", "-L", "byoci", path, NULL};
	const struct child child = {.argv = argv, .in = -1, .out = -1, .err = -1};
	const struct child_input none = {0};
	struct child_result result;
	int rc = child_run(&child, &none, &result, err);

	if (rc == 0 && result.status)
		rc = err_set(err, ERR_SYSTEM, "mkfs.ext4: exit status %d: %.200s", result.status, result.err.data ? result.err.data : "");
	child_result_release(&result);
	return rc;
}

static int make_template(struct arena *arena, const char *path, int64_t size, struct err *err)
{
	const char *temporary = arena_printf(arena, "%s.new", path);
	int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc = 0;

	if (fd < 0 || ftruncate(fd, size) < 0)
		rc = err_set_errno(err, errno, "%s: cannot be made", temporary);
	if (rc == 0)
		rc = format(arena, temporary, size, err);
	if (rc == 0 && (fsync(fd) < 0 || rename(temporary, path) < 0))
		rc = err_set_errno(err, errno, "%s: cannot be put into its place", path);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Descriptor of the template, which is made unless it is there; one process at a time does that. */
static int open_template(const struct disk *disk, struct arena *arena, struct err *err)
{
	const char *path = arena_printf(arena, "%s/ext4-%lld-" FORMAT, disk->folder, (long long)disk->size);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int held;

	if (fd >= 0)
		return fd;
	if (file_make_folder(disk->folder, 0700, err) < 0)
		return -1;
	held = open(arena_printf(arena, "%s/lock", disk->folder), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (held < 0 || flock(held, LOCK_EX) < 0) {
		err_set_errno(err, errno, "%s/lock: cannot be locked", disk->folder);
		goto err0;
	}
	if (access(path, F_OK) < 0 && make_template(arena, path, disk->size, err) < 0)
		goto err0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		err_set_errno(err, errno, "%s: cannot be opened", path);
err0:
	if (held >= 0)
		close(held);
	return fd;
}

/* Only what is no hole. */
static int copy_data(int from, int to)
{
	off_t begin = lseek(from, 0, SEEK_DATA), end;

	for (; begin >= 0; begin = lseek(from, end, SEEK_DATA)) {
		off_t out = begin;

		end = lseek(from, begin, SEEK_HOLE);
		if (end < 0)
			return -1;
		while (begin < end)
			if (copy_file_range(from, &begin, to, &out, (size_t)(end - begin), 0) <= 0)
				return -1;
	}
	return errno == ENXIO ? 0 : -1;
}

/* fallocate(2) takes all that is free before it says that there is too little: so that is asked first. */
static int reserve(int fd, int64_t size)
{
	struct statvfs fs;

	if (fstatvfs(fd, &fs) == 0 && (uint64_t)size > (uint64_t)fs.f_bavail * fs.f_frsize) {
		errno = ENOSPC;
		return -1;
	}
	return fallocate(fd, 0, 0, size) < 0 && errno != EOPNOTSUPP ? -1 : 0;
}

/* A file of its own, without a name, with all its blocks: what a worker was promised can't be used up by another. */
static int copy(const struct disk *disk, int template, struct err *err)
{
	int fd = open(disk->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set_errno(err, errno, "%s: no file for a disk can be made", disk->folder);
	if (ioctl(fd, FICLONE, template) < 0 && (ftruncate(fd, disk->size) < 0 || copy_data(template, fd) < 0))
		err_set_errno(err, errno, "%s: a disk cannot be copied", disk->folder);
	else if (reserve(fd, disk->size) < 0)
		err_set_errno(err, errno, "%s: no room for a disk of %lld MiB", disk->folder, (long long)disk->size >> 20);
	else
		return fd;
	close(fd);
	return -1;
}

/* The loop device goes when nothing has it open or mounted any more. Returns its descriptor. */
static int attach(struct disk *disk, int file, struct err *err)
{
	const struct loop_config config = {.fd = (__u32)file, .block_size = BLOCK,
		.info = {.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO}};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int number = -1, fd = -1;

	for (unsigned i = 0; control >= 0 && fd < 0 && i < LOOP_TRIES; i++) {
		char path[32];

		number = ioctl(control, LOOP_CTL_GET_FREE);
		snprintf(path, sizeof path, "/dev/loop%d", number);
		fd = number < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) < 0) {
			int why = errno;

			close(fd);
			fd = -1;
			errno = why;
			if (why != EBUSY)
				break;
		}
	}
	if (fd < 0)
		err_set_errno(err, errno, "disk.kind = image: no loop device for a disk");
	if (control >= 0)
		close(control);
	disk->loop = fd < 0 ? -1 : number;
	return fd;
}

static int mount_file(struct disk *disk, int file, const char *target, struct err *err)
{
	char path[32];
	struct stat st;
	int fd, rc = 0;

	if (fstat(file, &st) < 0)
		return err_set_errno(err, errno, "a disk's file");
	disk->inode = st.st_ino;
	fd = attach(disk, file, err);
	if (fd < 0)
		return -1;
	snprintf(path, sizeof path, "/dev/loop%d", disk->loop);
	if (mount(path, target, "ext4", MS_NOSUID | MS_NODEV | MS_NOATIME, "noinit_itable,nobarrier,errors=remount-ro") < 0)
		rc = err_set_errno(err, errno, "a disk of %lld bytes cannot be mounted", (long long)disk->size);
	close(fd);
	return rc;
}

static int mount_image(struct disk *disk, const char *target, struct err *err)
{
	struct arena *arena = arena_new();
	int template = open_template(disk, arena, err);
	int file = template < 0 ? -1 : copy(disk, template, err);
	int rc = file < 0 ? -1 : mount_file(disk, file, target, err);

	if (file >= 0)
		close(file);
	if (template >= 0)
		close(template);
	arena_free(arena);
	return rc;
}

int disk_mount(struct disk *disk, const char *target, struct err *err)
{
	disk->loop = -1;
	return disk->image ? mount_image(disk, target, err) : mount_memory(disk, target, err);
}

/* Whether the device still has our file; its number may have gone to somebody else's. */
static bool is_ours(const struct disk *disk)
{
	struct loop_info64 info;
	char path[32];
	int fd;
	bool ours;

	snprintf(path, sizeof path, "/dev/loop%d", disk->loop);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ours = ioctl(fd, LOOP_GET_STATUS64, &info) == 0 && info.lo_inode == disk->inode;
	close(fd);
	return ours;
}

int disk_gone(struct disk *disk, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int64_t deadline_us = clock_monotonic_us() + GONE_LIMIT_US;

	while (disk->loop >= 0 && is_ours(disk)) {
		if (clock_monotonic_us() > deadline_us)
			return err_set(err, ERR_TIMEOUT, "/dev/loop%d: a worker's disk stays", disk->loop);
		nanosleep(&pause, NULL);
	}
	disk->loop = -1;
	return 0;
}
