#include "slaves/worker/twin.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "slaves/worker/keeper.h"

struct twin {
	const struct conf *conf;
	const char *build;
};

/* The disk is there, and empty: who has the other one writes on it. */
static int fill(void *cookie, int written, struct err *err)
{
	const struct twin *twin = cookie;
	struct keeper_answer answer;
	struct stat st;

	if (fstatat(written, "u", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, ERR_SYSTEM, "the disk of a copy has no root file system");
	return keeper_ask(twin->conf, twin->build, &(struct keeper_filling){.to = written, .ids = st.st_uid}, &answer, err);
}

static struct worker *start(struct arena *arena, struct worker_want *want, const struct twin *twin, const struct keeper_answer *answer,
	int64_t ms, struct err *err)
{
	const struct rootfs_fill filling = {.call = fill, .cookie = (void *)(uintptr_t)twin};
	char digest[WORKER_DIGEST_SIZE], job[WORKER_SECTION_SIZE];
	const struct worker_origin origin = {.build = twin->build, .digest = digest, .root = answer->root, .layer = answer->layer,
		.mounts = answer->mounts, .owner = answer->owner, .fill = &filling, .ms = ms};

	if (sscanf(answer->text, "%64s %63s", digest, job) != 2) {
		err_set(err, ERR_SYSTEM, "what a kept worker is made of is not understood: use programs of one release");
		return NULL;
	}
	want->job = job;
	return worker_copy(arena, want, &origin, err);
}

struct worker *twin_start(struct arena *arena, struct worker_want *want, const char *build, int64_t ms, struct err *err)
{
	const struct twin twin = {.conf = want->conf, .build = build};
	int64_t began_us = clock_monotonic_us();
	struct keeper_answer answer;
	struct worker *worker;

	if (keeper_ask(want->conf, build, NULL, &answer, err) < 0)
		return NULL;
	worker = start(arena, want, &twin, &answer, ms, err);
	close(answer.root);
	close(answer.layer);
	close(answer.mounts);
	if (worker)
		log_info(LOG_WHAT("a copy of a kept worker"), LOG_TEXT("build", build), LOG_NUMBER("slot", worker_slot(worker)),
			LOG_NUMBER("took_ms", (clock_monotonic_us() - began_us) / 1000));
	return worker;
}
