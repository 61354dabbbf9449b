/*
 * byoci-worker: makes workers for the slave's user, and backings. Root; one process for a namespace, and one child for each
 * connection. All it is told over its socket are names, digests and descriptors (worker_wire.h); everything else is in root's
 * configuration.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/strv.h"
#include "conf/conf.h"
#include "slaves/backing/backing.h"
#include "slaves/backing/backing_list.h"
#include "slaves/backing/backing_prune.h"
#include "slaves/backing/making.h"
#include "slaves/backing/refresh.h"
#include "slaves/cage/cage.h"
#include "slaves/cage/ids.h"
#include "slaves/cage/slot.h"
#include "slaves/confine/cgroup.h"
#include "slaves/confine/nat.h"
#include "slaves/worker/handler.h"
#include "slaves/worker/spare.h"
#include "slaves/worker/worker_wire.h"

#define REAP_EVERY_MS 60000
#define SPARE_AFTER_US (2 * INT64_C(1000000)) /* when a worker was begun: not beside what that one does first */
#define SPARE_AGAIN_US (10 * INT64_C(1000000)) /* after one that found no slot, or made room for another worker */
#define SPARE_FAILED_US (60 * INT64_C(1000000))
#define REFRESH_AGAIN_US (60 * INT64_C(1000000)) /* after one that failed */
#define IDS_END 4294967295LL /* (uid_t)-1 is no user */
#define SPARE_CONNECTIONS 8 /* beside one for each slot: those that have backings built, or are turned away */

enum { EXIT_STALE = 1, EXIT_FAILED = 75, EXIT_USED_WRONGLY = 64 };

struct server {
	struct conf_source source;
	struct conf *conf;
	struct arena *arena;
	const char *slots;
	uid_t slave;
	int listener;
	int signals;
	int wishes[2]; /* handlers put connections into the second */
	bool wants_spare;
	struct spare spare;
	int64_t spare_us; /* not to be started before */
	unsigned handlers;
	unsigned maximum;
	pid_t refresher; /* makes backings anew; 0: nobody does */
	int64_t refresh_after_us;
	int64_t look_us; /* when to look for what is to be made anew */
	bool over;
};

static int say_wrong(const char *what)
{
	fprintf(stderr, "byoci-worker: %s; byoci-worker --help tells more\n", what);
	return EXIT_USED_WRONGLY;
}

static int fail(const struct err *err)
{
	fprintf(stderr, "byoci-worker: %s\n", err->text);
	return err->kind == ERR_USAGE ? EXIT_USED_WRONGLY : EXIT_FAILED;
}

/* May this process ask at all? */
static int check_peer(const struct server *server, struct handler_want *want, struct err *err)
{
	char path[64];
	pid_t sender;

	if (sock_peer(want->connection, &want->uid, NULL, &sender, err) < 0)
		return -1;
	snprintf(path, sizeof path, "/proc/%d/ns/mnt", (int)sender);
	want->mounts = open(path, O_RDONLY | O_CLOEXEC);
	if (want->uid != 0 && want->uid != server->slave)
		return err_set(err, ERR_REFUSED, "user %u may not ask for workers (process %d); the slave's user may",
		(unsigned)want->uid,
			(int)sender);
	if (server->handlers >= server->maximum)
		return err_set(err, ERR_BUSY, "%u connections are open: try again later", server->handlers);
	return 0;
}

#define OURS 5
static struct handler_want new_want(const struct server *server, int others[static OURS])
{
	const int own[OURS] = {server->listener, server->signals, server->wishes[0], server->spare.fd, -1};

	memcpy(others, own, sizeof own);
	return (struct handler_want){.source = &server->source, .others = others, .wishes = server->wishes[1], .connection = -1, .mounts = -1};
}

static void close_want(const struct handler_want *want)
{
	if (want->mounts >= 0)
		close(want->mounts);
	close(want->connection);
}

static int start_handler(struct server *server, const struct handler_want *want, struct err *err)
{
	if (handler_start(want, err) < 0)
		return -1;
	server->handlers++;
	CRASH_POINT("worker.handler-started");
	return 0;
}

static void take_connection(struct server *server)
{
	int others[OURS];
	struct handler_want want = new_want(server, others);
	struct err err = {0};

	want.connection = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
	if (want.connection < 0)
		return;
	if (check_peer(server, &want, &err) < 0 || (!spare_give(&server->spare, &want) && start_handler(server, &want, &err) < 0)) {
		log_warning(LOG_WHAT("connection refused"), LOG_ERR(&err));
		handler_turn_away(want.connection, &err);
	}
	close_want(&want);
}

/* It waits now, gives a connection back that is not for it, has become a handler, or ended. */
static void hear_spare(struct server *server)
{
	int others[OURS];
	struct handler_want want = new_want(server, others);
	struct err err = {0};
	int64_t now_us = clock_monotonic_us();
	bool lent = server->spare.lent;
	int said = spare_take(&server->spare, &want);

	if (said == 0 && lent)
		server->spare_us = now_us + SPARE_AFTER_US;
	else if (said == 0 && server->spare_us < now_us + SPARE_AGAIN_US)
		server->spare_us = now_us + SPARE_AGAIN_US;
	if (said != 1)
		return;
	if (start_handler(server, &want, &err) < 0) {
		log_warning(LOG_WHAT("connection refused"), LOG_ERR(&err));
		handler_turn_away(want.connection, &err);
	}
	close_want(&want);
}

/* One container for no job yet, where that is wanted. */
static void keep_spare(struct server *server, int64_t now_us)
{
	int others[OURS];
	struct handler_want want = new_want(server, others);
	struct err err = {0};

	if (!server->wants_spare || server->spare.fd >= 0 || now_us < server->spare_us)
		return;
	server->spare_us = now_us + SPARE_AGAIN_US;
	if (spare_start(&server->spare, &want, &err) < 0)
		log_warning(LOG_WHAT("no container waits"), LOG_ERR(&err));
	else
		server->handlers++;
}

/* How many were removed; -1: something stays, and it was logged. */
static int reap(const struct server *server, struct err *err)
{
	struct err swept = {0};
	int removed = slot_reap(server->slots, conf_namespace(server->conf), err);

	if (removed < 0)
		log_error(LOG_WHAT("leftovers of a worker stay"), LOG_ERR(err));
	if (cage_sweep(server->conf, &swept) == 0)
		return removed;
	log_error(LOG_WHAT("leftovers of workers stay"), LOG_ERR(&swept));
	if (removed >= 0)
		*err = swept;
	return -1;
}

/* Somebody wants to know what the reaper finds now. */
static void take_wish(struct server *server)
{
	struct worker_reply reply = {.version = WORKER_VERSION, .operation = WORKER_REAP};
	struct worker_request request;
	int descriptors[SOCK_DESCRIPTORS];
	struct err err = {0};
	size_t count = 0;

	if (sock_receive(server->wishes[0], &request, sizeof request, descriptors, &count, &err) <= 0 || count != 1) {
		log_warning(LOG_WHAT("a connection was not taken over"), LOG_ERR(&err));
	} else {
		reply.status = reap(server, &err);
		if (reply.status < 0)
			handler_turn_away(descriptors[0], &err);
		else if (sock_send(descriptors[0], &reply, sizeof reply, NULL, 0, &err) < 0)
			log_debug(LOG_WHAT("nobody waits for what was reaped"), LOG_ERR(&err));
	}
	while (count)
		close(descriptors[--count]);
}

/* By this very program, in a process that can be niced and killed: it ends with us. */
static void start_refresh(struct server *server)
{
	struct child child = CHILD_INIT;
	struct strv argv = STRV_INIT, environment = STRV_INIT;
	struct err err = {0};

	strv_pushl(&argv, "/proc/self/exe", "-n", server->source.namespace, NULL);
	for (const char *const *override = server->source.overrides; override && *override; override++)
		strv_pushl(&argv, "-O", *override, NULL);
	strv_push(&argv, "refresh-backings");
	making_environment(&environment);
	if (server->source.root)
		strv_pushf(&environment, "BYOCI_ROOT=%s", server->source.root);
	child.argv = (const char *const *)argv.v;
	child.environment = (const char *const *)environment.v;
	child.out = STDERR_FILENO;
	child.err = STDERR_FILENO;
	child.dies_with_parent = true;
	if (child_spawn(&child, &server->refresher, NULL, &err) < 0) {
		server->refresher = 0;
		server->refresh_after_us = clock_monotonic_us() + REFRESH_AGAIN_US;
		log_error(LOG_WHAT("backings can't be refreshed"), LOG_ERR(&err));
	}
	strv_release(&argv);
	strv_release(&environment);
}

static void end_refresh(struct server *server, int status)
{
	server->refresher = 0;
	server->look_us = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		server->refresh_after_us = clock_monotonic_us() + REFRESH_AGAIN_US;
}

/* Milliseconds until there is something to do; starts what is to be done now. The sections are read as they are now. */
static int64_t refresh(struct server *server)
{
	struct conf *conf = NULL;
	struct err err = {0};
	int64_t wait_ms = REAP_EVERY_MS;

	if (server->refresher || clock_monotonic_us() < server->refresh_after_us)
		return wait_ms;
	if (conf_load(&conf, &server->source, &err) < 0) {
		log_warning(LOG_WHAT("no backing is refreshed"), LOG_ERR(&err));
	} else if ((wait_ms = refresh_wait_ms(conf, REAP_EVERY_MS)) == 0) {
		start_refresh(server);
		wait_ms = REAP_EVERY_MS;
	}
	conf_free(conf);
	return wait_ms;
}

static void take_signal(struct server *server)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	if (read(server->signals, &info, sizeof info) != (ssize_t)sizeof info)
		return;
	if (info.ssi_signo != SIGCHLD) {
		log_info(LOG_WHAT("ending"), LOG_NUMBER("workers", server->handlers));
		server->over = true;
		return;
	}
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == server->refresher) {
			end_refresh(server, status);
			continue;
		}
		server->handlers--;
		if (pid != server->spare.pid)
			server->spare_us = clock_monotonic_us() + SPARE_AFTER_US; /* there is a slot again */
		else if (server->spare.fd >= 0 && WIFEXITED(status) && WEXITSTATUS(status) != 0)
			server->spare_us = clock_monotonic_us() + SPARE_FAILED_US;
		CRASH_POINT("worker.handler-reaped");
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			log_warning(LOG_WHAT("a worker's process did not end well"), LOG_NUMBER("pid", pid), LOG_NUMBER("status", status));
	}
	reap(server, &(struct err){0});
}

static int set_up_signals(struct server *server, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, server->wishes) < 0)
		return err_set_errno(err, errno, "no socket for what handlers want");
	signal(SIGHUP, SIG_IGN); /* each connection reads the configuration anew */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || (server->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return err_set_errno(err, errno, "signals");
	return 0;
}

static int read_configuration(struct server *server, struct err *err)
{
	const char *state, *name;
	const struct passwd *user;
	const char *root = server->source.root ? server->source.root : "";
	struct ids ids;
	int64_t slots, kept;

	if (conf_text(server->conf, NULL, "state", &state, err) < 0 || conf_text(server->conf, NULL, "slave.user", &name, err) < 0 ||
		conf_integer(server->conf, NULL, "worker.slots", &slots, err) < 0 ||
		conf_integer(server->conf, NULL, "worker.kept", &kept, err) < 0 ||
		conf_boolean(server->conf, NULL, "worker.blank", &server->wants_spare, err) < 0 || ids_read(&ids, server->conf, err) < 0)
		return -1;
	if (ids.first + ids.count > IDS_END)
		return err_set(err, ERR_CONFIG,
			"worker.ids.first = %lld: %lld slots and one more of %d ids do not fit below %lld: choose a smaller one",
			(long long)ids.first, (long long)(slots + kept), ROOTFS_IDS, IDS_END);
	if (ids_check(&ids, conf_namespace(server->conf), root, err) < 0)
		return -1;
	user = getpwnam(name);
	if (!user || user->pw_uid == 0)
		return err_set(err, ERR_CONFIG, "slave.user = %s: there is no such user but root; setup/byoci makes it", name);
	server->slave = user->pw_uid;
	server->maximum = (unsigned)(slots + kept) + SPARE_CONNECTIONS;
	server->slots = arena_printf(server->arena, "%s/worker/slots", state);
	return file_make_folder(server->slots, 0711, err);
}

/* Workers without nat need none of it. */
static void settle_network(const struct server *server)
{
	struct err err = {0};

	if (nat_settle(server->conf, &err) < 0)
		log_error(LOG_WHAT("network"), LOG_ERR(&err));
}

static int start(struct server *server, struct err *err)
{
	const char *path;

	if (geteuid() != 0)
		return err_set(err, ERR_USAGE, "must be run by root: workers take mounts and id maps");
	if (conf_check(server->conf, err) < 0 || read_configuration(server, err) < 0 ||
		cgroup_settle(server->arena, conf_namespace(server->conf), err) < 0)
		return -1;
	settle_network(server);
	if (conf_text(server->conf, NULL, "worker.socket", &path, err) < 0 || set_up_signals(server, err) < 0)
		return -1;
	server->listener = sock_listen(path, SOCK_SEQPACKET, err);
	if (server->listener < 0)
		return -1;
	log_info(LOG_WHAT("listening"), LOG_TEXT("socket", path), LOG_TEXT("namespace", conf_namespace(server->conf)),
		LOG_TEXT("version", BYOCI_VERSION));
	return 0;
}

/* What comes first is heard, of each at most one. */
static void wait_for_it(struct server *server, int64_t us)
{
	const struct {
		int fd;
		void (*take)(struct server *server);
	} sources[] = {{server->wishes[0], take_wish}, {server->signals, take_signal}, {server->spare.fd, hear_spare},
		{server->listener, take_connection}};
	struct pollfd waits[sizeof sources / sizeof *sources];

	for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
		waits[i] = (struct pollfd){.fd = sources[i].fd, .events = POLLIN};
	if (poll(waits, sizeof sources / sizeof *sources, us > 0 ? (int)(us / 1000) + 1 : 0) <= 0)
		return;
	for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
		if (waits[i].revents)
			sources[i].take(server);
}

/* Workers live on when it ends: they belong to their connections, and their slots stay taken. */
static int serve(struct server *server)
{
	struct err err = {0};
	int64_t reap_us = 0;

	if (start(server, &err) < 0)
		return fail(&err);
	while (!server->over) {
		int64_t now_us = clock_monotonic_us(), next_us;

		if (now_us >= reap_us) {
			reap(server, &(struct err){0});
			reap_us = now_us + REAP_EVERY_MS * INT64_C(1000);
		}
		if (now_us >= server->look_us) /* it reads files: not for each connection */
			server->look_us = now_us + refresh(server) * 1000 + 1000;
		keep_spare(server, now_us);
		next_us = server->look_us < reap_us ? server->look_us : reap_us;
		if (server->wants_spare && server->spare.fd < 0 && server->spare_us < next_us)
			next_us = server->spare_us;
		wait_for_it(server, next_us - now_us);
	}
	return 0;
}

static int make_backing(const struct server *server, const char *name, bool again)
{
	const struct backing_want want = {.conf = server->conf, .name = name, .refresh = again, .progress = STDERR_FILENO, .caller = -1};
	char digest[JOB_DIGEST_SIZE];
	struct err err = {0};

	if (cgroup_settle(server->arena, conf_namespace(server->conf), &err) < 0 || backing_build(&want, digest, &err) < 0)
		return fail(&err);
	printf("%s\n", digest);
	return 0;
}

static int build_backing(struct server *server, const char *name)
{
	return make_backing(server, name, false);
}

static int refresh_backing(struct server *server, const char *name)
{
	return make_backing(server, name, true);
}

static int refresh_backings(struct server *server, const char *name)
{
	(void)name;
	return refresh_all(server->conf) < 0 ? EXIT_FAILED : 0;
}

static int list_backings(struct server *server, const char *name)
{
	struct err err = {0};

	(void)name;
	return backing_list_write(server->conf, STDOUT_FILENO, &err) < 0 ? fail(&err) : 0;
}

static int prune_backings(struct server *server, const char *name)
{
	struct err err = {0};

	(void)name;
	return backing_prune(server->conf, STDERR_FILENO, &err) < 0 ? fail(&err) : 0;
}

static int check_backing(struct server *server, const char *name)
{
	char digest[JOB_DIGEST_SIZE];
	struct err err = {0};
	int fd = backing_open(server->conf, name, digest, &err);

	if (fd < 0)
		return fail(&err);
	close(fd);
	printf("%s\n", digest);
	if (refresh_check(server->conf, name, &err) == 0)
		return 0;
	fprintf(stderr, "byoci-worker: %s\n", err.text);
	return EXIT_STALE;
}

static int remove_network(struct server *server, const char *name)
{
	struct err err = {0};

	(void)name;
	return nat_remove(conf_namespace(server->conf), &err) < 0 ? fail(&err) : 0;
}

static int run_serve(struct server *server, const char *name)
{
	(void)name;
	return serve(server);
}

static const struct verb {
	const char *name;
	const char *operand; /* NULL: takes none */
	const char *text;    /* NULL: not for people */
	int (*run)(struct server *server, const char *operand);
} verbs[] = {
	{"serve", NULL, "makes workers for the slave's user, who asks over the socket (option worker.socket); the default", run_serve},
	{"build-backing", "NAME", "builds [backing/NAME] unless it is there, and prints its digest", build_backing},
	{"refresh-backing", "NAME", "makes it anew beside the one in use, and uses the new one when it passed its smoke test", refresh_backing},
	{"check-backing", "NAME", "prints its digest if it is built as it is configured now; 75: it is not; 1: its last refresh failed",
		check_backing},
	{"list-backings", NULL, "prints what there is, as JSON", list_backings},
	{"prune-backings", NULL, "removes what no section asks for and nobody uses", prune_backings},
	{"refresh-backings", NULL, NULL, refresh_backings},
	{"remove-network", NULL, "takes away the bridge and the rules of workers with network = nat; the next of them makes them again",
		remove_network},
};

static int help(void)
{
	puts("Usage: byoci-worker [-n NAMESPACE] [-O NAME=VALUE]... [VERB]\n");
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (verbs[i].text)
			printf("  %s%s%s\n        %s\n", verbs[i].name, verbs[i].operand ? " " : "", verbs[i].operand ? verbs[i].operand : "",
				verbs[i].text);
	return 0;
}

static int run(struct server *server, int argc, char *const *argv)
{
	const char *name = argc ? argv[0] : "serve";

	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (strcmp(verbs[i].name, name) != 0)
			continue;
		if (argc > 2 || (argc == 2) != (verbs[i].operand != NULL))
			break;
		if (geteuid() != 0)
			return say_wrong("must be run by root");
		return verbs[i].run(server, argc == 2 ? argv[1] : NULL);
	}
	return say_wrong("what is asked for is not known");
}

/* Takes -n, -O, --version and --help out, wherever they stand; -1: go on. */
static int options(int argc, char **argv, struct server *server, struct strv *overrides)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, "n:O:", longs, NULL)) != -1) {
		switch (option) {
		case 'n':
			server->source.namespace = optarg;
			break;
		case 'O':
			strv_push(overrides, optarg);
			break;
		case 'h':
			return help();
		case 'V':
			puts("byoci-worker " BYOCI_VERSION);
			return 0;
		default:
			return say_wrong("an option is not known");
		}
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct server server = {.arena = arena_new(), .source = {.system_only = true, .root = getenv("BYOCI_ROOT")}, .listener = -1,
		.spare = SPARE_INIT};
	struct strv overrides = STRV_INIT;
	struct err err = {0};
	int status = options(argc, argv, &server, &overrides);

	if (status >= 0)
		goto err0;
	server.source.overrides = (const char *const *)overrides.v;
	if (conf_load(&server.conf, &server.source, &err) < 0) {
		status = fail(&err);
		goto err0;
	}
	server.source.namespace = conf_namespace(server.conf);
	status = run(&server, argc - optind, argv + optind);
	conf_free(server.conf);
err0:
	strv_release(&overrides);
	arena_free(server.arena);
	return status;
}
