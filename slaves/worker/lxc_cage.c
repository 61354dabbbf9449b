#include "slaves/worker/lxc_cage.h"

#include <fcntl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/log.h"
#include "slaves/worker/backing.h"
#include "slaves/worker/brood.h"
#include "slaves/worker/cgroup.h"
#include "slaves/worker/lxc.h"
#include "slaves/worker/lxc_job.h"
#include "slaves/worker/network.h"
#include "slaves/worker/rootfs.h"

#define LINK "link " /* begins the trace of a link on the host; the others are control groups */
#define DISK_FULL 4096 /* bytes: fewer are as good as none */

struct lxc_cage {
	struct cage cage; /* first */
	struct arena *arena;
	struct cage_want want;
	struct cgroup *cgroup;
	struct lxc *lxc; /* NULL: not started, or killed */
	struct brood brood;
	struct lxc_job job;
	int backing; /* held: a backing that is open is not removed */
};

static struct lxc_cage *own(struct cage *cage)
{
	return (struct lxc_cage *)cage;
}

static const char *const *traces(struct arena *arena, const struct conf *conf, const char *name, struct err *err)
{
	const struct cgroup *cgroup = cgroup_find(arena, err);
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

static int open_backing(const struct cage_want *want, char backing[static WORKER_DIGEST_SIZE], struct err *err)
{
	int folder;

	if (!want->rootfs)
		return backing_open(want->conf, want->backing, backing, err);
	folder = open(want->rootfs, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return folder < 0 ? err_set_errno(err, errno, "%s: cannot be opened", want->rootfs) : folder;
}

static int mount_rootfs(struct lxc_cage *cage, char backing[static WORKER_DIGEST_SIZE], struct err *err)
{
	struct rootfs rootfs = {.ids = cage->want.ids, .disk = &cage->job.disk};
	int rc;

	cage->backing = open_backing(&cage->want, backing, err);
	if (cage->backing < 0)
		return -1;
	rootfs.backing = cage->backing;
	CRASH_POINT("worker.slot-recorded");
	rc = rootfs_mount(&rootfs, err);
	CRASH_POINT("worker.mounted");
	return rc;
}

static int run_container(struct lxc_cage *cage, struct err *err)
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
		return -1;
	cage->lxc = lxc_start(cage->arena, &container, err);
	if (cage->lxc)
		brood_expect(&cage->brood, lxc_entered(cage->lxc));
	if (!cage->lxc)
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

static struct cage *start(struct arena *arena, const struct cage_want *want, char backing[static WORKER_DIGEST_SIZE],
	struct err *err)
{
	struct lxc_cage *cage = arena_alloc(arena, sizeof *cage);
	struct err left = {0};

	*cage = (struct lxc_cage){.cage.kind = &lxc_cage_kind, .arena = arena, .want = *want, .brood = BROOD_INIT, .backing = -1};
	cage->cgroup = cgroup_find(arena, err);
	if (!cage->cgroup || lxc_job_read(&cage->job, arena, want, err) < 0 ||
		network_prepare(&cage->job.network, arena, want->conf, err) < 0)
		return NULL;
	if (mount_rootfs(cage, backing, err) == 0 && start_container(cage, err) == 0)
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
	rc = lxc_place(cage->lxc, mount, CAGE_FOLDER, err);
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
	const struct lxc_program run = {.argv = program->argv, .folder = CAGE_FOLDER, .in = program->in, .out = program->out,
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

/* Which limits were hit. Read before the container goes. */
static void describe(const struct lxc_cage *cage, char text[static WORKER_TEXT_SIZE])
{
	const struct cage_want *want = &cage->want;
	int64_t killed = hits(cage, "memory", (const char *[3]){"", "memory.oom_control", "memory.events"}, "oom_kill");
	int64_t refused = hits(cage, "pids", (const char *[3]){"", "pids.events", "pids.events"}, "max");
	struct statvfs disk;
	int length = 0;

	text[0] = '\0';
	if (killed)
		length += snprintf(text, WORKER_TEXT_SIZE,
			"the memory limit (%lld MiB%s) was reached: %lld processes were killed. ", (long long)lxc_job_memory(&cage->job, want) >> 20,
			cage->job.disk.image ? "" : arena_printf(cage->arena, ", disk of %lld MiB included", (long long)want->disk >> 20),
			(long long)killed);
	if (refused)
		length += snprintf(text + length, WORKER_TEXT_SIZE - (size_t)length, "the limit of %lld processes was reached. ",
			(long long)want->processes);
	if (statvfs(ROOTFS_PATH, &disk) == 0 && (disk.f_bavail * disk.f_bsize < DISK_FULL || disk.f_favail == 0))
		snprintf(text + length, WORKER_TEXT_SIZE - (size_t)length, "the disk of %lld MiB was full. ", (long long)want->disk >> 20);
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

static int ended(struct cage *base, int *status, char text[static WORKER_TEXT_SIZE], struct err *err)
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
	const char *const *groups = traces(cage->arena, NULL, cage->want.name, err);

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
	rc = mount < 0 ? -1 : lxc_place(cage->lxc, mount, CAGE_FOLDER, err);
	if (mount >= 0)
		close(mount);
	return rc;
}

static int terminal(const struct cage *base, int *inside, struct err *err)
{
	const struct lxc_cage *cage = (const struct lxc_cage *)base;

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
	if (cage->backing >= 0)
		close(cage->backing);
	cage->backing = -1;
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
