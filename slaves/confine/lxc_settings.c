#include "slaves/confine/lxc_settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "slaves/confine/seccomp.h"

#define CPU_PERIOD_US 100000
#define V1 "lxc.cgroup."
#define V2 "lxc.cgroup2."

enum { ALWAYS = 0, SYSTEMD = SECCOMP_SYSTEMD, NESTED = SECCOMP_NESTED };

/* `needs`: a feature without which it is left out. Order as given. */
static const struct row {
	const char *key, *value;
	unsigned needs;
	const char *why;
} rows[] = {
	{"lxc.log.level", "WARN", ALWAYS, "its errors are ours"},
	{"lxc.uts.name", "worker", ALWAYS, "the host's name is none of its business"},
	{"lxc.autodev", "1", ALWAYS, "/dev is a tmpfs with null, zero, full, random, urandom and tty, and nothing else"},
	{"lxc.console.path", "none", ALWAYS, "no terminal of the host"},
	{"lxc.tty.max", "0", ALWAYS, "the same"},
	{"lxc.pty.max", "64", ALWAYS, "its own"},
	{"lxc.no_new_privs", "1", ALWAYS, "set-user-id programs and file capabilities do nothing"},
	{"lxc.seccomp.allow_nesting", "1", ALWAYS, "liblxc leaves its profile out where there is another one already, as there is here"},
	{"lxc.prlimit.core", "0", ALWAYS, "a core file would go to the host's core_pattern"},
	{"lxc.signal.halt", "SIGKILL", ALWAYS, "there is nothing to save"},
	{"lxc.signal.stop", "SIGKILL", ALWAYS, "the same"},
	{"lxc.cap.keep", "chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service sys_chroot audit_write setfcap",
		ALWAYS, "over its own files and processes: what installing packages and changing users takes"},
	{"lxc.cap.keep", "sys_admin net_admin", SYSTEMD, "mounts and name spaces of services; over its own name spaces only"},
	{"lxc.cap.keep", "sys_resource sys_nice sys_ptrace", SYSTEMD, "limits and priorities of services, within those of the worker"},
	{"lxc.cap.keep", "sys_admin net_admin", NESTED, "mounts of containers inside, and their networks"},
	{"lxc.mount.auto", "proc:mixed sys:ro", ALWAYS, "/proc/sys, /proc/sysrq-trigger and /sys can't be written"},
	{"lxc.mount.entry", "cgroup2 sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec 0 0", SYSTEMD | NESTED,
		"its own part of the tree, with a group for each service or container; its limits are not its own to change"},
	{"lxc.mount.entry", "proc dev/.lxc/proc proc create=dir,nosuid,nodev,noexec 0 0", NESTED,
		"the kernel lets a /proc be mounted inside only where one is seen in full; writing needs the host's root in any case"},
	{"lxc.mount.entry", "sys dev/.lxc/sys sysfs create=dir,nosuid,nodev,noexec,ro 0 0", NESTED, "the same for /sys"},
};

/* A second wall: no mount of the worker's takes device files in any case. v1 only; v2 has no files for it. */
static const char *const devices[] = {
	"c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm",
};

void lxc_settings_add(struct lxc_settings *settings, const char *key, const char *format, ...)
{
	va_list values;

	if (settings->count == sizeof settings->list / sizeof *settings->list)
		err_fatal("%zu settings of a container are too many", settings->count);
	va_start(values, format);
	settings->list[settings->count++] = (struct lxc_setting){key, arena_vprintf(settings->arena, format, values)};
	va_end(values);
}

void lxc_settings_fixed(struct lxc_settings *settings, unsigned features)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (!rows[i].needs || rows[i].needs & features)
			lxc_settings_add(settings, rows[i].key, "%s", rows[i].value);
}

static void limit_memory(struct lxc_settings *settings, int64_t bytes, const struct cgroup *cgroup)
{
	const char *folder = cgroup_folder(cgroup, settings->arena, "memory", "");
	long long memory = bytes;

	if (cgroup_version(cgroup, "memory") == 2) {
		lxc_settings_add(settings, "lxc.cgroup2.memory.max", "%lld", memory);
		if (access("/proc/swaps", F_OK) == 0) /* this kernel can swap */
			lxc_settings_add(settings, "lxc.cgroup2.memory.swap.max", "0");
		return;
	}
	lxc_settings_add(settings, "lxc.cgroup.memory.limit_in_bytes", "%lld", memory);
	if (access(arena_printf(settings->arena, "%smemory.memsw.limit_in_bytes", folder), F_OK) == 0)
		lxc_settings_add(settings, "lxc.cgroup.memory.memsw.limit_in_bytes", "%lld", memory);
}

static int limit_cpus(struct lxc_settings *settings, int64_t cpus, const struct cgroup *cgroup, struct err *err)
{
	long long quota = (long long)cpus * CPU_PERIOD_US;

	switch (cgroup_version(cgroup, "cpu")) {
	case 1:
		lxc_settings_add(settings, "lxc.cgroup.cpu.cfs_period_us", "%d", CPU_PERIOD_US);
		lxc_settings_add(settings, "lxc.cgroup.cpu.cfs_quota_us", "%lld", quota);
		return 0;
	case 2:
		lxc_settings_add(settings, "lxc.cgroup2.cpu.max", "%lld %d", quota, CPU_PERIOD_US);
		return 0;
	default:
		return err_set(err, ERR_CONFIG, "cpus = %lld: this machine has no control group that limits it", (long long)cpus);
	}
}

int lxc_settings_io(struct lxc_settings *settings, const struct lxc_limits *limits, const struct cgroup *cgroup, struct err *err)
{
	int version = cgroup_version(cgroup, cgroup_io(cgroup));
	long long bytes = limits->io_bytes;

	if (!bytes)
		return 0;
	if (!version)
		return err_set(err, ERR_CONFIG, "io.limit = %lld: this machine has no control group that limits it (io, blkio)", bytes);
	for (const char *const *device = limits->io_devices; *device; device++) {
		if (version == 2) {
			lxc_settings_add(settings, "lxc.cgroup2.io.max", "%s rbps=%lld wbps=%lld", *device, bytes, bytes);
			continue;
		}
		lxc_settings_add(settings, "lxc.cgroup.blkio.throttle.read_bps_device", "%s %lld", *device, bytes);
		lxc_settings_add(settings, "lxc.cgroup.blkio.throttle.write_bps_device", "%s %lld", *device, bytes);
	}
	return 0;
}

static void limit_devices(struct lxc_settings *settings, const struct cgroup *cgroup)
{
	if (cgroup_version(cgroup, "devices") != 1)
		return;
	lxc_settings_add(settings, "lxc.cgroup.devices.deny", "a");
	for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
		lxc_settings_add(settings, "lxc.cgroup.devices.allow", "%s", devices[i]);
}

void lxc_settings_groups(struct lxc_settings *settings, const struct cgroup *cgroup)
{
	/*
	 * Its groups are below ours. Of process 1, which liblxc asks otherwise, v1 says that they are the root's as soon as it ends; in
	 * v2, where that is not so, ours may be init.scope, which liblxc leaves out only of those of process 1.
	 */
	if (cgroup_version(cgroup, "memory") == 1)
		lxc_settings_add(settings, "lxc.cgroup.relative", "1");
	limit_devices(settings, cgroup);
}

int lxc_settings_limits(struct lxc_settings *settings, const struct lxc_limits *limits, const struct cgroup *cgroup,
	struct err *err)
{
	limit_memory(settings, limits->memory, cgroup);
	lxc_settings_add(settings, cgroup_version(cgroup, "pids") == 2 ? "lxc.cgroup2.pids.max" : "lxc.cgroup.pids.max", "%lld",
		(long long)limits->processes);
	if (limits->cpus && limit_cpus(settings, limits->cpus, cgroup, err) < 0)
		return -1;
	return lxc_settings_io(settings, limits, cgroup, err);
}

int lxc_settings_apply(const struct lxc_settings *settings, const struct cgroup *cgroup, const char *group, struct err *err)
{
	for (size_t i = 0; i < settings->count; i++) {
		const struct lxc_setting *one = &settings->list[i];
		const char *file = strncmp(one->key, V1, strlen(V1)) == 0 ? one->key + strlen(V1) : NULL;
		const char *folder;

		if (strncmp(one->key, V2, strlen(V2)) == 0)
			file = one->key + strlen(V2);
		folder = file ? cgroup_folder(cgroup, settings->arena, arena_memdup(settings->arena, file, strcspn(file, ".")), group) : NULL;
		if (!folder)
			return err_set(err, ERR_SYSTEM, "%s is no setting of a control group here", one->key);
		if (cgroup_put(folder, file, one->value, err) < 0)
			return -1;
	}
	return 0;
}
