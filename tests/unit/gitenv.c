#include "conf/gitenv.h"

#include <stdlib.h>

#include "tests/tap.h"
#include "tests/tmp.h"

static struct conf *load(const char *config)
{
	const char *const files[] = {tmp_text("byov.conf", "[trial]\n", 0600), NULL};
	char option[600];
	const char *const overrides[] = {option, NULL};
	const struct conf_source source = {.namespace = "trial", .files = files, .overrides = overrides};
	struct conf *conf = NULL;
	struct err err;

	snprintf(option, sizeof option, "git.config=%s", config);
	if (conf_load(&conf, &source, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	return conf;
}

static const char *value(const struct strv *env, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < env->count; i++)
		if (strncmp(env->v[i], name, length) == 0 && env->v[i][length] == '=')
			return env->v[i] + length + 1;
	return NULL;
}

static void test_environment(void)
{
	struct conf *conf = load(tmp_path("gitconfig"));
	struct strv env = STRV_INIT;
	struct err err;

	setenv("GIT_DIR", "/evil", 1);
	setenv("GIT_SSH", "/evil", 1);
	setenv("GIT_CONFIG_COUNT", "1", 1);
	ok(gitenv_make(conf, NULL, &env, &err) == 0, "an environment");
	ok(!value(&env, "GIT_DIR") && !value(&env, "GIT_SSH") && !value(&env, "GIT_CONFIG_COUNT"), "nothing of the caller's");
	is(value(&env, "GIT_CONFIG_GLOBAL"), "/dev/null", "no configuration when there is no file");
	is(value(&env, "GIT_CONFIG_NOSYSTEM"), "1", "nor the machine's");
	is(value(&env, "GIT_TERMINAL_PROMPT"), "0", "nothing is asked");
	is(value(&env, "GIT_ALLOW_PROTOCOL"), "file:ssh:https", "only these protocols");
	is(value(&env, "HOME"), "/", "nobody's home");
	ok(strstr(value(&env, "GIT_SSH_COMMAND"), "IdentityFile=none ") != NULL, "no key");
	ok(strstr(value(&env, "GIT_SSH_COMMAND"), tmp_path("known_hosts")) != NULL, "known_hosts beside the git configuration");
	ok(strstr(value(&env, "GIT_SSH_COMMAND"), "StrictHostKeyChecking=yes") != NULL, "and no host that is not in it");
	strv_release(&env);
	tmp_text("gitconfig", "", 0600);
	ok(gitenv_make(conf, NULL, &env, &err) == 0, "another");
	is(value(&env, "GIT_CONFIG_GLOBAL"), tmp_path("gitconfig"), "the namespace's own configuration when it is there");
	strv_release(&env);
	conf_free(conf);
}

static void test_paths(void)
{
	static const char *const bad[] = {"key", "", "/a b", "/a'b", "/a;b", "/a$(id)", "/a\"b", "/a\nb", "/a%h", "/a\\b", "/a*"};
	struct conf *conf = load("/etc/byoci/trial/gitconfig");
	struct strv env = STRV_INIT;
	struct err err;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		const struct gitenv key = {.ssh_key = bad[i]}, hosts = {.known_hosts = bad[i]};

		ok(gitenv_make(conf, &key, &env, &err) < 0 && err.kind == ERR_CONFIG, "no such path of a key");
		strv_release(&env);
		ok(gitenv_make(conf, &hosts, &env, &err) < 0 && err.kind == ERR_CONFIG, "nor of known hosts");
		strv_release(&env);
	}
	const struct gitenv good = {.ssh_key = "/k/id_ed25519", .known_hosts = "/k/hosts", .home = "/h"};
	ok(gitenv_make(conf, &good, &env, &err) == 0, "good ones");
	ok(strstr(value(&env, "GIT_SSH_COMMAND"), "IdentityFile=/k/id_ed25519 ") != NULL, "the key");
	ok(strstr(value(&env, "GIT_SSH_COMMAND"), "UserKnownHostsFile=/k/hosts ") != NULL, "the hosts");
	is(value(&env, "HOME"), "/h", "the home");
	strv_release(&env);
	conf_free(conf);
}

static void test_command(void)
{
	struct strv argv = STRV_INIT;
	bool hooks = false;

	gitenv_command(&argv, "/r.git");
	is(argv.v[0], "git", "git");
	is(argv.v[argv.count - 1], "--git-dir=/r.git", "of that repository");
	for (size_t i = 1; i < argv.count; i++)
		hooks = hooks || strcmp(argv.v[i], "core.hooksPath=/dev/null") == 0;
	ok(hooks, "without hooks");
	strv_release(&argv);
	gitenv_command(&argv, NULL);
	ok(strncmp(argv.v[argv.count - 1], "--git-dir", 9) != 0, "or of none");
	strv_release(&argv);
}

int main(void)
{
	tmp_make();
	test_environment();
	test_paths();
	test_command();
	return tap_done();
}
