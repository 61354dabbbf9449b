#include "conf/gitenv.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"

/* What is in a shell command and in ssh's options unquoted: nothing that either would take apart. */
static int check_path(const char *path, struct err *err)
{
	static const char signs[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+@:,-";

	if (path[0] == '/' && path[strspn(path, signs)] == '\0')
		return 0;
	return err_set(err, ERR_CONFIG, "%s: ssh needs an absolute path of letters, digits and /._+@:,- here", path);
}

/* Only what is said here: no configuration, agent, proxy, shared connection or question of anybody's. */
static int push_ssh(const struct gitenv *how, const char *known_hosts, struct strv *env, struct err *err)
{
	const char *key = how && how->ssh_key ? how->ssh_key : NULL;

	if (check_path(known_hosts, err) < 0 || (key && check_path(key, err) < 0))
		return -1;
	strv_pushf(env,
		"GIT_SSH_COMMAND=ssh -F /dev/null -a -x -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none -o IdentityFile=%s "
		"-o PreferredAuthentications=publickey -o GSSAPIAuthentication=no -o StrictHostKeyChecking=yes -o UpdateHostKeys=no "
		"-o UserKnownHostsFile=%s -o GlobalKnownHostsFile=/dev/null -o ClearAllForwardings=yes -o ControlMaster=no "
		"-o ControlPath=none -o ProxyCommand=none -o PermitLocalCommand=no -o ConnectTimeout=10 -o ServerAliveInterval=15 "
		"-o ServerAliveCountMax=4 -o LogLevel=ERROR", key ? key : "none", known_hosts);
	strv_push(env, "GIT_SSH_VARIANT=ssh");
	return 0;
}

/* known_hosts lies beside the file that option git.config names: in /etc/byoci/NAMESPACE. */
static const char *default_known_hosts(struct arena *arena, const char *config)
{
	const char *slash = strrchr(config, '/');

	return arena_printf(arena, "%.*s/known_hosts", (int)(slash - config), config);
}

int gitenv_make(const struct conf *conf, const struct gitenv *how, struct strv *env, struct err *err)
{
	struct arena *arena;
	const char *config, *known_hosts;
	int done;

	if (conf_text(conf, NULL, "git.config", &config, err) < 0)
		return -1;
	strv_pushl(env, "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C.UTF-8", "TZ=UTC", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false", "SSH_ASKPASS=/bin/false",
		"SSH_ASKPASS_REQUIRE=never", "GIT_ALLOW_PROTOCOL=file:ssh:https", "GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1",
		"GIT_OPTIONAL_LOCKS=0", "GIT_PAGER=cat", "GIT_EDITOR=/bin/false", NULL);
	strv_pushf(env, "HOME=%s", how && how->home ? how->home : "/");
	strv_pushf(env, "GIT_CONFIG_GLOBAL=%s", access(config, R_OK) == 0 ? config : "/dev/null");
	arena = arena_new();
	known_hosts = how && how->known_hosts ? how->known_hosts : default_known_hosts(arena, config);
	done = push_ssh(how, known_hosts, env, err);
	arena_free(arena);
	return done;
}

void gitenv_command(struct strv *argv, const char *repository)
{
	static const char *const settings[] = {
		"core.hooksPath=/dev/null", "core.attributesFile=/dev/null", "core.excludesFile=/dev/null", "core.fsmonitor=false",
		"core.askPass=/bin/false", "core.alternateRefsCommand=:", "credential.helper=", "protocol.ext.allow=never",
		"http.followRedirects=false", "http.sslVerify=true",
		"submodule.recurse=false", "fetch.recurseSubmodules=false", "push.recurseSubmodules=no", "fetch.writeCommitGraph=false",
		"gc.auto=0", "maintenance.auto=false", "commit.gpgSign=false", "push.gpgSign=false"};

	strv_push(argv, "git");
	for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
		strv_pushl(argv, "-c", settings[i], NULL);
	if (repository)
		strv_pushf(argv, "--git-dir=%s", repository);
}
