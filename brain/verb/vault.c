#include "verb/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/crypto.h"
#include "base/file.h"

#define SECRET_BYTES 32
#define SECRET_MAXIMUM 4096

static const char *const state_words[] = {
	[VAULT_GOOD] = "good", [VAULT_MADE] = "made", [VAULT_MISSING] = "missing", [VAULT_WRONG] = "wrong"};

const char *vault_state_word(enum vault_state state)
{
	return state_words[state];
}

static int ids_of(const char *user, uid_t *uid, gid_t *gid, struct err *err)
{
	const struct passwd *entry;

	errno = 0;
	entry = getpwnam(user);
	if (!entry) {
		err_set(err, ERR_NOT_FOUND, "there is no user %s: setup/byoci makes the users of a namespace", user);
		return -1;
	}
	*uid = entry->pw_uid;
	*gid = entry->pw_gid;
	return 0;
}

/* The bytes of a secret that exactly `owner` has: no link of theirs leads the caller to another file. NULL: not so. */
static char *read_owned(struct arena *arena, const char *path, uid_t owner, size_t *length, struct err *err)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char bytes[SECRET_MAXIMUM], *copy = NULL;
	struct stat st;
	ssize_t got;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_set_errno(err, errno, "%s", path);
		goto err0;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != owner) {
		err_set(err, ERR_REFUSED, "%s: it is not its user's own file", path);
		goto err0;
	}
	got = read(fd, bytes, sizeof bytes);
	if (got <= 0) {
		err_set(err, ERR_REFUSED, "%s: it is empty or not readable: move it away and run this again", path);
		goto err0;
	}
	*length = (size_t)got;
	copy = arena_memdup(arena, bytes, *length);
err0:
	if (fd >= 0)
		close(fd);
	return copy;
}

static int check_copy(
	struct arena *arena, const struct vault_item *item, enum vault_state *state, const char **why, struct err *err)
{
	size_t length, other_length;
	uid_t uid, other_uid;
	char *one, *other;
	gid_t gid;

	if (ids_of(item->user, &uid, &gid, err) < 0 || ids_of(item->owner, &other_uid, &gid, err) < 0)
		return -1;
	one = read_owned(arena, item->path, uid, &length, err);
	other = one ? read_owned(arena, item->source, other_uid, &other_length, err) : NULL;
	if (!other)
		return -1;
	if (crypto_equal(one, length, other, other_length))
		return 0;
	*state = VAULT_WRONG;
	*why = arena_printf(arena, "it differs from %s: move the older of both away and run this again", item->source);
	return 0;
}

static const char *wrong_mode(struct arena *arena, const struct vault_item *item, const struct stat *st, uid_t uid)
{
	bool folder = item->kind == VAULT_FOLDER;

	if (folder != S_ISDIR(st->st_mode) || (!folder && !S_ISREG(st->st_mode)))
		return arena_printf(arena, "it is not a %s: move it away and run this again", folder ? "folder" : "file");
	if (st->st_uid != uid)
		return arena_printf(arena, "it is not %s's: chown %s %s", item->user, item->user, item->path);
	if (st->st_mode & 077)
		return arena_printf(arena, "others may read it: chmod %s %s", folder ? "700" : "600", item->path);
	if (!folder && st->st_size == 0)
		return "it is empty: move it away and run this again";
	return NULL;
}

int vault_check(struct arena *arena, const struct vault_item *item, enum vault_state *state, const char **why, struct err *err)
{
	struct stat st;
	uid_t uid;
	gid_t gid;

	if (ids_of(item->user, &uid, &gid, err) < 0)
		return -1;
	*why = "";
	*state = VAULT_MISSING;
	if (lstat(item->path, &st) < 0) {
		if (errno != ENOENT)
			return err_set_errno(err, errno, "%s", item->path);
		if (item->kind == VAULT_MAYBE)
			*state = VAULT_GOOD;
		if (item->kind == VAULT_GIVEN) {
			*state = VAULT_WRONG;
			*why = item->source ? item->source : "it is missing, and only you can bring it";
		}
		return 0;
	}
	*why = wrong_mode(arena, item, &st, uid);
	*state = *why ? VAULT_WRONG : VAULT_GOOD;
	if (!*why && item->kind == VAULT_RESULT && access(item->source, R_OK) < 0) {
		*state = VAULT_WRONG;
		*why = arena_printf(arena, "its public half %s is gone: move both away and run this again", item->source);
	}
	if (*state == VAULT_GOOD && item->kind == VAULT_COPY)
		return check_copy(arena, item, state, why, err);
	*why = *why ? *why : "";
	return 0;
}

static int sync_parent(struct arena *arena, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	int fd = open(arena_memdup(arena, path, slash == path ? 1 : (size_t)(slash - path)), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int done = fd < 0 || fsync(fd) < 0 ? err_set_errno(err, errno, "%s: its folder", path) : 0;

	if (fd >= 0)
		close(fd);
	return done;
}

/* From the stage to its place, which must be free. */
static int move_in(
	struct arena *arena, const char *from, const struct vault_item *item, const char *path, mode_t mode, struct err *err)
{
	uid_t uid;
	gid_t gid;

	if (ids_of(item->user, &uid, &gid, err) < 0)
		return -1;
	if (chmod(from, mode) < 0)
		return err_set_errno(err, errno, "%s", from);
	if (chown(from, uid, gid) < 0)
		return err_set_errno(err, errno, "%s: giving it to %s (run this as root)", path, item->user);
	if (renameat2(AT_FDCWD, from, AT_FDCWD, path, RENAME_NOREPLACE) < 0)
		return err_set_errno(err, errno, "%s", path);
	return sync_parent(arena, path, err);
}

static int make_folder(struct arena *arena, const struct vault_item *item, const char *new, struct err *err)
{
	if (mkdir(new, 0700) < 0)
		return err_set_errno(err, errno, "%s", new);
	return move_in(arena, new, item, item->path, 0700, err);
}

static int make_random(struct arena *arena, const struct vault_item *item, const char *new, struct err *err)
{
	char text[2 * SECRET_BYTES + 2];

	crypto_random_hex(SECRET_BYTES, text);
	text[2 * SECRET_BYTES] = '\n';
	if (file_write(new, text, 2 * SECRET_BYTES + 1, 0600, err) < 0)
		return -1;
	return move_in(arena, new, item, item->path, 0600, err);
}

static int make_copy(struct arena *arena, const struct vault_item *item, const char *new, struct err *err)
{
	size_t length;
	uid_t uid;
	gid_t gid;
	char *bytes;

	if (ids_of(item->owner, &uid, &gid, err) < 0)
		return -1;
	bytes = read_owned(arena, item->source, uid, &length, err);
	if (!bytes || file_write(new, bytes, length, 0600, err) < 0)
		return -1;
	return move_in(arena, new, item, item->path, 0600, err);
}

/* The public half goes first: an attempt that was cut short leaves one without a secret, which the next attempt replaces. */
static int make_result(struct arena *arena, const struct vault_item *item, const char *new, struct err *err)
{
	const char *public = arena_printf(arena, "%s.pub", new);
	size_t length;
	char *text;

	if (crypto_key_generate(new, public, err) < 0)
		return -1;
	text = file_read(arena, public, SECRET_MAXIMUM, &length, err);
	unlink(public);
	if (!text || file_write(item->source, text, length, 0644, err) < 0)
		return -1;
	return move_in(arena, new, item, item->path, 0600, err);
}

static int make_ssh(struct arena *arena, const struct vault_item *item, const char *new, struct err *err)
{
	const char *name = strrchr(item->path, '/') + 1;
	const char *const argv[] = {
		"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", arena_printf(arena, "%s %s", item->user, name), "-f", new, NULL};
	const char *new_public = arena_printf(arena, "%s.pub", new), *public = arena_printf(arena, "%s.pub", item->path);
	struct child child = CHILD_INIT;
	struct child_result result;
	int done;

	child.argv = argv;
	child.dies_with_parent = true;
	done = child_run(&child, NULL, &result, err);
	if (done == 0 && result.status != 0)
		done = err_set(err, ERR_SYSTEM, "ssh-keygen: %.300s", result.err.data ? result.err.data : "it failed without a word");
	child_result_release(&result);
	if (done < 0)
		return -1;
	if (unlink(public) < 0 && errno != ENOENT) /* of a key that is gone */
		return err_set_errno(err, errno, "%s", public);
	if (move_in(arena, new_public, item, public, 0644, err) < 0)
		return -1;
	return move_in(arena, new, item, item->path, 0600, err);
}

int vault_make(struct arena *arena, const struct vault_item *item, const char *stage, struct err *err)
{
	static int (*const makers[])(struct arena *, const struct vault_item *, const char *, struct err *) = {
		[VAULT_FOLDER] = make_folder,
		[VAULT_RANDOM] = make_random,
		[VAULT_COPY] = make_copy,
		[VAULT_RESULT] = make_result,
		[VAULT_SSH] = make_ssh,
	};
	const char *new = arena_printf(arena, "%s/%s", stage, strrchr(item->path, '/') + 1);

	if (item->kind >= sizeof makers / sizeof makers[0])
		return err_set(err, ERR_USAGE, "%s: secrets of this kind are not made", item->path);
	return makers[item->kind](arena, item, new, err);
}
