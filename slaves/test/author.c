#include "slaves/test/author.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "base/log.h"
#include "forge/sshkey.h"
#include "slaves/common/readback.h"
#include "slaves/record/builds.h"
#include "slaves/test/entitled.h"

#define RECORD "author.json"
#define RECORD_MAXIMUM 4096
#define RECORD_NODES 16
#define LOCK ":lock"
#define FORGOTTEN_MS (24 * 3600 * 1000LL)
#define KEYS_MAXIMUM ((SSHKEY_LENGTH + 64) * SSHKEY_MAXIMUM)

/* 1: its project lets authors in. */
static int wanted(const struct program *program, const char *project, struct err *err)
{
	const char *section = arena_printf(program->arena, "project/%s", project);
	bool shell = false;

	if (!conf_has_section(program->conf, section))
		return 0;
	return conf_boolean(program->conf, section, "author.shell", &shell, err) < 0 ? -1 : shell;
}

static int write_record(const struct program *program, const struct spec *spec, const char *who, struct err *err)
{
	const char *path = builds_path(program, program->arena, spec->build, RECORD, err);
	json_t *json = json_pack("{s:s, s:s, s:s}", "who", who, "project", spec->project, "proposal", spec->proposal);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int rc = -1;

	if (!text)
		err_set(err, ERR_INPUT, "the author's name is no text");
	else if (path)
		rc = file_write(path, text, strlen(text), 0600, err);
	free(text);
	json_decref(json);
	return rc;
}

const char *author_note(const struct program *program, const struct spec *spec, struct err *err)
{
	const char *who = NULL, *why = NULL;
	int may = wanted(program, spec->project, err);

	if (may <= 0)
		return NULL;
	may = entitled_author(program, spec, &who, &why, err);
	if (may < 0)
		return NULL;
	if (!may)
		return arena_printf(program->arena, "the author is not let in: %s", why ? why : "not approved");
	if (!who || !sshkey_owner_valid(who))
		return arena_printf(program->arena, "the author is not let in: the forge does not say for certain who that is");
	if (write_record(program, spec, who, err) < 0)
		return NULL;
	return arena_printf(program->arena, "%s, who proposed this, may look at a copy of it, by ssh: %s", who, spec->build);
}

int author_read(const struct program *program, const char *build, struct author *author, struct err *err)
{
	const char *path = builds_path(program, program->arena, build, RECORD, err), *section;
	struct err absent = {0};
	size_t length = 0;
	const char *text = path ? file_read(program->arena, path, RECORD_MAXIMUM, &length, &absent) : NULL;
	json_t *json = text ? jsonget_parse(text, length, RECORD_NODES, &absent) : NULL;
	int may = -1;

	if (!json)
		return path ? 0 : -1;
	*author = (struct author){.build = build, .who = arena_strdup(program->arena, jsonget_string_or(json, "who", "")),
		.project = arena_strdup(program->arena, jsonget_string_or(json, "project", "")),
		.proposal = arena_strdup(program->arena, jsonget_string_or(json, "proposal", ""))};
	json_decref(json);
	section = arena_printf(program->arena, "project/%s", author->project);
	may = wanted(program, author->project, err);
	if (may > 0 && conf_integer(program->conf, section, "author.limit", &author->limit_ms, err) < 0)
		may = -1;
	return may > 0 && !sshkey_owner_valid(author->who) ? 0 : may;
}

/* Where what the forge says of somebody is kept for a while; the name after a ':' can't have another one in it. */
static const char *place(const struct program *program, const struct author *author, struct err *err)
{
	const char *folder = program_state(program, "slave/authors", err);

	return folder ? arena_printf(program->arena, "%s/%s:%s", folder, author->project, author->who) : NULL;
}

/* NULL: there is nothing, or it is too old. */
static const char *const *look(const struct program *program, const char *path)
{
	struct err absent = {0};
	size_t length = 0;
	struct stat st;
	int64_t age_ms;
	const char *text;

	if (stat(path, &st) < 0)
		return NULL;
	age_ms = clock_wall_ms() - ((int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000);
	if (age_ms < 0 || age_ms > AUTHOR_AGE_MS)
		return NULL;
	text = file_read(program->arena, path, KEYS_MAXIMUM, &length, &absent);
	return text ? sshkey_list(program->arena, text, length, NULL) : NULL;
}

const char *const *author_known(const struct program *program, const struct author *author)
{
	struct err absent = {0};
	const char *path = place(program, author, &absent);

	return path ? look(program, path) : NULL;
}

/* Also that the forge said nothing is kept. */
static int ask(const struct program *program, const struct author *author, const char *path, struct err *err)
{
	const struct readback_verb verb = {
		.verb = "author-keys", .project = author->project, .what = author->who, .limit_ms = AUTHOR_FETCH_MS};
	struct err away = {0};
	size_t length = 0;
	const char *text = readback_run(program, &verb, &length, &away);

	if (!text)
		log_warning(LOG_WHAT("the keys of an author are not known"), LOG_TEXT("author", author->who), LOG_ERR(&away));
	return file_write(path, text ? text : "", text ? length : 0, 0600, err);
}

/* One that was taken away meanwhile keeps nobody else out, and is none. */
static int take_lock(const char *path, struct err *err)
{
	struct stat st;

	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0) {
			err_set_errno(err, errno, "%s", path);
			if (fd >= 0)
				close(fd);
			return -1;
		}
		if (st.st_nlink > 0)
			return fd;
		close(fd);
	}
}

/* What is kept of one author goes, unless it is being asked for. */
static void forget(const struct program *program, const char *path)
{
	const char *lock = arena_printf(program->arena, "%s" LOCK, path);
	int fd = open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0 ? flock(fd, LOCK_EX | LOCK_NB) == 0 : errno == ENOENT) {
		unlink(path);
		unlink(lock);
	}
	if (fd >= 0)
		close(fd);
}

/* Of whom nobody has asked for a day; what cannot be looked at stays until the next time. */
static void forget_old(const struct program *program, const char *folder)
{
	DIR *entries = opendir(folder);
	const struct dirent *entry;
	struct stat st;

	while (entries && (entry = readdir(entries))) {
		size_t length = strlen(entry->d_name), end = sizeof LOCK - 1;
		bool lock = length > end && strcmp(entry->d_name + length - end, LOCK) == 0;
		const char *path = arena_printf(program->arena, "%s/%.*s", folder, (int)(lock ? length - end : length), entry->d_name);

		if (entry->d_name[0] == '.' || (lock && access(path, F_OK) == 0)) /* it goes with that */
			continue;
		if (fstatat(dirfd(entries), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			clock_wall_ms() - (int64_t)st.st_mtim.tv_sec * 1000 > FORGOTTEN_MS)
			forget(program, path);
	}
	if (entries)
		closedir(entries);
}

int author_fetch(const struct program *program, const struct author *author, struct err *err)
{
	const char *path = place(program, author, err), *folder = path ? program_state(program, "slave/authors", err) : NULL;
	int lock, done;

	if (!folder || file_make_folder(folder, 0700, err) < 0)
		return -1;
	lock = take_lock(arena_printf(program->arena, "%s" LOCK, path), err);
	if (lock < 0)
		return -1;
	if (look(program, path)) /* somebody else has asked meanwhile */
		done = 0;
	else
		done = ask(program, author, path, err);
	close(lock);
	forget_old(program, folder);
	return done;
}
