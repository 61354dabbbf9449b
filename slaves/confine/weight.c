#include "slaves/confine/weight.h"

#include <stdbool.h>
#include <string.h>

#include "base/file.h"

#define TEXT_MAXIMUM 65536

/* "none [bfq] mq-deadline" has bfq chosen. */
static bool is_bfq(struct arena *arena, const char *device, const char **schedulers)
{
	struct err unread = {0};
	char *text = file_read(arena, arena_printf(arena, "/sys/dev/block/%s/queue/scheduler", device), TEXT_MAXIMUM, NULL, &unread);

	*schedulers = text ? arena_memdup(arena, text, strcspn(text, "\n")) : "unknown";
	return strstr(*schedulers, "[bfq]") != NULL;
}

/* A line "8:0 enable=1 ctrl=auto …" in the file of the root group. */
static bool is_cost(const struct cgroup *cgroup, struct arena *arena, const char *device)
{
	const char *begin = arena_printf(arena, "\n%s enable=1", device);

	for (const char *const *top = cgroup_tops(cgroup, arena, "io.cost.qos"); *top; top++) {
		struct err unread = {0};
		const char *text = file_read(arena, *top, TEXT_MAXIMUM, NULL, &unread);

		if (text && strstr(arena_printf(arena, "\n%s", text), begin))
			return true;
	}
	return false;
}

int weight_set(const struct cgroup *cgroup, struct arena *arena, const struct weight *weight, struct err *err)
{
	int version = cgroup_version(cgroup, cgroup_io(cgroup));
	const char *file = NULL, *schedulers;

	if (is_bfq(arena, weight->device, &schedulers))
		file = version == 2 ? "io.bfq.weight" : "blkio.bfq.weight";
	else if (version == 2 && is_cost(cgroup, arena, weight->device))
		file = "io.weight";
	if (!weight->folder || !file)
		return err_set(err, ERR_CONFIG, "nothing shares disk %s by weight; its scheduler has to be bfq "
			"(/sys/dev/block/%s/queue/scheduler: %s)%s", weight->device, weight->device, schedulers,
			version == 2 ? ", or io.cost.qos to have enable=1 for it" : "");
	return cgroup_put(weight->folder, file, arena_printf(arena, "%lld", (long long)weight->weight), err);
}
