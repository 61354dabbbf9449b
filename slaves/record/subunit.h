/*
 * Test reports in subunit version 2 (a stream of binary packets), as hostile tests may write them. Between packets there may be text,
 * which is passed over. Allocates nothing.
 *
 *   packet: 0xb3, flags (2 bytes), length of the packet, [time], [test id], [tags], [mime], [file name, content], [route], CRC32
 *
 * Numbers are big-endian; those of 1 to 4 bytes say in their first two bits how many bytes more there are. The bits of the flags are in
 * subunit.c; the format is described in the README of subunit.
 */
#ifndef BYOCI_SLAVES_SUBUNIT_H
#define BYOCI_SLAVES_SUBUNIT_H

#include "base/err.h"
#include "forge/counts.h"

/*
 * Counts what there is; what began and did not end has failed. -1 and ERR_INPUT: a packet of it is broken, or there is none; what is
 * whole is counted, before and after it.
 */
int subunit_count(const void *bytes, size_t length, struct counts *counts, struct err *err);

#endif
