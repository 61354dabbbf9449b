#include "slaves/cage/dir_cage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strv.h"
#include "forge/job.h"
#include "slaves/cage/limits.h"
#include "slaves/cage/lxc_job.h"
#include "slaves/confine/brood.h"
#include "slaves/confine/cgroup.h"
#include "slaves/confine/rootfs.h"

#define TREE ROOTFS_PATH ROOTFS_WORKSPACE
#define TEMPORARY ROOTFS_PATH "/tmp"

struct dir_cage {
	struct cage cage; /* first */
	struct arena *arena;
	struct cage_want want;
	const struct cgroup *cgroup;
	struct lxc_job job;
	struct brood brood;
	bool stopped;
};

static struct dir_cage *own(struct cage *cage)
{
	return (struct dir_cage *)cage;
}

static const char *const *traces(struct arena *arena, const struct conf *conf, const char *namespace, const char *name,
	struct err *err)
{
	const struct cgroup *cgroup = cgroup_find(arena, namespace, err);

	(void)conf;
	return cgroup ? cgroup_folders(cgroup, arena, name) : NULL;
}

static int reap(struct arena *arena, const char *const *folders, struct err *err)
{
	(void)arena;
	return cgroup_remove(folders, err);
}

/* There is nothing below the tree: a folder that is empty stands for the backing. */
static int open_nothing(const struct dir_cage *cage, struct err *err)
{
	const char *state, *path;
	int folder;

	if (conf_text(cage->want.conf, NULL, "state", &state, err) < 0)
		return -1;
	path = arena_printf(cage->arena, "%s/worker/empty", state);
	if (file_make_folder(path, 0755, err) < 0)
		return -1;
	folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return folder < 0 ? err_set_errno(err, errno, "%s: cannot be opened", path) : folder;
}

/* Its own /tmp, on the same disk as the tree: mounted by `around` where only the command is. */
static int make_temporary(const struct dir_cage *cage, struct err *err)
{
	uid_t id = (uid_t)cage->want.ids;

	if (mkdir(TEMPORARY, 0700) < 0 || chown(TEMPORARY, id, id) < 0 || chmod(TEMPORARY, 01777) < 0)
		return err_set_errno(err, errno, TEMPORARY ": cannot be made");
	return 0;
}

static int mount_all(struct dir_cage *cage, struct err *err)
{
	struct rootfs rootfs = {.ids = cage->want.ids, .disk = &cage->job.disk, .backing = open_nothing(cage, err)};
	int rc;

	if (rootfs.backing < 0)
		return -1;
	rc = rootfs_mount(&rootfs, err);
	close(rootfs.backing);
	return rc < 0 ? -1 : make_temporary(cage, err);
}

static int make(struct dir_cage *cage, struct err *err)
{
	const struct cage_want *want = &cage->want;
	struct cgroup_limits limits = {.processes = want->processes, .cpus = want->cpus};

	if (strcmp(conf_namespace(want->conf), "production") == 0)
		return err_set(err, ERR_REFUSED, "[backing/%s] workers = dir: nothing contains them, so never in production", want->backing);
	if (lxc_job_read(&cage->job, cage->arena, want, err) < 0 || lxc_job_plain(&cage->job, NETWORK_NONE, "dir", err) < 0)
		return -1;
	limits.memory = lxc_job_memory(&cage->job, want);
	cage->cgroup = cgroup_find(cage->arena, conf_namespace(want->conf), err);
	if (!cage->cgroup || cgroup_make(cage->cgroup, cage->arena, want->name, &limits, err) < 0)
		return -1;
	return mount_all(cage, err);
}

static int remove_all(struct cage *base, struct err *err);

static struct cage *start(struct arena *arena, const struct cage_want *want, struct err *err)
{
	struct dir_cage *cage = arena_alloc(arena, sizeof *cage);
	struct err left = {0};

	*cage = (struct dir_cage){.cage.kind = &dir_cage_kind, .arena = arena, .want = *want, .job.disk = DISK_INIT, .brood = BROOD_INIT};
	if (make(cage, err) == 0)
		return &cage->cage;
	if (remove_all(&cage->cage, &left) < 0)
		log_warning(LOG_WHAT("leftovers of a worker that did not start"), LOG_ERR(&left));
	return NULL;
}

static int place(struct cage *base, const struct cage_layer *layer, struct err *err)
{
	const struct dir_cage *cage = own(base);
	const struct rootfs_tree tree = {.layer = layer->folder, .owner = layer->owner, .group = layer->group,
		.mounts = layer->mounts, .ids = cage->want.ids};
	int mount = rootfs_attach(&tree, err);

	if (mount < 0)
		return -1;
	close(mount);
	return 0;
}

/* In its groups from its first instruction on: we are in them while we start it. */
static int spawn(struct dir_cage *cage, const struct child *child, pid_t *pid, struct err *err)
{
	int rc = cgroup_enter(cage->cgroup, cage->arena, cage->want.name, err);

	if (rc == 0)
		rc = child_spawn(child, pid, NULL, err);
	if (cgroup_return(cage->cgroup, err) < 0)
		rc = -1;
	return rc;
}

static const char *const around[] = {"unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c",
	"mount --bind \"$1\" /tmp && mount --bind \"$1\" /var/tmp && shift && exec \"$@\"", "sh", TEMPORARY, "setpriv"};

static int exec(struct cage *base, const struct cage_program *program, struct err *err)
{
	static const char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp",
		"LANG=C.UTF-8", "CI=true", NULL};
	struct dir_cage *cage = own(base);
	struct strv argv = STRV_INIT;
	struct child child = CHILD_INIT;
	pid_t pid = 0;
	int rc;

	for (size_t i = 0; i < sizeof around / sizeof *around; i++)
		strv_push(&argv, around[i]);
	strv_pushf(&argv, "--reuid=%lld", (long long)cage->want.ids);
	strv_pushf(&argv, "--regid=%lld", (long long)cage->want.ids);
	strv_pushl(&argv, "--clear-groups", "--no-new-privs", "--bounding-set=-all", "--", NULL);
	for (const char *const *word = program->argv; *word; word++)
		strv_push(&argv, *word);
	child.argv = (const char *const *)argv.v;
	child.environment = environment;
	child.directory = TREE;
	child.out = program->out;
	child.err = program->errors;
	child.session = true;
	rc = spawn(cage, &child, &pid, err);
	strv_release(&argv);
	return rc < 0 ? -1 : brood_watch(&cage->brood, pid, err);
}

static int fd(const struct cage *base)
{
	return ((const struct dir_cage *)base)->brood.pidfd;
}

static int64_t hits(const struct dir_cage *cage, const char *controller, const char *files[3], const char *key)
{
	const char *folder = cgroup_folder(cage->cgroup, cage->arena, controller, cage->want.name);

	return folder ? cgroup_count(folder, files[cgroup_version(cage->cgroup, controller)], key) : 0;
}

/* Everything in our process namespace but us. */
static int stop(struct cage *base, struct err *err)
{
	struct dir_cage *cage = own(base);

	if (cage->stopped)
		return 0;
	if (getpid() != 1)
		err_fatal("workers = dir: the handler is not the first of its process namespace");
	if (kill(-1, SIGKILL) < 0 && errno != ESRCH)
		return err_set_errno(err, errno, "the worker's processes cannot be killed");
	if (brood_await(&cage->brood, err) < 0 || brood_empty(&cage->brood, err) < 0)
		return -1;
	cage->stopped = true;
	return 0;
}

static int ended(struct cage *base, int *status, char text[static CAGE_TEXT_SIZE], struct err *err)
{
	struct dir_cage *cage = own(base);
	struct limits_hit hit;
	struct err left = {0};

	(void)err;
	brood_reap(&cage->brood);
	if (!cage->brood.ended)
		return 0;
	cage->brood.ended = false;
	*status = cage->brood.status;
	hit = (struct limits_hit){
		.killed = hits(cage, "memory", (const char *[3]){"", "memory.oom_control", "memory.events"}, "oom_kill"),
		.refused = hits(cage, "pids", (const char *[3]){"", "pids.events", "pids.events"}, "max"),
		.memory = lxc_job_memory(&cage->job, &cage->want),
		.disk = ROOTFS_PATH,
	};
	limits_describe(&cage->want, &hit, text);
	if (stop(base, &left) < 0)
		log_warning(LOG_WHAT("worker"), LOG_ERR(&left));
	return 1;
}

static int check(struct cage *base, struct err *err)
{
	struct stat st;

	(void)base;
	return stat(TREE, &st) < 0 ? err_set_errno(err, errno, TREE) : 0;
}

static int root(const struct cage *base, struct err *err)
{
	int folder = open(ROOTFS_PATH, O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)base;
	return folder < 0 ? err_set_errno(err, errno, "the worker's files cannot be looked at") : folder;
}

static int remove_all(struct cage *base, struct err *err)
{
	struct dir_cage *cage = own(base);
	int rc = stop(base, err);

	if (rootfs_unmount(err) < 0 || disk_gone(&cage->job.disk, err) < 0)
		rc = -1;
	brood_release(&cage->brood);
	return rc;
}

const struct cage_kind dir_cage_kind = {
	.name = "dir",
	.bare = true,
	.traces = traces,
	.reap = reap,
	.start = start,
	.place = place,
	.exec = exec,
	.fd = fd,
	.ended = ended,
	.stop = stop,
	.check = check,
	.root = root,
	.remove = remove_all,
};
