#include "conf/files.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "conf/value.h"

#define FILE_MAXIMUM (1024 * 1024)

struct reading {
	struct arena *arena;
	files_fn *call;
	void *cookie;
	struct err *err;
	uid_t owner;
	bool lenient; /* what is not to be believed is left out with a warning */
};

/* secure_getenv: not for programs that run with more rights than their caller has. */
static const char *root_of(const struct conf_source *source)
{
	const char *root = source->root ? source->root : secure_getenv("BYOCI_ROOT");

	return root ? root : "";
}

/* Under a root of its own (tests) a file of the caller's is as good as root's. */
static uid_t owner_of(const struct conf_source *source)
{
	return source->system_only && !*root_of(source) ? 0 : geteuid();
}

static int read_one(const struct reading *reading, const char *path)
{
	size_t length = 0;
	char *text;
	struct err why;

	err_clear(&why);
	text = file_read_owned(reading->arena, path, reading->owner, FILE_MAXIMUM, &length, &why);
	if (text)
		return reading->call(reading->cookie, path, text, length, reading->err);
	if (why.kind == ERR_NOT_FOUND)
		return 0;
	if (reading->lenient && why.kind == ERR_REFUSED) {
		log_warning(LOG_WHAT("configuration file left out"), LOG_ERR(&why));
		return 0;
	}
	*reading->err = why;
	return -1;
}

static int is_conf(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

/* FOLDER/ *.conf, sorted by their bytes. */
static int read_folder(const struct reading *reading, const char *folder)
{
	struct dirent **entries = NULL;
	int count = scandir(folder, &entries, is_conf, alphasort);
	int rc = 0;

	if (count < 0 && (errno == ENOENT || errno == ENOTDIR || (reading->lenient && errno == EACCES)))
		return 0;
	if (count < 0)
		return err_set_errno(reading->err, errno, "%s: cannot be listed", folder);
	for (int i = 0; i < count; i++) {
		if (rc == 0)
			rc = read_one(reading, arena_printf(reading->arena, "%s/%s", folder, entries[i]->d_name));
		free(entries[i]);
	}
	free(entries);
	return rc;
}

static const char *home(void)
{
	const char *set = secure_getenv("HOME");
	const struct passwd *user;

	if (set && set[0] == '/')
		return set;
	user = getpwuid(geteuid());
	return user ? user->pw_dir : NULL;
}

static int read_own(struct reading *reading, const char *name)
{
	const char *folder = home();

	reading->lenient = true;
	reading->owner = geteuid();
	if (folder && read_folder(reading, arena_printf(reading->arena, "%s/.config/byoci", folder)) < 0)
		return -1;
	if (strcmp(name, "production") == 0) /* whatever the caller's folder is: not in it */
		return 0;
	if (read_one(reading, "./byov.conf") < 0)
		return -1;
	return read_folder(reading, "./byov.conf.d");
}

int files_each(
	struct arena *arena, const struct conf_source *source, const char *name, files_fn *call, void *cookie, struct err *err)
{
	struct reading reading = {.arena = arena, .call = call, .cookie = cookie, .err = err, .owner = owner_of(source)};
	const char *root = root_of(source);

	for (const char *const *file = source->files; file && *file; file++) {
		if (access(*file, F_OK) < 0)
			return err_set_errno(err, errno, "%s: cannot be read", *file);
		if (read_one(&reading, *file) < 0)
			return -1;
	}
	if (source->files)
		return 0;
	if (read_folder(&reading, arena_printf(arena, "%s/etc/byoci", root)) < 0)
		return -1;
	if (read_folder(&reading, arena_printf(arena, "%s/etc/byoci/%s", root, name)) < 0)
		return -1;
	return source->system_only ? 0 : read_own(&reading, name);
}

static int is_candidate(const struct dirent *entry)
{
	return value_is_namespace(entry->d_name, strlen(entry->d_name));
}

/* The folders of /etc/byoci that have a namespace's name: "one, two". *count is set. */
static const char *candidates(struct arena *arena, const char *folder, unsigned *count)
{
	struct dirent **entries = NULL;
	int found = scandir(folder, &entries, is_candidate, alphasort);
	const char *names = "";

	*count = 0;
	for (int i = 0; i < found; i++) {
		struct stat st;

		if (stat(arena_printf(arena, "%s/%s", folder, entries[i]->d_name), &st) == 0 && S_ISDIR(st.st_mode)) {
			names = arena_printf(arena, "%s%s%s", names, *names ? ", " : "", entries[i]->d_name);
			(*count)++;
		}
		free(entries[i]);
	}
	free(entries);
	return names;
}

const char *files_namespace(struct arena *arena, const struct conf_source *source, struct err *err)
{
	const char *folder = arena_printf(arena, "%s/etc/byoci", root_of(source));
	const char *set = source->namespace ? source->namespace : secure_getenv("BYOCI_NAMESPACE");
	const char *names;
	unsigned count;

	if (set && *set) {
		if (value_is_namespace(set, strlen(set)))
			return arena_strdup(arena, set);
		err_set(err, ERR_USAGE,
			"\"%.40s\" cannot be a namespace: up to 16 of a-z 0-9, the first a letter, and no word that an option begins with",
			set);
		return NULL;
	}
	names = candidates(arena, folder, &count);
	if (count == 1)
		return names;
	if (count)
		err_set(err, ERR_USAGE, "which namespace? Give -n NAMESPACE or set BYOCI_NAMESPACE; there are: %s", names);
	else
		err_set(err, ERR_USAGE, "which namespace? Give -n NAMESPACE or set BYOCI_NAMESPACE; none is set up in %s",
			folder);
	return NULL;
}
