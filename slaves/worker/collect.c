#include "slaves/worker/collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slaves/cage/cage.h"
#include "slaves/common/newc.h"
#include "slaves/common/output.h"
#include "slaves/common/pattern.h"

#define TIME_LIMIT_MS (60 * 1000)
#define LOOKED_MAXIMUM 200000 /* names, in the folders that what is asked for may be in */
#define NOTES 30              /* lines about single files */
#define COPY ((size_t)64 * 1024)

enum { DESCRIPTOR_ARCHIVE = 1, DESCRIPTOR_NOTES, DESCRIPTOR_FOLDER, DESCRIPTORS }; /* of the walker; it has no others */

/* A file that was taken and has several names. */
struct linked {
	dev_t device;
	ino_t number;
};

struct walk {
	const char *const *patterns, *const *reports;
	int64_t bytes_left, count_left;
	int64_t looked, notes;
	struct linked *linked; /* room for `count_left` at the beginning */
	size_t linked_count;
	struct mask_stream *masking; /* NULL: nothing to mask */
	bool over;                   /* no more files are taken */
	char path[PATTERN_PATH_MAXIMUM + 2];
};

static int put(const void *bytes, size_t length)
{
	const char *at = bytes;

	while (length > 0) {
		ssize_t done = write(DESCRIPTOR_ARCHIVE, at, length);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			_exit(1); /* who asked has gone */
		at += done;
		length -= (size_t)done;
	}
	return 0;
}

static int put_masked(void *cookie, const void *bytes, size_t length)
{
	(void)cookie;
	return put(bytes, length);
}

/* A line for people; `path` comes from the test. */
static void note(struct walk *walk, const char *path, const char *why)
{
	struct arena *arena;

	if (walk->notes++ >= NOTES)
		return;
	arena = arena_new();
	dprintf(DESCRIPTOR_NOTES, "%s%s%s\n", path ? output_line(arena, path, strlen(path), OUTPUT_LINE / 4) : "", path ? ": " : "", why);
	arena_free(arena);
}

static void finish(struct walk *walk, const char *why)
{
	if (walk->over)
		return;
	walk->over = true;
	dprintf(DESCRIPTOR_NOTES, "%s\n", why);
}

static int open_below(int folder, const char *name, uint64_t flags, uint64_t resolve)
{
	const struct open_how how = {.flags = flags | O_CLOEXEC | O_NOFOLLOW, .resolve = resolve};

	return (int)syscall(SYS_openat2, folder, name, &how, sizeof how);
}

#define RESOLVE_PLAIN (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

/* The second name of a file that was taken is none. */
static bool was_taken(struct walk *walk, const struct stat *st)
{
	if (st->st_nlink < 2)
		return false;
	for (size_t i = 0; i < walk->linked_count; i++)
		if (walk->linked[i].device == st->st_dev && walk->linked[i].number == st->st_ino)
			return true;
	walk->linked[walk->linked_count++] = (struct linked){st->st_dev, st->st_ino};
	return false;
}

/* As many bytes as were promised, whatever the file has. */
static void copy(struct walk *walk, int file, int64_t size)
{
	static char bytes[COPY];
	int64_t left = size;

	while (left > 0) {
		size_t wanted = left < (int64_t)sizeof bytes ? (size_t)left : sizeof bytes;
		ssize_t got = read(file, bytes, wanted);

		if (got <= 0) {
			if (got < 0 && errno == EINTR)
				continue;
			note(walk, walk->path, "it could not be read to its end, and is filled up with zeros");
			break;
		}
		if (walk->masking)
			mask_stream_add(walk->masking, bytes, (size_t)got);
		else
			put(bytes, (size_t)got);
		left -= got;
	}
	if (walk->masking)
		mask_stream_end(walk->masking);
	memset(bytes, 0, sizeof bytes);
	for (; left > 0; left -= left < (int64_t)sizeof bytes ? left : (int64_t)sizeof bytes)
		put(bytes, left < (int64_t)sizeof bytes ? (size_t)left : sizeof bytes);
	put(bytes, newc_padding(size));
}

static void take_file(struct walk *walk, int folder, const char *name)
{
	char head[NEWC_HEAD_MAXIMUM];
	int file = open_below(folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, RESOLVE_PLAIN | RESOLVE_NO_XDEV);
	struct stat st;

	if (file < 0 || fstat(file, &st) < 0)
		note(walk, walk->path, file < 0 && errno == EACCES ? "root of the worker may not read it" : "it cannot be opened");
	else if (!S_ISREG(st.st_mode))
		note(walk, walk->path, "it is no plain file");
	else if (walk->count_left == 0)
		finish(walk, "there are more files than artefacts.count allows: the rest is left out");
	else if (st.st_size > walk->bytes_left || st.st_size > NEWC_SIZE_MAXIMUM)
		note(walk, walk->path, "it is larger than what is left of artefacts.limit");
	else if (!was_taken(walk, &st)) {
		walk->count_left--;
		walk->bytes_left -= st.st_size;
		put(head, newc_head(head, walk->path, st.st_size));
		copy(walk, file, st.st_size);
	}
	if (file >= 0)
		close(file);
}

static const char *kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFLNK:
		return "it is a symbolic link";
	case S_IFIFO:
		return "it is a fifo";
	case S_IFSOCK:
		return "it is a socket";
	default:
		return "it is a device";
	}
}

/* What people will read on their terminal as it is. */
static bool is_clean(const char *name)
{
	struct buf escaped;
	bool clean;

	buf_init(&escaped, 4 * NAME_MAX + 1);
	clean = output_escape(&escaped, name, strlen(name)) == 0 && escaped.length == strlen(name) &&
		memcmp(escaped.data, name, escaped.length) == 0 && !memchr(name, '\t', escaped.length);
	buf_release(&escaped);
	return clean;
}

static enum pattern_reach reach(const struct walk *walk, const char *path)
{
	enum pattern_reach found = pattern_any(walk->patterns, path), other = pattern_any(walk->reports, path);

	return found > other ? found : other;
}

static void walk_folder(struct walk *walk, int folder, size_t length, unsigned depth);

/* `walk->path` is its path, of `length` bytes. */
static void take(struct walk *walk, int folder, const char *name, size_t length, unsigned depth)
{
	enum pattern_reach found = reach(walk, walk->path);
	struct stat st;
	int inner;

	if (found == PATTERN_NO || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (!S_ISDIR(st.st_mode) && found != PATTERN_YES)
		return;
	if (!is_clean(name) || !pattern_path_valid(walk->path)) {
		note(walk, walk->path, "its name is too long, too deep or no clean UTF-8");
	} else if (strcmp(walk->path, NEWC_TRAILER) == 0) {
		note(walk, walk->path, "nothing can be kept under that name");
	} else if (S_ISREG(st.st_mode)) {
		take_file(walk, folder, name);
	} else if (!S_ISDIR(st.st_mode)) {
		note(walk, walk->path, kind_of(st.st_mode));
	} else {
		inner = open_below(folder, name, O_RDONLY | O_DIRECTORY, RESOLVE_PLAIN | RESOLVE_NO_XDEV);
		if (inner < 0)
			note(walk, walk->path, "the folder cannot be opened");
		else
			walk_folder(walk, inner, length, depth + 1);
	}
}

/* `folder` is closed. */
static void walk_folder(struct walk *walk, int folder, size_t length, unsigned depth)
{
	DIR *entries = fdopendir(folder);
	const struct dirent *entry;

	if (!entries) {
		close(folder);
		return;
	}
	while (!walk->over && depth <= PATTERN_DEPTH && (entry = readdir(entries))) {
		size_t name = strlen(entry->d_name), begin = length ? length + 1 : 0;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (++walk->looked > LOOKED_MAXIMUM)
			finish(walk, "there are too many files to look at: the rest is left out");
		if (begin + name > PATTERN_PATH_MAXIMUM) {
			note(walk, walk->path, "what is in it has too long a name");
			continue;
		}
		if (length)
			walk->path[length] = '/';
		memcpy(walk->path + begin, entry->d_name, name + 1);
		take(walk, folder, entry->d_name, begin + name, depth);
		walk->path[length] = '\0';
	}
	closedir(entries);
}

/* Nothing of ours stays within reach but what it must have. */
static int lock_in(const struct collect *collect, int folder)
{
	const struct rlimit time = {TIME_LIMIT_MS / 1000, TIME_LIMIT_MS / 1000}, none = {0, 0};
	const gid_t id = (gid_t)collect->user;

	if (collect->user < 1 || dup2(collect->archive, DESCRIPTOR_ARCHIVE) < 0 || dup2(collect->notes, DESCRIPTOR_NOTES) < 0 ||
		(folder != DESCRIPTOR_FOLDER && dup2(folder, DESCRIPTOR_FOLDER) < 0))
		return -1;
	if (syscall(SYS_close_range, DESCRIPTORS, ~0U, 0) < 0 || close(STDIN_FILENO) < 0 || open("/dev/null", O_RDONLY | O_CLOEXEC) != 0)
		return -1;
	if (fchdir(DESCRIPTOR_FOLDER) < 0 || chroot(".") < 0 || setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0 ||
		setresuid((uid_t)id, (uid_t)id, (uid_t)id) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return setrlimit(RLIMIT_CPU, &time) < 0 || setrlimit(RLIMIT_FSIZE, &none) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ? -1 : 0;
}

static _Noreturn void run(struct walk *walk, const struct collect *collect, int folder)
{
	char head[NEWC_HEAD_MAXIMUM];

	if (lock_in(collect, folder) < 0)
		_exit(2);
	walk->linked = calloc((size_t)walk->count_left + 1, sizeof *walk->linked);
	if (collect->mask && mask_count(collect->mask))
		walk->masking = mask_stream_new(collect->mask, put_masked, NULL);
	if (!walk->linked)
		_exit(2);
	walk_folder(walk, DESCRIPTOR_FOLDER, 0, 1);
	if (walk->notes > NOTES)
		dprintf(DESCRIPTOR_NOTES, "… and %lld more files are left out\n", (long long)(walk->notes - NOTES));
	put(head, newc_head(head, NEWC_TRAILER, 0));
	_exit(0);
}

/* What is asked for. False: nothing. */
static int read_want(struct arena *arena, const struct collect *collect, struct walk *walk, struct err *err)
{
	const char *section = arena_printf(arena, "job/%s", collect->job);

	if (conf_list(collect->conf, arena, section, "artefacts", &walk->patterns, err) < 0 ||
		conf_list(collect->conf, arena, section, "reports", &walk->reports, err) < 0 ||
		conf_integer(collect->conf, section, "artefacts.limit", &walk->bytes_left, err) < 0 ||
		conf_integer(collect->conf, section, "artefacts.count", &walk->count_left, err) < 0)
		return -1;
	return 0;
}

static int await(pid_t pid, struct err *err)
{
	struct pollfd watch = {.fd = pidfd_open(pid, 0), .events = POLLIN};
	int status = 0, rc = 0;

	if (watch.fd < 0 || poll(&watch, 1, TIME_LIMIT_MS) <= 0) {
		rc = err_set(err, ERR_TIMEOUT, "what is to be kept could not be read out in time");
		kill(pid, SIGKILL);
	}
	if (watch.fd >= 0)
		close(watch.fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (rc == 0 && status != 0)
		rc = err_set(err, ERR_SYSTEM, "what is to be kept could not be read out (%s %d)", WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return rc;
}

int collect_run(struct arena *arena, const struct collect *collect, struct err *err)
{
	struct walk walk = {.path = ""};
	int folder;
	pid_t pid;

	if (read_want(arena, collect, &walk, err) < 0)
		return -1;
	/* The tree is a mount of its own, of ours. */
	folder = open_below(collect->root, ROOTFS_WORKSPACE + 1, O_RDONLY | O_DIRECTORY, RESOLVE_PLAIN);
	if (folder < 0)
		return err_set_errno(err, errno, "the folder of the tests cannot be opened");
	pid = fork();
	if (pid == 0)
		run(&walk, collect, folder);
	close(folder);
	if (pid < 0)
		return err_set_errno(err, errno, "no process to look for what is to be kept");
	return await(pid, err);
}
