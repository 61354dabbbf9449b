#include "slaves/cage/slot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "base/log.h"
#include "slaves/cage/cage.h"
#include "slaves/common/process.h"

#define RECORD_MAXIMUM 65536
#define RECORD_NODES 512
#define WAIT_US 1000000 /* for a slot that is just being freed */

struct slot {
	struct arena *arena;
	const char *folder;
	const char *namespace;
	unsigned number;
	int lock;
};

char *slot_name(struct arena *arena, const char *namespace, unsigned number)
{
	return arena_printf(arena, "byoci-%s-%u", namespace, number);
}

static struct slot *slot_new(const char *folder, const char *namespace, unsigned number)
{
	struct arena *arena = arena_new();
	struct slot *slot = arena_alloc(arena, sizeof *slot);

	*slot = (struct slot){.arena = arena, .number = number, .lock = -1};
	slot->folder = arena_strdup(arena, folder);
	slot->namespace = arena_strdup(arena, namespace);
	return slot;
}

static void slot_free(struct slot *slot)
{
	struct arena *arena = slot->arena;

	if (slot->lock >= 0)
		close(slot->lock);
	arena_free(arena);
}

static const char *file_of(const struct slot *slot, const char *ending)
{
	return arena_printf(slot->arena, "%s/%u.%s", slot->folder, slot->number, ending);
}

/* 1: the lock is ours; 0: somebody else has it. */
static int lock(struct slot *slot, struct err *err)
{
	const char *path = file_of(slot, "lock");

	slot->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (slot->lock < 0)
		return err_set_errno(err, errno, "%s: cannot be opened", path);
	if (flock(slot->lock, LOCK_EX | LOCK_NB) == 0)
		return 1;
	if (errno == EWOULDBLOCK)
		return 0;
	return err_set_errno(err, errno, "%s: cannot be locked", path);
}

/* Which start of the machine this is. */
static const char *boot_id(struct arena *arena)
{
	struct err err = {0};
	char *text = file_read(arena, "/proc/sys/kernel/random/boot_id", 100, NULL, &err);

	return text ? strsep(&text, "\n") : "";
}

/* The record, or NULL when there is none that can be read. */
static json_t *read_record(const struct slot *slot)
{
	struct err err = {0};
	size_t length;
	char *text = file_read(slot->arena, file_of(slot, "json"), RECORD_MAXIMUM, &length, &err);

	return text ? jsonget_parse(text, length, RECORD_NODES, &err) : NULL;
}

static const char *const *traces_of(const struct slot *slot, const json_t *record)
{
	const json_t *list = json_object_get(record, "traces");
	const char **traces = arena_alloc(slot->arena, (json_array_size(list) + 1) * sizeof *traces);

	for (size_t i = 0, count = 0; i < json_array_size(list); i++)
		if (json_is_string(json_array_get(list, i)))
			traces[count++] = arena_strdup(slot->arena, json_string_value(json_array_get(list, i)));
	return traces;
}

/* What its record says is there; for a record that was cut short, what a worker in this slot could have left. */
static int remove_traces(const struct slot *slot, const json_t *record, struct err *err)
{
	const char *name = record ? jsonget_string_or(record, "kind", "") : "";
	const struct cage_kind *kind;

	if (!*name || !json_is_array(json_object_get(record, "traces")))
		return cage_reap_any(slot->arena, slot->namespace, slot_name(slot->arena, slot->namespace, slot->number), err);
	kind = cage_kind(name, err);
	return kind ? kind->reap(slot->arena, traces_of(slot, record), err) : -1;
}

/* With the lock: nothing of the worker lives but, perhaps, what has not ended yet. */
static int clean(const struct slot *slot, struct err *err)
{
	const char *path = file_of(slot, "json");
	json_t *record;
	int rc = -1;

	if (access(path, F_OK) < 0)
		return 0;
	record = read_record(slot);
	if (remove_traces(slot, record, err) < 0)
		goto err0;
	unlink(kept_socket(slot->arena, slot->folder, slot->number));
	if (unlink(path) < 0 && errno != ENOENT)
		err_set_errno(err, errno, "%s: cannot be removed", path);
	else
		rc = 1;
err0:
	if (record)
		json_decref(record);
	return rc;
}

/* Who holds this counts, and nobody else does meanwhile. */
static int lock_room(const char *folder, struct err *err)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof path, "%s/room", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX) == 0)
		return fd;
	err_set_errno(err, errno, "%s: cannot be locked", path);
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool is_kept(const struct slot *slot)
{
	json_t *record = read_record(slot);
	bool kept = record && jsonget_boolean_or(record, "kept", false);

	json_decref(record);
	return kept;
}

/* What the other slots are taken for. */
struct taken {
	unsigned working, kept;
};

/* 1: it is free, and locked; 0: it is taken, and counted. */
static int try_one(struct slot *slot, struct taken *taken, struct err *err)
{
	int got = lock(slot, err);

	if (got > 0)
		return clean(slot, err) < 0 ? -1 : 1;
	if (got == 0 && is_kept(slot))
		taken->kept++;
	else if (got == 0)
		taken->working++;
	return got;
}

/* Goes through all; the first that is free stays in *slot, NULL: none. One that can't be made clean is not free. */
static int look(const char *folder, const char *namespace, struct kept_room room, struct slot **slot, struct taken *taken,
	struct err *err)
{
	struct err failed = {0};

	*slot = NULL;
	for (unsigned number = 0; number <= room.working + room.kept; number++) {
		struct slot *one;
		int got;

		if (number == room.working)
			continue; /* slot_claim_last() */
		one = slot_new(folder, namespace, number);
		got = try_one(one, taken, &failed);
		if (got > 0 && !*slot)
			*slot = one;
		else
			slot_free(one);
	}
	if (*slot || failed.kind == ERR_NONE)
		return 0;
	*err = failed;
	return -1;
}

static bool may_work(const struct taken *taken, struct kept_room room)
{
	return taken->working < room.working;
}

static bool may_be_kept(const struct taken *taken, struct kept_room room)
{
	return taken->kept < room.kept;
}

struct claim {
	const char *folder, *namespace;
	struct kept_room room;
	bool (*may)(const struct taken *taken, struct kept_room room);
};

/* 1 with *slot: taken; 0: none is free. */
static int claim_one(struct slot **slot, const struct claim *claim, struct err *err)
{
	struct taken taken = {0};
	int counting = lock_room(claim->folder, err);
	int rc = counting < 0 ? -1 : look(claim->folder, claim->namespace, claim->room, slot, &taken, err);

	if (rc == 0 && *slot && claim->may(&taken, claim->room))
		rc = 1;
	if (counting >= 0 && rc <= 0 && *slot)
		slot_free(*slot);
	if (counting >= 0)
		close(counting);
	return rc;
}

/* NULL; ERR_BUSY with `busy` when none was free for a second. */
static struct slot *claim_patiently(const struct claim *claim, const char *busy, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	int64_t deadline_us = clock_monotonic_us() + WAIT_US;
	struct slot *slot;
	int got;

	while ((got = claim_one(&slot, claim, err)) == 0 && clock_monotonic_us() < deadline_us)
		nanosleep(&pause, NULL);
	if (got == 0)
		err_set(err, ERR_BUSY, "%s", busy);
	return got > 0 ? slot : NULL;
}

struct slot *slot_claim(const char *folder, const char *namespace, struct kept_room room, struct err *err)
{
	const struct claim claim = {.folder = folder, .namespace = namespace, .room = room, .may = may_work};
	char busy[80];

	snprintf(busy, sizeof busy, "all %u slots for workers are taken: try again later", room.working);
	return claim_patiently(&claim, busy, err);
}

struct slot *slot_claim_copy(const char *folder, const char *namespace, struct kept_room room, struct err *err)
{
	const struct claim claim = {.folder = folder, .namespace = namespace, .room = room, .may = may_be_kept};

	return claim_patiently(&claim, "there is no room for a copy beside the workers that are kept (worker.kept): try again later", err);
}

struct slot *slot_claim_last(const char *folder, const char *namespace, unsigned count, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	int64_t deadline_us = clock_monotonic_us() + WAIT_US;
	struct slot *slot = slot_new(folder, namespace, count);
	struct taken taken = {0};
	int got;

	while ((got = try_one(slot, &taken, err)) == 0 && clock_monotonic_us() < deadline_us) {
		close(slot->lock);
		slot->lock = -1;
		nanosleep(&pause, NULL);
	}
	if (got == 0)
		err_set(err, ERR_BUSY, "another new backing is tried: try again later");
	if (got > 0)
		return slot;
	slot_free(slot);
	return NULL;
}

static int count_taken(const char *folder, const char *namespace, struct kept_room room, struct taken *taken, struct err *err)
{
	struct slot *unused;
	int rc = look(folder, namespace, room, &unused, taken, err);

	if (unused)
		slot_free(unused);
	return rc;
}

int slot_keep(struct slot *slot, struct kept_room room, struct slot_record *record, struct err *err)
{
	struct taken taken = {0};
	int counting = lock_room(slot->folder, err);
	int rc = counting < 0 ? -1 : count_taken(slot->folder, slot->namespace, room, &taken, err);

	if (rc == 0 && taken.kept >= room.kept)
		rc = err_set(err, ERR_FULL, "%u workers are kept already, which is as many as may be (worker.kept)", taken.kept);
	if (rc == 0) {
		record->kept = true;
		rc = slot_write(slot, record, err);
	}
	if (counting >= 0)
		close(counting);
	return rc;
}

unsigned slot_number(const struct slot *slot)
{
	return slot->number;
}

static json_t *to_json(const struct slot *slot, const struct slot_record *record)
{
	json_t *traces = json_array();

	for (size_t i = 0; record->traces[i]; i++)
		json_array_append_new(traces, json_string(record->traces[i]));
	return json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:I, s:s, s:I, s:I, s:I, s:b, s:b, s:o}", "slot", (int)slot->number, "namespace",
		record->namespace, "build", record->build, "job", record->job, "kind", record->kind, "pid", (int)record->pid,
		"process_start", (json_int_t)record->process_start, "boot", boot_id(slot->arena), "started",
		(json_int_t)clock_wall_ms(), "expiry", (json_int_t)record->expiry, "until", (json_int_t)record->until, "kept",
		record->kept, "copy", record->copy, "traces", traces);
}

/* Not brought to disk: when the machine goes down, what it tells of is gone too. */
static int write_quickly(const char *path, const char *beside, const char *text, struct err *err)
{
	int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	ssize_t put = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (put != (ssize_t)strlen(text))
		err_set_errno(err, put < 0 ? errno : ENOSPC, "%s: cannot be written", beside);
	if (fd >= 0)
		close(fd);
	if (put == (ssize_t)strlen(text) && rename(beside, path) < 0)
		put = err_set_errno(err, errno, "%s: cannot be put into its place", path);
	return put == (ssize_t)strlen(text) ? 0 : -1;
}

int slot_write(struct slot *slot, const struct slot_record *record, struct err *err)
{
	json_t *json = to_json(slot, record);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int rc;

	if (!text)
		err_fatal("a slot's record cannot be written as JSON");
	rc = write_quickly(file_of(slot, "json"), file_of(slot, "new"), text, err);
	free(text);
	json_decref(json);
	return rc;
}

int slot_release(struct slot *slot, struct err *err)
{
	int rc = clean(slot, err) < 0 ? -1 : 0;

	slot_free(slot);
	return rc;
}

/* Somebody has the lock. Too long: it is killed, if it is still the process that wrote the record. */
static void kill_expired(const struct slot *slot)
{
	json_t *record = read_record(slot);
	int64_t expiry = record ? jsonget_integer_or(record, "expiry", 0) : 0;
	bool ours = record && strcmp(jsonget_string_or(record, "boot", ""), boot_id(slot->arena)) == 0;
	pid_t pid = ours ? (pid_t)jsonget_integer_or(record, "pid", 0) : 0;
	int fd = expiry && expiry < clock_wall_ms() && pid > 1 ? pidfd_open(pid, 0) : -1;

	if (fd >= 0 && process_started(pid) == jsonget_integer_or(record, "process_start", -1)) {
		log_warning(LOG_WHAT("worker past its expiry: killed"), LOG_NUMBER("slot", slot->number), LOG_NUMBER("pid", pid),
			LOG_TEXT("build", jsonget_string_or(record, "build", "?")));
		pidfd_send_signal(fd, SIGKILL, NULL, 0);
	}
	if (fd >= 0)
		close(fd);
	if (record)
		json_decref(record);
}

static int reap_one(const char *folder, const char *namespace, unsigned number, struct err *err)
{
	struct slot *slot = slot_new(folder, namespace, number);
	int rc = lock(slot, err);

	if (rc == 0)
		kill_expired(slot);
	else if (rc > 0)
		rc = clean(slot, err);
	if (rc > 0)
		log_info(LOG_WHAT("leftovers of a worker removed"), LOG_NUMBER("slot", number));
	slot_free(slot);
	return rc;
}

/* After those that are named in it already. */
static void tell_left(struct err *err, unsigned number, const struct err *left)
{
	const struct err before = *err;

	err_set(err, left->kind, "%.600s%sslot %u: %.300s", before.text, *before.text ? "; " : "", number, left->text);
}

int slot_reap(const char *folder, const char *namespace, struct err *err)
{
	DIR *slots = opendir(folder);
	const struct dirent *entry;
	struct err all = {0};
	int removed = 0;

	if (!slots)
		return err_set_errno(err, errno, "%s: cannot be read", folder);
	while ((entry = readdir(slots))) {
		char *end;
		unsigned long number = strtoul(entry->d_name, &end, 10);
		struct err left = {0};
		int rc;

		if (end == entry->d_name || strcmp(end, ".json") != 0 || number > 65535)
			continue;
		rc = reap_one(folder, namespace, (unsigned)number, &left);
		if (rc < 0)
			tell_left(&all, (unsigned)number, &left);
		removed += rc > 0;
	}
	closedir(slots);
	if (all.kind == ERR_NONE)
		return removed;
	*err = all;
	return -1;
}
