/*
 * Whether whoever had us started is still there to hear of the end. A master that stops a build kills the process that it started, or
 * leaves it alive and forgets it (Hudson's slaves); one whose agent dies, or whose connection to it ends, forgets it too. Then what runs
 * here is nobody's and must end. Signs of it, each enough by itself:
 *
 *   - a signal (SIGTERM, SIGINT, SIGHUP);
 *   - our parent has ended, by a pidfd. Not by PR_SET_PDEATHSIG: that comes when the *thread* ends that started us (prctl(2)), and the
 *     threads of an agent come and go. As long as the parent is a shell its parent counts too;
 *   - nobody can read our standard output any more;
 *   - the job's script is gone: the master removes it when the build has ended, however it ended.
 */
#ifndef BYOCI_SLAVES_GUARD_H
#define BYOCI_SLAVES_GUARD_H

#include "base/err.h"

struct guard_order {
	const char *const *argv;        /* the work: a process that ends with us, at the latest */
	const char *const *environment; /* the whole of it; both NULL-ended */
	const char *script;             /* file that is removed when nobody waits any more; NULL: none */
};

/*
 * Has the work done; its output goes where ours does. The exit status of the work, or -1 when it was ended because of a sign, or could
 * not be started: ERR_MOVED with what was seen; others: trouble of ours.
 */
int guard_run(const struct guard_order *order, struct err *err);

#endif
