#include "slaves/confine/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define FIRST_MAJOR 136 /* UNIX98_PTY_SLAVE_MAJOR of <linux/major.h> */

/* As seen in the container's mounts: the devpts is its own, and not only by its name. */
static int open_terminal(int *inside)
{
	const int free_it = 0;
	struct statfs fs;
	int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);

	if (master < 0)
		return -1;
	if (fstatfs(master, &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC || ioctl(master, TIOCSPTLCK, &free_it) < 0 ||
		(*inside = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
		close(master);
		return -1;
	}
	return master;
}

int terminal_open(int mounts, uid_t owner, int *inside, struct err *err)
{
	int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	int master = -1;

	if (own < 0 || setns(mounts, CLONE_NEWNS) < 0) {
		err_set_errno(err, errno, "container: its mounts cannot be reached");
		goto err0;
	}
	master = open_terminal(inside);
	if (master < 0)
		err_set_errno(err, errno, "container: no terminal of its own");
	if (setns(own, CLONE_NEWNS) < 0)
		err_fatal("a container's mount namespace can't be left");
	if (master >= 0 && fchown(*inside, owner, owner) < 0) {
		err_set_errno(err, errno, "container: its terminal cannot be given to it");
		close(*inside);
		close(master);
		master = -1;
	}
err0:
	if (own >= 0)
		close(own);
	return master;
}

int terminal_number(int inside)
{
	struct stat st;

	if (fstat(inside, &st) < 0 || !S_ISCHR(st.st_mode) || major(st.st_rdev) != FIRST_MAJOR)
		return -1;
	return (int)minor(st.st_rdev);
}
