#include "slaves/cage/lxc_job.h"

#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/file.h"
#include "slaves/cage/lxc.h"
#include "slaves/confine/rootfs.h"
#include "slaves/confine/seccomp.h"
#include "slaves/confine/veil.h"
#include "slaves/confine/weight.h"

#define DEVICES "/sys/dev/block/"

int lxc_job_read(struct lxc_job *job, struct arena *arena, const struct cage_want *want, struct err *err)
{
	const struct conf *conf = want->conf;
	const char *init, *disk;
	bool nested;

	*job = (struct lxc_job){.arena = arena, .section = "job", .disk = DISK_INIT};
	job->disk.size = want->disk;
	if (!want->job)
		return conf_text(conf, NULL, "state", &job->state, err);
	job->section = arena_printf(arena, "job/%s", want->job);
	if (conf_text(conf, job->section, "init", &init, err) < 0 || conf_boolean(conf, job->section, "nested", &nested, err) < 0 ||
		conf_text(conf, job->section, "disk.kind", &disk, err) < 0 || conf_text(conf, NULL, "state", &job->state, err) < 0 ||
		conf_integer(conf, job->section, "io.limit", &job->io_limit, err) < 0 ||
		conf_integer(conf, job->section, "io.weight", &job->io_weight, err) < 0)
		return -1;
	job->features = (strcmp(init, "systemd") == 0 ? SECCOMP_SYSTEMD : 0) | (nested ? SECCOMP_NESTED : 0);
	job->disk.image = strcmp(disk, "image") == 0;
	job->disk.folder = arena_printf(arena, "%s/worker/disks", job->state);
	return network_read(&job->network, arena, conf, want->job, want->slot, err);
}

int lxc_job_plain(const struct lxc_job *job, enum network_kind most, const char *workers, struct err *err)
{
	const struct {
		bool asked;
		const char *option;
	} options[] = {
		{job->features & SECCOMP_SYSTEMD, "init = systemd"},
		{job->features & SECCOMP_NESTED, "nested = yes"},
		{job->io_limit != 0, "io.limit"},
		{job->io_weight != 0, "io.weight"},
		{job->network.kind > most, "its network"},
	};

	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (options[i].asked)
			return err_set(err, ERR_CONFIG, "[%s] %s: its backing has workers = %s, and only those of lxc and lxd have that", job->section,
				options[i].option, workers);
	return 0;
}

int64_t lxc_job_memory(const struct lxc_job *job, const struct cage_want *want)
{
	return want->memory + (job->disk.image ? 0 : want->disk);
}

/* "8:0" of the disk that the backings are on: no partition has a limit of its own. */
static const char *device(const struct lxc_job *job, struct err *err)
{
	struct err unread = {0};
	const char *path, *whole;
	struct stat st;

	if (stat(job->state, &st) < 0 || major(st.st_dev) == 0) {
		err_set(err, ERR_CONFIG, "%s is on no disk whose use could be limited", job->state);
		return NULL;
	}
	path = arena_printf(job->arena, DEVICES "%u:%u", major(st.st_dev), minor(st.st_dev));
	if (access(arena_printf(job->arena, "%s/partition", path), F_OK) < 0)
		return path + strlen(DEVICES);
	whole = file_read(job->arena, arena_printf(job->arena, "%s/../dev", path), 32, NULL, &unread);
	return whole ? arena_memdup(job->arena, whole, strcspn(whole, "\n")) : path + strlen(DEVICES);
}

/* `devices` has room for two. */
static int io_limits(const struct lxc_job *job, const struct cgroup *cgroup, const char **devices, struct lxc_limits *limits,
	struct err *err)
{
	limits->io_bytes = job->io_limit;
	limits->io_devices = devices;
	devices[0] = devices[1] = NULL;
	if (job->io_limit && job->disk.image && cgroup_version(cgroup, "io") != 2)
		return err_set(err, ERR_CONFIG, "[%s] io.limit: control groups of version 1 don't hold it for what is written to a disk.kind "
			"= image; take memory", job->section);
	if (job->io_limit && !(devices[0] = device(job, err)))
		return err_wrap(err, "[%s] io.limit", job->section);
	return 0;
}

int lxc_job_io(const struct lxc_job *job, const struct cgroup *cgroup, struct lxc_settings *settings, struct err *err)
{
	const char *devices[2];
	struct lxc_limits limits = {0};

	return io_limits(job, cgroup, devices, &limits, err) < 0 ? -1 : lxc_settings_io(settings, &limits, cgroup, err);
}

int lxc_job_limits(const struct lxc_job *job, const struct cage_want *want, const struct cgroup *cgroup,
	struct lxc_settings *settings, struct err *err)
{
	const char *devices[2];
	struct lxc_limits limits = {
		.memory = lxc_job_memory(job, want),
		.processes = want->processes,
		.cpus = want->cpus,
	};

	return io_limits(job, cgroup, devices, &limits, err) < 0 ? -1 : lxc_settings_limits(settings, &limits, cgroup, err);
}

int lxc_job_weigh(const struct lxc_job *job, const struct cgroup *cgroup, const char *folder, struct err *err)
{
	struct weight weight = {.folder = folder, .weight = job->io_weight};

	if (!job->io_weight)
		return 0;
	weight.device = device(job, err);
	if (!weight.device || weight_set(cgroup, job->arena, &weight, err) < 0)
		return err_wrap(err, "[%s] io.weight", job->section);
	return 0;
}

const char *lxc_job_resolvers(const struct lxc_job *job, const struct cage_want *want, struct err *err)
{
	const char *path = ROOTFS_SCRATCH "/resolv.conf";
	const char *text;

	if (job->network.kind != NETWORK_NAT)
		return "";
	text = nat_resolvers(job->arena, want->conf, err);
	return text && file_write(path, text, strlen(text), 0644, err) == 0 ? path : NULL;
}

int lxc_job_init(const struct lxc_job *job, const struct cage_want *want, struct err *err)
{
	if (job->features & SECCOMP_SYSTEMD && access(ROOTFS_PATH LXC_SYSTEMD, X_OK) < 0)
		return err_set(err, ERR_CONFIG, "[%s] init = systemd: [backing/%s] has no " LXC_SYSTEMD "; its packages need systemd and dbus",
			job->section, want->backing);
	return 0;
}

int lxc_job_settings(const struct lxc_job *job, const struct cage_want *want, const struct cgroup *cgroup,
	struct lxc_settings *settings, struct err *err)
{
	const char *resolvers;

	if (lxc_job_init(job, want, err) < 0)
		return -1;
	lxc_settings_fixed(settings, job->features);
	if (job->features) /* whose init begins at once */
		veil_settings(settings);
	network_settings(&job->network, settings);
	lxc_settings_groups(settings, cgroup);
	if (lxc_job_limits(job, want, cgroup, settings, err) < 0)
		return -1;
	resolvers = lxc_job_resolvers(job, want, err);
	if (resolvers && *resolvers)
		lxc_settings_add(settings, "lxc.mount.entry", "%s etc/resolv.conf none bind,ro,create=file 0 0", resolvers);
	return resolvers ? 0 : -1;
}
