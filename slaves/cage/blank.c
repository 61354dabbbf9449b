#include "slaves/cage/blank.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "slaves/cage/kept.h"
#include "slaves/cage/lxc_cage.h"
#include "slaves/cage/lxc_job.h"
#include "slaves/confine/brood.h"
#include "slaves/confine/rootfs.h"

#define GRACE_MS (5 * 60000) /* between its own end and the reaper */
#define SHARED 4096

struct blank {
	struct arena *arena;
	const struct conf *conf;
	struct slot *slot; /* NULL: handed on */
	struct lxc *lxc;   /* the same */
};

static int record(const struct blank *blank, const char *name, pid_t pid, int64_t process_start, struct err *err)
{
	const char *namespace = conf_namespace(blank->conf);
	const struct slot_record record = {.namespace = namespace, .build = "", .job = "", .kind = lxc_cage_kind.name, .pid = pid,
		.process_start = process_start, .expiry = clock_wall_ms() + BLANK_LIVES_MS + GRACE_MS,
		.traces = lxc_cage_kind.traces(blank->arena, blank->conf, namespace, name, err)};

	return record.traces ? slot_write(blank->slot, &record, err) : -1;
}

static int start_container(struct blank *blank, const char *name, int64_t ids, struct err *err)
{
	struct lxc_settings settings = {.arena = blank->arena};
	const struct network none = {.kind = NETWORK_NONE};
	const struct lxc_want want = {.name = name, .rootfs = ROOTFS_BLANK, .scratch = ROOTFS_SCRATCH, .ids = ids, .settings = &settings,
		.shared = SHARED, .cgroup = cgroup_find(blank->arena, conf_namespace(blank->conf), err)};

	if (!want.cgroup || rootfs_blank(ids, err) < 0)
		return -1;
	lxc_settings_fixed(&settings, 0);
	network_settings(&none, &settings);
	lxc_settings_groups(&settings, want.cgroup);
	blank->lxc = lxc_start(blank->arena, &want, err);
	return blank->lxc ? 0 : -1;
}

static int begin(struct blank *blank, pid_t pid, int64_t process_start, struct err *err)
{
	const char *slots, *name;
	struct kept_room room;
	int64_t first;

	if (kept_place(blank->conf, blank->arena, &slots, &room, err) < 0 ||
		conf_integer(blank->conf, NULL, "worker.ids.first", &first, err) < 0)
		return -1;
	blank->slot = slot_claim(slots, conf_namespace(blank->conf), room, err);
	if (!blank->slot)
		return -1;
	name = slot_name(blank->arena, conf_namespace(blank->conf), slot_number(blank->slot));
	if (record(blank, name, pid, process_start, err) < 0)
		return -1;
	return start_container(blank, name, first + (int64_t)slot_number(blank->slot) * ROOTFS_IDS, err);
}

struct blank *blank_start(struct arena *arena, const struct conf *conf, pid_t pid, int64_t process_start, struct err *err)
{
	struct blank *blank = arena_alloc(arena, sizeof *blank);
	struct err left = {0};

	*blank = (struct blank){.arena = arena, .conf = conf};
	if (begin(blank, pid, process_start, err) == 0)
		return blank;
	if (blank_remove(blank, &left) < 0)
		log_warning(LOG_WHAT("leftovers of a container that did not start"), LOG_ERR(&left));
	return NULL;
}

bool blank_suits(struct arena *arena, const struct conf *conf, const char *name)
{
	const struct cage_want want = {.conf = conf, .job = name};
	const char *section = arena_printf(arena, "job/%s", name);
	const char *backing, *workers;
	struct lxc_job job;
	struct err unread = {0};

	return conf_has_section(conf, section) && conf_text(conf, section, "backing", &backing, &unread) == 0 &&
		conf_text(conf, arena_printf(arena, "backing/%s", backing), "workers", &workers, &unread) == 0 &&
		strcmp(workers, lxc_cage_kind.name) == 0 && lxc_job_read(&job, arena, &want, &unread) == 0 && job.features == 0 &&
		job.network.kind != NETWORK_NAT;
}

struct slot *blank_slot(struct blank *blank)
{
	struct slot *slot = blank->slot;

	blank->slot = NULL;
	return slot;
}

struct lxc *blank_container(struct blank *blank)
{
	struct lxc *lxc = blank->lxc;

	blank->lxc = NULL;
	return lxc;
}

int blank_check(const struct blank *blank, struct err *err)
{
	return lxc_check(blank->lxc, err);
}

static int end_container(struct lxc *lxc, struct err *err)
{
	struct brood brood = BROOD_INIT;
	int rc = lxc_kill(lxc, err);

	brood_expect(&brood, lxc_entered(lxc));
	if (rc == 0) /* it can't end before its only process besides is reaped, which has no other parent than us */
		rc = brood_await(&brood, err);
	if (rc == 0)
		rc = lxc_await(lxc, err);
	lxc_free(lxc);
	if (brood_empty(&brood, err) < 0)
		rc = -1;
	brood_release(&brood);
	return rc;
}

int blank_remove(struct blank *blank, struct err *err)
{
	int rc = 0;

	if (!blank)
		return 0;
	if (blank->lxc)
		rc = end_container(blank->lxc, err);
	blank->lxc = NULL;
	if (blank->slot && slot_release(blank->slot, err) < 0)
		rc = -1;
	blank->slot = NULL;
	return rc;
}
