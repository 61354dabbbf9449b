#!/bin/bash
# What a worker may use of the host: its disk, in memory and in an image, in bytes and files; processors; what it reads from disk.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/worker.sh"

cat >>"$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf" <<-CONF
	[job/image]
	backing = small
	tests.command = sh ./test.sh
	memory = 256M
	disk = 128M
	disk.kind = image
	[job/huge]
	backing = small
	tests.command = true
	disk = 15T
	disk.kind = image
	[job/memory]
	backing = small
	tests.command = sh ./test.sh
	memory = 256M
	disk = 64M
	[job/one]
	backing = small
	tests.command = sh ./test.sh
	cpus = 1
	[job/slow]
	backing = small
	tests.command = sh ./test.sh
	io.limit = 2M
	[job/slowimage]
	backing = small
	tests.command = sh ./test.sh
	io.limit = 2M
	disk.kind = image
	[job/weighty]
	backing = small
	tests.command = sh ./test.sh
	io.weight = 300
CONF
worker_start || bail_out "$(cat "$scratch/worker.log")"
disks=$state/worker/disks
# What is left of disks: devices on files of ours, and files with names.
disk_leftovers() {
	grep -l -s "^$disks" /sys/block/loop*/loop/backing_file
	find "$disks" -type f ! -name lock ! -name 'ext4-*'
}
no_disks() { [ -z "$(disk_leftovers)" ]; }
used() { du -s --block-size=1M "$disks" | cut -f1; }

# Bytes and files, on each kind.
fill='
	i=0; head -c 300m /dev/zero >big 2>/dev/null || echo "full at $(($(stat -c %s big) >> 20))"
	rm -f big; sync; head -c 40m /dev/zero >again && echo "room again" && rm -f again
	mkdir many; perl -e "for (1 .. 200000) { open(my \$f, \">\", \"many/\$_\") or do { print \"files: \$_\n\"; last } }"
	grep " / " /proc/mounts | cut -d" " -f1,3; rm -rf many; mkdir more && echo "files again"'
runs_as image image <<<"$fill
	dd if=/dev/urandom of=random bs=1M count=20 2>/dev/null; sync; cmp random random && echo same
	ls -l /dev/loop* /dev/block 2>/dev/null; mount | grep -c loop | sed 's/^/loops: /'; echo x >/opt/x; chown 5:5 random; stat -c %u random"
like "$said" '^full at 1[12][0-9]$' "an image is full at its size"
like "$said" '^room again$' "what is removed makes room again"
like "$said" '^files: 32[0-9]{3}$' "it has so many files, and no more"
like "$said" '^files again$' "which become free again"
like "$said" '^same$' "it keeps what is written"
like "$said" '^5$' "with its owner"
unlike "$said" '/dev/loop' "its device is not there inside"
like "$said" '^ended with 0 *$' "and its memory is not that of the disk"
clean "nothing of the worker stays"
ok "nor of its disk" until_true no_disks || diag "$(disk_leftovers)"
is "$(find "$disks" -name 'ext4-*' | wc -l)" 1 "the template stays"
ok "which is small: $(used) MiB" [ "$(used)" -le 8 ]
runs_as image second <<<'ls /workspace | tr "\n" " "; find /opt | wc -l'
like "$said" '^test.sh 1$' "another worker has a disk of its own, with nothing of the first on it"
runs_as image hog <<<'head -c 400m /dev/zero | tail >/dev/null; echo "tail: $?"'
like "$said" '^ended with 0 the memory limit \(256 MiB\) was reached' "a limit of memory that is reached is told without the disk"

clean "the first slot is free again"
until_true no_disks
layer holder <<<'head -c 50m /dev/zero >big; sleep 1000'
mkfifo "$scratch/hold"
: >"$scratch/held"
blank_waits
setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" start=image,,"$layer" exec hold <>"$scratch/hold" > >(exec cat >"$scratch/held") 2>&1 &
caller=$!
disown
until_true grep -q holding "$scratch/held"
is "$(grep -l -s "^$disks" /sys/block/loop*/loop/backing_file | wc -l)" 1 "one device while it runs"
kill -9 "$(jq -r 'select(.job == "image") | .pid' "$slots"/*.json)"
let_go "$caller"
clean "killed, the worker goes"
ok "and its disk" until_true no_disks || diag "$(disk_leftovers)"
layer huge <<<true
try start=huge,,"$layer"
like "$said" '^failed .*(no room for a disk|cannot be|mkfs)' "a disk that the host has no room for is refused"
clean "which leaves nothing"
ok "no disk either" until_true no_disks || diag "$(disk_leftovers)"

runs_as memory memory <<<"$fill"
like "$said" '^full at 6[0-4]$' "a disk in memory is full at its size"
like "$said" '^room again$' "what is removed makes room again"
like "$said" '^files: 1[56][0-9]{3}$' "it has so many files, and no more"
like "$said" '^files again$' "which become free again"

# Processors: two that never rest, for a second and a half.
work='perl -e "my \$end = time + 3; my \$other = fork; 1 while time < \$end; exit if !\$other; wait; print \"worked: \", join(\" \", (times)[0] + (times)[2]), \"\n\""'
runs_as one one <<<"$work"
one=$(sed -n 's/^worked: \([0-9]*\).*/\1/p' <<<"$said")
ok "two busy processes get no more than one processor: $one of 3 s" [ "${one:-9}" -le 3 ]
clean "the first slot is free again"
layer quota <<<'sleep 1000'
: >"$scratch/held"
blank_waits
setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" start=one,,"$layer" exec hold <>"$scratch/hold" > >(exec cat >"$scratch/held") 2>&1 &
caller=$!
disown
until_true grep -q holding "$scratch/held"
group=$(find /sys/fs/cgroup \( -path "*/byoci-$BYOCI_NAMESPACE-[01]/box" -o -name "lxc.payload.byoci-$BYOCI_NAMESPACE-[01]" \) \( -exec test -e {}/cpu.cfs_quota_us \; -o -exec test -e {}/cpu.max \; \) -print | head -n 1)
like "$(cat "$group/cpu.cfs_quota_us" "$group/cpu.max" 2>/dev/null)" '^100000( 100000)?$' "by a quota of its control group"
let_go "$caller"
clean "(gone)"

# Input and output: files of the backing, which the host has to read.
version=$([ -e /sys/fs/cgroup/cgroup.controllers ] && echo 2 || echo 1)
big=$state/worker/backings/$digest/rootfs/opt/big
head -c 6m /dev/urandom >"$big"
sync "$big"
cold() { dd if="$big" iflag=nocache count=0 2>/dev/null; }
read_big='begin=$(date +%s%N); cat /opt/big >/dev/null; echo "read in $((($(date +%s%N) - begin) / 1000000)) ms"'
milliseconds() { sed -n 's/^read in \([0-9]*\) ms$/\1/p' <<<"$said"; }
cold
runs_as slow slow <<<"$read_big"
slow=$(milliseconds)
cold
runs_as memory quick <<<"$read_big"
quick=$(milliseconds)
ok "6 MiB at 2 MiB a second take their time: $slow ms, else $quick ms" [ "${slow:-0}" -ge 2000 ]
ok "without a limit they take less" [ "${quick:-9999}" -lt "${slow:-0}" ]
layer slowimage <<<true
try start=slowimage,,"$layer" exec wait remove
if [ "$version" = 2 ]; then
	like "$said" '^ended with 0' "a limit holds for a disk in an image, too"
else
	like "$said" '^failed .*io.limit: control groups of version 1' "a limit that would not hold is refused"
fi
clean "nothing stays"

# Shares of a disk: all is moved to one of the test's own, whose scheduler it may choose.
worker_kill TERM
loop=
trap 'worker_kill 2>/dev/null; units_end; lxd_end; umount -l "$state" 2>/dev/null; [ -z "$loop" ] || losetup -d "$loop"; rm -rf "$scratch"' EXIT
truncate -s "$(($(du -sm "$state" | cut -f1) * 2 + 64))M" "$scratch/disk"
mkfs.ext4 -q "$scratch/disk" && loop=$(losetup -f --show "$scratch/disk") && mkdir "$scratch/moved" &&
	mount "$loop" "$scratch/moved" && cp -a "$state/." "$scratch/moved" && umount "$scratch/moved" && mount "$loop" "$state" ||
	bail_out "no disk of the test's own"
worker_start || bail_out "$(cat "$scratch/worker.log")"
echo none >"/sys/block/${loop#/dev/}/queue/scheduler"
layer weighty <<<'echo holding; sleep 1000'
try start=weighty,,"$layer" exec wait remove
like "$said" '^failed .*\[job/weighty\] io.weight: nothing shares disk .*bfq .*scheduler: \[none\]' "a share that nothing would give is refused, with the remedy"
is_unmounted() { [ -z "$(leftovers | grep -v " $state ")" ]; }
ok "nothing stays" until_true is_unmounted || diag "$(leftovers)"
if echo bfq >"/sys/block/${loop#/dev/}/queue/scheduler"; then
	: >"$scratch/held"
	blank_waits
	setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" start=weighty,,"$layer" exec hold <>"$scratch/hold" > >(exec cat >"$scratch/held") 2>&1 &
	caller=$!
	disown
	until_true grep -q holding "$scratch/held" || diag "$(cat "$scratch/held" "$scratch/worker.log")"
	weights=$(find /sys/fs/cgroup \( -path "*/byoci-$BYOCI_NAMESPACE-[01]/*bfq.weight" -o -path "*/lxc.payload.byoci-$BYOCI_NAMESPACE-[01]/*bfq.weight" \) -not -path '*/box/*' -exec cat {} +)
	like "$weights" '^(default )?300$' "else the worker's group has it"
	unlike "$(find /sys/fs/cgroup -path "*/byoci-$BYOCI_NAMESPACE-[01]/box/*bfq.weight" -exec cat {} +)" '300' "which is above what the worker sees"
	let_go "$caller"
	ok "(gone)" until_true is_unmounted || diag "$(leftovers)"
else
	diag "this kernel has no bfq"
fi
worker_kill TERM
done_testing
