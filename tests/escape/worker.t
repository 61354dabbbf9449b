#!/bin/bash
# Ways out of a worker that a hostile test may try, as root in there. Each case says which promise it holds (doc/ARCHITECTURE.md).
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/../e2e/worker.sh"
worker_start || bail_out "$(cat "$scratch/worker.log")"

# Promise 8: nothing of the kernel's is at a test's service. System calls (x86-64) that must fail, with what. Perl is in every Debian system.
[ "$(uname -m)" = x86_64 ] || skip_all "the numbers of the system calls are those of x86-64"
runs calls <<-'SH'
	cat >/tmp/calls.pl <<'PERL'
	my $none = "\0" x 128;
	my @calls = (
		['unshare(CLONE_NEWUSER)', 272, 0x10000000],
		['unshare(CLONE_NEWUSER|CLONE_NEWNS)', 272, 0x10020000],
		['unshare(CLONE_NEWNS)', 272, 0x20000],
		['clone(CLONE_NEWUSER)', 56, 0x10000000 | 17, 0, 0, 0, 0],
		['clone3', 435, $none, 64],
		['setns', 308, 0, 0],
		['mount', 165, 'none', '/mnt', 'tmpfs', 0, 0],
		['umount2', 166, '/proc', 2],
		['pivot_root', 155, '/', '/'],
		['open_tree', 428, -100, '/', 1],
		['move_mount', 429, -100, '/', -100, '/mnt', 0],
		['fsopen', 430, 'tmpfs', 0],
		['mount_setattr', 442, -100, '/', 0, $none, 32],
		['open_by_handle_at', 304, -100, $none, 0],
		['init_module', 175, $none, 1, ''],
		['finit_module', 313, 0, '', 0],
		['kexec_load', 246, 0, 0, 0, 0],
		['kexec_file_load', 320, 0, 0, 1, '', 0],
		['bpf', 321, 0, $none, 64],
		['perf_event_open', 298, $none, 0, -1, -1, 0],
		['userfaultfd', 323, 0],
		['userfaultfd(USER_MODE_ONLY)', 323, 1],
		['io_uring_setup', 425, 1, $none],
		['add_key', 248, 'user', 'a', 'b', 1, -3],
		['keyctl', 250, 0, -3, 1],
		['request_key', 249, 'user', 'a', 0, -3],
		['reboot', 169, 0xfee1dead, 672274793, 0x1234567, 0],
		['swapon', 167, '/etc/passwd', 0],
		['settimeofday', 164, $none, 0],
		['clock_settime', 227, 0, $none],
		['sethostname', 170, 'a', 1],
		['iopl', 172, 3],
		['ioperm', 173, 0, 1, 1],
		['quotactl', 179, 0, 0, 0, 0],
		['acct', 163, '/tmp/acct'],
		['syslog', 103, 3, $none, 64],
		['mknod(block)', 133, '/tmp/block', 0060600, 0xfe00],
		['mknod(mem)', 133, '/tmp/mem', 0020600, 0x101],
		['pidfd_getfd(1)', 438, 0, 0, 0],
		['setuid(100000)', 105, 100000],
		['setgroups(100000)', 116, 1, pack('L', 100000)],
		['bind to the host', 49, 0, $none, 16],
		['prctl(PR_CAP_AMBIENT_RAISE sys_admin)', 157, 47, 2, 21, 0, 0],
		['setpriority(-20)', 141, 0, 0, -20],
		['nice on the host: sched_setscheduler(FIFO)', 144, 0, 1, pack('L', 50)],
		['x32 getpid', 0x40000000 | 39],
		['socket(AF_VSOCK)', 41, 40, 1, 0],
		['socket(AF_PACKET)', 41, 17, 3, 0x300],
		['socket(AF_ALG)', 41, 38, 5, 0],
		['socket(AF_KEY)', 41, 15, 3, 2],
		['socket(AF_VSOCK), with bits that the kernel drops', 41, 40 | 1 << 32, 1, 0],
		['socket(NETLINK_NETFILTER)', 41, 16, 3, 12],
		['socket(NETLINK_NETFILTER), with bits that the kernel drops', 41, 16, 3, 12 | 1 << 32],
		['open_tree_attr', 467, -100, '/', 1, $none, 32],
		['a system call that nobody knows yet', 900],
	);
	for (@calls) {
		my ($name, @call) = @$_;
		# Kernels that know x32 let the filter kill who uses it.
		my $result = $name =~ /^x32/ ? system($^X, '-e', "exit(syscall($call[0]) < 0)") && -1 : syscall($call[0], @call[1 .. $#call]);
		exit if $name =~ /^clone\(/ && $result == 0;
		print $result < 0 ? "refused: $name: $!\n" : "done: $name: $result\n";
	}
	PERL
	perl /tmp/calls.pl
SH
unlike "$said" '^done: ' "no system call of the list is done"
ok "each was tried" [ "$(grep -c '^refused: ' <<<"$said")" -ge 54 ] || diag "$said"
like "$said" '^ended with 0 ' "and the test lives on"

# Promise 8: no device, no file of the kernel's, nothing that tells of the host.
runs files <<-'SH'
	for file in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/vm/drop_caches /proc/kcore \
		/sys/kernel/uevent_helper /sys/power/state /dev/mem /dev/kmsg /dev/vda /dev/sda /dev/fuse /dev/kvm /proc/timer_list \
		/proc/irq/default_smp_affinity; do
		[ -e "$file" ] && (echo 0 >"$file") 2>/dev/null && [ "$(head -c 1 "$file" 2>/dev/null)" = 0 ] && echo "written: $file"
	done
	for file in /proc/kcore /proc/kmsg /dev/mem /sys/class/dmi/id/product_serial /sys/kernel/debug/sched /proc/kallsyms /proc/cmdline \
		/proc/modules /proc/keys /proc/timer_list /proc/interrupts /sys/kernel/notes /proc/irq/default_smp_affinity; do
		[ -n "$(head -c 1 "$file" 2>/dev/null)" ] && echo "read: $file"
	done
	find / -xdev -type b 2>/dev/null | sed 's/^/block device: /'
	find /dev -type c ! -name null ! -name zero ! -name full ! -name random ! -name urandom ! -name tty ! -name console ! -name ptmx \
		! -path '/dev/pts/*' | sed 's/^/character device: /'
	[ -e /dev/init ] && (echo x >>/dev/init) 2>/dev/null && echo "written: init"
	ulimit -c unlimited 2>/dev/null && echo "core: unlimited"
	ulimit -c | sed 's/^/core files: /'
	perl -e 'for (1) { syscall(101, 16, 1, 0, 0) }' # stops init, as its tracer
	umount /proc/sys 2>/dev/null && echo "unmounted"
	chroot /proc/1/root /bin/true && ls /proc/1/root/home | sed 's/^/home: /'
	cat /proc/self/setgroups | sed 's/^/setgroups: /'
	mknod /tmp/null c 1 3 2>/dev/null && echo "device made"
	grep -E ' (/proc|/sys|/dev)[ /]' /proc/mounts | grep -vE ' (proc|sysfs|tmpfs|devtmpfs|devpts|mqueue|cgroup2?|ext4|overlay) ' | sed 's/^/mounted: /'
	echo done
SH
unlike "$said" '^(device made|mounted|written|read|block device|character device|unmounted|home):' "nothing of the kernel or the host is written or read"
unlike "$said" '^core: unlimited$' "no core file goes to the host's core_pattern"
like "$said" '^core files: 0$' "(their size is 0)"
like "$said" '^done$' "each was tried"

# Promises 8 and 9: files that the tests leave do not become set-user-id root, devices or sockets of the host.
runs leaves <<-'SH'
	cp /bin/sh ./shell; chmod 4755 ./shell; mkfifo pipe; ln -s /etc/shadow shadow; exit 0
SH
is "$(find "$layer" -newer "$layer/workspace/test.sh" ! -type d | wc -l)" 0 "what the tests write does not reach the tree outside"
is "$(find "$state/worker" -xdev -perm -4000 -newer "$layer/workspace/test.sh" | wc -l)" 0 "nor the backing"

# Promise 8: two workers side by side know nothing of each other.
layer one <<-'SH'
	echo "secret of one" >/tmp/secret; echo "secret of one" >/dev/shm/secret
	perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(Local => "\0byoci-one", Listen => 1) or die; print "listens\n"; sleep 1000' &
	sleep 1000 & wait
SH
sleeps() { processes | grep -q 'sleep 1000'; }
hold_at() {
	mkfifo "$scratch/hold"
	setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" start=script,,"$layer" exec hold \
		<>"$scratch/hold" > >(exec cat >"$scratch/held") 2>&1 &
	caller=$!
	disown
	until_true sleeps
}
hold_at
pid_of_one=$(processes | awk '/sleep 1000/ {print $2; exit}')
said_pids=$(processes | awk '{print $2}' | tr '\n' ' ')
runs two <<-SH
	cat /tmp/secret /dev/shm/secret 2>&1
	for pid in $said_pids; do kill -9 \$pid 2>/dev/null && ! [ "\$(cat /proc/\$pid/comm)" ] && echo "killed \$pid"; done
	perl -MIO::Socket::UNIX -e 'print IO::Socket::UNIX->new(Peer => "\\0byoci-one") ? "connected\n" : "no connection\n"'
	ls /proc | grep -c '^[0-9]' | sed 's/^/processes: /'
SH
unlike "$said" '^secret of one' "one worker reads nothing of another"
like "$said" '^no connection$' "reaches none of its sockets"
ok "and kills none of its processes" kill -0 "$pid_of_one"
let_go "$caller"
clean "afterwards nothing is left"
worker_kill TERM
done_testing
