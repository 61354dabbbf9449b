/*
 * The configuration of a worker's container as liblxc takes it: keys and values, from tables, in the order in which they are to
 * be set. Pure; lxc.c hands them on. What a job may ask for beyond the default is in seccomp.h.
 */
#ifndef BYOCI_SLAVES_LXC_SETTINGS_H
#define BYOCI_SLAVES_LXC_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "slaves/confine/cgroup.h"

struct lxc_setting {
	const char *key, *value;
};

struct lxc_settings {
	struct arena *arena;
	struct lxc_setting list[128];
	size_t count;
};

struct lxc_limits {
	int64_t memory;          /* bytes; what is written to tmpfs counts too */
	int64_t processes;
	int64_t cpus;            /* 0: all */
	int64_t io_bytes;        /* a second, read and written each; 0: any number */
	const char *const *io_devices;  /* "8:0"…, NULL-ended: where that holds */
};

/* Adds one, in the arena. Too many end the process. */
void lxc_settings_add(struct lxc_settings *settings, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* What is the same for each container with these features (seccomp.h): capabilities, /proc, /sys, devices. veil.h hides what is in them. */
void lxc_settings_fixed(struct lxc_settings *settings, unsigned features);

/* Where its control groups are, and what they say of devices. */
void lxc_settings_groups(struct lxc_settings *settings, const struct cgroup *cgroup);

/* Of these limits only those of io, for who has no other options for them: LXD. ERR_CONFIG as below. */
int lxc_settings_io(struct lxc_settings *settings, const struct lxc_limits *limits, const struct cgroup *cgroup, struct err *err);

/* ERR_CONFIG when one is asked for that this machine's control groups can't hold. */
int lxc_settings_limits(struct lxc_settings *settings, const struct lxc_limits *limits, const struct cgroup *cgroup,
	struct err *err);

/* Gives limits to a container that runs: `group` is its own, below BASE (cgroup.h). ERR_SYSTEM when one does not hold. */
int lxc_settings_apply(const struct lxc_settings *settings, const struct cgroup *cgroup, const char *group, struct err *err);

#endif
