#include "git/repo.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "conf/gitenv.h"

#define LIMIT_MS (60 * 1000)
#define WORDS 600

extern char **environ;

struct repo {
	char *folder;    /* the repository; of the caller's own clone: where git starts */
	bool own;        /* the caller's clone and environment */
	bool temporary;
	int lock;        /* of one that is kept; -1 */
	struct strv environment;
};

static struct repo *new_repo(const char *folder, bool own)
{
	struct repo *repo = calloc(1, sizeof *repo);

	if (!repo || !(repo->folder = strdup(folder)))
		err_fatal("out of memory");
	repo->own = own;
	repo->lock = -1;
	return repo;
}

static struct repo *hardened(const struct conf *conf, const char *folder, struct err *err)
{
	struct repo *repo = new_repo(folder, false);

	if (gitenv_make(conf, NULL, &repo->environment, err) == 0)
		return repo;
	repo_close(repo);
	return NULL;
}

struct repo *repo_open(const struct conf *conf, const char *folder, struct err *err)
{
	struct repo *repo;
	struct stat st;

	if (stat(folder, &st) < 0) {
		err_set_errno(err, errno, "the repository %s", folder);
		return NULL;
	}
	if (!S_ISDIR(st.st_mode)) {
		err_set(err, ERR_CONFIG, "%s is not a repository: it is not a folder", folder);
		return NULL;
	}
	repo = hardened(conf, folder, err);
	if (repo) /* its own configuration is another user's: no object that is missing is fetched in ways that are said there */
		repo_environment(repo, "GIT_ALLOW_PROTOCOL", "none");
	return repo;
}

struct repo *repo_temporary(const struct conf *conf, struct err *err)
{
	char folder[] = "/tmp/byoci-repo.XXXXXX";
	struct arena *arena;
	struct repo *repo;
	bool made;

	if (!mkdtemp(folder)) {
		err_set_errno(err, errno, "a folder in /tmp");
		return NULL;
	}
	repo = hardened(conf, folder, err);
	if (!repo) {
		rmdir(folder);
		return NULL;
	}
	repo->temporary = true;
	arena = arena_new();
	const struct repo_call init = {.arguments = REPO_ARGUMENTS("init", "--quiet", "--bare", "--template=", folder)};
	made = repo_text(repo, arena, &init, NULL, err) != NULL;
	arena_free(arena);
	if (made)
		return repo;
	repo_close(repo);
	return NULL;
}

struct repo *repo_kept(const struct conf *conf, const char *folder, struct err *err)
{
	struct repo *repo = NULL;
	struct arena *arena = arena_new();
	struct stat st;

	if (file_make_folder(folder, 0700, err) < 0 || !(repo = hardened(conf, folder, err)))
		goto err0;
	repo->lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (repo->lock < 0 || flock(repo->lock, LOCK_EX) < 0) {
		err_set_errno(err, errno, "the clone %s", folder);
		goto err1;
	}
	const struct repo_call init = {.arguments = REPO_ARGUMENTS("init", "--quiet", "--bare", "--template=", folder)};
	if (stat(arena_printf(arena, "%s/HEAD", folder), &st) == 0 || repo_text(repo, arena, &init, NULL, err))
		goto err0;
err1:
	repo_close(repo);
	repo = NULL;
err0:
	arena_free(arena);
	return repo;
}

struct repo *repo_own(const char *folder, struct err *err)
{
	char *here = realpath(folder ? folder : ".", NULL);
	struct repo *repo;

	if (!here) {
		err_set_errno(err, errno, "%s", folder ? folder : "the folder you are in");
		return NULL;
	}
	repo = new_repo(here, true);
	free(here);
	for (char **text = environ; text && *text; text++)
		strv_push(&repo->environment, *text);
	repo_environment(repo, "LC_ALL", "C.UTF-8"); /* words_of() is read for what it means */
	return repo;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

void repo_close(struct repo *repo)
{
	if (!repo)
		return;
	if (repo->temporary)
		nftw(repo->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (repo->lock >= 0)
		close(repo->lock);
	strv_release(&repo->environment);
	free(repo->folder);
	free(repo);
}

/* Takes every NAME=… out. */
static void forget(struct strv *environment, const char *name)
{
	struct strv kept = STRV_INIT;
	size_t length = strlen(name);

	for (size_t i = 0; i < environment->count; i++)
		if (strncmp(environment->v[i], name, length) != 0 || environment->v[i][length] != '=')
			strv_push(&kept, environment->v[i]);
	strv_release(environment);
	*environment = kept;
}

void repo_environment(struct repo *repo, const char *name, const char *value)
{
	forget(&repo->environment, name);
	strv_pushf(&repo->environment, "%s=%s", name, value);
}

int repo_ssh(struct repo *repo, const struct conf *conf, const char *key, struct err *err)
{
	const struct gitenv how = {.ssh_key = key};
	struct strv environment = STRV_INIT;
	int done = gitenv_make(conf, &how, &environment, err);

	for (size_t i = 0; done == 0 && i < environment.count; i++) {
		char *equals = strncmp(environment.v[i], "GIT_SSH", 7) == 0 ? strchr(environment.v[i], '=') : NULL;

		if (!equals)
			continue;
		*equals = '\0';
		repo_environment(repo, environment.v[i], equals + 1);
	}
	strv_release(&environment);
	return done;
}

int repo_begin(const struct repo *repo, const struct repo_call *call, struct repo_job *job, struct err *err)
{
	struct child child = CHILD_INIT;
	const struct child_input input = {
		.bytes = call->input, .length = call->input_length, .maximum = call->maximum,
		.limit_ms = call->limit_ms ? call->limit_ms : LIMIT_MS};
	struct strv argv = STRV_INIT;
	int done;

	if (repo->own)
		strv_push(&argv, "git");
	else
		gitenv_command(&argv, repo->folder);
	for (const char *const *argument = call->arguments; *argument; argument++)
		strv_push(&argv, *argument);
	child.argv = (const char *const *)argv.v;
	child.environment = (const char *const *)repo->environment.v;
	child.directory = repo->own ? repo->folder : NULL;
	child.session = repo->own; /* no terminal: nothing must wait for a passphrase, out of sight */
	child.dies_with_parent = true;
	done = child_begin(&child, &input, &job->result, &job->running, err);
	job->running.name = "git";
	job->subcommand = call->arguments[0];
	if (done < 0) {
		err_wrap(err, "git %s", job->subcommand);
		child_result_release(&job->result);
	}
	strv_release(&argv);
	return done;
}

int repo_end(struct repo_job *job, struct err *err)
{
	int status = child_end(&job->running, err) < 0 ? err_wrap(err, "git %s", job->subcommand) : job->result.status;

	child_result_release(&job->result);
	return status;
}

void repo_abandon(struct repo_job *job)
{
	child_abandon(&job->running);
	child_result_release(&job->result);
}

static int run(const struct repo *repo, const struct repo_call *call, struct child_result *result, struct err *err)
{
	struct repo_job job;

	*result = (struct child_result){.status = -1};
	if (repo_begin(repo, call, &job, err) < 0)
		return -1;
	int done = child_end(&job.running, err);
	*result = job.result;
	return done < 0 ? err_wrap(err, "git %s", job.subcommand) : 0;
}

/* What git, ssh and the other side said, as one line without control characters. */
static void words_of(const struct child_result *result, char *words, size_t room)
{
	size_t used = 0;
	bool gap = false;

	for (size_t i = 0; i < result->err.length && used + 2 < room; i++) {
		char c = result->err.data[i];

		if ((unsigned char)c < ' ' || c == 0x7f) {
			gap = used > 0;
			continue;
		}
		if (gap)
			words[used++] = ' ';
		gap = false;
		words[used++] = c;
	}
	words[used] = '\0';
}

/* The lines that git marks as the server's, for people: without control characters. */
static void pass_on(const struct child_result *result)
{
	static const char mark[] = "remote: ";
	const char *at = result->err.data, *end = at + result->err.length, *next;

	for (; at && at < end; at = next) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		next = newline ? newline + 1 : end;
		if ((size_t)(next - at) <= sizeof mark - 1 || memcmp(at, mark, sizeof mark - 1) != 0)
			continue;
		for (at += sizeof mark - 1; at < next; at++)
			if ((unsigned char)*at >= ' ' && *at != 0x7f)
				putc(*at, stderr);
		putc('\n', stderr);
	}
}

static bool out_of_reach(const char *words)
{
	static const char *const signs[] = {"Could not read from remote repository", "Could not resolve hostname",
		"Connection refused", "Connection timed out", "Connection closed", "the remote end hung up",
		"Permission denied (publickey)", "Host key verification failed"};

	for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
		if (strstr(words, signs[i]))
			return true;
	return false;
}

char *repo_text(const struct repo *repo, struct arena *arena, const struct repo_call *call, size_t *length, struct err *err)
{
	struct child_result result;
	char words[WORDS], *text = NULL;
	size_t bytes;

	if (run(repo, call, &result, err) < 0)
		goto err0;
	if (result.status != 0) {
		words_of(&result, words, sizeof words);
		err_set(err, out_of_reach(words) ? ERR_NETWORK : ERR_SYSTEM, "git %s: %s", call->arguments[0],
			words[0] ? words : "it failed without a word");
		goto err0;
	}
	if (call->heard)
		pass_on(&result);
	bytes = result.out.length;
	if (bytes > 0 && result.out.data[bytes - 1] == '\n')
		bytes--;
	text = arena_memdup(arena, bytes > 0 ? result.out.data : "", bytes);
	if (length)
		*length = bytes;
err0:
	child_result_release(&result);
	return text;
}

int repo_status(const struct repo *repo, const struct repo_call *call, struct err *err)
{
	struct child_result result;
	int status = run(repo, call, &result, err) < 0 ? -1 : result.status;

	child_result_release(&result);
	return status;
}
