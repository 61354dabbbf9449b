#include "slaves/confine/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/buf.h"

#define PROFILE_MAXIMUM 65536
#define CALLS_MAXIMUM 64

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "say which architecture the numbers of system calls are of: AUDIT_ARCH_... of <linux/audit.h>"
#endif

enum { PLAIN = 0, SYSTEMD = SECCOMP_SYSTEMD, NESTED = SECCOMP_NESTED };

/* `unless`: features with which the rule is left out. Errors: 1 EPERM, 38 ENOSYS, 97 EAFNOSUPPORT. */
static const struct rule {
	const char *rule;
	unsigned unless;
	const char *why;
} rules[] = {
	{"unshare errno 1 [0,0x10000000,SCMP_CMP_MASKED_EQ,0x10000000]", NESTED,
		"CLONE_NEWUSER: gives back every capability that was taken away, over name spaces of one's own"},
	{"clone errno 1 [0,0x10000000,SCMP_CMP_MASKED_EQ,0x10000000]", NESTED, "the same"},
	{"clone3 errno 38", NESTED, "its flags can't be looked at; the C library then takes clone"},
	{"setns errno 1", SYSTEMD | NESTED, "enters name spaces; systemd does so for its services"},
	{"mount errno 1", SYSTEMD | NESTED, "systemd mounts /run, and what its services may see; so do nested containers"},
	{"mount_setattr errno 1", SYSTEMD | NESTED, "the same"},
	{"move_mount errno 1", SYSTEMD | NESTED, "the same"},
	{"open_tree errno 1", SYSTEMD | NESTED, "the same"},
	{"pivot_root errno 1", SYSTEMD | NESTED, "the same"},
	{"fsopen errno 1", NESTED, "parses options of file systems: out of bounds in CVE-2022-0185"},
	{"fsconfig errno 1", NESTED, "the same"},
	{"fsmount errno 1", NESTED, "the same"},
	{"fspick errno 1", NESTED, "the same"},
	{"socket errno 97 [0,17,SCMP_CMP_GE]", PLAIN,
		"families from AF_PACKET on: vsock reaches the machine that this one is a guest of, the others are code that nobody tests"},
	{"socket errno 97 [0,3,SCMP_CMP_EQ]", PLAIN, "AF_AX25; up to 15 all but UNIX (1), INET (2), INET6 (10), and NETLINK (16)"},
	{"socket errno 97 [0,4,SCMP_CMP_EQ]", PLAIN, "AF_IPX"},
	{"socket errno 97 [0,5,SCMP_CMP_EQ]", PLAIN, "AF_APPLETALK"},
	{"socket errno 97 [0,6,SCMP_CMP_EQ]", PLAIN, "AF_NETROM"},
	{"socket errno 97 [0,7,SCMP_CMP_EQ]", PLAIN, "AF_BRIDGE"},
	{"socket errno 97 [0,8,SCMP_CMP_EQ]", PLAIN, "AF_ATMPVC"},
	{"socket errno 97 [0,9,SCMP_CMP_EQ]", PLAIN, "AF_X25"},
	{"socket errno 97 [0,11,SCMP_CMP_EQ]", PLAIN, "AF_ROSE"},
	{"socket errno 97 [0,12,SCMP_CMP_EQ]", PLAIN, "AF_DECnet"},
	{"socket errno 97 [0,13,SCMP_CMP_EQ]", PLAIN, "AF_NETBEUI"},
	{"socket errno 97 [0,14,SCMP_CMP_EQ]", PLAIN, "AF_SECURITY"},
	{"socket errno 97 [0,15,SCMP_CMP_EQ]", PLAIN, "AF_KEY"},
	{"socket errno 93 [0,16,SCMP_CMP_EQ] [2,12,SCMP_CMP_MASKED_EQ,0xffffffff]", PLAIN,
		"NETLINK_NETFILTER: nf_tables is where most ways out of user name spaces were (CVE-2022-1015, 2023-32233, 2024-1086)"},
	{"socketcall errno 38", PLAIN, "the same by another door of 32 bit programs, where arguments can't be looked at"},
	{"kexec_load errno 1", PLAIN, "another kernel"},
	{"kexec_file_load errno 1", PLAIN, "the same"},
	{"open_by_handle_at errno 1", PLAIN, "opens what no path leads to"},
	{"init_module errno 1", PLAIN, "kernel code"},
	{"finit_module errno 1", PLAIN, "the same"},
	{"delete_module errno 1", PLAIN, "the same"},
	{"add_key errno 1", PLAIN, "keys have no name space; their reference counts were a way out (CVE-2016-0728)"},
	{"request_key errno 1", PLAIN, "the same, and it starts a program on the host"},
	{"keyctl errno 1", PLAIN, "the same"},
	{"bpf errno 1", PLAIN, "its verifier was wrong too often"},
	{"perf_event_open errno 1", PLAIN, "sees what others do"},
	{"userfaultfd errno 1", PLAIN, "stops the kernel in the middle of copying, which makes its races easy"},
	{"io_uring_setup errno 38", PLAIN, "does what system calls do without being seen here"},
	{"io_uring_enter errno 38", PLAIN, "the same"},
	{"io_uring_register errno 38", PLAIN, "the same"},
	{"syslog errno 1", PLAIN, "the host's kernel messages, with addresses"},
	{"vhangup errno 1", PLAIN, "of no use here"},
	{"swapon errno 1", PLAIN, "the host's"},
	{"swapoff errno 1", PLAIN, "the host's"},
	{"acct errno 1", PLAIN, "the host's"},
	{"quotactl errno 1", PLAIN, "the host's"},
	{"quotactl_fd errno 1", PLAIN, "the host's"},
	{"reboot errno 1", PLAIN, "a container's reboot starts it again, which is not wanted"},
	{"settimeofday errno 1", PLAIN, "the host's clock"},
	{"clock_settime errno 1", PLAIN, "the host's clock"},
	{"stime errno 1", PLAIN, "the host's clock"},
	{"iopl errno 1", PLAIN, "hardware"},
	{"ioperm errno 1", PLAIN, "hardware"},
	{"uselib errno 38", PLAIN, "out of use"},
	{"nfsservctl errno 38", PLAIN, "out of use"},
	{"lookup_dcookie errno 38", PLAIN, "out of use"},
	{"vm86 errno 1", PLAIN, "out of use"},
	{"vm86old errno 1", PLAIN, "out of use"},
};

int seccomp_add(struct buf *text, unsigned features)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (!(rules[i].unless & features) && buf_printf(text, "%s\n", rules[i].rule) < 0)
			return -1;
	return 0;
}

static int make(struct buf *text, unsigned features)
{
	if (buf_adds(text, "2\ndenylist\nreject_force_umount\n[all]\n") < 0)
		return -1;
	return seccomp_add(text, features);
}

int seccomp_write(const char *path, unsigned features, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct buf text;
	ssize_t put = -1;
	int rc = 0;

	if (fd < 0)
		return err_set_errno(err, errno, "%s: cannot be made", path);
	buf_init(&text, PROFILE_MAXIMUM);
	if (make(&text, features) == 0)
		put = write(fd, text.data, text.length);
	if (put < 0 || (size_t)put != text.length)
		rc = err_set_errno(err, put < 0 ? errno : ENOSPC, "%s: cannot be written", path);
	close(fd);
	buf_release(&text);
	return rc;
}

int seccomp_close_unknown(struct err *err)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SECCOMP_NEWEST, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
		return err_set_errno(err, errno, "system calls cannot be closed (seccomp)");
	return 0;
}

int seccomp_allow_only(const int *calls, size_t count, struct err *err)
{
	struct sock_filter filter[CALLS_MAXIMUM + 5] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 0, (__u8)(count + 1)),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	const struct sock_fprog program = {.len = (unsigned short)(count + 5), .filter = filter};

	if (count > CALLS_MAXIMUM)
		err_fatal("%zu system calls are too many for a filter", count);
	for (size_t i = 0; i < count; i++)
		filter[3 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (__u32)calls[i], (__u8)(count - i), 0);
	filter[3 + count] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	filter[4 + count] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
		return err_set_errno(err, errno, "system calls cannot be closed (seccomp)");
	return 0;
}
