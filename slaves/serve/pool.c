#include "slaves/serve/pool.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "forge/job.h"
#include "slaves/test/standby.h"

#define POOL_REFILL_MS 300 /* after one was taken: its tests come first */
#define POOL_RETRY_MS 1000 /* after one could not be started; doubled each time */
#define POOL_RETRY_MAXIMUM_MS (5 * 60 * 1000)
#define POOL_EXPECT_MS 5000 /* for the build that one was started for, after it is ready */
#define POOL_EXPECT_AGAIN_MS 1000 /* after there was none; doubled each time */
#define POOL_EXPECT_MAXIMUM_MS (5 * 60 * 1000)
#define POOL_JOBS 64
#define JOB_SIZE 64

struct waiting {
	TAILQ_ENTRY(waiting) link;
	struct pool *pool;
	char job[JOB_SIZE], digest[JOB_DIGEST_SIZE];
	pid_t pid;
	int fd, pidfd;
	bool ready;
	bool expected; /* started for a build that may be asked for */
	int64_t since; /* ms since 1970 */
	struct loop_source *said, *child, *expiry;
};

/* A process that will have a worker started as soon as one is expected: starting a program takes longer than that. */
struct spare {
	pid_t pid;
	int fd, pidfd; /* fd -1: there is none */
	struct loop_source *child;
};

/* A job that a build was asked for lately. */
struct asked {
	char job[JOB_SIZE];
	int64_t last_ms; /* of the monotonic clock */
};

struct pool {
	struct loop *loop;
	const struct program *program;
	TAILQ_HEAD(, waiting) waiting; /* the oldest first */
	struct asked asked[POOL_JOBS];
	size_t asked_count;
	size_t building; /* slots that builds have */
	int64_t retry_ms;
	int64_t expect_ms;      /* how long none is started for a build that may be asked for, if no build wants the next one */
	int64_t expect_from_ms; /* none before, of the monotonic clock */
	struct loop_source *later;
	struct spare spare;
};

static int64_t now_ms(void)
{
	return clock_monotonic_us() / 1000;
}

static void fill(void *cookie);

static void fill_later(struct pool *pool, int64_t delay_ms)
{
	loop_cancel(pool->later);
	pool->later = loop_after(pool->loop, delay_ms, fill, pool);
}

/* Its process is not ours to watch any more. */
static void let_go(struct waiting *waiting)
{
	TAILQ_REMOVE(&waiting->pool->waiting, waiting, link);
	loop_cancel(waiting->said);
	loop_cancel(waiting->child);
	loop_cancel(waiting->expiry);
	if (waiting->fd >= 0)
		close(waiting->fd);
	if (waiting->pidfd >= 0)
		close(waiting->pidfd);
	free(waiting);
}

static void reaped(void *cookie, int status)
{
	(void)cookie;
	(void)status;
}

/* Closing its socket ends it, and its worker. */
static void dismiss(struct waiting *waiting, const char *why)
{
	log_info(LOG_WHAT("a worker that waited goes"), LOG_TEXT("job", waiting->job), LOG_TEXT("why", why));
	loop_cancel(waiting->child);
	waiting->child = NULL;
	loop_child(waiting->pool->loop, waiting->pid, reaped, NULL);
	let_go(waiting);
}

/* One was started in vain. */
static void expect_later(struct pool *pool)
{
	pool->expect_from_ms = now_ms() + pool->expect_ms;
	pool->expect_ms = pool->expect_ms * 2 < POOL_EXPECT_MAXIMUM_MS ? pool->expect_ms * 2 : POOL_EXPECT_MAXIMUM_MS;
}

static void retry(struct pool *pool)
{
	fill_later(pool, pool->retry_ms);
	pool->retry_ms = pool->retry_ms * 2 < POOL_RETRY_MAXIMUM_MS ? pool->retry_ms * 2 : POOL_RETRY_MAXIMUM_MS;
}

static void forget_spare(struct pool *pool)
{
	loop_cancel(pool->spare.child);
	if (pool->spare.fd >= 0) {
		close(pool->spare.fd);
		close(pool->spare.pidfd);
	}
	pool->spare = (struct spare){.fd = -1, .pidfd = -1};
}

static void spare_gone(void *cookie, int status)
{
	struct pool *pool = cookie;

	log_warning(LOG_WHAT("a process that would have a worker started is gone"), LOG_NUMBER("status", status));
	pool->spare.child = NULL;
	forget_spare(pool);
	retry(pool);
}

static void dismiss_spare(struct pool *pool)
{
	if (pool->spare.fd < 0)
		return;
	loop_cancel(pool->spare.child);
	pool->spare.child = NULL;
	loop_child(pool->loop, pool->spare.pid, reaped, NULL);
	forget_spare(pool);
}

/* Only where one may be expected and none waits. */
static void have_spare(struct pool *pool)
{
	struct spare *spare = &pool->spare;
	struct err err = {0};
	int64_t maximum = 0;

	if (spare->fd >= 0 || !TAILQ_EMPTY(&pool->waiting) ||
		conf_integer(pool->program->conf, NULL, "premade.maximum", &maximum, &err) < 0 || maximum == 0)
		return;
	spare->fd = standby_spare(pool->program, &spare->pid, &spare->pidfd, &err);
	if (spare->fd >= 0)
		spare->child = loop_child(pool->loop, spare->pid, spare_gone, pool);
	else
		log_warning(LOG_WHAT("no process waits to have a worker started"), LOG_ERR(&err));
}

static void gone(void *cookie, int status)
{
	struct waiting *waiting = cookie;
	struct pool *pool = waiting->pool;

	waiting->child = NULL;
	log_warning(LOG_WHAT("a worker that waited is gone"), LOG_TEXT("job", waiting->job), LOG_NUMBER("status", status));
	if (waiting->ready)
		pool->retry_ms = POOL_RETRY_MS;
	if (waiting->expected)
		expect_later(pool);
	retry(pool);
	let_go(waiting);
}

static void expired(void *cookie)
{
	struct waiting *waiting = cookie;
	struct pool *pool = waiting->pool;

	waiting->expiry = NULL;
	if (waiting->expected)
		expect_later(pool);
	dismiss(waiting, waiting->expected ? "no build has come for it" : "it has waited too long");
	fill_later(pool, 0);
}

static void said(void *cookie, int fd, uint32_t events)
{
	struct waiting *waiting = cookie;
	char word = 0;

	(void)events;
	if (recv(fd, &word, sizeof word, MSG_DONTWAIT) == sizeof word && word == STANDBY_READY) {
		waiting->ready = true;
		waiting->pool->retry_ms = POOL_RETRY_MS;
		log_info(LOG_WHAT("a worker waits"), LOG_TEXT("job", waiting->job));
		if (waiting->expected) {
			loop_cancel(waiting->expiry);
			waiting->expiry = loop_after(waiting->pool->loop, POOL_EXPECT_MS, expired, waiting);
		}
		return;
	}
	loop_cancel(waiting->said); /* its process ends, and tells so */
	waiting->said = NULL;
}

/* The options of a job's backing. */
struct wanted {
	const char *backing;
	int64_t minimum, maximum, expiry_ms;
};

static int read_wanted(const struct pool *pool, struct arena *arena, const char *job, struct wanted *wanted, struct err *err)
{
	const struct conf *conf = pool->program->conf;

	if (conf_text(conf, arena_printf(arena, "job/%s", job), "backing", &wanted->backing, err) < 0)
		return -1;
	const char *section = arena_printf(arena, "backing/%s", wanted->backing);
	if (conf_integer(conf, section, "ready.minimum", &wanted->minimum, err) < 0 ||
		conf_integer(conf, section, "ready.maximum", &wanted->maximum, err) < 0 ||
		conf_integer(conf, section, "ready.expiry", &wanted->expiry_ms, err) < 0)
		return -1;
	return 0;
}

/* By the spare process, if there is one that lives. */
static int launch(struct pool *pool, struct waiting *waiting, struct err *err)
{
	struct spare spare = pool->spare;
	struct err dead = {0};

	if (spare.fd >= 0 && standby_name(spare.fd, waiting->job, waiting->digest, &dead) == 0) {
		loop_cancel(spare.child);
		pool->spare = (struct spare){.fd = -1, .pidfd = -1};
		waiting->pid = spare.pid;
		waiting->fd = spare.fd;
		waiting->pidfd = spare.pidfd;
		return 0;
	}
	waiting->fd = standby_start(pool->program, waiting->job, waiting->digest, &waiting->pid, &waiting->pidfd, err);
	return waiting->fd < 0 ? -1 : 0;
}

/* NULL: it could not be started. */
static struct waiting *start(struct pool *pool, const char *job, int64_t expiry_ms, struct err *err)
{
	struct waiting *waiting = calloc(1, sizeof *waiting);

	if (!waiting)
		err_fatal("out of memory");
	*waiting = (struct waiting){.pool = pool, .fd = -1, .pidfd = -1, .since = clock_wall_ms()};
	snprintf(waiting->job, sizeof waiting->job, "%s", job);
	if (job_digest(pool->program->conf, job, waiting->digest, err) < 0 || launch(pool, waiting, err) < 0) {
		free(waiting);
		return NULL;
	}
	waiting->said = loop_io(pool->loop, waiting->fd, EPOLLIN, said, waiting);
	waiting->child = loop_child(pool->loop, waiting->pid, gone, waiting);
	waiting->expiry = loop_after(pool->loop, expiry_ms, expired, waiting);
	TAILQ_INSERT_TAIL(&pool->waiting, waiting, link);
	return waiting;
}

static size_t count_waiting(const struct pool *pool, const char *job)
{
	const struct waiting *waiting;
	size_t count = 0;

	TAILQ_FOREACH(waiting, &pool->waiting, link)
		count += !job || strcmp(waiting->job, job) == 0;
	return count;
}

static size_t slots_of(const struct pool *pool)
{
	struct err err = {0};
	int64_t slots = 0;

	if (conf_integer(pool->program->conf, NULL, "worker.slots", &slots, &err) < 0)
		log_error(LOG_WHAT("worker.slots"), LOG_ERR(&err));
	return (size_t)slots;
}

/* 0: never since the daemon began. */
static int64_t last_asked(const struct pool *pool, const char *job)
{
	for (size_t i = 0; i < pool->asked_count; i++)
		if (strcmp(pool->asked[i].job, job) == 0)
			return pool->asked[i].last_ms;
	return 0;
}

/* The names of all jobs, those that were asked for last first. */
static const char **list_jobs(const struct pool *pool, struct arena *arena, size_t *count)
{
	const char *const *names = conf_sections(pool->program->conf, arena, "job");
	const char **jobs;
	size_t all = 0;

	while (names[all])
		all++;
	jobs = arena_alloc(arena, (all + 1) * sizeof *jobs);
	*count = 0;
	for (size_t i = 0; i < all; i++) {
		size_t at = *count;

		if (strlen(names[i]) >= JOB_SIZE)
			continue;
		for (; at > 0 && last_asked(pool, jobs[at - 1]) < last_asked(pool, names[i]); at--)
			jobs[at] = jobs[at - 1];
		jobs[at] = names[i];
		(*count)++;
	}
	return jobs;
}

/* What is wanted of each backing so far. */
struct backings {
	const char *names[POOL_JOBS];
	int64_t counts[POOL_JOBS];
	size_t count;
};

static int64_t *count_of(struct backings *backings, const char *name)
{
	for (size_t i = 0; i < backings->count; i++)
		if (strcmp(backings->names[i], name) == 0)
			return &backings->counts[i];
	if (backings->count == POOL_JOBS)
		return NULL;
	backings->names[backings->count] = name;
	return &backings->counts[backings->count++];
}

/*
 * How many of a job are to wait: the job of a backing that was asked for last has its minimum, each other one that was asked for
 * within the expiry has one, up to the maximum.
 */
static int64_t share_of(const struct pool *pool, const char *job, const struct wanted *wanted, struct backings *backings)
{
	int64_t *count = count_of(backings, wanted->backing), share = 0;

	if (!count || wanted->minimum == 0)
		return 0;
	if (*count == 0)
		share = wanted->minimum;
	else if (last_asked(pool, job) && now_ms() - last_asked(pool, job) < wanted->expiry_ms)
		share = 1;
	if (*count > 0 && *count + share > wanted->maximum)
		share = 0;
	*count += share;
	return share;
}

/* Starts what is missing, as far as there are slots. */
static void fill(void *cookie)
{
	struct pool *pool = cookie;
	struct arena *arena = arena_new();
	struct backings backings = {.count = 0};
	size_t free_slots = slots_of(pool), used = pool->building + count_waiting(pool, NULL), count;
	struct err err = {0};

	pool->later = NULL;
	free_slots = free_slots > used ? free_slots - used : 0;
	const char **jobs = list_jobs(pool, arena, &count);
	for (size_t i = 0; i < count && free_slots > 0; i++) {
		struct wanted wanted = {0};
		if (read_wanted(pool, arena, jobs[i], &wanted, &err) < 0)
			continue;
		int64_t missing = share_of(pool, jobs[i], &wanted, &backings) - (int64_t)count_waiting(pool, jobs[i]);
		for (; missing > 0 && free_slots > 0; missing--, free_slots--)
			if (!start(pool, jobs[i], wanted.expiry_ms, &err)) {
				log_warning(LOG_WHAT("no worker waits"), LOG_TEXT("job", jobs[i]), LOG_ERR(&err));
				fill_later(pool, POOL_RETRY_MAXIMUM_MS);
				goto err0;
			}
	}
	have_spare(pool);
err0:
	arena_free(arena);
}

struct pool *pool_new(struct loop *loop, const struct program *program)
{
	struct pool *pool = calloc(1, sizeof *pool);

	if (!pool)
		err_fatal("out of memory");
	*pool = (struct pool){.loop = loop, .program = program, .retry_ms = POOL_RETRY_MS, .expect_ms = POOL_EXPECT_AGAIN_MS,
		.spare = {.fd = -1, .pidfd = -1}};
	TAILQ_INIT(&pool->waiting);
	fill_later(pool, 0);
	return pool;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	loop_cancel(pool->later);
	forget_spare(pool);
	while (!TAILQ_EMPTY(&pool->waiting))
		let_go(TAILQ_FIRST(&pool->waiting));
	free(pool);
}

void pool_renew(struct pool *pool)
{
	while (!TAILQ_EMPTY(&pool->waiting))
		dismiss(TAILQ_FIRST(&pool->waiting), "the configuration was read again");
	dismiss_spare(pool);
	pool->retry_ms = POOL_RETRY_MS;
	fill_later(pool, 0);
}

void pool_expect(struct pool *pool, const char *job)
{
	struct arena *arena = arena_new();
	struct wanted wanted = {0};
	struct waiting *waiting = NULL;
	struct err err = {0};

	if (strlen(job) < JOB_SIZE && !count_waiting(pool, job) && !pool->building && now_ms() >= pool->expect_from_ms &&
		count_waiting(pool, NULL) < slots_of(pool) && read_wanted(pool, arena, job, &wanted, &err) == 0 && wanted.maximum > 0)
		waiting = start(pool, job, wanted.expiry_ms, &err);
	if (waiting)
		waiting->expected = true;
	else if (err.kind != ERR_NONE)
		log_warning(LOG_WHAT("no worker is started for a build that may come"), LOG_TEXT("job", job), LOG_ERR(&err));
	arena_free(arena);
}

static void remember(struct pool *pool, const char *job)
{
	size_t i = 0;

	while (i < pool->asked_count && strcmp(pool->asked[i].job, job) != 0)
		i++;
	if (i == POOL_JOBS)
		return;
	if (i == pool->asked_count)
		pool->asked_count++;
	snprintf(pool->asked[i].job, sizeof pool->asked[i].job, "%s", job);
	pool->asked[i].last_ms = now_ms();
}

static bool hand_over(struct waiting *waiting, const struct spec *spec, int claim, int *pidfd)
{
	if (standby_order(waiting->fd, spec->build, claim) < 0) /* it is gone, and we shall hear of it */
		return false;
	waiting->pool->expect_ms = POOL_EXPECT_AGAIN_MS;
	*pidfd = waiting->pidfd;
	waiting->pidfd = -1;
	let_go(waiting);
	return true;
}

/* One of the job of the spec leads its build. */
static bool use(struct pool *pool, const struct spec *spec, bool ready, int claim, int *pidfd)
{
	const struct spec_job *job = &spec->jobs[0];
	struct waiting *waiting, *next;
	bool handed = false;

	for (waiting = TAILQ_FIRST(&pool->waiting); waiting && !handed; waiting = next) {
		next = TAILQ_NEXT(waiting, link);
		if (waiting->ready == ready && strcmp(waiting->job, job->name) == 0 && strcmp(waiting->digest, job->digest) == 0)
			handed = hand_over(waiting, spec, claim, pidfd);
	}
	return handed;
}

int pool_begin(struct pool *pool, const struct spec *spec, int claim, int *pidfd)
{
	struct waiting *waiting;

	remember(pool, spec->jobs[0].name);
	int handed = use(pool, spec, true, claim, pidfd) || use(pool, spec, false, claim, pidfd);
	while (!handed && (waiting = TAILQ_FIRST(&pool->waiting)) && pool->building + count_waiting(pool, NULL) >= slots_of(pool))
		dismiss(waiting, "its slot is needed");
	pool->building++;
	fill_later(pool, POOL_REFILL_MS);
	return handed;
}

void pool_found(struct pool *pool)
{
	pool->building++;
}

void pool_ended(struct pool *pool)
{
	if (pool->building > 0)
		pool->building--;
	fill_later(pool, POOL_REFILL_MS);
}

json_t *pool_json(const struct pool *pool)
{
	json_t *list = json_array();
	const struct waiting *waiting;

	TAILQ_FOREACH(waiting, &pool->waiting, link)
		json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "job", waiting->job, "state", waiting->ready ? "ready" : "starting",
							"since", (json_int_t)waiting->since));
	return list;
}
