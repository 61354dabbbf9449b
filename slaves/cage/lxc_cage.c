#include "slaves/cage/lxc_cage.h"

#include <fcntl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/log.h"
#include "slaves/cage/blank.h"
#include "slaves/cage/limits.h"
#include "slaves/cage/lxc.h"
#include "slaves/cage/lxc_job.h"
#include "slaves/confine/brood.h"
#include "slaves/confine/cgroup.h"
#include "slaves/confine/network.h"
#include "slaves/confine/pivot.h"
#include "slaves/confine/rootfs.h"

#define LINK "link " /* begins the trace of a link on the host; the others are control groups */

struct lxc_cage {
	struct cage cage; /* first */
	struct arena *arena;
	struct cage_want want;
	struct cgroup *cgroup;
	struct lxc *lxc; /* NULL: not started, or killed */
	struct brood brood;
	struct lxc_job job;
};

static struct lxc_cage *own(struct cage *cage)
{
	return (struct lxc_cage *)cage;
}

static const char *const *traces(struct arena *arena, const struct conf *conf, const char *namespace, const char *name,
	struct err *err)
{
	const struct cgroup *cgroup = cgroup_find(arena, namespace, err);
	const char *const *groups = cgroup ? cgroup_folders(cgroup, arena, name) : NULL;
	const char **all;
	char link[IFNAMSIZ];
	size_t count = 0;

	(void)conf;
	if (!groups)
		return NULL;
	while (groups[count])
		count++;
	all = arena_alloc(arena, (count + 2) * sizeof *all);
	memcpy(all, groups, count * sizeof *all);
	nat_link_name(link, name);
	all[count] = arena_printf(arena, LINK "%s", link);
	return all;
}

static int reap(struct arena *arena, const char *const *all, struct err *err)
{
	const char **groups;
	size_t count = 0, kept = 0;

	while (all[count])
		count++;
	groups = arena_alloc(arena, (count + 1) * sizeof *groups);
	for (size_t i = 0; i < count; i++)
		if (strncmp(all[i], LINK, strlen(LINK)) != 0)
			groups[kept++] = all[i];
	if (cgroup_remove(groups, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (strncmp(all[i], LINK, strlen(LINK)) == 0 && nat_gone(all[i] + strlen(LINK), err) < 0)
			return -1;
	return 0;
}

static int mount_rootfs(struct lxc_cage *cage, struct err *err)
{
	struct rootfs rootfs = {.ids = cage->want.ids, .disk = &cage->job.disk, .backing = cage->want.root, .fill = cage->want.fill};
	int rc;

	CRASH_POINT("worker.slot-recorded");
	rc = rootfs_mount(&rootfs, err);
	CRASH_POINT("worker.mounted");
	return rc;
}

static const char *io_group(const struct lxc_cage *cage)
{
	return cgroup_folder(cage->cgroup, cage->arena, cgroup_io(cage->cgroup), cage->want.name);
}

static struct lxc *start_anew(const struct lxc_cage *cage, struct err *err)
{
	const struct cage_want *want = &cage->want;
	struct lxc_settings settings = {.arena = cage->arena};
	const struct lxc_want container = {
		.name = want->name,
		.rootfs = ROOTFS_PATH,
		.scratch = ROOTFS_SCRATCH,
		.ids = want->ids,
		.features = cage->job.features,
		.settings = &settings,
		.shared = want->memory / 2,
		.cgroup = cage->cgroup,
	};

	if (lxc_job_settings(&cage->job, want, cage->cgroup, &settings, err) < 0)
		return NULL;
	return lxc_start(cage->arena, &container, err);
}

static int dress(const struct lxc_cage *cage, struct lxc *lxc, struct err *err)
{
	struct lxc_settings limits = {.arena = cage->arena};
	int root, rc;

	if (lxc_job_limits(&cage->job, &cage->want, cage->cgroup, &limits, err) < 0 ||
		lxc_settings_apply(&limits, cage->cgroup, arena_printf(cage->arena, "%s/box", cage->want.name), err) < 0)
		return -1;
	root = rootfs_detached(cage->want.ids, err);
	if (root < 0)
		return -1;
	rc = pivot_root_of(lxc_init(lxc), root, cage->want.memory / 2, err);
	close(root);
	return rc;
}

static int run_container(struct lxc_cage *cage, struct err *err)
{
	struct lxc *blank = cage->want.blank ? blank_container(cage->want.blank) : NULL;

	cage->want.blank = NULL;
	cage->lxc = blank ? blank : start_anew(cage, err);
	if (cage->lxc)
		brood_expect(&cage->brood, lxc_entered(cage->lxc));
	if (!cage->lxc || (blank && dress(cage, blank, err) < 0) || lxc_job_weigh(&cage->job, cage->cgroup, io_group(cage), err) < 0)
		return -1;
	return network_begin(&cage->job.network, lxc_init(cage->lxc), ROOTFS_EMPTY, err);
}

static int start_container(struct lxc_cage *cage, struct err *err)
{
	int rc = run_container(cage, err);

	CRASH_POINT("worker.container-started");
	return rc;
}

static int remove_all(struct cage *base, struct err *err);

static struct cage *start(struct arena *arena, const struct cage_want *want, struct err *err)
{
	struct lxc_cage *cage = arena_alloc(arena, sizeof *cage);
	struct err left = {0};

	*cage = (struct lxc_cage){.cage.kind = &lxc_cage_kind, .arena = arena, .want = *want, .brood = BROOD_INIT};
	cage->cgroup = cgroup_find(arena, conf_namespace(want->conf), err);
	if (!cage->cgroup || lxc_job_read(&cage->job, arena, want, err) < 0 ||
		network_prepare(&cage->job.network, arena, want->conf, err) < 0)
		return NULL;
	pid_t child = cgroup_hurry(cage->cgroup);
	bool started = mount_rootfs(cage, err) == 0 && start_container(cage, err) == 0;
	cgroup_unhurry(child);
	if (started)
		return &cage->cage;
	if (remove_all(&cage->cage, &left) < 0)
		log_warning(LOG_WHAT("leftovers of a worker that did not start"), LOG_ERR(&left));
	return NULL;
}

static int place(struct cage *base, const struct cage_layer *layer, struct err *err)
{
	const struct lxc_cage *cage = own(base);
	const struct rootfs_tree tree = {.layer = layer->folder, .owner = layer->owner, .group = layer->group,
		.mounts = layer->mounts, .ids = cage->want.ids};
	int mount = rootfs_attach(&tree, err);
	int rc;

	if (mount < 0)
		return -1;
	CRASH_POINT("worker.tree-mounted");
	rc = lxc_place(cage->lxc, mount, ROOTFS_WORKSPACE, err);
	close(mount);
	return rc;
}

static int mounts(const struct cage *base)
{
	return lxc_init(((const struct lxc_cage *)base)->lxc);
}

static int exec(struct cage *base, const struct cage_program *program, struct err *err)
{
	struct lxc_cage *cage = own(base);
	const struct lxc_program run = {.argv = program->argv, .folder = ROOTFS_WORKSPACE, .in = program->in, .out = program->out,
		.errors = program->errors, .environment = network_environment(&cage->job.network)};
	pid_t pid;

	if (lxc_run(cage->lxc, &run, &pid, err) < 0)
		return -1;
	CRASH_POINT("worker.command-started");
	return brood_watch(&cage->brood, pid, err);
}

static int fd(const struct cage *base)
{
	return ((const struct lxc_cage *)base)->brood.pidfd;
}

static int64_t hits(const struct lxc_cage *cage, const char *controller, const char *files[3], const char *key)
{
	const char *name = arena_printf(cage->arena, "%s/box", cage->want.name);
	const char *folder = cgroup_folder(cage->cgroup, cage->arena, controller, name);

	return folder ? cgroup_count(folder, files[cgroup_version(cage->cgroup, controller)], key) : 0;
}

/* Read before the container goes. */
static void describe(const struct lxc_cage *cage, char text[static CAGE_TEXT_SIZE])
{
	const struct limits_hit hit = {
		.killed = hits(cage, "memory", (const char *[3]){"", "memory.oom_control", "memory.events"}, "oom_kill"),
		.refused = hits(cage, "pids", (const char *[3]){"", "pids.events", "pids.events"}, "max"),
		.memory = lxc_job_memory(&cage->job, &cage->want),
		.disk = ROOTFS_PATH,
	};

	limits_describe(&cage->want, &hit, text);
}

static int stop(struct cage *base, struct err *err)
{
	struct lxc_cage *cage = own(base);
	struct err ignored = {0};
	int rc;

	if (!cage->lxc)
		return 0;
	rc = lxc_kill(cage->lxc, err);
	if (rc == 0) /* it can't end before its command is reaped, and the command has no other parent than us */
		rc = brood_await(&cage->brood, err);
	if (rc == 0)
		rc = lxc_await(cage->lxc, err);
	lxc_free(cage->lxc);
	cage->lxc = NULL;
	if (network_end(&cage->job.network, rc < 0 ? &ignored : err) < 0)
		rc = -1;
	return rc;
}

static int ended(struct cage *base, int *status, char text[static CAGE_TEXT_SIZE], struct err *err)
{
	struct lxc_cage *cage = own(base);

	brood_reap(&cage->brood);
	if (!cage->brood.ended)
		return 0;
	cage->brood.ended = false;
	CRASH_POINT("worker.command-ended");
	*status = cage->brood.status;
	describe(cage, text);
	if (stop(base, err) < 0)
		log_warning(LOG_WHAT("container"), LOG_ERR(err));
	return 1;
}

static int check(struct cage *base, struct err *err)
{
	struct lxc_cage *cage = own(base);

	brood_reap(&cage->brood);
	return cage->lxc ? lxc_check(cage->lxc, err) : err_set(err, ERR_SYSTEM, "container: it was stopped");
}

static int root(const struct cage *base, struct err *err)
{
	int folder = open(ROOTFS_PATH, O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)base;
	return folder < 0 ? err_set_errno(err, errno, "the worker's files cannot be looked at") : folder;
}

static int keep(struct cage *base, struct err *err)
{
	const struct lxc_cage *cage = own(base);
	const char *const *groups = traces(cage->arena, cage->want.conf, conf_namespace(cage->want.conf), cage->want.name, err);

	return groups ? reap(cage->arena, groups, err) : -1;
}

/* The tree is mounted in our view of its files, which liblxc takes along only when it likes. */
static int again(struct cage *base, struct err *err)
{
	struct lxc_cage *cage = own(base);
	int mount, rc;

	cage->brood.ended = false;
	if (run_container(cage, err) < 0)
		return -1;
	mount = rootfs_tree(err);
	rc = mount < 0 ? -1 : lxc_place(cage->lxc, mount, ROOTFS_WORKSPACE, err);
	if (mount >= 0)
		close(mount);
	return rc;
}

static int terminal(struct cage *base, int *inside, struct err *err)
{
	const struct lxc_cage *cage = own(base);

	return lxc_terminal(cage->lxc, (uid_t)cage->want.ids, inside, err);
}

static int remove_all(struct cage *base, struct err *err)
{
	struct lxc_cage *cage = own(base);
	int rc = 0;

	if (stop(base, err) < 0)
		log_warning(LOG_WHAT("container"), LOG_ERR(err));
	CRASH_POINT("worker.container-gone");
	if (brood_empty(&cage->brood, err) < 0 || rootfs_unmount(err) < 0 || disk_gone(&cage->job.disk, err) < 0)
		rc = -1;
	CRASH_POINT("worker.unmounted");
	brood_release(&cage->brood);
	return rc;
}

const struct cage_kind lxc_cage_kind = {
	.name = "lxc",
	.traces = traces,
	.reap = reap,
	.start = start,
	.place = place,
	.mounts = mounts,
	.exec = exec,
	.fd = fd,
	.ended = ended,
	.stop = stop,
	.check = check,
	.root = root,
	.keep = keep,
	.again = again,
	.terminal = terminal,
	.remove = remove_all,
};
