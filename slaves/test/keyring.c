#include "slaves/test/keyring.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"

static bool same(const struct author *one, const struct author *other)
{
	return strcmp(one->project, other->project) == 0 && strcmp(one->who, other->who) == 0;
}

/* What is remembered of this one counts for all whose author it is. false: nothing is. */
static bool look(struct keyring *ring, size_t number)
{
	const char *const *keys = author_known(ring->program, &ring->authors[number]);

	for (; keys && *keys; keys++)
		if (strcmp(*keys, ring->key) == 0)
			break;
	for (size_t i = number; keys && *keys && i < ring->count; i++)
		if (same(&ring->authors[i], &ring->authors[number]))
			ring->has[i] = true;
	return keys != NULL;
}

struct asking {
	const struct program *program;
	const struct author *author;
};

static int fetch(void *cookie)
{
	const struct asking *asking = cookie;
	struct err err = {0};

	if (author_fetch(asking->program, asking->author, &err) == 0)
		return 0;
	log_warning(LOG_WHAT("the keys of an author are not remembered"), LOG_TEXT("author", asking->author->who), LOG_ERR(&err));
	return 1;
}

static void end(struct keyring *ring, size_t number)
{
	while (waitpid(ring->copies[number], NULL, 0) < 0 && errno == EINTR)
		;
	if (ring->ends[number].fd >= 0)
		close(ring->ends[number].fd);
	ring->ends[number].fd = -1;
	ring->copies[number] = 0;
}

static void begin(struct keyring *ring, size_t number)
{
	struct asking asking = {ring->program, &ring->authors[number]};
	const struct child_task task = {.act = fetch, .cookie = &asking, .out = -1};
	struct err err = {0};

	for (size_t i = 0; i < number; i++)
		if (same(&ring->authors[i], &ring->authors[number]))
			return;
	if (look(ring, number))
		return;
	if (child_copy(&task, &ring->copies[number], &err) < 0) {
		log_warning(LOG_WHAT("the keys of an author are not asked for"), LOG_TEXT("author", ring->authors[number].who), LOG_ERR(&err));
		return;
	}
	ring->ends[number].fd = pidfd_open(ring->copies[number], 0);
	if (ring->ends[number].fd < 0) {
		kill(ring->copies[number], SIGKILL);
		end(ring, number);
	}
}

/* How many ms from the beginning it may take, by what was found until now; 0: it is enough. */
static int64_t patience(const struct keyring *ring)
{
	int64_t limit_ms = KEYRING_WAIT_MS;

	for (size_t i = 0; i < ring->count; i++) {
		if (ring->has[i] && (ring->one || (ring->build && strcmp(ring->build, ring->authors[i].build) == 0)))
			return 0;
		if (ring->has[i])
			limit_ms = KEYRING_MORE_MS;
	}
	return limit_ms;
}

/* Until one of them ends, or for `limit_ms` since the beginning. false: it is over. */
static bool await(struct keyring *ring, int64_t limit_ms)
{
	int64_t left_ms = limit_ms - (clock_monotonic_us() - ring->begin_us) / 1000;
	bool any = false;

	for (size_t i = 0; i < ring->count; i++)
		any |= ring->copies[i] > 0;
	if (!any || left_ms <= 0)
		return false;
	if (poll(ring->ends, ring->count, (int)left_ms) < 0)
		return errno == EINTR;
	for (size_t i = 0; i < ring->count; i++)
		if (ring->copies[i] > 0 && ring->ends[i].revents) {
			end(ring, i);
			look(ring, i);
		}
	return true;
}

void keyring_find(struct keyring *ring)
{
	ring->begin_us = clock_monotonic_us();
	for (size_t i = 0; i < ring->count; i++)
		ring->ends[i] = (struct pollfd){.fd = -1, .events = POLLIN};
	for (size_t i = 0; i < ring->count; i++)
		begin(ring, i);
	while (await(ring, patience(ring)))
		;
}

void keyring_finish(struct keyring *ring)
{
	while (await(ring, KEYRING_WAIT_MS))
		;
	for (size_t i = 0; i < ring->count; i++)
		if (ring->copies[i] > 0) {
			kill(-ring->copies[i], SIGKILL);
			kill(ring->copies[i], SIGKILL);
			end(ring, i);
		}
}
