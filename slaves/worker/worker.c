#include "slaves/worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "forge/job.h"
#include "slaves/worker/backing.h"
#include "slaves/worker/cgroup.h"
#include "slaves/worker/lxc.h"
#include "slaves/worker/rootfs.h"
#include "slaves/worker/slot.h"

#define FOLDER "/workspace"
#define EMPTY_LIMIT_US (5 * 1000000)
#define DISK_FULL 4096 /* bytes: fewer are as good as none */

/* What the section says. */
struct job {
	const char *backing, *setup, *tests;
	int64_t limit_ms, memory, processes, disk, cpus;
};

struct worker {
	struct arena *arena;
	struct job job;
	struct slot *slot;
	struct lxc *lxc; /* NULL: not started, or killed */
	struct cgroup *cgroup;
	const char *name;
	int64_t ids;
	int64_t expiry_us;
	pid_t command; /* 0: none */
	int pidfd;
	bool stopped;
	bool ended; /* the command has, and nobody was told yet */
	int status;
};

static int read_job(struct job *job, const struct conf *conf, const char *section, struct err *err)
{
	const struct {
		const char *option;
		int64_t *value;
	} numbers[] = {
		{"tests.limit", &job->limit_ms},
		{"memory", &job->memory},
		{"processes", &job->processes},
		{"disk", &job->disk},
		{"cpus", &job->cpus},
	};

	if (conf_text(conf, section, "backing", &job->backing, err) < 0 ||
		conf_text(conf, section, "setup.command", &job->setup, err) < 0 ||
		conf_text(conf, section, "tests.command", &job->tests, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (conf_integer(conf, section, numbers[i].option, numbers[i].value, err) < 0)
			return -1;
	return 0;
}

static int check_job(const struct worker_want *want, struct err *err)
{
	char digest[JOB_DIGEST_SIZE];

	if (job_digest(want->conf, want->job, digest, err) < 0)
		return -1;
	if (strcmp(digest, want->job_digest) != 0)
		return err_set(err, ERR_REFUSED,
			"job %s is configured otherwise here (digest %.12s…) than where the build was made (%.12s…)", want->job, digest,
			want->job_digest);
	return 0;
}

/* The folder that was handed over belongs to the one who did so, and has a workspace. */
static int check_layer(const struct worker_want *want, struct stat *layer, struct err *err)
{
	struct stat workspace;

	if (fstat(want->layer, layer) < 0 || !S_ISDIR(layer->st_mode))
		return err_set(err, ERR_INPUT, "the layer is not a folder");
	if (layer->st_uid != want->owner)
		return err_set(err, ERR_REFUSED, "the layer belongs to user %u, not to its sender", (unsigned)layer->st_uid);
	if (fstatat(want->layer, FOLDER + 1, &workspace, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(workspace.st_mode))
		return err_set(err, ERR_INPUT, "the layer has no folder %s", FOLDER + 1);
	return 0;
}

static int claim(struct worker *worker, const struct worker_want *want, struct err *err)
{
	struct slot_record record = {
		.namespace = conf_namespace(want->conf), .build = want->build, .job = want->job,
		.pid = want->pid, .process_start = want->process_start,
		/* its own process sees to it before the reaper does */
		.expiry = clock_wall_ms() + worker->job.limit_ms + 2 * WORKER_GRACE_MS,
	};
	int64_t slots, first;
	const char *state;

	if (conf_text(want->conf, NULL, "state", &state, err) < 0 ||
		conf_integer(want->conf, NULL, "worker.slots", &slots, err) < 0 ||
		conf_integer(want->conf, NULL, "worker.ids.first", &first, err) < 0)
		return -1;
	worker->slot = slot_claim(arena_printf(worker->arena, "%s/worker/slots", state), record.namespace, (unsigned)slots, err);
	if (!worker->slot)
		return -1;
	CRASH_POINT("worker.slot-claimed");
	worker->ids = first + (int64_t)slot_number(worker->slot) * ROOTFS_IDS;
	worker->name = slot_name(worker->arena, record.namespace, slot_number(worker->slot));
	record.groups = cgroup_folders(worker->cgroup, worker->arena, worker->name);
	return slot_write(worker->slot, &record, err);
}

static int mount_rootfs(const struct worker *worker, const struct worker_want *want, const struct stat *layer, char *backing,
	struct err *err)
{
	struct rootfs rootfs = {.ids = worker->ids, .layer = want->layer, .owner = layer->st_uid, .group = layer->st_gid,
		.sender = want->sender, .size = worker->job.disk};
	int rc;

	rootfs.backing = backing_open(want->conf, worker->job.backing, backing, err);
	if (rootfs.backing < 0)
		return -1;
	CRASH_POINT("worker.slot-recorded");
	rc = rootfs_mount(&rootfs, err);
	CRASH_POINT("worker.mounted");
	close(rootfs.backing);
	return rc;
}

static int start_container(struct worker *worker, struct err *err)
{
	const struct lxc_want want = {
		.name = worker->name,
		.rootfs = ROOTFS_PATH,
		.scratch = ROOTFS_SCRATCH,
		.ids = worker->ids,
		.memory = worker->job.memory + worker->job.disk, /* what is written to a tmpfs is charged to who writes it */
		.processes = worker->job.processes,
		.cpus = worker->job.cpus,
		.cgroup = worker->cgroup,
	};

	worker->lxc = lxc_start(worker->arena, &want, err);
	CRASH_POINT("worker.container-started");
	return worker->lxc ? 0 : -1;
}

struct worker *worker_start(struct arena *arena, const struct worker_want *want, char backing[static WORKER_DIGEST_SIZE],
	struct err *err)
{
	struct worker *worker = arena_alloc(arena, sizeof *worker);
	const char *section = arena_printf(arena, "job/%s", want->job);
	struct err ignored = {0};
	struct stat layer;

	*worker = (struct worker){.arena = arena, .pidfd = -1};
	if (check_job(want, err) < 0 || read_job(&worker->job, want->conf, section, err) < 0 || check_layer(want, &layer, err) < 0)
		return NULL;
	worker->expiry_us = clock_monotonic_us() + (worker->job.limit_ms + WORKER_GRACE_MS) * 1000;
	worker->cgroup = cgroup_find(arena, err);
	if (!worker->cgroup || claim(worker, want, err) < 0 || mount_rootfs(worker, want, &layer, backing, err) < 0 ||
		start_container(worker, err) < 0)
		goto err1;
	return worker;
err1:
	if (worker->slot && worker_remove(worker, &ignored) < 0)
		log_warning(LOG_WHAT("leftovers of a worker that did not start"), LOG_ERR(&ignored));
	return NULL;
}

unsigned worker_slot(const struct worker *worker)
{
	return slot_number(worker->slot);
}

int64_t worker_expiry_us(const struct worker *worker)
{
	return worker->expiry_us;
}

int worker_pidfd(const struct worker *worker)
{
	return worker->pidfd;
}

int worker_exec(struct worker *worker, int out, int errors, struct err *err)
{
	const char *both[] = {"/bin/sh", "-c", "/bin/sh -c \"$1\" && exec /bin/sh -c \"$2\"", "sh", worker->job.setup,
		worker->job.tests, NULL};
	const char *tests[] = {"/bin/sh", "-c", worker->job.tests, NULL};
	const struct lxc_program program = {
		.argv = worker->job.setup && *worker->job.setup ? both : tests, .folder = FOLDER, .out = out, .errors = errors};

	if (lxc_run(worker->lxc, &program, &worker->command, err) < 0)
		return -1;
	CRASH_POINT("worker.command-started");
	worker->pidfd = pidfd_open(worker->command, 0);
	if (worker->pidfd < 0)
		return err_set_errno(err, errno, "the command cannot be watched");
	return 0;
}

/* Ended processes of our process namespace: all end up with us, its first. Returns false when there are none at all any more. */
static bool reap(struct worker *worker)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != worker->command)
			continue;
		worker->command = 0;
		worker->ended = true;
		worker->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		close(worker->pidfd);
		worker->pidfd = -1;
	}
	return pid == 0;
}

static int64_t hits(const struct worker *worker, const char *controller, const char *files[3], const char *key)
{
	const char *name = arena_printf(worker->arena, "%s/box", worker->name);
	const char *folder = cgroup_folder(worker->cgroup, worker->arena, controller, name);

	return folder ? cgroup_count(folder, files[cgroup_version(worker->cgroup, controller)], key) : 0;
}

/* Which limits were hit. Read before the container goes. */
static void describe(const struct worker *worker, char text[static WORKER_TEXT_SIZE])
{
	const struct job *job = &worker->job;
	int64_t killed = hits(worker, "memory", (const char *[3]){"", "memory.oom_control", "memory.events"}, "oom_kill");
	int64_t refused = hits(worker, "pids", (const char *[3]){"", "pids.events", "pids.events"}, "max");
	struct statvfs disk;
	int length = 0;

	text[0] = '\0';
	if (killed)
		length += snprintf(text, WORKER_TEXT_SIZE,
			"the memory limit (%lld MiB, disk of %lld MiB included) was reached: %lld processes were killed. ",
			(long long)(job->memory + job->disk) >> 20, (long long)job->disk >> 20, (long long)killed);
	if (refused)
		length += snprintf(text + length, WORKER_TEXT_SIZE - (size_t)length, "the limit of %lld processes was reached. ",
			(long long)job->processes);
	if (statvfs(ROOTFS_PATH, &disk) == 0 && (disk.f_bavail * disk.f_bsize < DISK_FULL || disk.f_favail == 0))
		snprintf(text + length, WORKER_TEXT_SIZE - (size_t)length, "the disk of %lld MiB was full. ", (long long)job->disk >> 20);
}

/* The container can't end before its command is reaped, and the command has no other parent than us. */
static int await_command(struct worker *worker, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 200000};
	int64_t deadline_us = clock_monotonic_us() + EMPTY_LIMIT_US;

	while (reap(worker) && worker->command) {
		if (clock_monotonic_us() > deadline_us)
			return err_set(err, ERR_TIMEOUT, "the command does not end though it was killed");
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int kill_container(struct worker *worker, struct err *err)
{
	int rc;

	if (!worker->lxc)
		return 0;
	rc = lxc_kill(worker->lxc, err);
	if (rc == 0)
		rc = await_command(worker, err);
	if (rc == 0)
		rc = lxc_await(worker->lxc, err);
	lxc_free(worker->lxc);
	worker->lxc = NULL;
	return rc;
}

bool worker_ended(struct worker *worker, int *status, char text[static WORKER_TEXT_SIZE])
{
	struct err err = {0};

	reap(worker);
	if (!worker->ended)
		return false;
	worker->ended = false;
	CRASH_POINT("worker.command-ended");
	describe(worker, text);
	if (kill_container(worker, &err) < 0)
		log_warning(LOG_WHAT("container"), LOG_ERR(&err));
	*status = worker->stopped ? WORKER_KILLED : worker->status;
	return true;
}

int worker_stop(struct worker *worker, struct err *err)
{
	if (worker->command)
		worker->stopped = true;
	return kill_container(worker, err);
}

/* Waits until no process is left but us; what liblxc did not end is killed. */
static int empty(struct worker *worker, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 200000};
	int64_t begin_us = clock_monotonic_us();

	while (reap(worker)) {
		int64_t waited_us = clock_monotonic_us() - begin_us;

		if (waited_us > EMPTY_LIMIT_US)
			return err_set(err, ERR_TIMEOUT, "processes of the worker do not end");
		if (waited_us > EMPTY_LIMIT_US / 5)
			kill(-1, SIGKILL); /* everything in our process namespace but us */
		nanosleep(&pause, NULL);
	}
	return 0;
}

int worker_remove(struct worker *worker, struct err *err)
{
	int rc = 0;

	if (kill_container(worker, err) < 0)
		log_warning(LOG_WHAT("container"), LOG_ERR(err));
	CRASH_POINT("worker.container-gone");
	if (empty(worker, err) < 0 || rootfs_unmount(err) < 0)
		rc = -1;
	CRASH_POINT("worker.unmounted");
	if (worker->pidfd >= 0)
		close(worker->pidfd);
	worker->pidfd = -1;
	if (slot_release(worker->slot, err) < 0)
		rc = -1;
	CRASH_POINT("worker.slot-released");
	worker->slot = NULL;
	return rc;
}
