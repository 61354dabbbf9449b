#include "launchpad/launchpad_commits.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "forge/launchpad.h"
#include "forge/proposal.h"

#define FETCH_MS (15 * 60 * 1000) /* the first one fetches all there is */

/* The ssh key that the caller may read: the slave's for reading, the landing key. */
static const char *read_key(const struct launchpad_site *site)
{
	static const char *const files[] = {"brain/id_ed25519", "slave/id_ed25519"};
	const char *secrets, *key = NULL;
	struct err ignored;

	if (conf_text(site->conf, NULL, "secrets", &secrets, &ignored) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		key = arena_printf(site->arena, "%s/%s", secrets, files[i]);
		if (access(key, R_OK) == 0)
			return key;
	}
	return conf_text(site->conf, site->place.section, "landing.key", &key, &ignored) == 0 && access(key, R_OK) == 0 ? key : NULL;
}

/* The folder of our own user's state, where clones may be; NULL: none is ours. */
static const char *own_folder(const struct launchpad_site *site)
{
	static const char *const folders[][2] = {{"brain", "trees"}, {"land", "reads"}};
	const char *state;
	struct err ignored;
	struct stat st;

	if (conf_text(site->conf, NULL, "state", &state, &ignored) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
		if (stat(arena_printf(site->arena, "%s/%s", state, folders[i][0]), &st) == 0 && st.st_uid == geteuid())
			return arena_printf(site->arena, "%s/%s/%s/%s.git", state, folders[i][0], folders[i][1], site->place.name);
	return NULL;
}

int launchpad_commits_open(struct launchpad_commits *commits, const struct launchpad_site *site, struct err *err)
{
	const char *folder = own_folder(site);

	commits->site = site;
	commits->repo = folder ? repo_kept(site->conf, folder, err) : repo_temporary(site->conf, err);
	if (!commits->repo)
		return -1;
	if (repo_ssh(commits->repo, site->conf, read_key(site), err) == 0)
		return 0;
	repo_close(commits->repo);
	return -1;
}

void launchpad_commits_close(struct launchpad_commits *commits)
{
	repo_close(commits->repo);
}

/* The project's own address, or one beside it. */
static const char *address_of(const struct launchpad_site *site, const char *link, struct err *err)
{
	const char *name = link ? launchpad_below_root(link) : site->name, *address;

	if (name && strcmp(name, site->name) == 0)
		return site->place.read;
	address = name ? forge_beside(site->arena, site->place.read[0] == '/' ? site->place.repository : site->place.read, name) : NULL;
	if (!address)
		err_set(err, ERR_INPUT, "%.200s: not the address of a repository", link);
	return address;
}

static bool is_ref(const char *ref)
{
	return ref && launchpad_ref_valid(ref, "refs/");
}

int launchpad_commits_fetch(const struct launchpad_commits *commits, struct launchpad_commit *commit, struct err *err)
{
	struct arena *arena = commits->site->arena;
	const char *address = address_of(commits->site, commit->link, err), *own = arena_printf(arena, "refs/byoci/%s", commit->as);
	const struct repo_call fetch = {.arguments = REPO_ARGUMENTS("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--force", "--",
		address, arena_printf(arena, "%s:%s", commit->ref, own)), .limit_ms = FETCH_MS};
	const struct repo_call parse = {.arguments = REPO_ARGUMENTS("rev-parse", "--verify", arena_printf(arena, "%s^{commit}", own))};

	commit->id = NULL;
	if (!address)
		return -1;
	if (!is_ref(commit->ref))
		return err_set(err, ERR_INPUT, "%s_git_path: must be a ref", commit->as);
	if (!repo_text(commits->repo, arena, &fetch, NULL, err)) {
		if (!strstr(err->text, "couldn't find remote ref"))
			return -1;
		err_clear(err);
		return 0;
	}
	commit->id = repo_text(commits->repo, arena, &parse, NULL, err);
	return commit->id ? 0 : -1;
}

int launchpad_commits_words(
	const struct launchpad_commits *commits, const char *id, struct launchpad_commit_words *words, struct err *err)
{
	const struct repo_call log = {.arguments = REPO_ARGUMENTS("log", "-1", "--no-show-signature", "--format=%ct%n%an%n%ae", id, "--")};
	char *text = repo_text(commits->repo, commits->site->arena, &log, NULL, err), *name = text ? strchr(text, '\n') : NULL;
	char *mail = name ? strchr(name + 1, '\n') : NULL;

	if (!text)
		return -1;
	if (!mail)
		return err_set(err, ERR_SYSTEM, "git log: it wrote something else than it was asked for");
	*name++ = *mail++ = '\0';
	*words = (struct launchpad_commit_words){.time = strtoll(text, NULL, 10), .name = name, .mail = mail};
	return 0;
}

int launchpad_commits_descends(
	const struct launchpad_commits *commits, const char *ancestor, const char *descendant, bool *descends, struct err *err)
{
	const struct repo_call call = {.arguments = REPO_ARGUMENTS("merge-base", "--is-ancestor", ancestor, descendant)};
	int status = repo_status(commits->repo, &call, err);

	if (status > 1)
		return err_set(err, ERR_SYSTEM, "git merge-base: it ended with %d", status);
	*descends = status == 0;
	return status < 0 ? -1 : 0;
}

const char *launchpad_commits_list(
	const struct launchpad_commits *commits, const char *link, const char *const *refs, struct err *err)
{
	struct strv arguments = STRV_INIT;
	struct repo_call call = {.maximum = 0};
	const char *address = address_of(commits->site, link, err);
	char *text = NULL;

	if (!address)
		return NULL;
	strv_pushl(&arguments, "ls-remote", "--refs", "--", address, NULL);
	for (; *refs; refs++)
		strv_push(&arguments, *refs);
	call.arguments = (const char *const *)arguments.v;
	text = repo_text(commits->repo, commits->site->arena, &call, NULL, err);
	strv_release(&arguments);
	return text;
}
