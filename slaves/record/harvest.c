#include "slaves/record/harvest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "slaves/record/artefacts.h"
#include "slaves/record/reports.h"

#define HARVEST_LIMIT_MS (90 * 1000) /* more than the worker takes for it */
#define HARVEST_READ ((size_t)64 * 1024)
#define HARVEST_NOTES ((int64_t)64 * 1024) /* bytes of the worker's words */
#define HARVEST_REPORTS 500 /* files that are counted */
#define HARVEST_WORDS 10    /* lines about reports */
#define PRINTED "stdout"    /* among the patterns of `reports` */

enum { WATCH_FILES, WATCH_NOTES, WATCH_SIGNALS, WATCHES };

struct pipes {
	struct pollfd watched[WATCHES];
	struct artefacts *artefacts;
	struct output_stream *notes;
	int64_t notes_left;
};

int harvest_wanted(const struct program *program, const char *job, bool *any, bool *printed, struct err *err)
{
	struct arena *arena = arena_new();
	const char *section = arena_printf(arena, "job/%s", job);
	const char *const *artefacts, *const *reports;
	int done = -1;

	if (conf_list(program->conf, arena, section, "artefacts", &artefacts, err) < 0 ||
		conf_list(program->conf, arena, section, "reports", &reports, err) < 0)
		goto err0;
	*any = artefacts && *artefacts;
	*printed = false;
	for (; reports && *reports; reports++)
		*(strcmp(*reports, PRINTED) == 0 ? printed : any) = true;
	done = 0;
err0:
	arena_free(arena);
	return done;
}

static void shut(struct pollfd *watched)
{
	if (watched->fd >= 0)
		close(watched->fd);
	watched->fd = -1;
}

static int take(struct pipes *pipes, int which, struct err *err)
{
	char bytes[HARVEST_READ];
	ssize_t length = read(pipes->watched[which].fd, bytes, sizeof bytes);

	if (length < 0 && errno == EINTR)
		return 0;
	if (length < 0)
		return err_set_errno(err, errno, "read what the tests left");
	if (length == 0) {
		shut(&pipes->watched[which]);
		return 0;
	}
	if (which == WATCH_FILES)
		return artefacts_add(pipes->artefacts, bytes, (size_t)length, err);
	pipes->notes_left -= length;
	if (pipes->notes_left >= 0 && output_stream_add(pipes->notes, bytes, (size_t)length, err) < 0) {
		if (err->kind != ERR_FULL) /* tests that wrote too much leave no room for these lines, which is no reason to keep nothing */
			return -1;
		err_clear(err);
	}
	return 0;
}

/* Until the worker has closed both. */
static int receive(struct pipes *pipes, struct err *err)
{
	int64_t until = clock_monotonic_us() / 1000 + HARVEST_LIMIT_MS;

	while (pipes->watched[WATCH_FILES].fd >= 0 || pipes->watched[WATCH_NOTES].fd >= 0) {
		int64_t left = until - clock_monotonic_us() / 1000;
		if (left <= 0)
			return err_set(err, ERR_TIMEOUT, "they did not come in time");
		if (poll(pipes->watched, WATCHES, (int)left) < 0 && errno != EINTR)
			return err_set_errno(err, errno, "wait for what the tests left");
		if (pipes->watched[WATCH_SIGNALS].revents)
			return err_set(err, ERR_REFUSED, "the build was cancelled");
		for (int i = WATCH_FILES; i <= WATCH_NOTES; i++)
			if (pipes->watched[i].fd >= 0 && pipes->watched[i].revents && take(pipes, i, err) < 0)
				return -1;
	}
	return 0;
}

static int ask(struct pipes *pipes, struct worker_client *client, struct err *err)
{
	int files[2], notes[2];

	if (pipe2(files, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "make a pipe");
	if (pipe2(notes, O_CLOEXEC) < 0) {
		err_set_errno(err, errno, "make a pipe");
		close(files[0]);
		close(files[1]);
		return -1;
	}
	pipes->watched[WATCH_FILES] = (struct pollfd){.fd = files[0], .events = POLLIN};
	pipes->watched[WATCH_NOTES] = (struct pollfd){.fd = notes[0], .events = POLLIN};
	int done = worker_client_collect(client, files[1], notes[1], err);
	close(files[1]);
	close(notes[1]);
	return done;
}

/* Closing our ends makes the worker's side end, too. */
static int collect(const struct harvest *harvest, struct artefacts *artefacts, struct worker_client *client, struct err *err)
{
	struct pipes pipes = {.artefacts = artefacts, .notes_left = HARVEST_NOTES,
		.watched = {{.fd = -1}, {.fd = -1}, {.fd = harvest->signals, .events = POLLIN}}};
	struct err second = {0};

	pipes.notes = output_stream(harvest->output, "byoci: not kept: ");
	int asked = ask(&pipes, client, err);
	int done = asked < 0 ? -1 : receive(&pipes, err);
	shut(&pipes.watched[WATCH_FILES]);
	shut(&pipes.watched[WATCH_NOTES]);
	output_stream_end(pipes.notes, &second);
	if (asked == 0 && worker_client_collected(client, &second) < 0 && done == 0)
		done = err_set(err, second.kind, "%s", second.text);
	return done;
}

/* A report that is not whole is told, the first ones of many. */
static void count(const struct harvest *harvest, const char *file, const char *name, struct counts *counts)
{
	const char *why = "";
	struct err err = {0};
	int done = reports_count(harvest->program, harvest->arena, file, counts, &why, &err);

	if (done < 0) {
		counts->reports++;
		counts->broken++;
		why = err.text;
	}
	if (done != 0 && counts->broken <= HARVEST_WORDS)
		output_say(harvest->output, &err, "report %s: %s", name, why);
}

static void count_all(const struct harvest *harvest, const struct artefacts *artefacts)
{
	struct counts *counts = arena_alloc(harvest->arena, sizeof *counts);
	const char *name = NULL, *file;
	struct err err = {0};
	size_t number = 0;

	if (harvest->printed)
		count(harvest, harvest->printed, PRINTED, counts);
	for (; artefacts && number < HARVEST_REPORTS && (file = artefacts_report(artefacts, number, &name)); number++)
		count(harvest, file, name, counts);
	if (number == HARVEST_REPORTS)
		output_say(harvest->output, &err, "only the first %d reports are counted", HARVEST_REPORTS);
	if (!counts->reports)
		return;
	harvest->ending->reports = counts;
	output_say(harvest->output, &err, "reports: %s", counts_text(harvest->arena, counts, true));
}

static struct artefacts *bring(const struct harvest *harvest, struct worker_client *client)
{
	const struct artefacts_from from = {
		.program = harvest->program, .arena = harvest->arena, .build = harvest->build, .job = harvest->job};
	struct err err = {0}, second = {0};
	struct artefacts *artefacts = artefacts_new(&from, &err);

	if (artefacts && collect(harvest, artefacts, client, &err) == 0)
		artefacts_end(artefacts, &err);
	else if (artefacts)
		artefacts_end(artefacts, &second);
	if (err.kind != ERR_NONE)
		output_say(harvest->output, &second, "artefacts: %s", err.text);
	if (!artefacts)
		return NULL;
	if (artefacts_left_out(artefacts))
		output_say(harvest->output, &second, "not kept: %lld that artefacts.total has no room for",
			(long long)artefacts_left_out(artefacts));
	const struct result_artefacts *kept = artefacts_summary(artefacts);
	output_say(harvest->output, &second, "artefacts: %lld file%s, %lld bytes", (long long)kept->count, kept->count == 1 ? "" : "s",
		(long long)kept->bytes);
	harvest->ending->artefacts = kept;
	return artefacts;
}

void harvest_run(const struct harvest *harvest, struct worker_client *client)
{
	struct artefacts *artefacts = NULL;
	struct err err = {0};
	bool any = false, printed = false;

	if (harvest_wanted(harvest->program, harvest->job, &any, &printed, &err) < 0 || (!any && !harvest->printed))
		return;
	steps_begin(&harvest->ending->steps, "collect");
	if (any)
		artefacts = bring(harvest, client);
	count_all(harvest, artefacts);
	artefacts_free(artefacts);
}
