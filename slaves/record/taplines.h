/*
 * Test reports in TAP (versions 12 to 14), as hostile tests may write them: lines `ok` and `not ok`, and plans. What is indented belongs
 * to a test of its own and is passed over; so is what is no TAP at all. Allocates nothing.
 */
#ifndef BYOCI_SLAVES_TAPLINES_H
#define BYOCI_SLAVES_TAPLINES_H

#include "base/err.h"
#include "forge/counts.h"

/*
 * Counts what there is; what was planned and did not come has failed. -1 and ERR_INPUT: no line of it is TAP, or it ends with
 * "Bail out!"; what comes before is counted.
 */
int taplines_count(const void *bytes, size_t length, struct counts *counts, struct err *err);

#endif
