#include "slaves/backing/lxd_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/jsonget.h"
#include "slaves/backing/unpack.h"
#include "slaves/lxd/lxd.h"

#define FETCH_LIMIT_MS (30 * 60 * 1000)
#define BOUNDARY_MAXIMUM 200
#define SQUASHFS "hsqs" /* how one begins */

static bool is_fingerprint(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* As a part of a path. */
static const char *escaped(struct arena *arena, const char *text)
{
	const char *out = "";

	for (; *text; text++) {
		bool plain = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", *text) != NULL;

		out = plain ? arena_printf(arena, "%s%c", out, *text) : arena_printf(arena, "%s%%%02X", out, (unsigned char)*text);
	}
	return out;
}

/* The string at a key, in the arena; the object is released. */
static const char *take(struct arena *arena, json_t *object, const char *key, struct err *err)
{
	const char *value = NULL;

	if (!object)
		return NULL;
	if (jsonget_string(object, key, &value, err) == 0)
		value = is_fingerprint(value) ? arena_strdup(arena, value) : NULL;
	if (!value)
		err_set(err, ERR_INPUT, "LXD names no fingerprint");
	json_decref(object);
	return value;
}

/* From the image server; what LXD has already is not fetched again. */
static const char *fetch(const struct lxd *lxd, const struct making *making, const char *name, struct err *err)
{
	const struct recipe *recipe = making->recipe;
	json_t *body = json_pack("{s:{s:s, s:s, s:s, s:s, s:s}}", "source", "type", "image", "mode", "pull", "server", recipe->server,
		"protocol", "simplestreams", is_fingerprint(name) ? "fingerprint" : "alias", name);
	struct lxd_operation operation;
	struct lxd_reply reply, last;
	const char *found;

	if (!body) {
		err_set(err, ERR_CONFIG, "[%s] lxd.image: not UTF-8", recipe->section);
		return NULL;
	}
	making_say(making, "LXD fetches %s from %s, where it has not", name, recipe->server);
	if (lxd_begin(lxd, "/1.0/images", body, &reply, &operation, err) < 0)
		return NULL;
	if (lxd_await(lxd, operation.id, FETCH_LIMIT_MS, &last, &operation, err) < 0) {
		lxd_reply_release(&reply);
		return NULL;
	}
	found = take(making->arena, json_incref(json_object_get(last.metadata, "metadata")), "fingerprint", err);
	lxd_reply_release(&last);
	lxd_reply_release(&reply);
	return found;
}

static const char *find(const struct lxd *lxd, const struct making *making, struct err *err)
{
	const struct recipe *recipe = making->recipe;
	const char *name = recipe->fingerprint ? recipe->fingerprint : recipe->image;
	bool whole = is_fingerprint(name);
	const char *path = arena_printf(making->arena, "/1.0/images%s/%s", whole ? "" : "/aliases", escaped(making->arena, name));

	if (recipe->server)
		return fetch(lxd, making, name, err);
	name = take(making->arena, lxd_get(lxd, path, err), whole ? "fingerprint" : "target", err);
	if (!name && err->kind == ERR_NOT_FOUND)
		err_set(err, ERR_NOT_FOUND, "[%s] lxd.image = %s: LXD at %s has no such image: import it, or set lxd.server", recipe->section,
			recipe->image, lxd_socket(lxd));
	return name;
}

/* Where the root file system begins in what LXD handed out, and whether it is a part of its own. */
static int find_part(int fd, off_t *offset, bool *own, struct err *err)
{
	struct stat st;
	const char *bytes, *line, *part, *end;
	size_t length, boundary;

	*offset = 0;
	*own = false;
	if (fstat(fd, &st) < 0 || st.st_size < 4)
		return err_set(err, ERR_INPUT, "LXD handed out nothing");
	length = (size_t)st.st_size;
	bytes = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return err_set_errno(err, errno, "the image cannot be read");
	line = memcmp(bytes, "--", 2) == 0 ? memmem(bytes, length < BOUNDARY_MAXIMUM ? length : BOUNDARY_MAXIMUM, "\r\n", 2) : NULL;
	if (line) { /* multipart/form-data (RFC 7578): metadata, then the root file system */
		boundary = (size_t)(line - bytes);
		part = memmem(line, length - boundary, bytes, boundary);
		end = part ? memmem(part, length - (size_t)(part - bytes), "\r\n\r\n", 4) : NULL;
		*own = true;
		*offset = end ? end + 4 - bytes : -1;
	}
	munmap((void *)(uintptr_t)bytes, length);
	return *offset >= 0 ? 0 : err_set(err, ERR_INPUT, "LXD handed out half an image");
}

/* Nothing of it is run; what it made is looked at afterwards. */
static int unpack_squashfs(const struct making *making, const char *path, off_t offset, struct err *err)
{
	struct strv argv = STRV_INIT;
	int rc;

	strv_pushl(&argv, "unsquashfs", "-quiet", "-no-progress", "-no-xattrs", "-force", "-dest", making->rootfs, "-offset", NULL);
	strv_pushf(&argv, "%lld", (long long)offset);
	strv_push(&argv, path);
	rc = making_run(making, "unsquashfs (package squashfs-tools)", &argv, err);
	strv_release(&argv);
	return rc < 0 ? -1 : unpack_check(making, err);
}

static int unpack(const struct making *making, const char *path, int fd, struct err *err)
{
	char magic[4] = "";
	off_t offset;
	bool own;

	if (find_part(fd, &offset, &own, err) < 0)
		return -1;
	if (pread(fd, magic, sizeof magic, offset) == (ssize_t)sizeof magic && memcmp(magic, SQUASHFS, sizeof magic) == 0)
		return unpack_squashfs(making, path, offset, err);
	if (lseek(fd, offset, SEEK_SET) < 0)
		return err_set_errno(err, errno, "the image cannot be read");
	return unpack_stream(making, fd, own ? NULL : "rootfs", err);
}

int lxd_source_unpack(const struct making *making, struct err *err)
{
	struct lxd *lxd = lxd_open(making->arena, making->conf, err);
	const char *found = lxd ? find(lxd, making, err) : NULL;
	const char *path = arena_printf(making->arena, "%s/image", making->folder);
	int fd = found ? open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
	int rc = -1;

	if (found && making->recipe->fingerprint && strcmp(found, making->recipe->fingerprint) != 0)
		err_set(err, ERR_REFUSED, "LXD says that the image is %s, [%s] says %s", found, making->recipe->section,
			making->recipe->fingerprint);
	else if (found && fd < 0)
		err_set_errno(err, errno, "%s: cannot be made", path);
	else if (found && lxd_export(lxd, found, fd, err) == 0)
		rc = unpack(making, path, fd, err);
	if (fd >= 0) {
		unlink(path);
		close(fd);
	}
	lxd_close(lxd);
	return rc < 0 ? err_wrap(err, "image %s", making->recipe->image) : 0;
}
