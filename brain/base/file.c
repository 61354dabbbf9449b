#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

#define SECRET_MAXIMUM 65536

static ssize_t read_some(int fd, void *bytes, size_t room)
{
	ssize_t length;

	do {
		length = read(fd, bytes, room);
	} while (length < 0 && errno == EINTR);
	return length;
}

/* Reads to the end, into the arena; nothing of it stays anywhere else. */
static char *slurp(struct arena *arena, int fd, const char *path, size_t maximum, size_t *length, struct err *err)
{
	struct buf buf;
	char part[4096];
	char *bytes = NULL;
	ssize_t got;

	buf_init(&buf, maximum);
	while ((got = read_some(fd, part, sizeof part)) > 0) {
		if (buf_add(&buf, part, (size_t)got) < 0) {
			err_set(err, ERR_FULL, "%s: longer than %zu bytes", path, maximum);
			goto end;
		}
	}
	if (got < 0) {
		err_set_errno(err, errno, "%s: cannot be read", path);
		goto end;
	}
	bytes = arena_memdup(arena, buf.data ? buf.data : "", buf.length);
	if (length)
		*length = buf.length;
end:
	explicit_bzero(part, sizeof part);
	if (buf.data)
		explicit_bzero(buf.data, buf.length);
	buf_release(&buf);
	return bytes;
}

static int open_for_reading(const char *path, int flags, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | flags);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(err, ERR_NOT_FOUND, "%s: there is no such file", path);
	if (fd < 0 && errno == ELOOP && (flags & O_NOFOLLOW))
		return err_set(err, ERR_REFUSED, "%s: is a link; a secret must be the file itself", path);
	if (fd < 0)
		return err_set_errno(err, errno, "%s: cannot be opened", path);
	return fd;
}

char *file_read(struct arena *arena, const char *path, size_t maximum, size_t *length, struct err *err)
{
	int fd = open_for_reading(path, 0, err);
	char *bytes;

	if (fd < 0)
		return NULL;
	bytes = slurp(arena, fd, path, maximum, length, err);
	close(fd);
	return bytes;
}

static int check_owned(int fd, const char *path, uid_t owner, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set_errno(err, errno, "%s: cannot be looked at", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_REFUSED, "%s: is not a regular file", path);
	if (st.st_uid != 0 && st.st_uid != owner)
		return err_set(err, ERR_REFUSED, "%s: belongs to user %u and is not believed: chown %u %s", path,
			(unsigned)st.st_uid, (unsigned)owner, path);
	if (st.st_mode & 022)
		return err_set(err, ERR_REFUSED, "%s: mode %04o lets others write it: chmod go-w %s", path,
			(unsigned)(st.st_mode & 07777), path);
	return 0;
}

char *file_read_owned(struct arena *arena, const char *path, uid_t owner, size_t maximum, size_t *length, struct err *err)
{
	int fd = open_for_reading(path, O_NONBLOCK, err);
	char *bytes = NULL;

	if (fd < 0)
		return NULL;
	if (check_owned(fd, path, owner, err) == 0)
		bytes = slurp(arena, fd, path, maximum, length, err);
	close(fd);
	return bytes;
}

static int check_secret(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set_errno(err, errno, "%s: cannot be looked at", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_REFUSED, "%s: is not a regular file; a secret must be one", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(err, ERR_REFUSED,
			"%s: belongs to user %u; a secret must belong to its reader or root: chown %u %s", path,
			(unsigned)st.st_uid, (unsigned)geteuid(), path);
	if (st.st_mode & 077)
		return err_set(err, ERR_REFUSED, "%s: mode %04o lets others at the secret: chmod go= %s", path,
			(unsigned)(st.st_mode & 07777), path);
	return 0;
}

char *file_read_secret(struct arena *arena, const char *path, size_t *length, struct err *err)
{
	int fd = open_for_reading(path, O_NOFOLLOW | O_NONBLOCK, err);
	char *bytes = NULL;
	size_t count = 0;

	if (fd < 0)
		return NULL;
	if (check_secret(fd, path, err) == 0)
		bytes = slurp(arena, fd, path, SECRET_MAXIMUM, &count, err);
	close(fd);
	if (!bytes)
		return NULL;
	while (count && (bytes[count - 1] == '\n' || bytes[count - 1] == '\r'))
		bytes[--count] = '\0';
	if (!count) {
		err_set(err, ERR_REFUSED, "%s: is empty; put the secret into it", path);
		return NULL;
	}
	if (length)
		*length = count;
	return bytes;
}

static int write_all(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t put = write(fd, bytes, length);

		if (put < 0 && errno != EINTR)
			return -1;
		if (put > 0) {
			bytes += put;
			length -= (size_t)put;
		}
	}
	return 0;
}

/* "/a/b" -> "/a", "/a" -> "/", "a" -> "." */
static char *folder_of(struct arena *arena, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return arena_strdup(arena, ".");
	return arena_memdup(arena, path, slash == path ? 1 : (size_t)(slash - path));
}

static int sync_folder(const char *folder, struct err *err)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0) {
		err_set_errno(err, errno, "%s: cannot be brought to disk", folder);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

static int fill(int fd, const void *bytes, size_t length, mode_t mode)
{
	if (fchmod(fd, mode) < 0 || write_all(fd, bytes, length) < 0)
		return -1;
	return fsync(fd);
}

int file_write(const char *path, const void *bytes, size_t length, mode_t mode, struct err *err)
{
	struct arena *arena = arena_new();
	char *folder = folder_of(arena, path);
	const char *slash = strrchr(path, '/');
	char *temporary = arena_printf(arena, "%s/.%s.XXXXXX", folder, slash ? slash + 1 : path);
	int fd = mkostemp(temporary, O_CLOEXEC);
	int rc = -1;

	if (fd < 0) {
		err_set_errno(err, errno, "%s: no file can be made beside it", path);
		goto err0;
	}
	if (fill(fd, bytes, length, mode) < 0) {
		err_set_errno(err, errno, "%s: cannot be written", path);
		close(fd);
		goto err1;
	}
	if (close(fd) < 0 || rename(temporary, path) < 0) {
		err_set_errno(err, errno, "%s: cannot be put into its place", path);
		goto err1;
	}
	rc = sync_folder(folder, err);
	goto err0;
err1:
	unlink(temporary);
err0:
	arena_free(arena);
	return rc;
}

static int make_one(const char *path, mode_t mode, struct err *err)
{
	struct stat st;

	if (mkdir(path, mode) == 0) {
		if (chmod(path, mode) < 0) /* mkdir(2) leaves out what umask says, and the set-group-id bit */
			return err_set_errno(err, errno, "%s: its mode cannot be set", path);
		return 0;
	}
	if (errno != EEXIST)
		return err_set_errno(err, errno, "%s: the folder cannot be made", path);
	if (stat(path, &st) < 0)
		return err_set_errno(err, errno, "%s: cannot be looked at", path);
	if (!S_ISDIR(st.st_mode))
		return err_set_errno(err, ENOTDIR, "%s: the folder cannot be made", path);
	return 0;
}

int file_make_folder(const char *path, mode_t mode, struct err *err)
{
	struct arena *arena = arena_new();
	char *copy = arena_strdup(arena, path);
	int rc = 0;

	for (char *c = copy + 1; *copy && *c && rc == 0; c++) {
		if (*c != '/' || c[-1] == '/')
			continue;
		*c = '\0';
		rc = make_one(copy, mode, err);
		*c = '/';
	}
	if (rc == 0)
		rc = make_one(copy, mode, err);
	arena_free(arena);
	return rc;
}
