#include "slaves/cage/lxd_cage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "slaves/cage/limits.h"
#include "slaves/cage/lxc.h"
#include "slaves/cage/lxc_job.h"
#include "slaves/confine/brood.h"
#include "slaves/confine/cgroup.h"
#include "slaves/confine/rootfs.h"
#include "slaves/confine/seccomp.h"
#include "slaves/confine/terminal.h"
#include "slaves/confine/veth.h"
#include "slaves/lxd/lxd.h"
#include "slaves/lxd/lxd_exec.h"
#include "slaves/lxd/lxd_image.h"
#include "slaves/lxd/lxd_init.h"
#include "slaves/lxd/lxd_instance.h"
#include "slaves/lxd/lxd_root.h"

#define FILE_MAXIMUM 65536
#define REAP_LIMIT_MS 15000
#define SYSTEMD_LISTENS "/run/systemd/private" /* to systemctl */
#define PROGRAM ROOTFS_SCRATCH "/init"
#define PROGRAM_MAXIMUM ((size_t)16 * 1024 * 1024)
#define EXPIRY_MS (8 * 24 * 3600 * INT64_C(1000)) /* longer than any worker may live: the slot's record says when it ends */

struct lxd_cage {
	struct cage cage; /* first */
	struct arena *arena;
	struct cage_want want;
	struct lxc_job job;
	struct lxd *lxd;
	struct brood brood;
	const struct lxd_exec_end *end; /* NULL: no command yet */
	bool stopped;
	const char *build; /* that it is of; NULL: none yet */
	const char *owner; /* lxd_instance_owner() of us */
	struct lxd_init init;
	int mounts;       /* its mount namespace, until something runs in it: who holds it keeps LXD from unmounting */
	int net;          /* its network namespace, as long */
	int groups;       /* its namespace of control groups, when it is to make some of its own; -1 */
	int inside;       /* the other end of its terminal, which program and LXD take a moment to open; -1 */
	const struct cgroup *cgroup;
	const char *memory, *processes, *cpus, *io; /* its groups; NULL: none */
};

static struct lxd_cage *own(struct cage *cage)
{
	return (struct lxd_cage *)cage;
}

/* What LXD says, or does not say, is the machine's trouble, and not that a section, a backing or a request is wrong. */
static int trouble(struct err *err)
{
	if (err->kind != ERR_CONFIG)
		err->kind = ERR_SYSTEM;
	return -1;
}

/* Words of the slot's record: SOCKET PROJECT INSTANCE. */
enum { TRACE_SOCKET, TRACE_PROJECT, TRACE_INSTANCE, TRACES };

static const char *const *traces(struct arena *arena, const struct conf *conf, const char *namespace, const char *name,
	struct err *err)
{
	const char **words = arena_alloc(arena, (TRACES + 1) * sizeof *words);

	(void)namespace;
	if (!conf) {
		err_set(err, ERR_NOT_FOUND, "LXD: it is not known where it is");
		return NULL;
	}
	if (conf_text(conf, NULL, "lxd.socket", &words[TRACE_SOCKET], err) < 0 ||
		conf_text(conf, NULL, "lxd.project", &words[TRACE_PROJECT], err) < 0)
		return NULL;
	words[TRACE_INSTANCE] = name;
	return words;
}

/*
 * LXD's word that an instance is gone is not enough: one that was killed, and started again somewhere else, knows nothing of the
 * containers it had. liblxc's names of their control groups do.
 */
static int remove_groups(struct arena *arena, const char *const *words, struct err *err)
{
	static const char *const kinds[] = {"payload", "monitor"};
	const struct cgroup *cgroup = cgroup_find(arena, NULL, err);
	const char *project = words[TRACE_PROJECT];
	bool plain = strcmp(project, "default") == 0;

	for (size_t i = 0; cgroup && i < sizeof kinds / sizeof *kinds; i++) {
		const char *name = arena_printf(
			arena, "lxc.%s.%s%s%s", kinds[i], plain ? "" : project, plain ? "" : "_", words[TRACE_INSTANCE]);

		if (cgroup_remove(cgroup_tops(cgroup, arena, name), err) < 0)
			return -1;
	}
	return cgroup ? 0 : -1;
}

static int reap(struct arena *arena, const char *const *words, struct err *err)
{
	char link[IFNAMSIZ];
	struct lxd *lxd;
	int rc;

	for (int i = 0; i < TRACES; i++)
		if (!words[i])
			return err_set(err, ERR_INPUT, "the record of a worker of LXD's is incomplete");
	lxd = lxd_open_at(arena, words[TRACE_SOCKET], words[TRACE_PROJECT], err);
	if (!lxd)
		return -1;
	lxd_limit(lxd, REAP_LIMIT_MS);
	rc = lxd_instance_delete(lxd, words[TRACE_INSTANCE], err);
	lxd_close(lxd);
	if (rc)
		return rc < 0 ? -1 : 0;
	nat_link_name(link, words[TRACE_INSTANCE]);
	return remove_groups(arena, words, err) < 0 ? -1 : nat_gone(link, err);
}

static bool has_folder(void *cookie, const char *digest)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", (const char *)cookie, digest);
	return access(path, F_OK) == 0;
}

/* Whether a backing of this configuration is for LXD: else it is not asked for anything. */
static bool is_used(struct arena *arena, const struct conf *conf)
{
	const char *const *names = conf_sections(conf, arena, "backing");
	struct err ignored = {0};
	const char *workers;

	for (; names && *names; names++)
		if (conf_text(conf, arena_printf(arena, "backing/%s", *names), "workers", &workers, &ignored) == 0 &&
			strcmp(workers, "lxd") == 0)
			return true;
	return false;
}

static int sweep(struct arena *arena, const struct conf *conf, struct err *err)
{
	struct lxd *lxd;
	const char *state;
	int removed = -1;

	if (!is_used(arena, conf))
		return 0;
	lxd = lxd_open(arena, conf, err);
	if (!lxd)
		return -1;
	lxd_limit(lxd, REAP_LIMIT_MS);
	if (conf_text(conf, NULL, "state", &state, err) == 0)
		removed = lxd_instance_sweep(lxd, conf_namespace(conf), err);
	if (removed >= 0 && lxd_image_prune(lxd, conf_namespace(conf), has_folder,
		arena_printf(arena, "%s/worker/backings", state), err) < 0)
		removed = -1;
	lxd_close(lxd);
	return removed;
}

/* What LXD was told must be so: it leaves limits out where it finds no control group for them. */
static int check_limits(const struct lxd_cage *cage, struct err *err)
{
	const struct {
		const char *what, *folder, *file;
		int64_t wanted;
	} limits[] = {
		{"memory", cage->memory, cgroup_version(cage->cgroup, "memory") == 2 ? "memory.max" : "memory.limit_in_bytes",
			lxc_job_memory(&cage->job, &cage->want)},
		{"processes", cage->processes, "pids.max", cage->want.processes},
		{"cpus", cage->cpus, cgroup_version(cage->cgroup, "cpu") == 2 ? "cpu.max" : "cpu.cfs_quota_us", cage->want.cpus * 100000},
	};

	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		int64_t now = limits[i].folder ? cgroup_number(limits[i].folder, limits[i].file) : -1;

		if (limits[i].wanted && (now < 0 || now > limits[i].wanted))
			return err_set(err, ERR_SYSTEM, "LXD did not limit %s = %lld: %s/%s", limits[i].what, (long long)limits[i].wanted,
				limits[i].folder ? limits[i].folder : "no control group", limits[i].file);
	}
	return 0;
}

static int check_map(const char *map, int64_t ids, struct err *err)
{
	long long inside, outside, count;

	if (sscanf(map, "%lld %lld %lld", &inside, &outside, &count) != 3 || inside != 0 || outside != ids ||
		count != LXD_INSTANCE_IDS)
		return err_set(err, ERR_SYSTEM, "LXD did not give the instance the ids from %lld on, but %s", (long long)ids, map);
	return 0;
}

/* Who runs in there, and under which limits. */
static int look_at(struct lxd_cage *cage, struct err *err)
{
	struct arena *arena = cage->arena;
	const char *process = lxd_init_path(&cage->init, arena);
	const char *map = file_read(arena, arena_printf(arena, "%s/uid_map", process), FILE_MAXIMUM, NULL, err);
	const char *groups = map ? file_read(arena, arena_printf(arena, "%s/cgroup", process), FILE_MAXIMUM, NULL, err) : NULL;

	if (!groups)
		return err_wrap(err, "the instance's first process");
	cage->memory = cgroup_folder_of(cage->cgroup, arena, "memory", groups);
	cage->processes = cgroup_folder_of(cage->cgroup, arena, "pids", groups);
	cage->cpus = cgroup_folder_of(cage->cgroup, arena, "cpu", groups);
	cage->io = cgroup_folder_of(cage->cgroup, arena, cgroup_io(cage->cgroup), groups);
	if (check_map(map, cage->want.ids, err) < 0 || check_limits(cage, err) < 0)
		return -1;
	cage->mounts = open(arena_printf(arena, "%s/ns/mnt", process), O_RDONLY | O_CLOEXEC);
	cage->net = open(arena_printf(arena, "%s/ns/net", process), O_RDONLY | O_CLOEXEC);
	if (cage->job.features)
		cage->groups = open(arena_printf(arena, "%s/ns/cgroup", process), O_RDONLY | O_CLOEXEC);
	if (cage->mounts < 0 || cage->net < 0 || (cage->job.features && cage->groups < 0))
		return err_set_errno(err, errno, "the instance's name spaces cannot be reached");
	return 0;
}

static int start_instance(struct lxd_cage *cage, const char *digest, struct err *err)
{
	const struct cage_want *want = &cage->want;
	const char *namespace = conf_namespace(want->conf);
	struct lxc_settings more = {.arena = cage->arena};
	struct lxd_instance instance = {
		.name = want->name,
		.namespace = namespace,
		.owner = cage->owner,
		.expiry = clock_wall_ms() + EXPIRY_MS,
		.ids = want->ids,
		.memory = lxc_job_memory(&cage->job, want), /* what is written to a tmpfs is charged to who writes it */
		.processes = want->processes,
		.cpus = want->cpus,
		.features = cage->job.features,
		.init = cage->job.features & SECCOMP_SYSTEMD ? LXC_SYSTEMD : "",
		.more = &more,
	};

	if (lxc_job_io(&cage->job, cage->cgroup, &more, err) < 0 || conf_text(want->conf, NULL, "lxd.pool", &instance.pool, err) < 0)
		return -1;
	instance.fingerprint = lxd_image_ensure(cage->lxd, cage->arena, namespace, digest, err);
	if (!instance.fingerprint || lxd_instance_start(cage->lxd, &instance, &cage->init.pid, err) < 0)
		return -1;
	if (look_at(cage, err) < 0 || (*instance.init && lxd_init_hold(&cage->init, err) < 0))
		return -1;
	return lxc_job_weigh(&cage->job, cage->cgroup, cage->io, err);
}

/* LXD's own networks are for all its instances; the namespace's bridge and its rules are for workers. */
static int connect_network(struct lxd_cage *cage, struct err *err)
{
	struct network *network = &cage->job.network;
	const char *resolvers = lxc_job_resolvers(&cage->job, &cage->want, err);

	if (!resolvers || (*resolvers && lxd_root_file(cage->mounts, resolvers, "/etc/resolv.conf", err) < 0) ||
		veth_lo(cage->net, err) < 0 || (network->kind == NETWORK_NAT && veth_make(&network->nat, cage->net, err) < 0))
		return -1;
	return network_begin(network, cage->net, ROOTFS_EMPTY, err);
}

/* A copy, so that its mount tells nothing of where the program is on the host. */
static int copy_program(const struct lxd_cage *cage, struct err *err)
{
	size_t length;
	const char *bytes = file_read(cage->arena, lxd_image_program(cage->arena), PROGRAM_MAXIMUM, &length, err);

	return bytes ? file_write(PROGRAM, bytes, length, 0755, err) : -1;
}

/* What the test is to see instead of the image. */
static int change_root(const struct lxd_cage *cage, struct err *err)
{
	const struct lxd_root root = {.mounts = cage->mounts, .groups = cage->groups, .path = ROOTFS_PATH};

	if (lxc_job_init(&cage->job, &cage->want, err) < 0 || lxd_root_change(&root, err) < 0)
		return -1;
	return lxd_root_file(cage->mounts, PROGRAM, LXD_ROOT_PROGRAM, err);
}

static int remove_all(struct cage *base, struct err *err);

static int start_all(struct lxd_cage *cage, struct err *err)
{
	const struct rootfs rootfs = {.ids = cage->want.ids, .disk = &cage->job.disk, .backing = cage->want.root, .fill = cage->want.fill};

	if (lxc_job_read(&cage->job, cage->arena, &cage->want, err) < 0 ||
		network_prepare(&cage->job.network, cage->arena, cage->want.conf, err) < 0)
		return -1;
	cage->cgroup = cgroup_find(cage->arena, NULL, err);
	cage->owner = cage->cgroup ? lxd_instance_owner(cage->arena, err) : NULL;
	if (!cage->owner)
		return -1;
	cage->init.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (cage->init.proc < 0)
		return err_set_errno(err, errno, "/proc cannot be opened");
	if (start_instance(cage, cage->want.digest, err) < 0)
		return trouble(err);
	if (rootfs_mount(&rootfs, err) < 0 || copy_program(cage, err) < 0 || change_root(cage, err) < 0 || connect_network(cage, err) < 0)
		return -1;
	return lxd_init_begin(&cage->init, SYSTEMD_LISTENS, err);
}

static struct cage *start(struct arena *arena, const struct cage_want *want, struct err *err)
{
	struct lxd_cage *cage = arena_alloc(arena, sizeof *cage);
	struct err left = {0};

	*cage = (struct lxd_cage){
		.cage.kind = &lxd_cage_kind, .arena = arena, .want = *want, .brood = BROOD_INIT, .mounts = -1, .net = -1, .groups = -1,
		.inside = -1, .init = LXD_INIT_NONE, .job.disk = DISK_INIT};
	cage->lxd = lxd_open(arena, want->conf, err);
	if (!cage->lxd) {
		trouble(err);
		return NULL;
	}
	if (start_all(cage, err) == 0)
		return &cage->cage;
	if (remove_all(&cage->cage, &left) < 0)
		log_warning(LOG_WHAT("leftovers of a worker that did not start"), LOG_ERR(&left));
	return NULL;
}

static void let_go(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int place(struct cage *base, const struct cage_layer *layer, struct err *err)
{
	struct lxd_cage *cage = own(base);
	const struct rootfs_tree tree = {.layer = layer->folder, .owner = layer->owner, .group = layer->group,
		.mounts = layer->mounts, .ids = cage->want.ids};
	int mount = rootfs_attach(&tree, err);
	int rc;

	if (mount < 0)
		return -1;
	rc = lxd_root_place(cage->mounts, mount, ROOTFS_WORKSPACE, err);
	close(mount);
	cage->build = arena_strdup(cage->arena, layer->build);
	if (rc == 0)
		rc = lxd_instance_tell(cage->lxd, cage->want.name, cage->build, err);
	return rc < 0 ? trouble(err) : 0;
}

/* Both go to one place: so must they inside, as LXD's two streams keep no order between them. */
static bool is_one(int out, int errors)
{
	struct stat one, other;

	return out >= 0 && errors >= 0 && fstat(out, &one) == 0 && fstat(errors, &other) == 0 && one.st_dev == other.st_dev &&
		one.st_ino == other.st_ino;
}

/* By byoci-init, on the container's own terminal if there is one: LXD's lose what comes last (lxd_exec.h). */
static const char *const *wrap(struct arena *arena, const struct cage_program *program, int terminal)
{
	const char *const *argv = program->argv;
	const char *where = terminal >= 0 ? arena_printf(arena, "/dev/pts/%d", terminal) :
		is_one(program->out, program->errors)                                  ? "=" : "-";
	const char *const around[] = {LXD_ROOT_PROGRAM, "run", where};
	size_t count = 0, head = sizeof around / sizeof *around;
	const char **words;

	while (argv[count])
		count++;
	words = arena_alloc(arena, (head + count + 1) * sizeof *words);
	memcpy(words, around, sizeof around);
	memcpy(words + head, argv, count * sizeof *words);
	return words;
}

static const char *const *environment_of(const struct lxd_cage *cage, bool terminal)
{
	const char *const *given = network_environment(&cage->job.network);
	size_t count = 0;
	const char **all;

	while (given[count])
		count++;
	all = arena_alloc(cage->arena, (count + 2) * sizeof *all);
	memcpy(all, given, count * sizeof *all);
	if (terminal)
		all[count] = "TERM=xterm";
	return all;
}

static void let_go_all(struct lxd_cage *cage)
{
	int *const fds[] = {&cage->mounts, &cage->net, &cage->groups, &cage->init.begin};

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		let_go(fds[i]);
}

static int mounts(const struct cage *base)
{
	return ((const struct lxd_cage *)base)->mounts;
}

static int exec(struct cage *base, const struct cage_program *program, struct err *err)
{
	struct lxd_cage *cage = own(base);
	int terminal = program->in < 0 ? -1 : terminal_number(program->in);
	struct lxd_exec run = {.lxd = cage->lxd, .instance = cage->want.name, .argv = wrap(cage->arena, program, terminal),
		.folder = ROOTFS_WORKSPACE, .in = program->in, .out = program->out, .errors = program->errors, .limit_ms = EXPIRY_MS,
		.environment = environment_of(cage, terminal >= 0)};
	pid_t pid;

	if (terminal >= 0)
		run.in = run.out = run.errors = -1;
	let_go_all(cage);
	lxd_exec_free(cage->end);
	cage->end = NULL;
	if (lxd_exec_start(&run, &pid, &cage->end, err) < 0)
		return trouble(err);
	return brood_watch(&cage->brood, pid, err);
}

static int fd(const struct cage *base)
{
	return ((const struct lxd_cage *)base)->brood.pidfd;
}

static int64_t hits(const struct lxd_cage *cage, const char *controller, const char *folder, const char *files[3], const char *key)
{
	return folder ? cgroup_count(folder, files[cgroup_version(cage->cgroup, controller)], key) : 0;
}

/* Read before the instance goes. */
static void describe(const struct lxd_cage *cage, char text[static CAGE_TEXT_SIZE])
{
	const struct limits_hit hit = {
		.killed = hits(cage, "memory", cage->memory, (const char *[3]){"", "memory.oom_control", "memory.events"}, "oom_kill"),
		.refused = hits(cage, "pids", cage->processes, (const char *[3]){"", "pids.events", "pids.events"}, "max"),
		.memory = lxc_job_memory(&cage->job, &cage->want),
		.disk = ROOTFS_PATH,
	};

	limits_describe(&cage->want, &hit, text);
}

static int stop(struct cage *base, struct err *err)
{
	struct lxd_cage *cage = own(base);

	if (cage->stopped)
		return 0;
	if (cage->brood.command)
		kill(cage->brood.command, SIGKILL); /* it only listens */
	let_go_all(cage);
	let_go(&cage->inside);
	if (lxd_instance_delete(cage->lxd, cage->want.name, err) < 0)
		return trouble(err);
	cage->stopped = true;
	return brood_await(&cage->brood, err);
}

static int ended(struct cage *base, int *status, char text[static CAGE_TEXT_SIZE], struct err *err)
{
	struct lxd_cage *cage = own(base);
	struct err left = {0};

	brood_reap(&cage->brood);
	if (!cage->brood.ended)
		return 0;
	cage->brood.ended = false;
	let_go(&cage->inside);
	if (cage->stopped) {
		*status = CAGE_KILLED;
		text[0] = '\0';
		return 1;
	}
	describe(cage, text);
	if (stop(base, &left) < 0)
		log_warning(LOG_WHAT("instance"), LOG_ERR(&left));
	if (cage->end->err.kind != ERR_NONE) {
		*err = cage->end->err;
		return trouble(err);
	}
	*status = cage->end->status;
	return 1;
}

static int check(struct cage *base, struct err *err)
{
	struct lxd_cage *cage = own(base);

	brood_reap(&cage->brood);
	return lxd_instance_check(cage->lxd, cage->want.name, cage->init.pid, err) < 0 ? trouble(err) : 0;
}

static int root(const struct cage *base, struct err *err)
{
	int folder = open(ROOTFS_PATH, O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)base;
	return folder < 0 ? err_set_errno(err, errno, "the worker's files cannot be looked at") : folder;
}

/* The instance is gone: its disk was never LXD's, and stays with us. */
static int keep(struct cage *base, struct err *err)
{
	struct lxd_cage *cage = own(base);
	const char *const *words = traces(cage->arena, cage->want.conf, conf_namespace(cage->want.conf), cage->want.name, err);

	if (!words || stop(base, err) < 0 || network_end(&cage->job.network, err) < 0)
		return -1;
	return remove_groups(cage->arena, words, err);
}

/* Another instance of the same name, on that disk. */
static int start_again(struct lxd_cage *cage, struct err *err)
{
	int tree, rc;

	if (start_instance(cage, cage->want.digest, err) < 0)
		return trouble(err);
	if (change_root(cage, err) < 0 || connect_network(cage, err) < 0 || (tree = rootfs_tree(err)) < 0)
		return -1;
	rc = lxd_root_place(cage->mounts, tree, ROOTFS_WORKSPACE, err);
	close(tree);
	if (rc < 0 || lxd_init_begin(&cage->init, SYSTEMD_LISTENS, err) < 0 ||
		lxd_instance_tell(cage->lxd, cage->want.name, cage->build, err) < 0)
		return trouble(err);
	return 0;
}

static int again(struct cage *base, struct err *err)
{
	struct lxd_cage *cage = own(base);

	cage->brood.ended = false;
	cage->stopped = false;
	return start_again(cage, err);
}

static int terminal(struct cage *base, int *inside, struct err *err)
{
	struct lxd_cage *cage = own(base);
	int master = terminal_open(cage->mounts, (uid_t)cage->want.ids, inside, err);

	if (master >= 0) /* a master whose other end nobody has would say that it has ended */
		cage->inside = fcntl(*inside, F_DUPFD_CLOEXEC, 0);
	return master;
}

static int remove_all(struct cage *base, struct err *err)
{
	struct lxd_cage *cage = own(base);
	int rc = stop(base, err);

	if (network_end(&cage->job.network, err) < 0)
		rc = -1;
	if (brood_empty(&cage->brood, err) < 0 || rootfs_unmount(err) < 0 || disk_gone(&cage->job.disk, err) < 0)
		rc = -1;
	brood_release(&cage->brood);
	let_go(&cage->init.proc);
	lxd_exec_free(cage->end);
	cage->end = NULL;
	lxd_close(cage->lxd);
	return rc;
}

const struct cage_kind lxd_cage_kind = {
	.name = "lxd",
	.traces = traces,
	.reap = reap,
	.sweep = sweep,
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
