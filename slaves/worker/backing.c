#include "slaves/worker/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strv.h"

#define LIMIT_US (3600 * (int64_t)1000000)
#define SOURCES_MAXIMUM 65536

struct build {
	struct arena *arena;
	const struct conf *conf;
	const char *name;
	const char *section;   /* "backing/NAME" */
	const char *folder;    /* WORKER/backings */
	const char *digest;
	const char *temporary; /* FOLDER/.DIGEST */
	const char *final;     /* FOLDER/DIGEST */
	int progress;
	int caller;
	int64_t deadline_us;
};

static int prepare(struct build *build, struct arena *arena, const struct conf *conf, const char *name,
	char digest[static JOB_DIGEST_SIZE], struct err *err)
{
	const char *state;

	if (job_backing_digest(conf, name, digest, err) < 0 || conf_text(conf, NULL, "state", &state, err) < 0)
		return -1;
	*build = (struct build){.arena = arena, .conf = conf, .name = name, .digest = digest, .progress = -1, .caller = -1};
	build->section = arena_printf(arena, "backing/%s", name);
	build->folder = arena_printf(arena, "%s/worker/backings", state);
	build->temporary = arena_printf(arena, "%s/.%s", build->folder, digest);
	build->final = arena_printf(arena, "%s/%s", build->folder, digest);
	return 0;
}

static int open_rootfs(const struct build *build, struct err *err)
{
	const char *path = arena_printf(build->arena, "%s/rootfs", build->final);
	int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "backing %s is not built as it is configured now: byoci-worker -n %s build-backing %s",
			build->name, conf_namespace(build->conf), build->name);
	if (fd < 0)
		return err_set_errno(err, errno, "%s: cannot be opened", path);
	return fd;
}

int backing_open(const struct conf *conf, const char *name, char digest[static JOB_DIGEST_SIZE], struct err *err)
{
	struct arena *arena = arena_new();
	struct build build;
	int fd = prepare(&build, arena, conf, name, digest, err);

	if (fd == 0)
		fd = open_rootfs(&build, err);
	arena_free(arena);
	return fd;
}

/* What people see; nobody reading it is no reason to stop. */
static void say(const struct build *build, const char *text)
{
	const char *line = arena_printf(build->arena, "backing %s: %s\n", build->name, text);

	if (write(build->progress, line, strlen(line)) < 0)
		return;
}

static int wanted_still(const struct build *build, const char *what, struct err *err)
{
	struct pollfd caller = {.fd = build->caller, .events = POLLRDHUP};

	if (build->caller >= 0 && poll(&caller, 1, 0) > 0 && caller.revents & (POLLRDHUP | POLLHUP | POLLERR))
		return err_set(err, ERR_NETWORK, "%s: whoever asked for it has gone", what);
	if (clock_monotonic_us() > build->deadline_us)
		return err_set(err, ERR_TIMEOUT, "%s: not done after %d minutes", what, (int)(LIMIT_US / 60000000));
	return 0;
}

/* Waits for the end of a child, for as long as somebody wants its result. */
static int await(const struct build *build, const char *what, pid_t pid, int pidfd, struct err *err)
{
	struct pollfd waits[] = {{.fd = pidfd, .events = POLLIN}, {.fd = build->caller, .events = POLLRDHUP}};
	int status, rc = 0;

	while (rc == 0 && (poll(waits, 2, 1000) <= 0 || !waits[0].revents))
		rc = wanted_still(build, what, err);
	if (rc < 0)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		rc = err_set(err, ERR_SYSTEM, "%s: it failed (%s %d); its last lines say why", what, WIFEXITED(status) ? "exit status"
		: "signal",
			WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return rc;
}

static int run(const struct build *build, const char *what, const struct strv *argv, const struct strv *environment, struct err *err)
{
	struct child child = CHILD_INIT;
	int pidfd;
	pid_t pid;
	int rc;

	child.argv = (const char *const *)argv->v;
	child.environment = (const char *const *)environment->v;
	child.out = build->progress;
	child.err = build->progress;
	child.dies_with_parent = true;
	if (child_spawn(&child, &pid, &pidfd, err) < 0)
		return -1;
	rc = await(build, what, pid, pidfd, err);
	close(pidfd);
	return rc;
}

/* The host's own list of packages where it has this suite; else mmdebstrap takes Debian's. */
static const char *host_sources(struct arena *arena, const char *suite)
{
	static const char *const paths[] = {"/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"};

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct err err = {0};
		char *rest = file_read(arena, paths[i], SOURCES_MAXIMUM, NULL, &err);
		const char *word;

		while (rest && (word = strsep(&rest, " \t\n")))
			if (strcmp(word, suite) == 0)
				return paths[i];
	}
	return NULL;
}

static int command(const struct build *build, struct strv *argv, struct err *err)
{
	const char *suite, *variant, *packages, *setup, *mirror;

	if (conf_text(build->conf, build->section, "suite", &suite, err) < 0 ||
		conf_text(build->conf, build->section, "variant", &variant, err) < 0 ||
		conf_text(build->conf, build->section, "packages", &packages, err) < 0 ||
		conf_text(build->conf, build->section, "setup.command", &setup, err) < 0 ||
		conf_text(build->conf, build->section, "mirror", &mirror, err) < 0)
		return -1;
	/* In name spaces of its own, so that no mount and no process of it stays when it is killed. */
	strv_pushl(argv, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", NULL);
	strv_pushl(argv, "mmdebstrap", "--mode=root", "--format=directory", NULL);
	strv_pushf(argv, "--variant=%s", variant);
	if (packages && *packages)
		strv_pushf(argv, "--include=%s", packages);
	if (setup && *setup)
		strv_push(argv, "--customize-hook=chroot \"$1\" /bin/sh -c \"$BYOCI_SETUP\"");
	strv_push(argv, suite);
	strv_pushf(argv, "%s/rootfs", build->temporary);
	if (!mirror || !*mirror)
		mirror = host_sources(build->arena, suite);
	if (mirror)
		strv_push(argv, mirror);
	return 0;
}

static int environment(const struct build *build, struct strv *env, struct err *err)
{
	static const char *const proxies[] = {"http_proxy", "https_proxy", "no_proxy"};
	const char *setup;

	if (conf_text(build->conf, build->section, "setup.command", &setup, err) < 0)
		return -1;
	strv_pushl(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
		"DEBIAN_FRONTEND=noninteractive", NULL);
	for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++)
		if (getenv(proxies[i]))
			strv_pushf(env, "%s=%s", proxies[i], getenv(proxies[i]));
	if (setup && *setup)
		strv_pushf(env, "BYOCI_SETUP=%s", setup);
	return 0;
}

static int remove_temporary(const struct build *build, const struct strv *env, struct err *err)
{
	struct strv argv = STRV_INIT;
	int rc;

	if (access(build->temporary, F_OK) < 0)
		return 0;
	strv_pushl(&argv, "rm", "-rf", "--one-file-system", "--", build->temporary, NULL);
	rc = run(build, "rm", &argv, env, err);
	strv_release(&argv);
	return rc;
}

/* Whole on disk before it has its name. */
static int put_in_place(const struct build *build, struct err *err)
{
	int fd = open(build->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 ? -1 : syncfs(fd);

	if (fd >= 0)
		close(fd);
	if (rc < 0 || rename(build->temporary, build->final) < 0)
		return err_set_errno(err, errno, "%s: cannot be put into its place", build->final);
	return 0;
}

static int make(const struct build *build, const struct strv *argv, const struct strv *env, struct err *err)
{
	if (remove_temporary(build, env, err) < 0)
		return -1;
	if (mkdir(build->temporary, 0755) < 0 || chmod(build->temporary, 0755) < 0)
		return err_set_errno(err, errno, "%s: the folder cannot be made", build->temporary);
	if (run(build, "mmdebstrap", argv, env, err) < 0)
		return -1;
	return put_in_place(build, err);
}

/* What was made of it goes, also when nobody waits any more. */
static int make_or_remove(const struct build *build, struct err *err)
{
	struct strv argv = STRV_INIT, env = STRV_INIT;
	struct build after = *build;
	struct err ignored = {0};
	int rc = -1;

	if (environment(build, &env, err) == 0 && command(build, &argv, err) == 0)
		rc = make(build, &argv, &env, err);
	after.caller = -1;
	after.deadline_us = clock_monotonic_us() + LIMIT_US;
	if (rc < 0 && remove_temporary(&after, &env, &ignored) < 0)
		log_warning(LOG_WHAT("an unfinished backing stays"), LOG_TEXT("folder", build->temporary), LOG_ERR(&ignored));
	strv_release(&argv);
	strv_release(&env);
	return rc;
}

/* One build of one backing at a time; the lock is let go of with the descriptor. */
static int lock(const struct build *build, struct err *err)
{
	const char *path = arena_printf(build->arena, "%s/%s.lock", build->folder, build->digest);
	const struct timespec pause = {.tv_nsec = 200000000};
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_set_errno(err, errno, "%s: cannot be opened", path);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			err_set_errno(err, errno, "%s: cannot be locked", path);
			goto err1;
		}
		if (wanted_still(build, "waiting for somebody else to build it", err) < 0)
			goto err1;
		nanosleep(&pause, NULL);
	}
	return fd;
err1:
	close(fd);
	return -1;
}

static int build_locked(const struct build *build, struct err *err)
{
	int held = lock(build, err);
	int rc;

	if (held < 0)
		return -1;
	if (access(build->final, F_OK) == 0) {
		rc = 0;
	} else {
		say(build, "building it");
		rc = make_or_remove(build, err);
		if (rc == 0)
			say(build, "built");
	}
	close(held);
	return rc;
}

int backing_build(const struct conf *conf, const char *name, int progress, int caller, char digest[static JOB_DIGEST_SIZE],
	struct err *err)
{
	struct arena *arena = arena_new();
	struct build build;
	int rc = prepare(&build, arena, conf, name, digest, err);

	if (rc < 0)
		goto err0;
	build.progress = progress;
	build.caller = caller;
	build.deadline_us = clock_monotonic_us() + LIMIT_US;
	if (access(build.final, F_OK) == 0)
		goto err0;
	rc = file_make_folder(build.folder, 0755, err);
	if (rc == 0)
		rc = build_locked(&build, err);
	if (rc < 0)
		err_wrap(err, "backing %s", name);
err0:
	arena_free(arena);
	return rc;
}
