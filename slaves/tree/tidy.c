#include "slaves/tree/tidy.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/log.h"
#include "forge/outcome.h"
#include "slaves/tree/git.h"

#define TIDY_GC_MS (60 * 60 * 1000)
#define TIDY_YOUNG "1440" /* a fetch takes an hour at most */

struct tidy {
	struct loop *loop;
	const struct program *program;
	const char *whose;
	struct loop_source *next, *running;
};

static void ended(void *cookie, int status)
{
	struct tidy *tidy = cookie;

	tidy->running = NULL;
	if (status != 0)
		log_warning(LOG_WHAT("clones are not packed"), LOG_TEXT("of", tidy->whose), LOG_NUMBER("status", status));
}

static void begin(void *cookie)
{
	struct tidy *tidy = cookie;
	struct strv argv = STRV_INIT, environment = STRV_INIT;
	struct child child = CHILD_INIT;
	struct err err = {0};
	pid_t pid;

	tidy->next = loop_after(tidy->loop, TIDY_EVERY_MS, begin, tidy);
	if (tidy->running)
		return;
	program_command(tidy->program, NULL, &argv, &environment);
	strv_pushl(&argv, "tidy", tidy->whose, NULL);
	child.argv = (const char *const *)argv.v;
	child.environment = (const char *const *)environment.v;
	child.err = STDERR_FILENO;
	child.dies_with_parent = true;
	if (child_spawn(&child, &pid, NULL, &err) < 0)
		log_warning(LOG_WHAT("clones are not packed"), LOG_TEXT("of", tidy->whose), LOG_ERR(&err));
	else
		tidy->running = loop_child(tidy->loop, pid, ended, tidy);
	strv_release(&argv);
	strv_release(&environment);
}

struct tidy *tidy_new(struct loop *loop, const struct program *program, const char *whose)
{
	struct tidy *tidy = calloc(1, sizeof *tidy);

	if (!tidy)
		abort();
	*tidy = (struct tidy){.loop = loop, .program = program, .whose = whose};
	tidy->next = loop_after(loop, TIDY_EVERY_MS, begin, tidy);
	return tidy;
}

void tidy_free(struct tidy *tidy)
{
	if (!tidy)
		return;
	loop_cancel(tidy->next);
	loop_cancel(tidy->running);
	free(tidy);
}

/* Without the clone's lock: git itself keeps out of the way of what fetches meanwhile, and nothing young is dropped. */
static int pack(const struct program *program, const char *folder, const char *file, struct err *err)
{
	static const char *const options[] = {"-c", "gc.auto=2000", "-c", "gc.autoDetach=false", "-c", "gc.pruneExpire=14.days.ago",
		"-c", "gc.packRefs=false", /* near.c reads them */ "-c", "pack.threads=0", "-c", "core.fsync=objects", NULL};
	struct git *git = git_new(program->conf, arena_printf(program->arena, "%s/%s", folder, file), NULL, err);
	struct child_result result;

	if (!git)
		return -1;
	const struct git_call call = {.arguments = GIT_ARGUMENTS("gc", "--auto", "--quiet"), .options = options, .limit_ms = TIDY_GC_MS};
	int done = git_run(git, &call, &result, err);
	if (done == 0 && result.status != 0)
		done = git_failed(&result, "gc", err);
	child_result_release(&result);
	git_free(git);
	return done;
}

/* Packs of fetches that were broken off or killed, which git itself would take for those that are under way (TIDY_YOUNG: minutes). */
static int sweep(const struct program *program, const char *folder, const char *file, struct err *err)
{
	const char *const argv[] = {"find", arena_printf(program->arena, "%s/%s/objects", folder, file), "-xdev", "-maxdepth", "2", "-type",
		"f", "-name", "tmp_*", "-mmin", "+" TIDY_YOUNG, "-delete", NULL};
	struct child child = CHILD_INIT;
	struct child_result result;

	child.argv = argv;
	child.dies_with_parent = true;
	int done = child_run(&child, &(struct child_input){.limit_ms = TIDY_GC_MS}, &result, err);
	if (done == 0 && result.status != 0)
		done = err_set(err, ERR_SYSTEM, "find could not remove what fetches have left");
	child_result_release(&result);
	return done;
}

static int is_clone(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 4 && strcmp(entry->d_name + length - 4, ".git") == 0;
}

int tidy_verb(const struct program *program, const char *whose)
{
	struct dirent **entries = NULL;
	struct err err = {0};
	int done = 0, count = -1;

	const char *folder = program_state(program, arena_printf(program->arena, "%s/trees", whose), &err);
	if (folder && (count = scandir(folder, &entries, is_clone, alphasort)) < 0 && errno != ENOENT)
		err_set_errno(&err, errno, "read %s", folder);
	for (int i = 0; i < count; i++) {
		if (sweep(program, folder, entries[i]->d_name, &err) < 0 || pack(program, folder, entries[i]->d_name, &err) < 0) {
			log_warning(LOG_WHAT("a clone is not packed"), LOG_TEXT("clone", entries[i]->d_name), LOG_ERR(&err));
			done = -1;
		}
		free(entries[i]);
	}
	free(entries);
	if (count < 0 && err.kind != ERR_NONE) {
		log_warning(LOG_WHAT("clones are not packed"), LOG_ERR(&err));
		done = -1;
	}
	return done < 0 ? outcome_exit(OUTCOME_INFRASTRUCTURE) : 0;
}
