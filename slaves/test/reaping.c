#include "slaves/test/reaping.h"

#include <stdlib.h>
#include <sys/epoll.h>

#include "slaves/worker/worker_client.h"

#define REAPING_LIMIT_MS (60 * 1000)

struct reaping {
	struct worker_client *client;
	struct loop_source *answer, *limit;
	reaping_done_fn *done;
	void *cookie;
};

void reaping_free(struct reaping *reaping)
{
	if (!reaping)
		return;
	loop_cancel(reaping->answer);
	loop_cancel(reaping->limit);
	worker_client_close(reaping->client);
	free(reaping);
}

static void end(struct reaping *reaping, int removed, const struct err *err)
{
	reaping_done_fn *done = reaping->done;
	void *cookie = reaping->cookie;

	reaping_free(reaping);
	done(cookie, removed, err);
}

static void answered(void *cookie, int fd, uint32_t events)
{
	struct reaping *reaping = cookie;
	struct err err = {0};
	int removed = 0;

	(void)fd;
	(void)events;
	if (worker_client_reaped(reaping->client, &removed, &err) < 0)
		removed = 0;
	end(reaping, removed, &err);
}

static void too_late(void *cookie)
{
	struct reaping *reaping = cookie;
	struct err err = {0};

	reaping->limit = NULL;
	err_set(&err, ERR_TIMEOUT, "byoci-worker: what its workers have left is not known after %d s", REAPING_LIMIT_MS / 1000);
	end(reaping, 0, &err);
}

struct reaping *reaping_start(struct loop *loop, const struct program *program, reaping_done_fn *done, void *cookie, struct err *err)
{
	const char *path = program_option(program, "worker.socket", err);
	struct worker_client *client = path ? worker_client_connect(path, err) : NULL;
	struct reaping *reaping;

	if (!client)
		return NULL;
	if (worker_client_reap(client, err) < 0) {
		worker_client_close(client);
		return NULL;
	}
	reaping = calloc(1, sizeof *reaping);
	if (!reaping)
		abort();
	*reaping = (struct reaping){.client = client, .done = done, .cookie = cookie};
	reaping->answer = loop_io(loop, worker_client_fd(client), EPOLLIN, answered, reaping);
	reaping->limit = loop_after(loop, REAPING_LIMIT_MS, too_late, reaping);
	return reaping;
}
