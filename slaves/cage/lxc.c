#include "slaves/cage/lxc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <lxc/attach_options.h>
#include <lxc/lxccontainer.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/strv.h"
#include "slaves/cage/cage.h"
#include "slaves/cage/waiter.h"
#include "slaves/confine/rootfs.h"
#include "slaves/confine/seccomp.h"
#include "slaves/confine/terminal.h"
#include "slaves/confine/veil.h"

#define INIT "/dev/init" /* inside; /dev is a tmpfs of the container's own */
#define SYSTEMD_LIMIT_US (30 * 1000000)
#define STOP_LIMIT_S 10
#define LOG_MAXIMUM (1024 * 1024)

struct lxc {
	struct lxc_container *container;
	int init; /* pidfd of its first process */
	int waiter; /* socket of the process that was put into it, which becomes its program */
	pid_t entered; /* that process */
	const char *log;
	struct arena *arena;
};

static const char *const init_paths[] = {"/usr/bin/catatonit", "/usr/libexec/podman/catatonit",
	"/usr/libexec/catatonit/catatonit"};

/*
 * What liblxc wrote to its log, as far as it is an error: the first such line says the most. "lxc TIME ERROR WHERE -
 * FILE:FUNCTION:LINE - WORDS".
 */
static int set_from_log(const struct lxc *lxc, const char *what, struct err *err)
{
	struct err unread = {0};
	char *rest = file_read(lxc->arena, lxc->log, LOG_MAXIMUM, NULL, &unread);
	const char *line;

	while (rest && (line = strsep(&rest, "\n"))) {
		const char *words = strstr(line, " ERROR ");

		if (words && (words = strstr(words, " - ")) && (words = strstr(words + 3, " - ")))
			return err_set(err, ERR_SYSTEM, "container: it cannot be %s: %s", what, words + 3);
	}
	return err_set(err, ERR_SYSTEM, "container: it cannot be %s, and liblxc does not say why", what);
}

static int set(const struct lxc *lxc, const char *key, const char *value, struct err *err)
{
	if (!lxc->container->set_config_item(lxc->container, key, value))
		return err_set(err, ERR_SYSTEM, "container: liblxc %s takes no %s = %s", lxc_get_version(), key, value);
	return 0;
}

static int setf(const struct lxc *lxc, struct err *err, const char *key, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int setf(const struct lxc *lxc, struct err *err, const char *key, const char *format, ...)
{
	va_list values;
	char *value;

	va_start(values, format);
	value = arena_vprintf(lxc->arena, format, values);
	va_end(values);
	return set(lxc, key, value, err);
}

static int configure_files(const struct lxc *lxc, const struct lxc_want *want, struct err *err)
{
	const char *profile = arena_printf(lxc->arena, "%s/seccomp", want->scratch);
	const char *init = NULL;

	for (size_t i = 0; !init && i < sizeof init_paths / sizeof *init_paths; i++)
		if (access(init_paths[i], X_OK) == 0)
			init = init_paths[i];
	if (!init)
		return err_set(err, ERR_CONFIG, "%s: there is no init for containers; install the package catatonit", init_paths[0]);
	if (seccomp_write(profile, want->features, err) < 0)
		return -1;
	if (set(lxc, "lxc.seccomp.profile", profile, err) < 0 ||
		set(lxc, "lxc.log.file", lxc->log, err) < 0 ||
		setf(lxc, err, "lxc.rootfs.path", "dir:%s", want->rootfs) < 0 ||
		setf(lxc, err, "lxc.mount.entry", "tmpfs dev/shm tmpfs nosuid,nodev,create=dir,mode=1777,size=%lld 0 0",
		(long long)want->shared) < 0 ||
		setf(lxc, err, "lxc.mount.entry", "%s %s none bind,ro,nosuid,nodev,create=file 0 0", init, INIT + 1) < 0)
		return -1;
	return 0;
}

/*
 * Where AppArmor is on: Debian's profile for containers, or ours for those that mount (setup/apparmor), of which Debian's does not let
 * all be done. Without one there would be the default one, which lets nothing be mounted.
 */
static int configure_apparmor(const struct lxc *lxc, unsigned features, struct err *err)
{
	static const char *const plain[] = {"lxc-container-default-cgns", NULL};
	static const char *const mounting[] = {"byoci-worker", "lxc-container-default-with-nesting", NULL};
	struct err unread = {0};
	const char *on = file_read(lxc->arena, "/sys/module/apparmor/parameters/enabled", 16, NULL, &unread);
	const char *loaded;

	if (!on || *on != 'Y')
		return 0;
	loaded = file_read(lxc->arena, "/sys/kernel/security/apparmor/profiles", LOG_MAXIMUM, NULL, &unread);
	for (const char *const *profile = features ? mounting : plain; loaded && *profile; profile++)
		if (strstr(arena_printf(lxc->arena, "\n%s", loaded), arena_printf(lxc->arena, "\n%s ", *profile)))
			return set(lxc, "lxc.apparmor.profile", *profile, err);
	return set(lxc, "lxc.apparmor.profile", "unconfined", err);
}

static int configure_groups(const struct lxc *lxc, const struct lxc_want *want, struct err *err)
{
	if (setf(lxc, err, "lxc.cgroup.dir.container", "%s/box", want->name) < 0 ||
		setf(lxc, err, "lxc.cgroup.dir.monitor", "%s/monitor", want->name) < 0 ||
		setf(lxc, err, "lxc.cgroup.dir.monitor.pivot", "%s/pivot", want->name) < 0)
		return -1;
	return 0;
}

static int configure_tables(const struct lxc *lxc, const struct lxc_want *want, struct err *err)
{
	for (size_t i = 0; i < want->settings->count; i++)
		if (set(lxc, want->settings->list[i].key, want->settings->list[i].value, err) < 0)
			return -1;
	return 0;
}

static int configure(const struct lxc *lxc, const struct lxc_want *want, struct err *err)
{
	if (configure_tables(lxc, want, err) < 0 || setf(lxc, err, "lxc.idmap", "u 0 %lld %d", (long long)want->ids, ROOTFS_IDS) < 0 ||
		setf(lxc, err, "lxc.idmap", "g 0 %lld %d", (long long)want->ids, ROOTFS_IDS) < 0 ||
		configure_apparmor(lxc, want->features, err) < 0 || configure_groups(lxc, want, err) < 0)
		return -1;
	return configure_files(lxc, want, err);
}

static struct lxc *new_container(struct arena *arena, const struct lxc_want *want, struct err *err)
{
	struct lxc *lxc = arena_alloc(arena, sizeof *lxc);

	/* As root of the host we write the id maps ourselves: newuidmap, if it is found, wants the ids in /etc/subuid. */
	if (setenv("PATH", "/nowhere", 1) < 0) {
		err_set_errno(err, errno, "container");
		return NULL;
	}
	lxc->arena = arena;
	lxc->init = -1;
	lxc->waiter = -1;
	lxc->entered = 0;
	lxc->log = arena_printf(arena, "%s/log", want->scratch);
	unlink(lxc->log); /* of an earlier one */
	unlink(arena_printf(arena, "%s/seccomp", want->scratch));
	lxc->container = lxc_container_new(want->name, want->scratch);
	if (!lxc->container)
		err_set(err, ERR_SYSTEM, "container: liblxc makes none in %s", want->scratch);
	return lxc->container ? lxc : NULL;
}

/* Until it listens to systemctl; before, a test would be told that there is none. */
static int await_systemd(const struct lxc *lxc, struct err *err)
{
	const char *socket = arena_printf(lxc->arena, "/proc/%d/root/run/systemd/private", (int)lxc->container->init_pid(lxc->container));
	struct pollfd init = {.fd = lxc->init, .events = POLLIN};
	int64_t deadline_us = clock_monotonic_us() + SYSTEMD_LIMIT_US;
	struct stat st;

	while (lstat(socket, &st) < 0) {
		if (clock_monotonic_us() > deadline_us)
			return err_set(err, ERR_TIMEOUT, "container: systemd does not answer");
		if (poll(&init, 1, 2) != 0)
			return err_set(err, ERR_SYSTEM, "container: systemd has ended");
	}
	return 0;
}

/* liblxc puts whoever starts a container into the container's groups, and takes them out again only when all goes well. */
static int start_and_return(struct lxc *lxc, const struct lxc_want *want, struct err *err)
{
	char *const tiny[] = {(char *)(uintptr_t)INIT, (char *)(uintptr_t)"-P", NULL};
	char *const systemd[] = {(char *)(uintptr_t)LXC_SYSTEMD, NULL};
	bool started;

	if (seccomp_close_unknown(err) < 0)
		return -1;
	if (cgroup_approach(want->cgroup, err) < 0)
		return -1;
	lxc->container->want_daemonize(lxc->container, true);
	lxc->container->want_close_all_fds(lxc->container, true);
	started = lxc->container->start(lxc->container, 0, want->features & SECCOMP_SYSTEMD ? systemd : tiny);
	if (cgroup_return(want->cgroup, err) < 0)
		return -1;
	if (!started)
		return set_from_log(lxc, "started", err);
	lxc->init = lxc->container->init_pidfd(lxc->container);
	if (lxc->init < 0)
		return set_from_log(lxc, "watched", err);
	if (want->features & SECCOMP_SYSTEMD)
		return await_systemd(lxc, err);
	return want->features ? 0 : veil_hang(lxc->init, ROOTFS_EMPTY, err);
}

static int wait_inside(void *cookie)
{
	return waiter_wait(*(const int *)cookie);
}

/* The first move into control groups after a quiet time takes some 10 ms: so that is not left for when there is a program. */
static int enter(struct lxc *lxc, struct err *err)
{
	lxc_attach_options_t options = LXC_ATTACH_OPTIONS_DEFAULT;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), ends[2];
	int rc;

	if (null < 0)
		return err_set_errno(err, errno, "/dev/null");
	if (waiter_open(ends, err) < 0) {
		close(null);
		return -1;
	}
	options.attach_flags |= LXC_ATTACH_NO_NEW_PRIVS;
	options.initial_cwd = (char *)(uintptr_t)"/";
	options.env_policy = LXC_ATTACH_CLEAR_ENV;
	options.uid = 0;
	options.gid = 0;
	options.stdin_fd = options.stdout_fd = options.stderr_fd = null;
	rc = lxc->container->attach(lxc->container, wait_inside, &ends[1], &options, &lxc->entered);
	close(null);
	close(ends[1]);
	lxc->waiter = ends[0];
	return rc < 0 ? set_from_log(lxc, "entered", err) : 0;
}

struct lxc *lxc_start(struct arena *arena, const struct lxc_want *want, struct err *err)
{
	struct lxc *lxc = new_container(arena, want, err);

	if (!lxc)
		return NULL;
	if (configure(lxc, want, err) < 0 || start_and_return(lxc, want, err) < 0 || enter(lxc, err) < 0) {
		lxc_free(lxc);
		return NULL;
	}
	return lxc;
}

int lxc_run(struct lxc *lxc, const struct lxc_program *program, pid_t *pid, struct err *err)
{
	struct waiter_program run = {.argv = program->argv, .folder = program->folder, .in = program->in, .out = program->out,
		.errors = program->errors};
	struct strv environment = STRV_INIT;
	int rc;

	strv_pushl(&environment, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "CI=true",
		"container=lxc", NULL);
	if (program->in >= 0 && isatty(program->in))
		strv_push(&environment, "TERM=xterm");
	for (const char *const *more = program->environment; more && *more; more++)
		strv_push(&environment, *more);
	run.environment = (const char *const *)environment.v;
	*pid = lxc->entered;
	rc = waiter_run(lxc->waiter, &run, err);
	strv_release(&environment);
	return rc < 0 ? err_wrap(err, "container") : 0;
}

pid_t lxc_entered(const struct lxc *lxc)
{
	return lxc->entered;
}

int lxc_terminal(const struct lxc *lxc, uid_t owner, int *inside, struct err *err)
{
	return terminal_open(lxc->init, owner, inside, err);
}

int lxc_place(const struct lxc *lxc, int mount, const char *folder, struct err *err)
{
	int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	int rc = 0;

	if (own < 0 || setns(lxc->init, CLONE_NEWNS) < 0) {
		rc = err_set_errno(err, errno, "container: its mounts cannot be reached");
		goto err0;
	}
	if (syscall(SYS_move_mount, mount, "", AT_FDCWD, folder, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		rc = err_set_errno(err, errno, "container: nothing can be mounted on %s in it", folder);
	if (setns(own, CLONE_NEWNS) < 0)
		err_fatal("a container's mount namespace can't be left");
err0:
	if (own >= 0)
		close(own);
	return rc;
}

int lxc_check(const struct lxc *lxc, struct err *err)
{
	struct pollfd both[] = {{.fd = lxc->init, .events = POLLIN}, {.fd = lxc->waiter, .events = POLLIN}};

	if (poll(both, 2, 0) == 0)
		return 0;
	return err_set(err, ERR_SYSTEM, "container: its first process has ended"); /* the other one ends with it, and is seen before */
}

int lxc_init(const struct lxc *lxc)
{
	return lxc->init;
}

int lxc_kill(struct lxc *lxc, struct err *err)
{
	if (pidfd_send_signal(lxc->init, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return err_set_errno(err, errno, "container: its init cannot be killed");
	return 0;
}

int lxc_await(struct lxc *lxc, struct err *err)
{
	if (!lxc->container->wait(lxc->container, "STOPPED", STOP_LIMIT_S))
		return set_from_log(lxc, "stopped", err);
	return 0;
}

void lxc_free(struct lxc *lxc)
{
	if (!lxc)
		return;
	if (lxc->init >= 0)
		close(lxc->init);
	if (lxc->waiter >= 0)
		close(lxc->waiter);
	lxc_container_put(lxc->container);
}
