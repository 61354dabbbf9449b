#include "slaves/confine/seccomp.h"
#include "slaves/confine/veil.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "tests/tap.h"
#include "tests/tmp.h"
#include "slaves/confine/lxc_settings.h"

static char *profile(struct arena *arena, unsigned features)
{
	const char *path = arena_printf(arena, "%s/profile-%u", tmp_folder, features);
	struct err err = {0};

	ok(seccomp_write(path, features, &err) == 0, "a profile is written");
	ok(seccomp_write(path, features, &err) < 0, "never over another file");
	return file_read(arena, path, 65536, NULL, &err);
}

/* A line that begins so. */
static bool has(const char *text, const char *rule)
{
	for (const char *found = text; (found = strstr(found, rule)); found++)
		if (found > text && found[-1] == '\n')
			return true;
	return false;
}

static void test_profiles(struct arena *arena)
{
	static const struct {
		const char *line;
		bool systemd, nested;
	} lines[] = {
		{"unshare errno 1 [0,0x10000000,", true, false},
		{"clone3 errno 38", true, false},
		{"mount errno 1", false, false},
		{"fsopen errno 1", true, false},
		{"setns errno 1", false, false},
		{"bpf errno 1", true, true},
		{"keyctl errno 1", true, true},
		{"socket errno 97 [0,17,SCMP_CMP_GE]", true, true},
		{"reject_force_umount", true, true},
	};
	const char *plain = profile(arena, 0);
	const char *systemd = profile(arena, SECCOMP_SYSTEMD);
	const char *nested = profile(arena, SECCOMP_NESTED);

	ok(strncmp(plain, "2\ndenylist\n", 11) == 0, "it begins as liblxc wants it");
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		ok(has(plain, lines[i].line), lines[i].line);
		ok(!has(systemd, lines[i].line) == !lines[i].systemd, "with systemd as asked for");
		ok(!has(nested, lines[i].line) == !lines[i].nested, "nested as asked for");
	}
}

static void test_unknown(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		struct err err = {0};

		if (seccomp_close_unknown(&err) < 0)
			_exit(2);
		_exit(syscall(467, -1, "", 0, NULL, 0) < 0 && errno == ENOSYS && access("/", F_OK) == 0 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	ok(WEXITSTATUS(status) == (geteuid() == 0 ? 0 : 2), "what is unknown can be closed, by root");
}

static const char *value_of(const struct lxc_settings *settings, const char *key, const char *part)
{
	for (size_t i = 0; i < settings->count; i++)
		if (strcmp(settings->list[i].key, key) == 0 && strstr(settings->list[i].value, part))
			return settings->list[i].value;
	return NULL;
}

static void test_settings(struct arena *arena)
{
	struct lxc_settings plain = {.arena = arena}, systemd = {.arena = arena}, nested = {.arena = arena};

	lxc_settings_fixed(&plain, 0);
	lxc_settings_fixed(&systemd, SECCOMP_SYSTEMD);
	lxc_settings_fixed(&nested, SECCOMP_NESTED);
	ok(value_of(&plain, "lxc.seccomp.allow_nesting", "1"), "our profile is loaded beside that of byoci-worker's unit");
	ok(!value_of(&plain, "lxc.cap.keep", "sys_admin"), "no sys_admin by default");
	ok(value_of(&systemd, "lxc.cap.keep", "sys_admin") && value_of(&nested, "lxc.cap.keep", "sys_admin"), "but for what mounts");
	ok(!value_of(&plain, "lxc.mount.entry", "cgroup2"), "no control groups by default");
	ok(value_of(&systemd, "lxc.mount.entry", "cgroup2"), "but for systemd");
	ok(!value_of(&plain, "lxc.mount.entry", ".lxc/proc") && !value_of(&systemd, "lxc.mount.entry", ".lxc/proc"),
		"no /proc that is seen in full");
	ok(value_of(&nested, "lxc.mount.entry", ".lxc/proc"), "but for nested containers");
	veil_settings(&plain);
	ok(value_of(&plain, "lxc.mount.entry", "/dev/null proc/"), "what tells of the host can be hidden by liblxc");
}

int main(void)
{
	struct arena *arena = arena_new();

	tmp_make();
	test_profiles(arena);
	test_settings(arena);
	test_unknown();
	arena_free(arena);
	return tap_done();
}
