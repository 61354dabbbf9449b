/*
 * What is hidden in a worker's /proc and /sys: files and folders that tell of the host, or of other workers, have /dev/null or an
 * empty folder over them. Where an init or containers of the tests' own begin as soon as there is a container, liblxc does that before;
 * else we do it when it has started and nothing but our own init runs in it, which takes a tenth of the system calls.
 */
#ifndef BYOCI_SLAVES_VEIL_H
#define BYOCI_SLAVES_VEIL_H

#include "base/err.h"
#include "slaves/confine/lxc_settings.h"

void veil_settings(struct lxc_settings *settings);

/*
 * In the mount namespace of the process behind this descriptor. `empty` is an empty folder of ours. What this kernel does not have is
 * left out; anything else that can't be hidden is an error.
 */
int veil_hang(int process, const char *empty, struct err *err);

#endif
