#include "slaves/backing/smoke.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "slaves/cage/cage.h"
#include "slaves/cage/slot.h"
#include "slaves/common/process.h"

#define MEMORY ((int64_t)1024 * 1024 * 1024)
#define DISK ((int64_t)256 * 1024 * 1024)
#define PROCESSES 512
#define OUTPUT ((size_t)64 * 1024)
#define LIMIT_MS ((int64_t)5 * 60 * 1000)

struct smoke {
	const struct making *making;
	const struct cage_kind *kind;
	struct cage *cage;
	struct slot *slot;
	int root; /* file descriptor of what was made */
	int out; /* what it prints; -1: that has ended */
	size_t printed;
};

/* Our number as the reaper sees it: /proc is not yet that of our own process namespace. */
static pid_t number_outside(void)
{
	char self[32] = "";

	return readlink("/proc/self", self, sizeof self - 1) < 0 ? 0 : (pid_t)strtol(self, NULL, 10);
}

static int claim(struct smoke *smoke, int64_t *first, struct err *err)
{
	const struct conf *conf = smoke->making->conf;
	const char *state, *folder;
	int64_t slots;

	if (conf_text(conf, NULL, "state", &state, err) < 0 || conf_integer(conf, NULL, "worker.slots", &slots, err) < 0 ||
		conf_integer(conf, NULL, "worker.ids.first", first, err) < 0)
		return -1;
	folder = arena_printf(smoke->making->arena, "%s/worker/slots", state);
	if (file_make_folder(folder, 0711, err) < 0)
		return -1;
	while (!smoke->slot) {
		smoke->slot = slot_claim_last(folder, conf_namespace(conf), (unsigned)slots, err);
		if (!smoke->slot && (err->kind != ERR_BUSY || making_wanted(smoke->making, "waiting for another smoke test", err) < 0))
			return -1; /* it takes a second to be told that it is busy */
	}
	return 0;
}

static int start(struct smoke *smoke, struct err *err)
{
	struct arena *arena = smoke->making->arena;
	struct cage_want want = {.conf = smoke->making->conf, .backing = smoke->making->recipe->name, .root = smoke->root, .digest = "tried",
		.memory = MEMORY, .processes = PROCESSES, .disk = DISK};
	struct slot_record record = {.namespace = conf_namespace(want.conf), .build = "", .job = smoke->making->recipe->section,
		.kind = smoke->kind->name, .pid = number_outside(), .expiry = clock_wall_ms() + 2 * LIMIT_MS};
	int64_t first;

	if (claim(smoke, &first, err) < 0)
		return -1;
	want.slot = slot_number(smoke->slot);
	want.name = slot_name(arena, record.namespace, want.slot);
	want.ids = first + (int64_t)want.slot * ROOTFS_IDS;
	record.process_start = process_started(record.pid);
	record.traces = smoke->kind->traces(arena, want.conf, conf_namespace(want.conf), want.name, err);
	if (!record.traces || slot_write(smoke->slot, &record, err) < 0)
		return -1;
	smoke->cage = smoke->kind->start(arena, &want, err);
	return smoke->cage ? 0 : -1;
}

/* What it prints, at most so much of it, with nothing that a terminal or a log could take for more than text. */
static void pass_on(struct smoke *smoke)
{
	char bytes[4096];
	ssize_t length = read(smoke->out, bytes, sizeof bytes);

	if (length <= 0) {
		close(smoke->out);
		smoke->out = -1;
		return;
	}
	for (ssize_t i = 0; i < length; i++)
		if ((bytes[i] < ' ' || bytes[i] > '~') && bytes[i] != '\n')
			bytes[i] = '?';
	smoke->printed += (size_t)length;
	if (smoke->printed <= OUTPUT && write(STDERR_FILENO, bytes, (size_t)length) < 0)
		return;
}

static int await(struct smoke *smoke, int *status, char text[static CAGE_TEXT_SIZE], struct err *err)
{
	int64_t end_us = clock_monotonic_us() + LIMIT_MS * 1000;
	int ended;

	while ((ended = smoke->kind->ended(smoke->cage, status, text, err)) == 0) {
		struct pollfd waits[] = {{.fd = smoke->kind->fd(smoke->cage), .events = POLLIN}, {.fd = smoke->out, .events = POLLIN}};
		int64_t left_ms = (end_us - clock_monotonic_us()) / 1000;

		if (left_ms <= 0)
			return err_set(err, ERR_TIMEOUT, "not done after %d minutes", (int)(LIMIT_MS / 60000));
		if (poll(waits, 2, (int)left_ms) < 0 && errno != EINTR)
			return err_set_errno(err, errno, "cannot be waited for");
		if (waits[1].revents && smoke->out >= 0)
			pass_on(smoke);
	}
	while (ended > 0 && smoke->out >= 0) /* nothing holds its other end any more */
		pass_on(smoke);
	return ended > 0 ? 0 : -1;
}

/* A worker gets a pipe to write to, never a file or a terminal of ours. */
static int run(struct smoke *smoke, struct err *err)
{
	const char *argv[] = {"/bin/sh", "-c", smoke->making->recipe->smoke, NULL};
	char text[CAGE_TEXT_SIZE] = "";
	int pipes[2], status, rc;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "no pipe");
	smoke->out = pipes[0];
	rc = smoke->kind->exec(smoke->cage, &(struct cage_program){.argv = argv, .in = -1, .out = pipes[1], .errors = pipes[1]}, err);
	close(pipes[1]);
	if (rc == 0)
		rc = await(smoke, &status, text, err);
	if (smoke->out >= 0)
		close(smoke->out);
	if (rc == 0 && status != 0)
		return err_set(err, ERR_REFUSED, "exit status %d%s%s", status, *text ? ": " : "", text);
	return rc;
}

static int try(const struct making *making, void *cookie, struct err *err)
{
	struct smoke smoke = {.making = making, .kind = cage_kind("lxc", err), .root = -1, .out = -1};
	struct err left = {0};
	int rc = -1;

	(void)cookie;
	smoke.root = open(making->rootfs, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (smoke.root < 0)
		return err_set_errno(err, errno, "%s: cannot be opened", making->rootfs);
	if (smoke.kind && start(&smoke, err) == 0)
		rc = run(&smoke, err);
	if (smoke.cage && smoke.kind->remove(smoke.cage, &left) < 0)
		log_warning(LOG_WHAT("the worker of a smoke test"), LOG_ERR(&left));
	if (smoke.slot && slot_release(smoke.slot, &left) < 0)
		log_warning(LOG_WHAT("the slot of a smoke test"), LOG_ERR(&left));
	close(smoke.root);
	return rc;
}

int smoke_try(const struct making *making, struct err *err)
{
	if (making_call(making, "smoke.command", CLONE_NEWPID, try, NULL, err) == 0)
		return 0;
	return err_wrap(err, "smoke.command in a worker made from it");
}
