#include "base/file.h"

#include <dirent.h>
#include <errno.h>

#include "tests/tap.h"
#include "tests/tmp.h"

static void test_read(struct arena *arena)
{
	struct err err;
	size_t length = 0;
	char *large = arena_alloc(arena, 100000);

	is(file_read(arena, tmp_file("a", "some\0text\n", 10, 0644), 10, &length, &err), "some", "read, NUL-ended");
	ok(length == 10, "its length, with a NUL in it");
	is(file_read(arena, tmp_text("e", "", 0644), 10, NULL, &err), "", "an empty file");
	ok(!file_read(arena, tmp_path("a"), 9, NULL, &err) && err.kind == ERR_FULL, "one byte too many is ERR_FULL");
	ok(!file_read(arena, tmp_path("none"), 9, NULL, &err) && err.kind == ERR_NOT_FOUND, "absent is ERR_NOT_FOUND");
	ok(!file_read(arena, tmp_path("a/b"), 9, NULL, &err) && err.kind == ERR_NOT_FOUND, "so is a path through a file");
	ok(!file_read(arena, tmp_folder, 9, NULL, &err) && err.kind == ERR_SYSTEM && err.number == EISDIR,
		"a folder cannot be read");
	ok(file_read(arena, tmp_file("l", large, 100000, 0644), 100000, &length, &err) && length == 100000, "a large one");
}

static void test_secret(struct arena *arena)
{
	static const mode_t bad[] = {0604, 0640, 0602, 0610, 0601, 0644, 0666};
	char wanted[1024];
	struct err err;
	size_t length = 0;
	const char *path = tmp_text("s", "secret\r\n\n", 0600);

	is(file_read_secret(arena, path, &length, &err), "secret", "a secret without its newlines");
	ok(length == 6, "its length");
	chmod(path, 0400);
	ok(file_read_secret(arena, path, NULL, &err) != NULL, "mode 0400 is good");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		chmod(path, bad[i]);
		ok(!file_read_secret(arena, path, NULL, &err) && err.kind == ERR_REFUSED, "rights for others are refused");
	}
	snprintf(wanted, sizeof wanted, "%s: mode 0666 lets others at the secret: chmod go= %s", path, path);
	is(err.text, wanted, "… with what mends it");
	ok(!file_read_secret(arena, tmp_text("s2", "\n\n", 0600), NULL, &err) && err.kind == ERR_REFUSED,
		"an empty one is refused");
	chmod(path, 0600);
	ok(symlink(path, tmp_path("link")) == 0 && !file_read_secret(arena, tmp_path("link"), NULL, &err) &&
			err.kind == ERR_REFUSED,
		"a link is refused");
	ok(mkfifo(tmp_path("fifo"), 0600) == 0 && !file_read_secret(arena, tmp_path("fifo"), NULL, &err) &&
			err.kind == ERR_REFUSED,
		"a pipe is refused, and not waited for");
	ok(!file_read_secret(arena, tmp_path("none"), NULL, &err) && err.kind == ERR_NOT_FOUND, "absent is ERR_NOT_FOUND");
	if (geteuid() == 0) {
		ok(chown(path, 12345, 0) == 0 && !file_read_secret(arena, path, NULL, &err) && err.kind == ERR_REFUSED,
			"another user's is refused");
		ok(chown(path, 0, 12345) == 0 && file_read_secret(arena, path, NULL, &err),
			"the group does not matter when it has no right");
	}
}

static void test_owned(struct arena *arena)
{
	struct err err;
	const char *path = tmp_text("o", "text", 0644);

	is(file_read_owned(arena, path, geteuid(), 10, NULL, &err), "text", "an own file is believed");
	chmod(path, 0664);
	ok(!file_read_owned(arena, path, geteuid(), 10, NULL, &err) && err.kind == ERR_REFUSED,
		"one that the group may write is not");
	chmod(path, 0646);
	ok(!file_read_owned(arena, path, geteuid(), 10, NULL, &err) && err.kind == ERR_REFUSED, "nor one that all may write");
	chmod(path, 0644);
	if (geteuid() == 0) {
		ok(chown(path, 12345, 0) == 0 && !file_read_owned(arena, path, 0, 10, NULL, &err) && err.kind == ERR_REFUSED,
			"nor another user's");
		is(file_read_owned(arena, path, 12345, 10, NULL, &err), "text", "but one of the user's that was named");
	}
	ok(!file_read_owned(arena, tmp_path("none"), 0, 9, NULL, &err) && err.kind == ERR_NOT_FOUND, "absent is ERR_NOT_FOUND");
}

static unsigned count_entries(const char *folder)
{
	DIR *dir = opendir(folder);
	unsigned count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count - 2;
}

static void test_write(struct arena *arena)
{
	struct err err;
	struct stat before, after;
	const char *folder = tmp_path("w");
	const char *path = tmp_path("w/file");
	int fd;
	char old[4] = "";

	mkdir(folder, 0700);
	ok(file_write(path, "one", 3, 0640, &err) == 0, "a new file");
	ok(stat(path, &before) == 0 && (before.st_mode & 07777) == 0640, "its mode, whatever the umask");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ok(file_write(path, "other", 5, 0600, &err) == 0, "over one that is there");
	is(file_read(arena, path, 100, NULL, &err), "other", "it has the new bytes");
	ok(stat(path, &after) == 0 && before.st_ino != after.st_ino, "it is another file: a reader saw the old or the new one");
	ok(read(fd, old, 3) == 3 && strcmp(old, "one") == 0, "who had it open reads the old one on");
	close(fd);
	ok(count_entries(folder) == 1, "no temporary file is left");
	ok(file_write(path, NULL, 0, 0600, &err) == 0 && stat(path, &after) == 0 && after.st_size == 0, "an empty one");
	ok(file_write(tmp_path("none/file"), "x", 1, 0600, &err) < 0 && err.number == ENOENT, "no folder: an error");
	mkdir(tmp_path("w/folder"), 0700);
	ok(file_write(tmp_path("w/folder"), "x", 1, 0600, &err) < 0, "a folder in its place: an error");
	ok(count_entries(folder) == 2, "… and no temporary file is left");
}

static void test_full(void)
{
	struct err err;

	/* /dev/full is no place for a temporary file; a file system without space cannot be had without root. */
	ok(file_write("/proc/file", "x", 1, 0600, &err) < 0 && (err.kind == ERR_SYSTEM || err.kind == ERR_FULL),
		"where nothing can be made: an error");
	ok(strncmp(err.text, "/proc/file: no file can be made beside it: ", 43) == 0, "it names the file");
}

static void test_folder(void)
{
	struct err err;
	struct stat st;
	mode_t before = umask(077);

	ok(file_make_folder(tmp_path("f/g/h"), 02750, &err) == 0, "folder and parents are made");
	ok(stat(tmp_path("f/g"), &st) == 0 && (st.st_mode & 07777) == 02750, "the parents' mode, whatever the umask");
	ok(stat(tmp_path("f/g/h"), &st) == 0 && (st.st_mode & 07777) == 02750, "its mode, with the set-group-id bit");
	umask(before);
	chmod(tmp_path("f/g"), 0700);
	ok(file_make_folder(tmp_path("f/g/h//i/"), 0755, &err) == 0, "doubled slashes and one at the end");
	ok(stat(tmp_path("f/g"), &st) == 0 && (st.st_mode & 07777) == 0700, "those that exist are left as they are");
	ok(file_make_folder(tmp_path("f"), 0755, &err) == 0, "one that exists is no error");
	tmp_text("file", "", 0600);
	ok(file_make_folder(tmp_path("file"), 0755, &err) < 0 && err.number == ENOTDIR, "a file in its place is one");
	ok(file_make_folder(tmp_path("file/x"), 0755, &err) < 0, "so is a file on the way");
	ok(file_make_folder("", 0755, &err) < 0, "so is no path");
}

int main(void)
{
	struct arena *arena = arena_new();

	tmp_make();
	test_read(arena);
	test_secret(arena);
	test_owned(arena);
	test_write(arena);
	test_full();
	test_folder();
	arena_free(arena);
	return tap_done();
}
