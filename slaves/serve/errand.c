#include "slaves/serve/errand.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "slaves/worker/worker_client.h"

#define ERRAND_LIMIT_MS (60 * 1000)

struct errand {
	struct worker_client *client;
	struct loop_source *answer, *limit;
	bool discards, lists;
	errand_done_fn *done;
	void *cookie;
};

void errand_free(struct errand *errand)
{
	if (!errand)
		return;
	loop_cancel(errand->answer);
	loop_cancel(errand->limit);
	worker_client_close(errand->client);
	free(errand);
}

static void end(struct errand *errand, int removed, const struct err *err)
{
	errand_done_fn *done = errand->done;
	void *cookie = errand->cookie;

	errand_free(errand);
	done(cookie, removed, err);
}

static void answered(void *cookie, int fd, uint32_t events)
{
	struct errand *errand = cookie;
	struct err err = {0};
	int removed = 0;

	(void)fd;
	(void)events;
	if (errand->lists)
		worker_client_listed(errand->client, &err);
	else if (errand->discards)
		removed = worker_client_discarded(errand->client, &err) == 0;
	else if (worker_client_reaped(errand->client, &removed, &err) < 0)
		removed = 0;
	end(errand, removed, &err);
}

static void too_late(void *cookie)
{
	struct errand *errand = cookie;
	struct err err = {0};

	errand->limit = NULL;
	err_set(&err, ERR_TIMEOUT, "byoci-worker: it has not answered after %d s", ERRAND_LIMIT_MS / 1000);
	end(errand, 0, &err);
}

static int ask(struct worker_client *client, const struct errand_want *want, struct err *err)
{
	if (want->list)
		return worker_client_list(client, *want->list, err);
	return want->discard ? worker_client_discard(client, want->discard, err) : worker_client_reap(client, err);
}

struct errand *errand_start(const struct errand_want *want, struct err *err)
{
	const char *path = program_option(want->program, "worker.socket", err);
	struct worker_client *client = path ? worker_client_connect(path, err) : NULL;
	struct errand *errand;

	if (!client)
		return NULL;
	if (ask(client, want, err) < 0) {
		worker_client_close(client);
		return NULL;
	}
	errand = calloc(1, sizeof *errand);
	if (!errand)
		abort();
	*errand = (struct errand){.client = client, .discards = want->discard, .lists = want->list, .done = want->done, .cookie = want->cookie};
	errand->answer = loop_io(want->loop, worker_client_fd(client), EPOLLIN, answered, errand);
	errand->limit = loop_after(want->loop, ERRAND_LIMIT_MS, too_late, errand);
	return errand;
}
