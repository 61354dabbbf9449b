#include "slaves/backing/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As if the root file system were the root; -1 and errno. */
static int open_inside(int root, const char *path, int flags)
{
	const struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};

	return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

static int open_root(const struct making *making, struct err *err)
{
	int root = open(making->rootfs, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return root < 0 ? err_set_errno(err, errno, "%s: cannot be opened", making->rootfs) : root;
}

/* The folder that `target` is in, made where it is not there. */
static int open_parent(const struct making *making, int root, const char *target, struct err *err)
{
	int folder = open_inside(root, "/", O_PATH | O_DIRECTORY);

	for (const char *part = target + 1, *end; folder >= 0 && (end = strchr(part, '/')); part = end + 1) {
		const char *path = arena_memdup(making->arena, target, (size_t)(end - target));
		int next = open_inside(root, path, O_PATH | O_DIRECTORY);

		if (next < 0 && errno == ENOENT && mkdirat(folder, arena_memdup(making->arena, part, (size_t)(end - part)), 0755) == 0)
			next = open_inside(root, path, O_PATH | O_DIRECTORY);
		close(folder);
		folder = next;
	}
	return folder < 0 ? err_set_errno(err, errno, "%s: its folder cannot be made in there", target) : folder;
}

static int write_file(int folder, const char *name, const char *bytes, size_t length, unsigned mode)
{
	int fd;

	if (unlinkat(folder, name, 0) < 0 && errno != ENOENT)
		return -1;
	fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	for (ssize_t put; length; bytes += put, length -= (size_t)put) {
		put = write(fd, bytes, length);
		if (put < 0) {
			close(fd);
			return -1;
		}
	}
	if (fchmod(fd, mode) < 0) {
		close(fd);
		return -1;
	}
	return close(fd);
}

static int place_one(const struct making *making, int root, const struct recipe_file *file, struct err *err)
{
	unsigned mode = 0;
	size_t length = 0;
	const char *bytes = recipe_file_read(making->arena, file, &length, &mode, err);
	int folder = bytes ? open_parent(making, root, file->target, err) : -1;
	int rc;

	if (folder < 0)
		return -1;
	rc = write_file(folder, strrchr(file->target, '/') + 1, bytes, length, mode);
	if (rc < 0)
		err_set_errno(err, errno, "%s: cannot be written", file->target);
	close(folder);
	return rc;
}

int place_files(const struct making *making, struct err *err)
{
	int root = open_root(making, err), rc = root < 0 ? -1 : 0;

	for (size_t i = 0; rc == 0 && i < making->recipe->file_count; i++)
		rc = place_one(making, root, &making->recipe->files[i], err);
	if (root >= 0)
		close(root);
	return rc < 0 ? err_wrap(err, "files") : 0;
}

int place_check(const struct making *making, struct err *err)
{
	int root = open_root(making, err);
	int shell = root < 0 ? -1 : open_inside(root, "/bin/sh", O_PATH);

	if (root >= 0 && shell < 0)
		err_set(err, ERR_INPUT, "there is no /bin/sh in it: is this a root file system, and not in a folder of its own?");
	if (root >= 0)
		close(root);
	if (shell >= 0)
		close(shell);
	return shell < 0 ? -1 : 0;
}
