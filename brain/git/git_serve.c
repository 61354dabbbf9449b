/* git-serve: the forced command of one ssh key: fetch from or push to a repository of git.root, as WHO. Nothing else. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/strv.h"
#include "forge/proposal.h"
#include "git/place.h"
#include "verb/verb.h"

struct service {
	const char *words; /* what ssh was asked for, up to the path */
	const char *subcommand;
	bool writes;
};

static const struct service services[] = {
	{"git-upload-pack ", "upload-pack", false},
	{"git upload-pack ", "upload-pack", false},
	{"git-receive-pack ", "receive-pack", true},
	{"git receive-pack ", "receive-pack", true},
};

/* "'/NAME.git'", "'NAME'": NAME in the arena; NULL: not of that form. Git quotes the path, always with '. */
static const char *name_of_path(struct arena *arena, const char *text)
{
	size_t length = strlen(text);
	char *path;

	if (length < 3 || text[0] != '\'' || text[length - 1] != '\'')
		return NULL;
	path = arena_memdup(arena, text + 1, length - 2);
	path += path[0] == '/';
	length = strlen(path);
	if (length > 4 && strcmp(path + length - 4, ".git") == 0)
		path[length - 4] = '\0';
	return forge_name_valid(path) ? path : NULL;
}

/* Which service of which repository the client asks for. */
static const struct service *parse(struct arena *arena, const char *command, const char **name, struct err *err)
{
	if (!command || !*command) {
		err_set(err, ERR_REFUSED, "this address serves git only: git clone, fetch or push it, or byoci propose");
		return NULL;
	}
	for (size_t i = 0; i < sizeof services / sizeof services[0]; i++)
		if (strncmp(command, services[i].words, strlen(services[i].words)) == 0) {
			*name = name_of_path(arena, command + strlen(services[i].words));
			if (*name)
				return &services[i];
			err_set(err, ERR_REFUSED, "no repository has such a path; NAME.git would be one");
			return NULL;
		}
	err_set(err, ERR_REFUSED, "this address serves git-upload-pack and git-receive-pack only");
	return NULL;
}

/* The repository's folder, complete: without its hook nothing would be refused. */
static const char *folder_of(const struct conf *conf, struct arena *arena, const char *name, struct err *err)
{
	const char *root, *folder, *hook;
	struct place place;
	struct stat st;

	if (conf_text(conf, NULL, "git.root", &root, err) < 0 || place_of_path(conf, arena, name, &place, err) < 0)
		return NULL;
	folder = arena_printf(arena, "%s/%s.git", root, name);
	if (stat(folder, &st) < 0 || !S_ISDIR(st.st_mode)) {
		err_set(err, ERR_NOT_FOUND, "there is no repository %s.git here", name);
		return NULL;
	}
	hook = arena_printf(arena, "%s/hooks/pre-receive", folder);
	if (access(hook, X_OK) == 0)
		return folder;
	err_set(err, ERR_REFUSED, "%s.git has no pre-receive hook, so it is not served: setup/byoci makes it", name);
	return NULL;
}

/* Git's own environment: nothing of the client's. */
static void make_environment(struct strv *environment, const char *who, const char *namespace, const char *root)
{
	strv_pushl(environment, "PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=/", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_NO_REPLACE_OBJECTS=1", NULL);
	strv_pushf(environment, "BYOCI_PUSHER=%s", who);
	strv_pushf(environment, "BYOCI_NAMESPACE=%s", namespace);
	if (*root)
		strv_pushf(environment, "BYOCI_ROOT=%s", root);
}

/* Git with the connection as its input and output; its exit status. */
static int serve(const struct service *service, const char *folder, const struct strv *environment, struct err *err)
{
	const char *const argv[] = {"git", "-c", "receive.fsckObjects=true", "-c", "receive.autogc=false", "-c",
		"receive.advertiseAtomic=true", "-c", "receive.advertisePushOptions=false", "-c", "receive.maxInputSize=2147483648", "-c",
		"receive.denyDeleteCurrent=ignore", "-c", "core.sharedRepository=0640", "-c", "uploadpack.allowFilter=true",
		service->subcommand, folder, NULL};
	struct child child = CHILD_INIT;
	int status;
	pid_t pid;

	child.argv = argv;
	child.environment = (const char *const *)environment->v;
	child.in = 0;
	child.out = 1;
	child.err = 2;
	child.dies_with_parent = true;
	if (child_spawn(&child, &pid, NULL, err) < 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set_errno(err, errno, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int git_serve_verb(const struct verb_call *call)
{
	static const struct verb_option options[] = {{.name = NULL}};
	struct strv environment = STRV_INIT;
	struct arena *arena = arena_new();
	const struct service *service;
	const char *rest[2], *name, *folder;
	struct err err;
	int status = -1;

	if (verb_options(call, options, rest, 1, &err) < 0)
		goto err0;
	if (!rest[0] || !forge_name_valid(rest[0])) {
		err_set(&err, ERR_USAGE, "say WHO the ssh key belongs to");
		goto err0;
	}
	service = parse(arena, getenv("SSH_ORIGINAL_COMMAND"), &name, &err);
	folder = service ? folder_of(call->conf, arena, name, &err) : NULL;
	if (!folder)
		goto err0;
	make_environment(&environment, rest[0], call->namespace, verb_root());
	status = serve(service, folder, &environment, &err);
err0:
	strv_release(&environment);
	arena_free(arena);
	return status < 0 ? verb_fail(call, &err) : status;
}
