/*
 * Test reports in JUnit's XML, as hostile tests may write them: elements `testcase` with an attribute `time` in seconds, and in them
 * `failure`, `error` or `skipped`. No document type, so no entities. Read in memory of its own, without a system call.
 */
#ifndef BYOCI_SLAVES_JUNIT_H
#define BYOCI_SLAVES_JUNIT_H

#include "base/err.h"
#include "forge/counts.h"

/* Counts what there is. -1 and ERR_INPUT: it ends before its end, with the line; what comes before is counted. */
int junit_count(const void *bytes, size_t length, struct counts *counts, struct err *err);

#endif
