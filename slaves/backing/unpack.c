#include "slaves/backing/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/openat2.h>
#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/lazy.h"
#include "slaves/cage/cage.h"

#define BLOCK 65536

/* Of libarchive, which is loaded by who unpacks something (base/lazy.h). */
#define CALLS(X) \
	X(archive_entry_filetype) X(archive_entry_gid) X(archive_entry_hardlink) X(archive_entry_pathname) \
	X(archive_entry_perm) X(archive_entry_set_hardlink) X(archive_entry_set_pathname) X(archive_entry_size) \
	X(archive_entry_uid) X(archive_errno) X(archive_error_string) X(archive_read_data_block) X(archive_read_free) \
	X(archive_read_new) X(archive_read_next_header) X(archive_read_open_fd) X(archive_read_support_filter_bzip2) \
	X(archive_read_support_filter_gzip) X(archive_read_support_filter_xz) X(archive_read_support_filter_zstd) \
	X(archive_read_support_format_tar) X(archive_write_close) X(archive_write_data_block) X(archive_write_disk_new) \
	X(archive_write_disk_set_options) X(archive_write_finish_entry) X(archive_write_free) X(archive_write_header)
#define DECLARE(name) __typeof__(name) *name;
#define NAME(name) {#name, offsetof(struct lib, name)},

static struct lib {
	CALLS(DECLARE)
} lib;

static int load(struct err *err)
{
	static const struct lazy_call calls[] = {CALLS(NAME)};

	return lazy_load("libarchive.so.13", calls, sizeof calls / sizeof *calls, &lib, err);
}

struct unpack {
	const struct making *making;
	struct archive *from, *to;
	int fd;
	const char *within; /* the folder that counts; NULL: all do */
	int64_t files;
};

/* A member's name without a leading "./" and a trailing "/"; "" is the root itself. */
static char *plain(struct arena *arena, const char *name)
{
	char *copy;
	size_t length;

	while (name[0] == '.' && name[1] == '/')
		name += 2 + strspn(name + 2, "/");
	copy = arena_strdup(arena, strcmp(name, ".") == 0 ? "" : name);
	length = strlen(copy);
	while (length > 1 && copy[length - 1] == '/')
		copy[--length] = '\0';
	return copy;
}

/* A name inside of that folder; NULL: it is elsewhere. */
static const char *inside(const char *within, const char *name)
{
	size_t length = within ? strlen(within) : 0;

	if (!within)
		return name;
	if (strncmp(name, within, length) != 0 || (name[length] && name[length] != '/'))
		return NULL;
	return name + length + (name[length] == '/');
}

static bool has_dots(const char *name)
{
	for (const char *at = name; (at = strstr(at, "..")); at += 2)
		if ((at == name || at[-1] == '/') && (at[2] == '/' || !at[2]))
			return true;
	return false;
}

/* As open(2) below the working folder, through no link at all; -1 and errno. */
static int open_plainly(const char *path, int flags)
{
	const struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};

	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

static int check_name(const char *name, struct err *err)
{
	if (!*name)
		return 0;
	if (*name == '/')
		return err_set(err, ERR_REFUSED, "its name is absolute");
	if (has_dots(name))
		return err_set(err, ERR_REFUSED, "its name has .. in it");
	return 0;
}

/* The folder that it is in may not be there yet, but must not be reached through a link. */
static int check_parent(struct arena *arena, const char *name, struct err *err)
{
	const char *slash = strrchr(name, '/');
	int fd = slash ? open_plainly(arena_memdup(arena, name, (size_t)(slash - name)), O_PATH | O_DIRECTORY) : -1;

	if (slash && fd < 0 && errno != ENOENT)
		return err_set(err, ERR_REFUSED, errno == ELOOP ? "its name goes through a link" : "its name goes through what is no folder");
	if (fd >= 0)
		close(fd);
	return 0;
}

static int check_hardlink(struct unpack *unpack, struct archive_entry *entry, struct err *err)
{
	const char *target = lib.archive_entry_hardlink(entry);
	struct stat st = {0};
	int fd;

	if (!target)
		return 0;
	target = plain(unpack->making->arena, target);
	if (check_name(target, err) < 0)
		return err_wrap(err, "a hard link to %s", target);
	target = inside(unpack->within, target);
	if (!target)
		return err_set(err, ERR_REFUSED, "a hard link to what is not in %s", unpack->within);
	fd = open_plainly(target, O_PATH | O_NOFOLLOW);
	if (fd >= 0 && fstat(fd, &st) < 0)
		st.st_mode = 0;
	if (fd >= 0)
		close(fd);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_REFUSED, "a hard link to %s, which is no file of the tarball before it", target);
	lib.archive_entry_set_hardlink(entry, target);
	return 0;
}

/* A device that the worker's own /dev has too. */
static bool is_known(const char *name)
{
	static const char *const known[] = {"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return false;
}

static bool is_left_out(struct archive_entry *entry, const char *name)
{
	return lib.archive_entry_filetype(entry) == AE_IFCHR && strncmp(name, "dev/", 4) == 0 && is_known(name + 4);
}

static int check_kind(const struct unpack *unpack, struct archive_entry *entry, struct err *err)
{
	unsigned type = lib.archive_entry_filetype(entry);

	if (!lib.archive_entry_hardlink(entry) && type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)
		return err_set(err, ERR_REFUSED, type == AE_IFCHR || type == AE_IFBLK ? "a device"
			: "neither file nor folder nor link");
	if (lib.archive_entry_uid(entry) < 0 || lib.archive_entry_uid(entry) >= ROOTFS_IDS || lib.archive_entry_gid(entry) < 0 ||
		lib.archive_entry_gid(entry) >= ROOTFS_IDS)
		return err_set(err, ERR_REFUSED, "its owner is %lld:%lld; a worker has the ids 0 to %d", (long long)lib.archive_entry_uid(entry),
			(long long)lib.archive_entry_gid(entry), ROOTFS_IDS - 1);
	if (type == AE_IFREG && lib.archive_entry_perm(entry) & (S_ISUID | S_ISGID) && !unpack->making->recipe->setuid)
		return err_set(err, ERR_REFUSED, "runs with its owner's rights (mode %o); where that is meant, set tarball.setuid = yes",
			(unsigned)lib.archive_entry_perm(entry));
	return 0;
}

/* What libarchive says; only the first of several reasons is kept. */
static int fail(struct archive *archive, enum err_kind kind, struct err *err)
{
	int number = lib.archive_errno(archive);

	if (number == ENOSPC || number == EDQUOT)
		return err_set_errno(err, number, "cannot be written");
	return err_set(err, kind, "%s", lib.archive_error_string(archive) ? lib.archive_error_string(archive) : "no reason is known");
}

static int copy(struct unpack *unpack, struct err *err)
{
	const void *bytes;
	size_t length;
	la_int64_t offset;
	int rc;

	while ((rc = lib.archive_read_data_block(unpack->from, &bytes, &length, &offset)) == ARCHIVE_OK)
		if (lib.archive_write_data_block(unpack->to, bytes, length, offset) < ARCHIVE_OK)
			return fail(unpack->to, ERR_SYSTEM, err);
	return rc == ARCHIVE_EOF ? 0 : fail(unpack->from, ERR_INPUT, err);
}

static int take(struct unpack *unpack, struct archive_entry *entry, const char *name, struct err *err)
{
	if (check_name(name, err) < 0 || check_parent(unpack->making->arena, name, err) < 0)
		return -1;
	if (!*name || is_left_out(entry, name)) /* the root is ours */
		return 0;
	if (check_kind(unpack, entry, err) < 0 || check_hardlink(unpack, entry, err) < 0)
		return -1;
	lib.archive_entry_set_pathname(entry, name);
	if (lib.archive_write_header(unpack->to, entry) < ARCHIVE_OK)
		return fail(unpack->to, ERR_SYSTEM, err);
	if (lib.archive_entry_size(entry) > 0 && copy(unpack, err) < 0)
		return -1;
	if (lib.archive_write_finish_entry(unpack->to) < ARCHIVE_OK)
		return fail(unpack->to, ERR_SYSTEM, err);
	unpack->files++;
	return 0;
}

static int take_all(struct unpack *unpack, struct err *err)
{
	struct archive_entry *entry;
	int rc;

	while ((rc = lib.archive_read_next_header(unpack->from, &entry)) == ARCHIVE_OK || rc == ARCHIVE_WARN) {
		const char *name = lib.archive_entry_pathname(entry);

		if (!name)
			return err_set(err, ERR_REFUSED, "a member's name is no text");
		name = inside(unpack->within, plain(unpack->making->arena, name));
		if (!name)
			continue;
		if (take(unpack, entry, name, err) < 0)
			return err_wrap(err, "member %.200s", *name ? name : ".");
	}
	return rc == ARCHIVE_EOF ? 0 : fail(unpack->from, ERR_INPUT, err);
}

static int open_archives(struct unpack *unpack, struct err *err)
{
	unpack->from = lib.archive_read_new();
	unpack->to = lib.archive_write_disk_new();
	if (!unpack->from || !unpack->to)
		err_fatal("out of memory");
	lib.archive_read_support_filter_gzip(unpack->from);
	lib.archive_read_support_filter_bzip2(unpack->from);
	lib.archive_read_support_filter_xz(unpack->from);
	lib.archive_read_support_filter_zstd(unpack->from);
	lib.archive_read_support_format_tar(unpack->from);
	lib.archive_write_disk_set_options(unpack->to, ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
		ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS);
	if (lib.archive_read_open_fd(unpack->from, unpack->fd, BLOCK) < ARCHIVE_OK)
		return fail(unpack->from, ERR_INPUT, err);
	return 0;
}

/* In a process of its own, whose root is what is being filled. */
static int unpack_all(const struct making *making, void *cookie, struct err *err)
{
	struct unpack unpack = *(const struct unpack *)cookie;
	int rc;

	setlocale(LC_CTYPE, "C.UTF-8"); /* names are UTF-8 */
	umask(0);
	if (load(err) < 0)
		return -1;
	if (chroot(making->rootfs) < 0 || chdir("/") < 0)
		return err_set_errno(err, errno, "%s: cannot be entered", making->rootfs);
	rc = open_archives(&unpack, err);
	if (rc == 0)
		rc = take_all(&unpack, err);
	if (rc == 0 && lib.archive_write_close(unpack.to) < ARCHIVE_OK) /* times and modes of folders */
		rc = fail(unpack.to, ERR_SYSTEM, err);
	lib.archive_read_free(unpack.from);
	lib.archive_write_free(unpack.to);
	if (rc == 0 && unpack.files == 0)
		rc = err_set(err, ERR_INPUT, "there is nothing in it");
	if (rc == 0)
		making_say(making, "unpacked %lld files", (long long)unpack.files);
	return rc;
}

int unpack_stream(const struct making *making, int fd, const char *within, struct err *err)
{
	struct unpack unpack = {.making = making, .fd = fd, .within = within};

	return making_call(making, "unpack", 0, unpack_all, &unpack, err);
}

static int check_entry(const struct recipe *recipe, const FTSENT *entry, struct err *err)
{
	const struct stat *st = entry->fts_statp;

	if (entry->fts_level == 2 && S_ISCHR(st->st_mode) && strcmp(entry->fts_parent->fts_name, "dev") == 0 && is_known(entry->fts_name))
		return unlink(entry->fts_accpath) < 0 ? err_set_errno(err, errno, "cannot be removed") : 0;
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode))
		return err_set(err, ERR_REFUSED, S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode) ? "a device" : "neither file nor folder nor link");
	if (st->st_uid >= ROOTFS_IDS || st->st_gid >= ROOTFS_IDS)
		return err_set(err, ERR_REFUSED, "its owner is %u:%u; a worker has the ids 0 to %d", (unsigned)st->st_uid, (unsigned)st->st_gid,
			ROOTFS_IDS - 1);
	if (S_ISREG(st->st_mode) && st->st_mode & (S_ISUID | S_ISGID) && !recipe->setuid)
		return err_set(err, ERR_REFUSED, "runs with its owner's rights (mode %o); where that is meant, set tarball.setuid = yes",
			(unsigned)st->st_mode & 07777);
	return 0;
}

int unpack_check(const struct making *making, struct err *err)
{
	char *paths[] = {arena_strdup(making->arena, making->rootfs), NULL};
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	const FTSENT *entry;
	int rc = tree ? 0 : err_set_errno(err, errno, "%s: cannot be looked at", making->rootfs);

	while (rc == 0 && (entry = fts_read(tree))) {
		if (entry->fts_info == FTS_DP)
			continue;
		if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS)
			rc = err_set_errno(err, entry->fts_errno, "cannot be looked at");
		else
			rc = check_entry(making->recipe, entry, err);
		if (rc < 0)
			err_wrap(err, "member %.200s", entry->fts_path + strlen(making->rootfs));
	}
	if (tree)
		fts_close(tree);
	return rc;
}

static int check_tarball(const struct recipe *recipe, int fd, struct err *err)
{
	char digest[CRYPTO_SHA256_HEX];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set_errno(err, errno, "cannot be looked at");
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_REFUSED, "is not a regular file");
	if (st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, ERR_REFUSED, "must belong to root and be writable by nobody else");
	if (crypto_sha256_file(fd, digest, err) < 0)
		return -1;
	if (strcmp(digest, recipe->sha256) != 0)
		return err_set(err, ERR_REFUSED, "its SHA-256 is %s, [%s] says %s: nothing was unpacked", digest, recipe->section,
			recipe->sha256);
	return 0;
}

int unpack_tarball(const struct making *making, struct err *err)
{
	const char *path = making->recipe->tarball;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int rc;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(err, ERR_NOT_FOUND, "[%s] tarball = %s: there is no such file", making->recipe->section, path);
	if (fd < 0)
		return err_set_errno(err, errno, "[%s] tarball = %s: cannot be opened", making->recipe->section, path);
	rc = check_tarball(making->recipe, fd, err);
	if (rc == 0)
		rc = unpack_stream(making, fd, NULL, err);
	close(fd);
	return rc < 0 ? err_wrap(err, "tarball %s", path) : 0;
}
