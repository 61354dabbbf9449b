#include "slaves/lxd/lxd_image.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/jsonget.h"

#define BLOCK 512
#define INIT_MAXIMUM ((size_t)16 * 1024 * 1024)
#define TARBALL_MAXIMUM (INIT_MAXIMUM + 1024 * 1024)

#define PROGRAM "byoci-init" /* beside byoci-worker */

static const char *const folders[] = {"rootfs/", "rootfs/dev/", "rootfs/etc/", "rootfs/proc/", "rootfs/r/", "rootfs/run/",
	"rootfs/sbin/", "rootfs/sys/", "rootfs/tmp/"};

/* tar(5), "POSIX ustar": every number in octal, everything of root's, from 1970. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], time[12], sum[8], type, link[100], magic[6], version[2];
	char user[32], group[32], device[16], prefix[155], unused[12];
};

_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

static int add(struct buf *tar, const char *name, const void *bytes, size_t length)
{
	static const char zeros[BLOCK];
	bool folder = name[strlen(name) - 1] == '/', program = strncmp(name, "rootfs/sbin/", 12) == 0;
	bool pipe = strcmp(name, "rootfs" LXD_IMAGE_BEGIN) == 0;
	struct header header = {.type = folder ? '5' : pipe ? '6' : '0', .magic = "ustar", .version = {'0', '0'}};
	unsigned sum = 0;

	snprintf(header.name, sizeof header.name, "%s", name);
	snprintf(header.mode, sizeof header.mode, "%07o", folder || program ? 0755U : 0644U);
	snprintf(header.uid, sizeof header.uid, "%07o", 0U);
	snprintf(header.gid, sizeof header.gid, "%07o", 0U);
	snprintf(header.size, sizeof header.size, "%011o", (unsigned)length);
	snprintf(header.time, sizeof header.time, "%011o", 0U);
	memset(header.sum, ' ', sizeof header.sum);
	for (size_t i = 0; i < sizeof header; i++)
		sum += ((const unsigned char *)&header)[i];
	snprintf(header.sum, sizeof header.sum, "%06o", sum);
	if (buf_add(tar, &header, sizeof header) < 0 || buf_add(tar, bytes, length) < 0)
		return -1;
	return buf_add(tar, zeros, (BLOCK - length % BLOCK) % BLOCK);
}

static int add_all(struct buf *tar, const char *metadata, const char *init, size_t length)
{
	static const char end[2 * BLOCK];

	if (add(tar, "metadata.yaml", metadata, strlen(metadata)) < 0)
		return -1;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		if (add(tar, folders[i], "", 0) < 0)
			return -1;
	if (add(tar, "rootfs" LXD_IMAGE_PROGRAM, init, length) < 0 || add(tar, "rootfs" LXD_IMAGE_BEGIN, "", 0) < 0)
		return -1;
	return buf_add(tar, end, sizeof end);
}

static char *metadata_of(struct arena *arena, const char *namespace, const char *digest)
{
	struct utsname machine = {0};

	uname(&machine);
	return arena_printf(arena,
		"architecture: %s\n"
		"creation_date: 1\n"
		"properties:\n"
		"  os: byoci\n"
		"  description: what byoci's workers on backing %.12s begin with\n"
		"  byoci.namespace: %s\n"
		"  byoci.backing: \"%s\"\n",
		machine.machine, digest, namespace, digest);
}

const char *lxd_image_program(struct arena *arena)
{
	char self[4096] = "";

	if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
		err_fatal("/proc/self/exe cannot be read");
	return arena_printf(arena, "%s/" PROGRAM, dirname(self));
}

/* The same bytes for the same backing, so that the image has a fingerprint before it is made. */
static int make(struct arena *arena, const char *namespace, const char *digest, struct buf *tar, struct err *err)
{
	size_t length;
	char *init = file_read(arena, lxd_image_program(arena), INIT_MAXIMUM, &length, err);
	if (!init)
		return -1;
	if (add_all(tar, metadata_of(arena, namespace, digest), init, length) < 0)
		return err_set(err, ERR_FULL, "an image of more than %zu bytes", tar->maximum);
	return 0;
}

/* Somebody else may have been quicker; what counts is that it is there. */
static int import(const struct lxd *lxd, struct arena *arena, const char *fingerprint, const struct buf *tar, struct err *err)
{
	const char *path = arena_printf(arena, "/1.0/images/%s", fingerprint);
	struct err absent = {0};
	json_t *image = lxd_get(lxd, path, &absent);
	char *got = NULL;

	if (!image && absent.kind != ERR_NOT_FOUND) {
		*err = absent;
		return -1;
	}
	if (!image) {
		got = lxd_import(lxd, arena, tar->data, tar->length, err);
		image = got ? NULL : lxd_get(lxd, path, &absent);
	}
	if (!image && !got)
		return -1;
	json_decref(image);
	if (got && strcmp(got, fingerprint) != 0)
		return err_set(err, ERR_INPUT, "LXD at %s: an image has the fingerprint %s, not %s", lxd_socket(lxd), got, fingerprint);
	return 0;
}

/* The alias is for people; a stale one, of another init, is turned. */
static void name_it(const struct lxd *lxd, struct arena *arena, const char *alias, const char *fingerprint)
{
	struct err ignored = {0};

	if (lxd_do(lxd, "POST", "/1.0/images/aliases", json_pack("{s:s, s:s}", "name", alias, "target", fingerprint), &ignored) < 0)
		(void)lxd_do(lxd, "PUT", arena_printf(arena, "/1.0/images/aliases/%s", alias), json_pack("{s:s}", "target", fingerprint),
			&ignored);
}

static bool is_named(const struct lxd *lxd, struct arena *arena, const char *alias, const char *fingerprint)
{
	struct err ignored = {0};
	json_t *entry = lxd_get(lxd, arena_printf(arena, "/1.0/images/aliases/%s", alias), &ignored);
	bool right = entry && strcmp(jsonget_string_or(entry, "target", ""), fingerprint) == 0;

	json_decref(entry);
	return right;
}

char *lxd_image_ensure(const struct lxd *lxd, struct arena *arena, const char *namespace, const char *digest, struct err *err)
{
	const char *alias = arena_printf(arena, "byoci-%s-%s", namespace, digest);
	char fingerprint[CRYPTO_SHA256_HEX];
	struct buf tar;
	int rc;

	buf_init(&tar, TARBALL_MAXIMUM);
	rc = make(arena, namespace, digest, &tar, err);
	if (rc == 0) {
		crypto_sha256(tar.data, tar.length, fingerprint);
		if (!is_named(lxd, arena, alias, fingerprint)) {
			rc = import(lxd, arena, fingerprint, &tar, err);
			if (rc == 0)
				name_it(lxd, arena, alias, fingerprint);
		}
	}
	buf_release(&tar);
	if (rc == 0)
		return arena_strdup(arena, fingerprint);
	err_wrap(err, "the image of backing %.12s", digest);
	return NULL;
}

/* The digest of its backing when it is one of ours; NULL otherwise. */
static const char *backing_of(const json_t *image, const char *namespace)
{
	const json_t *properties = json_object_get(image, "properties");

	if (!json_is_object(properties) || strcmp(jsonget_string_or(properties, "os", ""), "byoci") != 0 ||
		strcmp(jsonget_string_or(properties, "byoci.namespace", ""), namespace) != 0)
		return NULL;
	return jsonget_string_or(properties, "byoci.backing", NULL);
}

static int delete_one(const struct lxd *lxd, const json_t *image, struct err *err)
{
	const char *fingerprint = jsonget_string_or(image, "fingerprint", "");
	char path[128];

	if (!*fingerprint || strspn(fingerprint, "0123456789abcdef") != strlen(fingerprint) || strlen(fingerprint) > 64)
		return err_set(err, ERR_INPUT, "LXD at %s: an image without a fingerprint", lxd_socket(lxd));
	snprintf(path, sizeof path, "/1.0/images/%s", fingerprint);
	return lxd_do(lxd, "DELETE", path, NULL, err) < 0 && err->kind != ERR_NOT_FOUND ? -1 : 1;
}

int lxd_image_prune(const struct lxd *lxd, const char *namespace, bool (*wanted)(void *cookie, const char *digest), void *cookie,
	struct err *err)
{
	json_t *images = lxd_get(lxd, "/1.0/images?recursion=1", err);
	const json_t *image;
	int removed = 0, failed = 0;
	size_t i;

	if (!images)
		return -1;
	json_array_foreach(images, i, image) {
		const char *digest = backing_of(image, namespace);
		int rc = !digest || wanted(cookie, digest) ? 0 : delete_one(lxd, image, err);

		failed |= rc < 0;
		removed += rc > 0;
	}
	json_decref(images);
	return failed ? -1 : removed;
}
