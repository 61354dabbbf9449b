/*
 * A container that runs gets another root file system: for one that was started before it was known for what.
 */
#ifndef BYOCI_SLAVES_PIVOT_H
#define BYOCI_SLAVES_PIVOT_H

#include <stdint.h>

#include "base/err.h"

#define PIVOT_NEW "/new" /* an empty folder of the old root */
#define PIVOT_TOPS {"/dev", "/proc", "/sys"} /* what moves from the old root to the new one, which has these folders */

/*
 * `root`, a detached mount, becomes the root of the mount namespace of `process` (a pidfd) and of all processes in there, with the old
 * one's /dev, /proc and /sys and all that is mounted in them; of the old one nothing stays. Its /dev/shm holds so many bytes then.
 * Before anything runs in there that could have changed its mounts; a link in the place of one of these folders is an error. After an
 * error it can only be killed.
 */
int pivot_root_of(int process, int root, int64_t shared, struct err *err);

#endif
