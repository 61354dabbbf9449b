/*
 * A worker's share of a disk, beside others that want it at the same time. Two parts of the kernel know shares: the scheduler bfq, and
 * in version 2 of control groups io.cost, each only for disks that it was chosen for.
 */
#ifndef BYOCI_SLAVES_WEIGHT_H
#define BYOCI_SLAVES_WEIGHT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "slaves/confine/cgroup.h"

/*
 * Gives the group of a worker that runs (of the controller cgroup_io(); NULL: it has none) this weight (1 to 1000, 100: as all others)
 * on a disk ("8:0"). ERR_CONFIG with the remedy when nothing shares that disk by weight.
 */
struct weight {
	const char *folder, *device;
	int64_t weight;
};
int weight_set(const struct cgroup *cgroup, struct arena *arena, const struct weight *weight, struct err *err);

#endif
