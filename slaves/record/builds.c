#include "slaves/record/builds.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "forge/result.h"

#define SPEC_NODES 10000
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define REMOVE_LIMIT_MS (10 * 60 * 1000)

char *builds_path(const struct program *program, struct arena *arena, const char *build, const char *file, struct err *err)
{
	const char *state = program_option(program, "state", err);

	if (!state)
		return NULL;
	return arena_printf(arena, "%s/slave/builds%s%s%s%s", state, build ? "/" : "", build ? build : "", file ? "/" : "", file ? file : "");
}

int builds_spec_at(struct arena *arena, const char *path, struct spec *spec, struct err *err)
{
	size_t length = 0;
	const char *text = file_read(arena, path, SPEC_MAXIMUM, &length, err);

	if (!text)
		return -1;
	json_t *json = jsonget_parse(text, length, SPEC_NODES, err);
	int done = json ? spec_parse(arena, json, spec, err) : -1;
	json_decref(json);
	return done < 0 ? err_wrap(err, "%s", path) : 0;
}

int builds_spec(const struct program *program, struct arena *arena, const char *build, struct spec *spec, struct err *err)
{
	const char *path = builds_path(program, arena, build, "spec.json", err);

	return path ? builds_spec_at(arena, path, spec, err) : -1;
}

char *builds_result(const struct program *program, struct arena *arena, const char *build, struct err *err)
{
	const char *path = builds_path(program, arena, build, "result", err);
	char *line = path ? file_read(arena, path, RESULT_LINE_MAXIMUM + 1, NULL, err) : NULL;

	if (line)
		line[strcspn(line, "\n")] = 0;
	return line;
}

int64_t builds_started(const struct program *program, struct arena *arena, const char *build)
{
	struct err err = {0};
	struct stat st;
	const char *path = builds_path(program, arena, build, "spec.json", &err);

	if (!path || stat(path, &st) < 0)
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

const char *const *builds_list(const struct program *program, struct arena *arena, struct err *err)
{
	const char *folder = builds_path(program, arena, NULL, NULL, err);
	struct dirent **entries = NULL;

	if (!folder)
		return NULL;
	int count = scandir(folder, &entries, NULL, alphasort);
	if (count < 0 && errno != ENOENT) {
		err_set_errno(err, errno, "read %s", folder);
		return NULL;
	}
	const char **names = arena_alloc(arena, ((size_t)(count < 0 ? 0 : count) + 1) * sizeof *names);
	for (int i = 0, found = 0; i < count; i++) {
		if (spec_build_valid(entries[i]->d_name))
			names[found++] = arena_strdup(arena, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return names;
}

int builds_claim(const struct program *program, struct arena *arena, const char *build, struct err *err)
{
	const char *path = builds_path(program, arena, build, "leader.pid", err);

	if (!path)
		return -1;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set_errno(err, errno, "open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (errno == EWOULDBLOCK)
		err_set(err, ERR_BUSY, "build %s has a leader", build);
	else
		err_set_errno(err, errno, "lock %s", path);
	close(fd);
	return -1;
}

/* Field 22 of /proc/PID/stat, in clock ticks since boot (proc(5)); the name before it may hold anything. */
static int start_time(pid_t pid, uint64_t *ticks, struct err *err)
{
	struct arena *arena = arena_new();
	int done = -1;

	const char *text = file_read(arena, arena_printf(arena, "/proc/%d/stat", pid), 4096, NULL, err);
	const char *at = text ? strrchr(text, ')') : NULL;
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at && sscanf(at, " %" SCNu64, ticks) == 1)
		done = 0;
	else if (text)
		err_set(err, ERR_SYSTEM, "/proc/%d/stat: no start time in it", pid);
	arena_free(arena);
	return done;
}

static const char *boot_id(struct arena *arena, struct err *err)
{
	char *text = file_read(arena, BOOT_ID, 100, NULL, err);

	if (text)
		text[strcspn(text, "\n")] = 0;
	return text;
}

int builds_sign_in(int claim, struct err *err)
{
	struct arena *arena = arena_new();
	uint64_t ticks = 0;
	int done = -1;

	const char *boot = boot_id(arena, err);
	if (!boot || start_time(getpid(), &ticks, err) < 0)
		goto err0;
	const char *text = arena_printf(arena, "{\"pid\":%d,\"start\":%" PRIu64 ",\"boot\":\"%s\"}\n", getpid(), ticks, boot);
	size_t length = strlen(text);
	if (ftruncate(claim, 0) < 0 || pwrite(claim, text, length, 0) != (ssize_t)length)
		err_set_errno(err, errno, "write leader.pid");
	else
		done = 0;
err0:
	arena_free(arena);
	return done;
}

static int read_leader(struct arena *arena, const char *path, pid_t *pid, uint64_t *start, struct err *err)
{
	int64_t number, ticks;
	const char *boot = NULL, *here;
	size_t length = 0;
	int done = -1;

	const char *text = file_read(arena, path, 4096, &length, err);
	if (!text)
		return -1;
	if (length == 0)
		return err_set(err, ERR_NOT_FOUND, "%s: no leader has signed in yet", path);
	json_t *json = jsonget_parse(text, length, 100, err);
	if (!json || jsonget_integer(json, "pid", &number, err) < 0 || jsonget_integer(json, "start", &ticks, err) < 0 ||
		jsonget_string(json, "boot", &boot, err) < 0 || !(here = boot_id(arena, err)))
		goto err0;
	if (strcmp(boot, here) != 0) {
		err_set(err, ERR_NOT_FOUND, "%s: its leader ran before this boot", path);
		goto err0;
	}
	*pid = (pid_t)number;
	*start = (uint64_t)ticks;
	done = 0;
err0:
	json_decref(json);
	return done;
}

int builds_leader(const struct program *program, struct arena *arena, const char *build, pid_t *pid, struct err *err)
{
	uint64_t start = 0, now = 0;
	const char *path = builds_path(program, arena, build, "leader.pid", err);

	if (!path || read_leader(arena, path, pid, &start, err) < 0)
		return -1;
	int fd = pidfd_open(*pid, 0);
	if (fd >= 0 && start_time(*pid, &now, err) == 0 && now == start)
		return fd;
	if (fd >= 0)
		close(fd);
	return err_set(err, ERR_NOT_FOUND, "the leader of build %s, process %d, is gone", build, *pid);
}

static int mark(const struct program *program, struct arena *arena, const char *build, const char *file, struct err *err)
{
	const char *path = builds_path(program, arena, build, file, err);

	return path ? file_write(path, "", 0, 0600, err) : -1;
}

static bool is_marked(const struct program *program, struct arena *arena, const char *build, const char *file)
{
	struct err err = {0};
	const char *path = builds_path(program, arena, build, file, &err);

	return path && access(path, F_OK) == 0;
}

int builds_cancel(const struct program *program, struct arena *arena, const char *build, struct err *err)
{
	return mark(program, arena, build, "cancel", err);
}

bool builds_cancelled(const struct program *program, struct arena *arena, const char *build)
{
	return is_marked(program, arena, build, "cancel");
}

int builds_keep(const struct program *program, struct arena *arena, const char *build, struct err *err)
{
	return mark(program, arena, build, "keep", err);
}

bool builds_to_keep(const struct program *program, struct arena *arena, const char *build)
{
	return is_marked(program, arena, build, "keep");
}

int builds_remove(const char *path, struct err *err)
{
	struct child child = CHILD_INIT;
	const char *const argv[] = {"rm", "-rf", "--one-file-system", "--", path, NULL};
	struct child_result result;

	child.argv = argv;
	int done = child_run(&child, &(struct child_input){.limit_ms = REMOVE_LIMIT_MS}, &result, err);
	if (done == 0 && result.status != 0)
		done = err_set(err, ERR_SYSTEM, "cannot remove %s: %.300s", path, result.err.data ? result.err.data : "rm said nothing");
	child_result_release(&result);
	return done;
}
