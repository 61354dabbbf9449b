#!/bin/bash
# Workers with systemd, and containers inside workers: where the job says so, and nowhere else.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/worker.sh"

cat >>"$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf" <<-CONF
	[backing/services]
	workers = ${worker_kind:-lxc}
	packages = procps, systemd, dbus
	[job/services]
	backing = services
	tests.command = sh ./test.sh
	memory = 256M
	disk = 64M
	init = systemd
	[job/without]
	backing = small
	tests.command = sh ./test.sh
	init = systemd
	[job/nested]
	backing = small
	tests.command = sh ./test.sh
	nested = yes
	[job/both]
	backing = services
	tests.command = sh ./test.sh
	init = systemd
	nested = yes
	[job/plain]
	backing = services
	tests.command = sh ./test.sh
CONF
backing services
worker_start || bail_out "$(cat "$scratch/worker.log")"

service='
	cat >/etc/systemd/system/under-test.service <<-UNIT
		[Service]
		ExecStart=/usr/bin/perl -MIO::Socket::INET -e "my \$s = IO::Socket::INET->new(LocalPort => 8000, Listen => 1); print {\$s->accept} qq(served by \$<\n) while 1"
		User=www-data
		PrivateTmp=yes
		ProtectSystem=strict
		NoNewPrivileges=yes
		MemoryMax=64M
		TasksMax=10
	UNIT
	echo "state: $(timeout '"$wait_limit"' systemctl is-system-running --wait)"
	systemctl --failed --no-legend
	systemctl daemon-reload; systemctl start under-test.service && echo "started"
	for i in $(seq 1000); do served=$(timeout 60 bash -c "cat </dev/tcp/127.0.0.1/8000" 2>/dev/null); [ -z "$served" ] || break; sleep 0.1; done
	echo "$served"
	systemctl show -P ActiveState -P ControlGroup under-test.service | tr "\n" " "; echo
	systemctl stop under-test.service; echo "then: $(systemctl is-active under-test.service)"
	systemctl show -P Result under-test.service
	systemd-run -q --wait --pipe sh -c "echo a transient unit; id -u"
	echo "pid 1: $(cat /proc/1/comm)"
	journalctl -q -u under-test.service 2>&1 | tail -n 2'
runs_as services services <<<"bash -c '${service//\'/\'\\\'\'}'"
like "$said" '^state: running$' "systemd comes up whole" || diag "$said"
like "$said" '^started$' "a service under test starts"
like "$said" '^served by 33$' "runs as its user, and serves"
like "$said" '^/system.slice/under-test.service active $' "in a control group of its own"
like "$said" '^then: inactive$' "and stops"
like "$said" '^a transient unit$' "transient units run"
like "$said" '^pid 1: systemd$' "systemd is the first process"
like "$said" '^ended with 0 *$' "the tests' end is the worker's"
clean "of which nothing is left"
runs_as without without <<<true
like "$said" '^failed .*\[job/without\] init = systemd: \[backing/small\] has no /usr/lib/systemd/systemd; its packages need systemd and dbus' \
	"a backing without systemd is told of"
clean "and leaves nothing"

# What is loosened, and what is not: each line is one promise.
tries='
	unshare -U true 2>/dev/null && echo "user name space"
	unshare -Urm sh -c "mount -t tmpfs none /mnt && echo \"mount inside\"" 2>/dev/null
	unshare -Urmnpf --mount-proc sh -c "[ \$(ps -e -o pid= | wc -l) -le 5 ] && mount -t sysfs -o ro none /sys && echo \"processes inside\"" 2>/dev/null
	unshare -Urn sh -c "tail -n +3 /proc/net/dev | cut -d: -f1" 2>/dev/null | sed "s/^ */network inside: /"
	mount -t tmpfs none /mnt 2>/dev/null && echo "mount"
	mkdir /sys/fs/cgroup/mine 2>/dev/null && echo "control group"
	for file in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper /proc/sys/vm/drop_caches; do
		(echo 0 >$file) 2>/dev/null && echo "written: $file"; done
	umount /proc/kcore /proc/sys /proc/sysrq-trigger 2>/dev/null
	(echo 0 >/proc/sysrq-trigger) 2>/dev/null && echo "written: sysrq"
	(echo x >/proc/sys/kernel/core_pattern) 2>/dev/null && echo "written: core_pattern"
	find /sys/fs/cgroup -maxdepth 1 -name "memory.max" -o -name "pids.max" 2>/dev/null | while read -r f; do echo max >$f && echo "limit lifted: $f"; done 2>/dev/null
	mknod /tmp/sda b 254 0 2>/dev/null && echo "device"
	mkdir /tmp/dev && mount -t devtmpfs none /tmp/dev 2>/dev/null && echo "devtmpfs"
	mount -t ext4 /dev/vda /mnt 2>/dev/null && echo "disk"
	for controller in memory pids cpu devices blkio; do
		mkdir /tmp/$controller; mount -t cgroup -o $controller none /tmp/$controller 2>/dev/null
		for file in memory.limit_in_bytes pids.max cpu.cfs_quota_us; do
			[ -e /tmp/$controller/$file ] && echo "controller seen"
			[ -e /tmp/$controller/$file ] && (echo -1 >/tmp/$controller/$file || echo max >/tmp/$controller/$file) 2>/dev/null &&
				echo "limit lifted: $file"
		done
		[ -e /tmp/$controller/devices.allow ] && (echo a >/tmp/$controller/devices.allow) 2>/dev/null && echo "limit lifted: devices"
		[ -e /tmp/$controller/release_agent ] && (echo /bin/true >/tmp/$controller/release_agent) 2>/dev/null && echo "written: release_agent"
	done
	unshare -Urn perl -e "socket(my \$s, 16, 3, 12) and print \"netfilter\n\"; socket(\$s, 17, 3, 0) and print \"packets\n\""
	perl -e "syscall(250, 0, -3, 1) >= 0 and print \"keys\n\"; syscall(321, 0, my \$b = \"\0\" x 128, 64) >= 0 and print \"bpf\n\""
	perl -e "my \$root = \"/\"; syscall(467, -100, \$root, 1, my \$b = \"\0\" x 32, 32) < 0 && \$! == 38 or print \"unknown calls\n\""
	[ -e /proc/1/root'$scratch' ] && echo "outside"
	echo tried'
never='^(written|limit lifted|device|devtmpfs|disk|netfilter|packets|keys|bpf|unknown calls|outside)'
for job in plain nested services both; do
	runs_as "$job" "tries-$job" <<<"$tries"
	like "$said" '^tried$' "a worker $job"
	unlike "$said" "$never" "does nothing to the host"
	got=$(grep -xE 'user name space|mount inside|processes inside|network inside: lo|mount|control group' <<<"$said" | tr '\n' ',')
	case $job in
	plain) want= ;;
	nested) want='user name space,mount inside,processes inside,network inside: lo,mount,control group,' ;;
	services) want='mount,control group,' ;;
	both) want='user name space,mount inside,processes inside,network inside: lo,mount,control group,' ;;
	esac
	is "$got" "$want" "what it may: ${want:-nothing of it}"
	clean "nothing is left"
done

# Killed while systemd runs.
layer holder <<<'setsid sleep 1000 & systemd-run -q sleep 1000; sleep 1000'
mkfifo "$scratch/hold"
: >"$scratch/held"
setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" start=services,,"$layer" exec hold <>"$scratch/hold" > >(exec cat >"$scratch/held") 2>&1 &
caller=$!
disown
until_true grep -q holding "$scratch/held"
kill -9 "$(jq -r .pid "$slots/0.json")"
let_go "$caller"
clean "a worker with systemd that is killed leaves nothing"
worker_kill TERM
done_testing
