#include "slaves/common/program.h"

#include <limits.h>
#include <unistd.h>

#include "base/crash.h"
#include "conf/reload.h"

#define PATH_OF_PROGRAMS "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

const char *program_option(const struct program *program, const char *option, struct err *err)
{
	const char *value = NULL;

	if (conf_text(program->conf, NULL, option, &value, err) < 0)
		return NULL;
	if (!value)
		err_set(err, ERR_CONFIG, "option %s is not set", option);
	return value;
}

const char *program_section_option(const struct program *program, const char *kind, const char *name, const char *option, struct err *err)
{
	const char *section = arena_printf(program->arena, "%s/%s", kind, name);
	const char *value = NULL;

	if (!conf_has_section(program->conf, section)) {
		err_set(err, ERR_NOT_FOUND, "there is no [%s] in the configuration", section);
		return NULL;
	}
	if (conf_text(program->conf, section, option, &value, err) < 0)
		return NULL;
	if (!value)
		err_set(err, ERR_CONFIG, "[%s] has no %s", section, option);
	return value;
}

static void push_own_path(struct strv *argv)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

	path[length > 0 ? length : 0] = 0;
	strv_push(argv, access(path, X_OK) == 0 ? path : "/proc/self/exe");
}

void program_command(const struct program *program, const char *file, struct strv *argv, struct strv *environment)
{
	if (file)
		strv_push(argv, file);
	else
		push_own_path(argv);
	strv_pushl(argv, "-n", conf_namespace(program->conf), NULL);
	for (const char *const *override = program->overrides; override && *override; override++)
		strv_pushl(argv, "-O", *override, NULL);
	strv_pushl(environment, PATH_OF_PROGRAMS, "HOME=/", "LC_ALL=C.UTF-8", NULL);
	CRASH_PASS(environment);
	if (program->root)
		strv_pushf(environment, "BYOCI_ROOT=%s", program->root);
}

static char *below(const struct program *program, const char *option, const char *file, struct err *err)
{
	const char *folder = program_option(program, option, err);

	return folder ? arena_printf(program->arena, "%s/%s", folder, file) : NULL;
}

char *program_secret(const struct program *program, const char *file, struct err *err)
{
	return below(program, "secrets", file, err);
}

char *program_state(const struct program *program, const char *file, struct err *err)
{
	return below(program, "state", file, err);
}

char *program_etc(const struct program *program, const char *file)
{
	return arena_printf(program->arena, "%s/etc/byoci/%s/%s", program->root ? program->root : "", conf_namespace(program->conf), file);
}

/* What the sockets and the folders were made from. */
static const char *const fixed_options[] = {"state", "run", "slave.socket", "land.socket", "approval.socket", NULL};

int program_reload(struct program *program, const struct program *first)
{
	static const struct reload_fixed fixed = {.options = fixed_options};
	const struct conf_source source = {.system_only = true, .root = program->root, .overrides = program->overrides};
	struct err err = {0};
	struct conf *conf = reload_conf(program->conf, &source, &fixed, &err);

	if (!conf)
		return -1;
	program_forget(program, first);
	program->conf = conf;
	return 0;
}

void program_forget(struct program *program, const struct program *first)
{
	if (program->conf != first->conf)
		conf_free(program->conf);
	program->conf = first->conf;
}
