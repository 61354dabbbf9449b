/*
 * A process between what a test writes and who reads it, which makes the values of secrets unreadable on the way (mask.h). It may do
 * nothing but read, write and end (slaves/common/strict.h). It ends when nobody can write to it any more.
 */
#ifndef BYOCI_SLAVES_FILTER_H
#define BYOCI_SLAVES_FILTER_H

#include <stdint.h>

#include "base/err.h"
#include "slaves/worker/mask.h"

/* Starts one that writes to `to`, which stays the caller's. *from is what is to be written to, the caller's to close. Its pidfd, or -1. */
int filter_start(const struct mask *mask, int to, int *from, struct err *err);

/* Waits for its end; after `limit_ms` it is killed, and what it has is lost. Closes the pidfd; -1 is allowed. */
void filter_end(int pidfd, int64_t limit_ms);

#endif
