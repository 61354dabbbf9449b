#include "slaves/lxd/lxd_instance.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "base/log.h"
#include "slaves/common/process.h"
#include "slaves/confine/lxc_settings.h"
#include "slaves/confine/seccomp.h"
#include "slaves/confine/veil.h"
#include "slaves/lxd/lxd_image.h"
#include "slaves/lxd/lxd_root.h"

#define GONE_LIMIT_US (30 * (int64_t)1000000)
#define STOP_LIMIT_S 30
#define PROFILE_MAXIMUM 65536
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* Of the settings that workers of liblxc's have, those that LXD has no options for and leaves to us. */
static const char *const taken[] = {"lxc.uts.name", "lxc.no_new_privs", "lxc.cap.keep", "lxc.mount.entry"};

static char *boot_id(struct arena *arena, struct err *err)
{
	char *text = file_read(arena, BOOT_ID, 64, NULL, err);

	if (text)
		text[strcspn(text, "\n")] = '\0';
	return text;
}

char *lxd_instance_owner(struct arena *arena, struct err *err)
{
	char self[32] = "";
	char *boot = boot_id(arena, err);

	if (!boot)
		return NULL;
	if (readlink("/proc/self", self, sizeof self - 1) < 0) {
		err_set(err, ERR_SYSTEM, "/proc/self cannot be read");
		return NULL;
	}
	return arena_printf(arena, "%s %lld %s", self, (long long)process_started((pid_t)strtol(self, NULL, 10)), boot);
}

static bool is_alive(struct arena *arena, const char *owner)
{
	struct err unread = {0};
	const char *boot = boot_id(arena, &unread);
	char theirs[64] = "";
	long long start;
	int pid;

	if (sscanf(owner, "%d %lld %63s", &pid, &start, theirs) != 3)
		return false;
	return boot && strcmp(boot, theirs) == 0 && pid > 0 && start > 0 && process_started(pid) == start;
}

/* And of these, what LXD would mount something over, or mounts by itself: lxd_root.c does it later, or makes it as it is to be. */
static const char *const left[] = {"cgroup2 sys/fs/cgroup ", "proc dev/.lxc/proc ", "sys dev/.lxc/sys "};

static bool is_taken(const struct lxc_setting *setting)
{
	for (size_t i = 0; i < sizeof left / sizeof *left; i++)
		if (strncmp(setting->value, left[i], strlen(left[i])) == 0)
			return false;
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
		if (strcmp(setting->key, taken[i]) == 0)
			return true;
	return false;
}

static const char *raw_of(struct arena *arena, const struct lxd_instance *want)
{
	struct lxc_settings settings = {.arena = arena};
	const char *raw = arena_printf(arena, "lxc.init.cmd = " LXD_IMAGE_INIT " %s\nlxc.cap.drop =\n", want->init);

	lxc_settings_fixed(&settings, want->features);
	if (!want->features)
		veil_settings(&settings); /* LXD's init is no place to do it later */
	/* Something to mount it on, which only the instance can make in its /dev. */
	lxc_settings_add(&settings, "lxc.mount.entry", "/dev/null %s none bind,create=file 0 0", LXD_ROOT_PROGRAM + 1);
	lxc_settings_add(&settings, "lxc.mount.entry", "tmpfs dev/shm tmpfs nosuid,nodev,create=dir,mode=1777,size=%lld 0 0",
		(long long)want->memory / 2);
	for (size_t i = 0; i < settings.count; i++)
		if (is_taken(&settings.list[i]))
			raw = arena_printf(arena, "%s%s = %s\n", raw, settings.list[i].key, settings.list[i].value);
	for (size_t i = 0; i < want->more->count; i++)
		raw = arena_printf(arena, "%s%s = %s\n", raw, want->more->list[i].key, want->more->list[i].value);
	return raw;
}

static const char *denied_of(struct arena *arena, unsigned features)
{
	const char *denied;
	struct buf text;

	buf_init(&text, PROFILE_MAXIMUM);
	if (seccomp_add(&text, features) < 0)
		err_fatal("the system calls that a worker may not make do not fit into %d bytes", PROFILE_MAXIMUM);
	denied = arena_memdup(arena, text.data, text.length);
	buf_release(&text);
	return denied;
}

static json_t *config_of(struct arena *arena, const struct lxd_instance *want)
{
	const char *const settings[][2] = {
		{"security.privileged", "false"},
		{"security.nesting", want->features & SECCOMP_NESTED ? "true" : "false"},
		{"security.devlxd", "false"},
		{"security.idmap.isolated", "true"},
		{"security.idmap.base", arena_printf(arena, "%lld", (long long)want->ids)},
		{"security.idmap.size", arena_printf(arena, "%d", LXD_INSTANCE_IDS)},
		{"security.syscalls.deny", denied_of(arena, want->features)},
		{"boot.autostart", "false"},
		{"limits.memory", arena_printf(arena, "%lldB", (long long)want->memory)},
		{"limits.kernel.core", "0"},
		{"limits.memory.enforce", "hard"},
		{"limits.memory.swap", "false"},
		{"limits.processes", arena_printf(arena, "%lld", (long long)want->processes)},
		{"raw.lxc", raw_of(arena, want)},
		{"user.byoci.namespace", want->namespace},
		{"user.byoci.owner", want->owner},
		{"user.byoci.expiry", arena_printf(arena, "%lld", (long long)want->expiry)},
	};
	json_t *config = json_object();

	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
		json_object_set_new(config, settings[i][0], json_string(settings[i][1]));
	if (want->cpus)
		json_object_set_new(config, "limits.cpu.allowance",
			json_string(arena_printf(arena, "%lldms/100ms", (long long)want->cpus * 100)));
	return config;
}

static const char *path_of(struct arena *arena, const char *name, const char *rest)
{
	return arena_printf(arena, "/1.0/instances/%s%s", name, rest);
}

static int set_state(const struct lxd *lxd, const char *name, const char *action, struct err *err)
{
	struct arena *arena = arena_new();
	int rc = lxd_do(lxd, "PUT", path_of(arena, name, "/state"),
		json_pack("{s:s, s:b, s:i}", "action", action, "force", 1, "timeout", STOP_LIMIT_S), err);

	arena_free(arena);
	return rc;
}

static int create(const struct lxd *lxd, const struct lxd_instance *want, struct err *err)
{
	struct arena *arena = arena_new();
	json_t *body = json_pack("{s:s, s:s, s:b, s:[], s:o, s:{s:{s:s, s:s, s:s}}, s:{s:s, s:s}}", "name", want->name, "type",
		"container", "ephemeral", 1, "profiles", "config", config_of(arena, want), "devices", "root", "type", "disk", "path", "/",
		"pool", want->pool, "source", "type", "image", "fingerprint", want->fingerprint);
	int rc = lxd_do(lxd, "POST", "/1.0/instances", body, err);

	arena_free(arena);
	return rc;
}

/* Its first process; 0 when it does not run. */
static int find_pid(const struct lxd *lxd, const char *name, pid_t *pid, struct err *err)
{
	struct arena *arena = arena_new();
	json_t *state = lxd_get(lxd, path_of(arena, name, "/state"), err);
	const char *status;
	int64_t number;
	int rc = -1;

	arena_free(arena);
	if (!state)
		return -1;
	if (jsonget_string(state, "status", &status, err) == 0 && jsonget_integer(state, "pid", &number, err) == 0) {
		*pid = strcmp(status, "Running") == 0 && number > 1 && number <= INT32_MAX ? (pid_t)number : 0;
		rc = 0;
	}
	json_decref(state);
	return rc < 0 ? err_wrap(err, "LXD at %s: the state of %s", lxd_socket(lxd), name) : 0;
}

/* 1: there is one, and its key says that it is of this namespace (NULL: of any); 0: there is none. */
static int find(const struct lxd *lxd, const char *name, const char *namespace, struct err *err)
{
	struct arena *arena = arena_new();
	struct err absent = {0};
	json_t *instance = lxd_get(lxd, path_of(arena, name, ""), &absent);
	const char *theirs = jsonget_string_or(json_object_get(instance, "config"), "user.byoci.namespace", NULL);
	int rc = 1;

	arena_free(arena);
	if (!instance && absent.kind == ERR_NOT_FOUND) {
		rc = 0;
	} else if (!instance) {
		*err = absent;
		rc = -1;
	} else if (!theirs || (namespace && strcmp(theirs, namespace) != 0)) {
		rc = err_set(err, ERR_REFUSED, "LXD at %s: there is an instance %s that is not ours", lxd_socket(lxd), name);
	}
	json_decref(instance);
	return rc;
}

int lxd_instance_start(const struct lxd *lxd, const struct lxd_instance *want, pid_t *pid, struct err *err)
{
	int there = find(lxd, want->name, want->namespace, err);

	if (there < 0 || (there > 0 && lxd_instance_delete(lxd, want->name, err) < 0))
		return -1;
	if (create(lxd, want, err) < 0 || set_state(lxd, want->name, "start", err) < 0 || find_pid(lxd, want->name, pid, err) < 0)
		return -1;
	if (!*pid)
		return err_set(err, ERR_SYSTEM, "LXD at %s: %s ended as soon as it was started", lxd_socket(lxd), want->name);
	return 0;
}

int lxd_instance_tell(const struct lxd *lxd, const char *name, const char *build, struct err *err)
{
	struct arena *arena = arena_new();
	int rc = lxd_do(lxd, "PATCH", path_of(arena, name, ""), json_pack("{s:{s:s}}", "config", "user.byoci.build", build), err);

	arena_free(arena);
	return rc;
}

int lxd_instance_check(const struct lxd *lxd, const char *name, pid_t pid, struct err *err)
{
	pid_t now;

	if (find_pid(lxd, name, &now, err) < 0)
		return -1;
	return now == pid ? 0 : err_set(err, ERR_SYSTEM, "LXD at %s: %s does not run any more", lxd_socket(lxd), name);
}

/* An ephemeral one deletes itself when it has stopped; one that never ran does not. */
static int delete_once(const struct lxd *lxd, const char *name, struct err *err)
{
	struct arena *arena = arena_new();
	pid_t pid = 0;
	int rc = find_pid(lxd, name, &pid, err);

	if (rc == 0 && pid)
		rc = set_state(lxd, name, "stop", err);
	else if (rc == 0)
		rc = lxd_do(lxd, "DELETE", path_of(arena, name, ""), NULL, err);
	arena_free(arena);
	return rc;
}

int lxd_instance_delete(const struct lxd *lxd, const char *name, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	int64_t deadline_us = clock_monotonic_us() + GONE_LIMIT_US;
	struct err last = {0};

	for (;;) {
		int there = find(lxd, name, NULL, err);

		if (there < 0 && err->kind == ERR_REFUSED)
			return 1;
		if (there <= 0)
			return there;
		if (clock_monotonic_us() > deadline_us)
			return last.kind == ERR_NONE
				? err_set(err, ERR_TIMEOUT, "LXD at %s: %s is not gone though it was stopped", lxd_socket(lxd), name)
				: err_set(err, last.kind, "%s", last.text);
		err_clear(&last);
		if (delete_once(lxd, name, &last) < 0 && (last.kind == ERR_NETWORK || last.kind == ERR_TIMEOUT)) {
			*err = last;
			return -1;
		}
		nanosleep(&pause, NULL); /* what LXD says of one that is just ending is not to be relied on: it is looked at again */
	}
}

static int sweep_one(const struct lxd *lxd, const char *namespace, const json_t *instance, struct err *err)
{
	struct arena *arena = arena_new();
	const json_t *config = json_object_get(instance, "config");
	const char *name = jsonget_string_or(instance, "name", "");
	int rc = 0;

	if (strcmp(jsonget_string_or(config, "user.byoci.namespace", ""), namespace) == 0 && *name && !strpbrk(name, "/?#% ") &&
		!is_alive(arena, jsonget_string_or(config, "user.byoci.owner", ""))) {
		rc = lxd_instance_delete(lxd, name, err) < 0 ? -1 : 1;
		if (rc > 0)
			log_info(LOG_WHAT("an instance without an owner was deleted"), LOG_TEXT("instance", name),
				LOG_TEXT("build", jsonget_string_or(config, "user.byoci.build", "")));
	}
	arena_free(arena);
	return rc;
}

int lxd_instance_sweep(const struct lxd *lxd, const char *namespace, struct err *err)
{
	json_t *instances = lxd_get(lxd, "/1.0/instances?recursion=1", err);
	const json_t *instance;
	int removed = 0, failed = 0;
	size_t i;

	if (!instances)
		return -1;
	json_array_foreach(instances, i, instance) {
		int rc = sweep_one(lxd, namespace, instance, err);

		failed |= rc < 0;
		removed += rc > 0;
	}
	json_decref(instances);
	return failed ? -1 : removed;
}
