#include "slaves/worker/replica.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "slaves/confine/rootfs.h"

#define LINKS "x" /* a folder beside, while it is made: the first name of each file that has several */
#define AT_ONCE ((size_t)1024 * 1024)
#define MASKED ((size_t)65536)
#define XATTR_MAXIMUM 4096
#define CAPABILITY_SIZE 24 /* struct vfs_ns_cap_data, <linux/capability.h> */
#define CAPABILITY_ROOT 20 /* where its rootid is */

/* The upper folders of the two overlays; the second is there when a tree was. */
static const char *const layers[] = {"u", "tu"};

struct copier {
	struct replica *replica;
	int links;
	unsigned depth;
	struct err *err;
};

struct entry {
	int from, to; /* the folders that it is in */
	const char *name;
	struct stat st;
};

static int fail(const struct copier *copier, const char *name)
{
	if (errno == ENOSPC || errno == EDQUOT)
		return err_set(copier->err, ERR_FULL, "the copy does not fit on a disk of the same size");
	return err_set_errno(copier->err, errno, "%.64s: cannot be copied", name);
}

/* -1: none of the worker's. */
static int64_t shift(const struct replica *replica, uint32_t id)
{
	if (id < replica->from_ids || id >= replica->from_ids + ROOTFS_IDS)
		return -1;
	return id - replica->from_ids + replica->to_ids;
}

/* What overlayfs notes in its upper folder, and what gives a program capabilities in the worker's own user namespace. */
static int copy_attributes_of_layer(const struct copier *copier, int from, int to)
{
	static const char *const names[] = {
		"trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.overlay.metacopy", "security.capability"};
	unsigned char value[XATTR_MAXIMUM];

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		ssize_t length = fgetxattr(from, names[i], value, sizeof value);
		uint32_t root;

		if (length < 0)
			continue;
		if (strncmp(names[i], "security.", 9) == 0) {
			if (length != CAPABILITY_SIZE)
				continue;
			memcpy(&root, value + CAPABILITY_ROOT, sizeof root);
			if (shift(copier->replica, le32toh(root)) < 0)
				continue;
			root = htole32((uint32_t)shift(copier->replica, le32toh(root)));
			memcpy(value + CAPABILITY_ROOT, &root, sizeof root);
		}
		if (fsetxattr(to, names[i], value, (size_t)length, 0) < 0)
			return -1;
	}
	return 0;
}

/* Owner first: changing it takes set-id bits and capabilities away. */
static int finish(const struct copier *copier, const struct entry *entry, int from, int to)
{
	const struct timespec times[] = {entry->st.st_atim, entry->st.st_mtim};
	const struct replica *replica = copier->replica;

	if (fchown(to, (uid_t)shift(replica, entry->st.st_uid), (gid_t)shift(replica, entry->st.st_gid)) < 0 ||
		fchmod(to, entry->st.st_mode & 07777) < 0 || copy_attributes_of_layer(copier, from, to) < 0 || futimens(to, times) < 0)
		return fail(copier, entry->name);
	return 0;
}

static int put_masked(void *cookie, const void *bytes, size_t length)
{
	return write(*(const int *)cookie, bytes, length) == (ssize_t)length ? 0 : -1;
}

static int copy_masked(const struct copier *copier, int from, int to, off_t begin, off_t end)
{
	struct mask_stream *stream = mask_stream_new(copier->replica->mask, put_masked, &to);
	char bytes[MASKED];
	int rc = lseek(to, begin, SEEK_SET) < 0 ? -1 : 0;

	while (rc == 0 && begin < end) {
		size_t some = end - begin < (off_t)sizeof bytes ? (size_t)(end - begin) : sizeof bytes;
		ssize_t got = pread(from, bytes, some, begin);

		if (got <= 0)
			break;
		rc = mask_stream_add(stream, bytes, (size_t)got);
		begin += got;
	}
	if (rc == 0)
		rc = mask_stream_end(stream);
	mask_stream_free(stream);
	return rc;
}

static int copy_plainly(int from, int to, off_t begin, off_t end)
{
	if (lseek(to, begin, SEEK_SET) < 0)
		return -1;
	while (begin < end) {
		size_t some = end - begin < (off_t)AT_ONCE ? (size_t)(end - begin) : AT_ONCE;
		ssize_t put = sendfile(to, from, &begin, some);

		if (put < 0)
			return -1;
		if (put == 0)
			break;
	}
	return 0;
}

/* Only what is no hole: a file of a petabyte costs nothing. */
static int copy_bytes(const struct copier *copier, const struct entry *entry, int from, int to)
{
	const struct mask *mask = copier->replica->mask;
	off_t begin = lseek(from, 0, SEEK_DATA), end;
	int rc = 0;

	for (; rc == 0 && begin >= 0; begin = lseek(from, end, SEEK_DATA)) {
		end = lseek(from, begin, SEEK_HOLE);
		if (end < 0)
			return -1;
		rc = mask && mask_count(mask) ? copy_masked(copier, from, to, begin, end) : copy_plainly(from, to, begin, end);
	}
	return rc == 0 ? ftruncate(to, entry->st.st_size) : -1;
}

/* 1: it is a further name of a file that is there. */
static int link_known(const struct copier *copier, const struct entry *entry, const char *number)
{
	if (entry->st.st_nlink < 2)
		return 0;
	if (linkat(copier->links, number, entry->to, entry->name, 0) == 0)
		return 1;
	return errno == ENOENT ? 0 : -1;
}

static int copy_file(struct copier *copier, const struct entry *entry)
{
	char number[32];
	int from, to = -1, known, rc = -1;

	snprintf(number, sizeof number, "%llu", (unsigned long long)entry->st.st_ino);
	known = link_known(copier, entry, number);
	if (known)
		return known < 0 ? fail(copier, entry->name) : 0;
	from = openat(entry->from, entry->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (from >= 0)
		to = openat(entry->to, entry->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0 || copy_bytes(copier, entry, from, to) < 0 ||
		(entry->st.st_nlink > 1 && linkat(entry->to, entry->name, copier->links, number, 0) < 0))
		fail(copier, entry->name);
	else
		rc = finish(copier, entry, from, to);
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return rc;
}

static int copy_link(struct copier *copier, const struct entry *entry)
{
	const struct timespec times[] = {entry->st.st_atim, entry->st.st_mtim};
	const struct replica *replica = copier->replica;
	char target[4097];
	ssize_t length = readlinkat(entry->from, entry->name, target, sizeof target - 1);

	if (length < 0)
		return fail(copier, entry->name);
	target[length] = '\0';
	if (symlinkat(target, entry->to, entry->name) < 0 ||
		fchownat(entry->to, entry->name, (uid_t)shift(replica, entry->st.st_uid), (gid_t)shift(replica, entry->st.st_gid),
			AT_SYMLINK_NOFOLLOW) < 0 ||
		utimensat(entry->to, entry->name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(copier, entry->name);
	return 0;
}

/* Fifos and sockets. */
static int copy_node(struct copier *copier, const struct entry *entry)
{
	const struct replica *replica = copier->replica;

	if (mknodat(entry->to, entry->name, (entry->st.st_mode & S_IFMT) | 0600, 0) < 0 ||
		fchownat(entry->to, entry->name, (uid_t)shift(replica, entry->st.st_uid), (gid_t)shift(replica, entry->st.st_gid),
			AT_SYMLINK_NOFOLLOW) < 0 ||
		fchmodat(entry->to, entry->name, entry->st.st_mode & 07777, 0) < 0)
		return fail(copier, entry->name);
	return 0;
}

/* How overlayfs notes that something is gone: a character device 0, 0. */
static int copy_whiteout(struct copier *copier, const struct entry *entry)
{
	return mknodat(entry->to, entry->name, S_IFCHR, makedev(0, 0)) < 0 ? fail(copier, entry->name) : 0;
}

static int copy_folder(struct copier *copier, const struct entry *entry);

static int copy_entry(struct copier *copier, const struct entry *entry)
{
	const mode_t kind = entry->st.st_mode & S_IFMT;

	if (kind == S_IFCHR && entry->st.st_rdev == makedev(0, 0))
		return copy_whiteout(copier, entry);
	if (shift(copier->replica, entry->st.st_uid) >= 0 && shift(copier->replica, entry->st.st_gid) >= 0) {
		if (kind == S_IFREG)
			return copy_file(copier, entry);
		if (kind == S_IFLNK)
			return copy_link(copier, entry);
		if (kind == S_IFIFO || kind == S_IFSOCK)
			return copy_node(copier, entry);
		if (kind == S_IFDIR && copier->depth < REPLICA_DEPTH)
			return copy_folder(copier, entry);
	}
	copier->replica->left_out++;
	return 0;
}

/* Takes `from` over. */
static int copy_entries(struct copier *copier, int from, int to)
{
	DIR *folder = fdopendir(from);
	const struct dirent *one;
	int rc = 0;

	if (!folder) {
		close(from);
		return fail(copier, "a folder");
	}
	while (rc == 0 && (errno = 0, one = readdir(folder))) {
		struct entry entry = {.from = from, .to = to, .name = one->d_name};

		if (strcmp(one->d_name, ".") == 0 || strcmp(one->d_name, "..") == 0)
			continue;
		rc = fstatat(from, one->d_name, &entry.st, AT_SYMLINK_NOFOLLOW) < 0 ? fail(copier, one->d_name) : copy_entry(copier, &entry);
	}
	if (rc == 0 && errno)
		rc = fail(copier, "a folder");
	closedir(folder);
	return rc;
}

static int open_folder(int above, const char *name)
{
	return openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Some are there already, as in every worker. */
static int copy_folder(struct copier *copier, const struct entry *entry)
{
	int from = open_folder(entry->from, entry->name), to = -1, again = -1, rc = -1;

	if (from >= 0 && (mkdirat(entry->to, entry->name, 0700) == 0 || errno == EEXIST))
		to = open_folder(entry->to, entry->name);
	if (to >= 0)
		again = fcntl(from, F_DUPFD_CLOEXEC, 0);
	if (again < 0) {
		fail(copier, entry->name);
		goto err0;
	}
	copier->depth++;
	rc = copy_entries(copier, from, to);
	copier->depth--;
	from = -1;
	if (rc == 0)
		rc = finish(copier, entry, again, to);
err0:
	if (again >= 0)
		close(again);
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return rc;
}

static int copy_layers(struct copier *copier)
{
	const struct replica *replica = copier->replica;

	for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
		struct entry entry = {.from = replica->from, .to = replica->to, .name = layers[i]};

		if (fstatat(replica->from, layers[i], &entry.st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
			continue;
		if (!S_ISDIR(entry.st.st_mode) || copy_folder(copier, &entry) < 0)
			return copier->err->kind == ERR_NONE ? fail(copier, layers[i]) : -1;
	}
	return 0;
}

static int remove_links(const struct copier *copier)
{
	int again = openat(copier->replica->to, LINKS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = again < 0 ? NULL : fdopendir(again);
	const struct dirent *one;

	while (folder && (one = readdir(folder)))
		if (one->d_name[0] != '.')
			unlinkat(again, one->d_name, 0);
	if (folder)
		closedir(folder);
	return unlinkat(copier->replica->to, LINKS, AT_REMOVEDIR);
}

int replica_make(struct replica *replica, struct err *err)
{
	struct copier copier = {.replica = replica, .err = err, .links = -1};
	int rc;

	replica->left_out = 0;
	if (mkdirat(replica->to, LINKS, 0700) == 0)
		copier.links = open_folder(replica->to, LINKS);
	if (copier.links < 0)
		return fail(&copier, LINKS);
	rc = copy_layers(&copier);
	close(copier.links);
	if (rc == 0 && remove_links(&copier) < 0)
		rc = fail(&copier, LINKS);
	return rc;
}
