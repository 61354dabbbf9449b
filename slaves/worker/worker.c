#include "slaves/worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "forge/job.h"
#include "slaves/backing/backing.h"
#include "slaves/cage/blank.h"
#include "slaves/cage/cage.h"
#include "slaves/cage/slot.h"
#include "slaves/worker/collect.h"
#include "slaves/worker/filter.h"
#include "slaves/worker/replica.h"
#include "slaves/worker/secrets.h"

#define FILTER_ENDED_MS 5000  /* for what is written last to be read, when the command has ended */
#define FILTER_STOPPED_MS 200

/* What the section says. */
struct job {
	const char *backing, *setup, *tests, *workers;
	int64_t limit_ms, memory, processes, disk, cpus;
};

struct worker {
	struct arena *arena;
	const struct conf *conf;
	const char *name; /* of its job */
	const char *slots; /* their folder */
	struct kept_room room;
	struct job job;
	const struct cage_kind *kind;
	struct slot *slot;
	struct slot_record record;
	struct cage *cage; /* NULL: not started */
	int root;          /* its backing, which is not removed while that is open; -1: none */
	int64_t ids;       /* root in it */
	int64_t expiry_us;
	bool running; /* the command, until its end was told */
	bool stopped;
	bool copy; /* of a kept one */
	const char *build;               /* that it is known to be of from its start; NULL */
	char digest[WORKER_DIGEST_SIZE]; /* of its backing */
	struct worker_tree tree;         /* with descriptors of our own; -1: none */
	struct mask *mask;      /* values of secrets that are in it; NULL: none */
	int filters[2];         /* of what it writes, meanwhile; -1: none */
};

static int read_job(struct worker *worker, struct err *err)
{
	struct job *job = &worker->job;
	const char *section = arena_printf(worker->arena, "job/%s", worker->name);
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

	if (!conf_has_section(worker->conf, section))
		return err_set(err, ERR_NOT_FOUND, "no job %s: there is no section [%s] in the configuration", worker->name, section);
	if (conf_text(worker->conf, section, "backing", &job->backing, err) < 0 ||
		conf_text(worker->conf, section, "setup.command", &job->setup, err) < 0 ||
		conf_text(worker->conf, section, "tests.command", &job->tests, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (conf_integer(worker->conf, section, numbers[i].option, numbers[i].value, err) < 0)
			return -1;
	if (conf_text(worker->conf, arena_printf(worker->arena, "backing/%s", job->backing), "workers", &job->workers, err) < 0)
		return -1;
	worker->kind = cage_kind(job->workers, err);
	return worker->kind ? 0 : -1;
}

static int check_digest(const struct worker *worker, const char *wanted, struct err *err)
{
	char digest[JOB_DIGEST_SIZE];

	if (job_digest(worker->conf, worker->name, digest, err) < 0)
		return -1;
	if (strcmp(digest, wanted) != 0)
		return err_set(err, ERR_REFUSED,
			"job %s is configured otherwise here (digest %.12s…) than where the build was made (%.12s…)", worker->name, digest,
			wanted);
	return 0;
}

/* The folder that was handed over belongs to the one who did so, and has a workspace. */
static int check_tree(const struct worker *worker, const struct worker_tree *tree, struct stat *layer, struct err *err)
{
	struct stat workspace;

	if (check_digest(worker, tree->job_digest, err) < 0)
		return -1;
	if (fstat(tree->layer, layer) < 0 || !S_ISDIR(layer->st_mode))
		return err_set(err, ERR_INPUT, "the layer is not a folder");
	if (layer->st_uid != tree->owner)
		return err_set(err, ERR_REFUSED, "the layer belongs to user %u, not to its sender", (unsigned)layer->st_uid);
	if (fstatat(tree->layer, ROOTFS_WORKSPACE + 1, &workspace, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(workspace.st_mode))
		return err_set(err, ERR_INPUT, "the layer has no folder %s", ROOTFS_WORKSPACE + 1);
	return 0;
}

/* Its time begins; its own process sees to it before the reaper does. */
static void expire_after(struct worker *worker, int64_t ms)
{
	worker->expiry_us = clock_monotonic_us() + (ms + WORKER_GRACE_MS) * 1000;
	worker->record.expiry = clock_wall_ms() + ms + 2 * WORKER_GRACE_MS;
}

static int claim(struct worker *worker, const struct worker_want *want, int64_t *first, struct err *err)
{
	const char *namespace = conf_namespace(want->conf);

	if (kept_place(want->conf, worker->arena, &worker->slots, &worker->room, err) < 0 ||
		conf_integer(want->conf, NULL, "worker.ids.first", first, err) < 0)
		return -1;
	worker->slot = want->blank ? blank_slot(want->blank)
		: (worker->copy ? slot_claim_copy : slot_claim)(worker->slots, namespace, worker->room, err);
	if (!worker->slot)
		return -1;
	CRASH_POINT("worker.slot-claimed");
	worker->record = (struct slot_record){.namespace = namespace, .build = worker->build ? worker->build : "",
		.job = worker->name, .kind = worker->kind->name,
		.pid = want->pid, .process_start = want->process_start, .kept = worker->copy, .copy = worker->copy};
	return 0;
}

static int open_backing(struct worker *worker, char digest[static WORKER_DIGEST_SIZE], struct err *err)
{
	if (worker->kind->bare)
		return job_backing_digest(worker->conf, worker->job.backing, digest, err);
	worker->root = backing_open(worker->conf, worker->job.backing, digest, err);
	return worker->root < 0 ? -1 : 0;
}

/* `fill`: what is on its disk at first; NULL: nothing. */
static int make(struct worker *worker, const struct worker_want *want, const struct rootfs_fill *fill, struct err *err)
{
	int64_t first;
	struct cage_want cage = {.conf = want->conf, .job = worker->name, .backing = worker->job.backing, .fill = fill,
		.memory = worker->job.memory, .processes = worker->job.processes, .disk = worker->job.disk, .cpus = worker->job.cpus,
		.blank = want->blank};

	if (claim(worker, want, &first, err) < 0)
		return -1;
	cage.slot = slot_number(worker->slot);
	cage.name = slot_name(worker->arena, worker->record.namespace, cage.slot);
	cage.ids = worker->ids = first + (int64_t)cage.slot * ROOTFS_IDS;
	worker->record.traces = worker->kind->traces(worker->arena, want->conf, conf_namespace(want->conf), cage.name, err);
	expire_after(worker, WORKER_WAIT_MS);
	if (!worker->record.traces || slot_write(worker->slot, &worker->record, err) < 0)
		return -1;
	if (worker->root < 0 && open_backing(worker, worker->digest, err) < 0)
		return -1;
	cage.root = worker->root;
	cage.digest = worker->digest;
	worker->cage = worker->kind->start(worker->arena, &cage, err);
	return worker->cage ? 0 : -1;
}

static struct worker *new_worker(struct arena *arena, const struct worker_want *want)
{
	struct worker *worker = arena_alloc(arena, sizeof *worker);

	*worker = (struct worker){.arena = arena, .conf = want->conf, .name = arena_strdup(arena, want->job), .root = -1,
		.filters = {-1, -1}, .tree = {.layer = -1, .mounts = -1}};
	return worker;
}

/* NULL, always. */
static struct worker *give_up(struct worker *worker)
{
	struct err left = {0};

	if (worker->slot && worker_remove(worker, &left) < 0)
		log_warning(LOG_WHAT("leftovers of a worker that did not start"), LOG_ERR(&left));
	return NULL;
}

struct worker *worker_start(struct arena *arena, const struct worker_want *want, const struct worker_tree *tree,
	char backing[static WORKER_DIGEST_SIZE], struct err *err)
{
	struct worker *worker = new_worker(arena, want);
	struct stat layer;

	if (read_job(worker, err) < 0 || check_digest(worker, want->job_digest, err) < 0 || (tree && check_tree(worker, tree, &layer, err) < 0))
		return NULL;
	if (make(worker, want, NULL, err) < 0)
		return give_up(worker);
	memcpy(backing, worker->digest, sizeof worker->digest);
	return worker;
}

unsigned worker_slot(const struct worker *worker)
{
	return slot_number(worker->slot);
}

int64_t worker_expiry_us(const struct worker *worker)
{
	return worker->expiry_us;
}

/* Copies of it, when it is kept, need the tree again. */
static void remember(struct worker *worker, const struct worker_tree *tree)
{
	worker->tree = (struct worker_tree){.owner = tree->owner, .layer = fcntl(tree->layer, F_DUPFD_CLOEXEC, 0),
		.mounts = tree->mounts < 0 ? -1 : fcntl(tree->mounts, F_DUPFD_CLOEXEC, 0)};
}

static int place(struct worker *worker, const struct worker_tree *tree, gid_t group, struct err *err)
{
	struct cage_layer layer = {.folder = tree->layer, .owner = tree->owner, .mounts = tree->mounts, .build = tree->build,
		.group = group};

	worker->record.build = arena_strdup(worker->arena, tree->build);
	if (slot_write(worker->slot, &worker->record, err) < 0)
		return -1;
	return worker->kind->place(worker->cage, &layer, err);
}

int worker_attach(struct worker *worker, const struct worker_tree *tree, struct err *err)
{
	struct stat st;

	if (check_tree(worker, tree, &st, err) < 0)
		return -1;
	expire_after(worker, worker->job.limit_ms);
	remember(worker, tree);
	return place(worker, tree, st.st_gid, err);
}

int worker_check(struct worker *worker, struct err *err)
{
	return worker->kind->check(worker->cage, err);
}

int worker_fd(const struct worker *worker)
{
	return worker->kind->fd(worker->cage);
}

/* Whether its job is one of the project's. */
static int check_project(const struct worker *worker, const char *project, struct err *err)
{
	const char *section = arena_printf(worker->arena, "project/%s", project);
	const char *const *jobs = NULL;

	if (!conf_has_section(worker->conf, section))
		return err_set(err, ERR_NOT_FOUND, "there is no [%s] in the configuration", section);
	if (conf_list(worker->conf, worker->arena, section, "jobs", &jobs, err) < 0)
		return -1;
	for (; jobs && *jobs; jobs++)
		if (strcmp(*jobs, worker->name) == 0)
			return 0;
	return err_set(err, ERR_REFUSED, "%s is no job of the project %s", worker->name, project);
}

int worker_secrets(struct worker *worker, const char *project, struct err *err)
{
	struct secrets secrets = {.conf = worker->conf, .project = project, .ids = worker->ids};

	if (worker->mask)
		return err_set(err, ERR_REFUSED, "there are secrets in the worker already");
	if (check_project(worker, project, err) < 0)
		return -1;
	if (!worker->kind->mounts)
		return err_set(err, ERR_REFUSED, "workers of the kind %s are not closed enough for secrets", worker->kind->name);
	worker->mask = secrets.mask = mask_new(worker->arena);
	secrets.mounts = worker->kind->mounts(worker->cage);
	return secrets_reveal(worker->arena, &secrets, err);
}

/* With secrets in the worker, what it writes goes by way of a filter each. */
static int filter(struct worker *worker, int *out, int *errors, struct err *err)
{
	int *const ends[] = {out, errors};

	if (!worker->mask || !mask_count(worker->mask))
		return 0;
	for (int i = 0; i < 2; i++) {
		int from;

		worker->filters[i] = filter_start(worker->mask, *ends[i], &from, err);
		if (worker->filters[i] < 0)
			return -1;
		*ends[i] = from;
	}
	return 1;
}

/* When nothing runs in it any more. Of one that was stopped nobody may be reading. */
static void end_filters(struct worker *worker)
{
	for (int i = 0; i < 2; i++) {
		filter_end(worker->filters[i], worker->stopped ? FILTER_STOPPED_MS : FILTER_ENDED_MS);
		worker->filters[i] = -1;
	}
}

static int exec(struct worker *worker, int out, int errors, struct err *err)
{
	const char *both[] = {"/bin/sh", "-c", "/bin/sh -c \"$1\" && exec /bin/sh -c \"$2\"", "sh", worker->job.setup,
		worker->job.tests, NULL};
	const char *tests[] = {"/bin/sh", "-c", worker->job.tests, NULL};
	const struct cage_program program = {
		.argv = worker->job.setup && *worker->job.setup ? both : tests, .in = -1, .out = out, .errors = errors};

	return worker->kind->exec(worker->cage, &program, err);
}

int worker_exec(struct worker *worker, int out, int errors, struct err *err)
{
	int filtered = filter(worker, &out, &errors, err);
	int rc = filtered < 0 ? -1 : exec(worker, out, errors, err);

	if (filtered > 0) {
		close(out);
		close(errors);
	}
	if (rc < 0)
		end_filters(worker);
	worker->running = rc == 0;
	return rc;
}

int worker_ended(struct worker *worker, int *status, char text[static WORKER_TEXT_SIZE], struct err *err)
{
	int rc = worker->kind->ended(worker->cage, status, text, err);

	if (rc == 0)
		return 0;
	end_filters(worker);
	if (rc > 0 && worker->stopped)
		*status = WORKER_KILLED;
	worker->running = false;
	return rc;
}

int worker_stop(struct worker *worker, struct err *err)
{
	worker->stopped |= worker->running;
	return worker->kind->stop(worker->cage, err);
}

int worker_collect(struct worker *worker, int files, int notes, struct err *err)
{
	struct collect collect = {.conf = worker->conf, .job = worker->name, .user = worker->ids, .archive = files, .notes = notes,
		.mask = worker->mask};
	int rc;

	if (!worker->kind->root)
		return err_set(err, ERR_REFUSED, "nothing can be kept of workers of the kind %s", worker->kind->name);
	collect.root = worker->kind->root(worker->cage, err);
	if (collect.root < 0)
		return -1;
	rc = collect_run(worker->arena, &collect, err);
	close(collect.root);
	return rc;
}

int worker_keep(struct worker *worker, int64_t ms, struct err *err)
{
	int64_t limit_ms;

	if (!worker->kind->keep)
		return err_set(err, ERR_REFUSED, "workers of the kind %s can't be kept: nothing contains them, nor would it a shell in them",
			worker->kind->name);
	if (conf_integer(worker->conf, NULL, "keep.limit", &limit_ms, err) < 0)
		return -1;
	if (worker->kind->stop(worker->cage, err) < 0 || worker->kind->keep(worker->cage, err) < 0)
		return -1;
	ms = ms > 0 && ms < limit_ms ? ms : limit_ms;
	worker->expiry_us = clock_monotonic_us() + ms * 1000;
	worker->record.expiry = clock_wall_ms() + ms + WORKER_GRACE_MS;
	worker->record.until = clock_wall_ms() + ms;
	return slot_keep(worker->slot, worker->room, &worker->record, err);
}

const char *worker_socket(const struct worker *worker)
{
	return kept_socket(worker->arena, worker->slots, slot_number(worker->slot));
}

static int enter(struct worker *worker, struct worker_entry *entry, struct err *err)
{
	const char *argv[] = {"/bin/sh", "-c", "[ ! -x /bin/bash ] || exec /bin/bash; exec /bin/sh", NULL};
	struct cage_program program = {.argv = argv, .in = entry->in, .out = entry->out, .errors = entry->errors};
	int inside = -1, rc;

	if (entry->terminal) {
		entry->master = worker->kind->terminal(worker->cage, &inside, err);
		if (entry->master < 0)
			return -1;
		program.in = program.out = program.errors = inside;
	}
	rc = worker->kind->exec(worker->cage, &program, err);
	if (inside >= 0)
		close(inside);
	if (rc < 0 && entry->terminal)
		close(entry->master);
	return rc;
}

int worker_enter(struct worker *worker, struct worker_entry *entry, struct err *err)
{
	struct err left = {0};

	worker->stopped = false;
	if ((worker->copy || worker->kind->again(worker->cage, err) == 0) && enter(worker, entry, err) == 0) {
		worker->running = true;
		return 0;
	}
	if (worker->kind->stop(worker->cage, &left) < 0)
		log_warning(LOG_WHAT("a kept worker does not stop"), LOG_ERR(&left));
	return -1;
}

int worker_origin(const struct worker *worker, struct worker_origin *origin, struct err *err)
{
	if (worker->root < 0 || worker->tree.layer < 0 || worker->tree.mounts < 0)
		return err_set(err, ERR_SYSTEM, "this worker can't be copied: what it was made of is not at hand any more");
	origin->build = worker->record.build;
	origin->job = worker->name;
	origin->digest = worker->digest;
	origin->root = worker->root;
	origin->layer = worker->tree.layer;
	origin->mounts = worker->tree.mounts;
	origin->owner = worker->tree.owner;
	return 0;
}

int worker_replicate(const struct worker *worker, int to, int64_t ids, struct err *err)
{
	struct replica replica = {.from = rootfs_written(err), .to = to, .from_ids = worker->ids, .to_ids = ids, .mask = worker->mask};
	int rc = replica.from < 0 ? -1 : replica_make(&replica, err);

	if (replica.from >= 0)
		close(replica.from);
	if (rc == 0 && replica.left_out)
		log_warning(LOG_WHAT("not all of a kept worker was copied"), LOG_TEXT("build", worker->record.build),
			LOG_NUMBER("left_out", replica.left_out));
	return rc;
}

static int start_copy(struct worker *worker, const struct worker_want *want, const struct worker_origin *origin, struct err *err)
{
	const struct worker_tree tree = {.build = origin->build, .layer = origin->layer, .owner = origin->owner, .mounts = origin->mounts};
	int64_t limit_ms, ms = origin->ms;
	struct stat st;

	if (conf_integer(want->conf, NULL, "keep.limit", &limit_ms, err) < 0)
		return -1;
	if (fstat(origin->layer, &st) < 0)
		return err_set_errno(err, errno, "the tree of a kept worker");
	if (make(worker, want, origin->fill, err) < 0)
		return -1;
	ms = ms > 0 && ms < limit_ms ? ms : limit_ms;
	worker->expiry_us = clock_monotonic_us() + ms * 1000;
	worker->record.expiry = clock_wall_ms() + ms + WORKER_GRACE_MS;
	worker->record.until = clock_wall_ms() + ms;
	return place(worker, &tree, st.st_gid, err);
}

struct worker *worker_copy(struct arena *arena, const struct worker_want *want, const struct worker_origin *origin, struct err *err)
{
	struct worker *worker = new_worker(arena, want);

	worker->copy = true;
	worker->build = arena_strdup(arena, origin->build);
	if (read_job(worker, err) < 0)
		return NULL;
	if (!worker->kind->keep) {
		err_set(err, ERR_REFUSED, "workers of the kind %s can't be copied", worker->kind->name);
		return NULL;
	}
	worker->root = fcntl(origin->root, F_DUPFD_CLOEXEC, 0);
	memcpy(worker->digest, origin->digest, sizeof worker->digest);
	if (worker->root < 0) {
		err_set_errno(err, errno, "the backing of a kept worker");
		return NULL;
	}
	return start_copy(worker, want, origin, err) == 0 ? worker : give_up(worker);
}

int worker_settle(struct worker *worker, struct err *err)
{
	return worker->kind->keep(worker->cage, err);
}

int worker_remove(struct worker *worker, struct err *err)
{
	int rc = 0;

	if (worker->cage)
		rc = worker->kind->remove(worker->cage, err);
	worker->cage = NULL;
	if (worker->root >= 0)
		close(worker->root);
	worker->root = -1;
	if (worker->tree.layer >= 0)
		close(worker->tree.layer);
	if (worker->tree.mounts >= 0)
		close(worker->tree.mounts);
	worker->tree.layer = worker->tree.mounts = -1;
	if (slot_release(worker->slot, err) < 0)
		rc = -1;
	CRASH_POINT("worker.slot-released");
	worker->slot = NULL;
	return rc;
}
