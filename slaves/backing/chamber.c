#include "slaves/backing/chamber.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

#define RESOLV_MAXIMUM 65536
#define RESOLV_COPY "/dev/byoci-resolv.conf" /* gone with the mount */

/* Everything else could reach out of the file system, the processes and the network addresses of this one. */
static const unsigned kept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID,
	CAP_SETPCAP, CAP_SYS_CHROOT, CAP_AUDIT_WRITE, CAP_SETFCAP};

static const struct {
	const char *path;
	unsigned major, minor;
} devices[] = {
	{"dev/null", 1, 3}, {"dev/zero", 1, 5}, {"dev/full", 1, 7}, {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0},
};

/*
 * $1: packages or nothing; $2: the command or nothing. Daemons of packages are not started. Nobody but us has the machine's own
 * answer to a name in the end.
 */
static const char script[] =
	"set -e\n"
	"if [ ! -e /etc/resolv.conf ] && [ ! -L /etc/resolv.conf ]; then made=1; cp " RESOLV_COPY " /etc/resolv.conf; fi\n"
	"if [ -n \"$1\" ]; then\n"
	"	if [ ! -e /usr/sbin/policy-rc.d ]; then policy=1; printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; fi\n"
	"	apt-get -q update\n"
	"	apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confold -o APT::Sandbox::User=root install $1\n"
	"	[ -z \"$policy\" ] || rm -f /usr/sbin/policy-rc.d\n"
	"fi\n"
	"[ -z \"$2\" ] || /bin/sh -c \"$2\"\n"
	"[ -z \"$made\" ] || rm -f /etc/resolv.conf\n"
	"rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb\n";

static int make_devices(struct err *err)
{
	if (mount("byoci", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "size=1m,mode=755") < 0)
		return err_set_errno(err, errno, "/dev cannot be mounted");
	for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
		if (mknod(devices[i].path, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)) < 0 || chmod(devices[i].path, 0666) < 0)
			return err_set_errno(err, errno, "/%s cannot be made", devices[i].path);
	if (symlink("/proc/self/fd", "dev/fd") < 0 || mkdir("dev/shm", 01777) < 0 || chmod("dev/shm", 01777) < 0)
		return err_set_errno(err, errno, "/dev cannot be filled");
	return 0;
}

/* A folder of the root file system itself; a link could lead anywhere. */
static int need_folder(const char *name, struct err *err)
{
	struct stat st;

	if (mkdir(name, 0755) < 0 && errno != EEXIST)
		return err_set_errno(err, errno, "/%s cannot be made", name);
	if (lstat(name, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, ERR_REFUSED, "/%s of the root file system is not a folder", name);
	return 0;
}

/* The root file system becomes the root; what was there before is gone. */
static int turn(const char *rootfs, struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount(rootfs, rootfs, NULL, MS_BIND, NULL) < 0 || chdir(rootfs) < 0)
		return err_set_errno(err, errno, "%s: cannot be mounted", rootfs);
	if (need_folder("proc", err) < 0 || need_folder("dev", err) < 0)
		return -1;
	if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL) < 0)
		return err_set_errno(err, errno, "/proc cannot be mounted");
	if (make_devices(err) < 0)
		return -1;
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_set_errno(err, errno, "%s: cannot be entered", rootfs);
	return 0;
}

/* Also those that a setuid program would get. */
static int drop_capabilities(struct err *err)
{
	for (unsigned number = 0; number <= CAP_LAST_CAP; number++) {
		bool keep = false;

		for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
			keep |= kept[i] == number;
		if (!keep && prctl(PR_CAPBSET_DROP, number) < 0 && errno != EINVAL)
			return err_set_errno(err, errno, "capability %u cannot be dropped", number);
	}
	return 0;
}

static int write_resolver(const char *text, struct err *err)
{
	int fd = open(RESOLV_COPY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	ssize_t put = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	if (put != (ssize_t)strlen(text))
		return err_set_errno(err, put < 0 ? errno : ENOSPC, RESOLV_COPY ": cannot be written");
	/* Over one that is there; where it is a link to nowhere, there are no names. */
	if (access("/etc/resolv.conf", F_OK) == 0 && mount(RESOLV_COPY, "/etc/resolv.conf", NULL, MS_BIND, NULL) < 0)
		return err_set_errno(err, errno, "/etc/resolv.conf");
	return 0;
}

static const char *joined(const struct making *making)
{
	const char *text = "";

	for (const char *const *package = making->recipe->packages; package && *package; package++)
		text = arena_printf(making->arena, "%s%s%s", text, *text ? " " : "", *package);
	return text;
}

int chamber_enter(const struct making *making, void *packages, struct err *err)
{
	const bool *install = packages;
	const char *resolver = file_read(making->arena, "/etc/resolv.conf", RESOLV_MAXIMUM, NULL, err);
	const char *argv[] = {"/bin/sh", "-c", script, "sh", *install ? joined(making) : "", making->recipe->setup ? making->recipe->setup
		: "", NULL};
	struct strv environment = STRV_INIT;

	err_clear(err);
	if (turn(making->rootfs, err) < 0 || write_resolver(resolver ? resolver : "", err) < 0 || drop_capabilities(err) < 0)
		return -1;
	making_environment(&environment);
	execve(argv[0], (char *const *)(unsigned long)argv, environment.v);
	return err_set_errno(err, errno, "/bin/sh of the root file system");
}
