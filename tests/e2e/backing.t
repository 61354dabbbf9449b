#!/bin/bash
# What backings are made from: tarballs, other backings, files and a set-up; what is refused, what a kill leaves, and that none is
# built twice.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/backing.sh
. "$(dirname "$0")/backing.sh"

echo hello >"$etc/files/greeting"
printf '#!/bin/sh\necho run\n' >"$etc/files/tool" && chmod 755 "$etc/files/tool"
configure <<-CONF
	[backing/top]
	source = backing
	base = small
	files = greeting:/opt/a/greeting, tool:/bin/tool, greeting:/link/to/it
	setup.command = cat /opt/a/greeting; tool >/made; ls -A /dev/ >/devices; cat /proc/self/status >/rights; echo \$\$ >/first
	smoke.command = [ "\$(cat /made)" = run ] && echo smoke seen
	[backing/slow]
	source = backing
	base = small
	setup.command = echo begun; sleep 1
	[backing/stuck]
	source = backing
	base = small
	setup.command = echo begun; sleep 1000 & sleep 1000
	[backing/never]
	source = backing
	base = small
	smoke.command = echo does not like it; exit 3
	[backing/greedy]
	source = backing
	base = small
	setup.command = head -c 20000000 /dev/zero >/big
CONF

# A tarball.
make small
is "$status $digest" "0 $(digest_of small)" "a tarball is built, and its digest told" || diag "$said"
like "$said" '^backing small: unpacked [0-9]+ files$' "progress is told"
like "$(readlink "$backings/$digest")" "^$digest\.[0-9]{8}T[0-9]{9}Z$" "its digest leads to its generation"
is "$(stat -c '%a %U' "$backings")" "700 root" "nobody else reaches what is in there"
is "$(cat "$backings/$digest/rootfs/etc/passwd")" "root:x:0:0::/root:/bin/sh" "it has what was in the tarball"
before=$(generation small)
make small
is "$status $said" "0 " "the same is not built again"
is "$(generation small)" "$before" "and stays what it is"
clean "nothing else is left"

# On top of another, with files and a set-up.
ln -s /etc "$scratch/tree/link" && tar -C "$scratch/tree" --owner=0 --group=0 -rf "$scratch/srv/small.tar" ./link && rm "$scratch/tree/link"
sed -i "s/^sha256 = .*/sha256 = $(sha256_of "$scratch/srv/small.tar")/" "$etc/byov.conf"
make top
is "$status $digest" "0 $(digest_of top)" "one on top of another is built" || diag "$said"
like "$said" '^backing small: built$' "with its base, which has changed"
top=$backings/$digest/rootfs
is "$(cat "$top/opt/a/greeting") $(stat -c '%a %u' "$top/opt/a/greeting" "$top/bin/tool" | paste -sd ' ')" "hello 644 0 755 0" \
	"files are in it, root's, and can be run or not"
is "$(cat "$top/etc/to/it")" hello "a link in there leads to a place in there"
ok "and not out of it" [ ! -e /etc/to ]
is "$(cat "$top/made")" run "the set-up has run after that"
ok "in processes of its own" [ "$(cat "$top/first")" -lt 10 ]
unlike "$(cat "$top/devices")" '^(kmsg|mem|vda|sda|loop.*)$' "without the machine's devices"
rights=$(sed -n 's/^CapBnd:\t//p' "$top/rights")
is "$((0x$rights & (1 << 21 | 1 << 27 | 1 << 16 | 1 << 19)))" 0 "without the right to mount, make devices, load modules or trace"
like "$said" '^smoke seen$' "and its smoke test in a worker"
is "$(jq -r .on "$backings/$digest/about.json")" "$(generation small)" "it knows what it was built on"
clean "nothing else is left of it"
old=$digest
echo changed >"$etc/files/greeting"
make top
ok "a file's change makes another one" [ "$digest" != "$old" ]
is "$(cat "$backings/$digest/rootfs/opt/a/greeting") $(cat "$backings/$old/rootfs/opt/a/greeting")" "changed hello" "beside the first"

# Two at once: one builds, the other waits.
worker build-backing slow >"$scratch/one" 2>&1 &
one=$!
worker build-backing slow >"$scratch/two" 2>&1 &
wait "$one" "$!"
is "$(cat "$scratch/one" "$scratch/two" | grep -c '^begun$')" 1 "two at once: one builds"
is "$(tail -qn 1 "$scratch/one" "$scratch/two" | sort -u)" "$(digest_of slow)" "the other waits, and has the same"

# Killed.
descendants() { local pid; for pid in $(ps -o pid= --ppid "$1"); do echo "$pid"; descendants "$pid"; done; }
kill_in_the_middle() {
	rm -f "$scratch/stuck"
	"$build/bin/byoci-worker" build-backing stuck >"$scratch/stuck" 2>&1 &
	local builder=$!
	until_true grep -q '^begun$' "$scratch/stuck" || diag "$(cat "$scratch/stuck")"
	is "$(unfinished | wc -l)" 1 "it is made beside the others"
	started=$(descendants "$builder")
	kill -9 "$builder"
	wait "$builder" 2>/dev/null
}
ended() { local pid; for pid in $started; do [ ! -e "/proc/$pid" ] || return 1; done; }
kill_in_the_middle
ok "it is at work" [ "$(wc -w <<<"$started")" -ge 2 ]
ok "killed in the middle, it has no process left" until_true ended
is "$(worker check-backing stuck 2>/dev/null; echo $?)" 75 "and is not taken for built"
worker prune-backings 2>"$scratch/pruned"
is "$(unfinished)" "" "prune removes what it has left" || diag "$(cat "$scratch/pruned")"
kill_in_the_middle
until_true ended
kill_in_the_middle # which has cleared up after the one before
until_true ended
worker prune-backings 2>/dev/null
# At one moment or another.
configure <<-CONF
	[backing/quick]
	source = backing
	base = small
	setup.command = echo whole >/made
CONF
make small
for hundredths in 00 01 02 03 04 05 06 07 08 10; do
	"$build/bin/byoci-worker" build-backing quick >/dev/null 2>&1 &
	sleep "0.$hundredths"
	kill -9 $! 2>/dev/null
	wait $! 2>/dev/null
	if worker check-backing quick >/dev/null 2>&1; then
		[ "$(cat "$backings/$(digest_of quick)/rootfs/made")" = whole ] || diag "half of it after $hundredths"
		digest=$(digest_of quick)
		until_true flock -n "$backings/$digest.lock" true
		rm -rf "${backings:?}/$digest" "$backings/$digest".2*
	fi
done
make quick
is "$status $(cat "$backings/$digest/rootfs/made")" "0 whole" "killed at whatever moment, the next build does it" || diag "$said"
is "$(unfinished)" "" "and clears up"
generation=$(generation quick)
rm "$backings/$digest"
make quick
is "$status $(generation quick) $(generations quick)" "0 $generation 1" "one that is whole and was not yet brought into use is not built twice"

# Of an earlier release.
digest=$(digest_of small)
rm -rf "${backings:?}/$digest" "$backings/$digest".*
mkdir -p "$backings/$digest/rootfs" && tar -C "$backings/$digest/rootfs" -xf "$scratch/srv/small.tar"
is "$(worker check-backing small)" "$digest" "a folder of an earlier release is found"
refresh small
like "$(readlink "$backings/$digest.previous")" "^$digest\.[0-9]{8}T" "it becomes a generation" || diag "$said"
is "$status $(generations small)" "0 2" "beside which the next is made"

# Refused, with nothing left.
# wrong NAME PATTERN WHAT [OPTION…]
wrong() {
	make "$1" "${@:4}"
	ok "$3 is refused" [ "$status" -ne 0 ]
	like "$said" "$2" "and the reason is told"
	[ -z "$(unfinished)" ] || diag "left: $(unfinished)"
}
wrong small 'its SHA-256 is [0-9a-f]{64}, \[backing/small\] says 0{64}: nothing was unpacked' "another tarball than is said" \
	-O backing/small:sha256="$(printf '%064d' 0)"
wrong small 'tarball = .*/none.tar: there is no such file' "a tarball that is not there" -O backing/small:tarball="$scratch/srv/none.tar"
wrong small 'is not a regular file' "a folder for a tarball" -O backing/small:tarball="$scratch/srv"
wrong quick 'base = none: there is no section \[backing/none\]' "an unknown base" -O backing/quick:base=none
wrong quick 'quick → quick: this goes in a circle' "a base that is itself" -O backing/quick:base=quick
wrong quick 'files: .*/files/none: there is no such file' "a file that is not there" -O backing/quick:files=none:/none
wrong quick 'must be SOURCE:/DESTINATION' "a file from elsewhere" -O backing/quick:files=../byov.conf:/none
wrong quick 'smoke.command in a worker made from it: exit status 3' "what fails its smoke test" -O 'backing/quick:smoke.command=exit 3'
wrong quick 'setup.command: it failed \(exit status 7\)' "a set-up that fails" -O 'backing/quick:setup.command=exit 7'
wrong small 'base: has no meaning with source = tarball' "a base for a tarball" -O backing/small:base=quick
ln -s ../byov.conf "$etc/files/out"; chmod 666 "$etc/files/tool"
wrong quick 'files: .*tool' "a file that everybody may write" -O backing/quick:files=tool:/tool
cp "$scratch/srv/small.tar" "$scratch/srv/loose.tar" && chmod 666 "$scratch/srv/loose.tar"
wrong small 'must belong to root and be writable by nobody else' "a tarball that everybody may write" -O backing/small:tarball="$scratch/srv/loose.tar"
rm "$scratch/srv/loose.tar"

# Tarballs that are none, or mean harm.
# tarball NAME: makes it by python's tarfile; its program is standard input, with `add(name, **attributes)`.
tarball() {
	python3 - "$scratch/tree" "$scratch/srv/$1.tar" "$scratch" <<-PY
		import io, sys, tarfile
		tree, out, scratch = sys.argv[1:]
		whole = tarfile.open(out, "w", format=tarfile.GNU_FORMAT)
		def add(name, data=b"", **attributes):
		    info = tarfile.TarInfo(name)
		    info.size, info.mode = len(data), 0o755
		    for key, value in attributes.items():
		        setattr(info, key, value)
		    whole.addfile(info, io.BytesIO(data))
		root = lambda: whole.add(tree, ".", filter=lambda i: (setattr(i, "uid", 0), setattr(i, "gid", 0), i)[2])
		LINK, HARD, CHR, BLK, FIFO, DIR = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE
		$(cat)
		whole.close()
	PY
}
# hostile NAME PATTERN WHAT: as wrong, of a tarball that standard input makes.
hostile() {
	tarball "$1" && wrong small "$2" "$3" -O backing/small:tarball="$scratch/srv/$1.tar" \
		-O backing/small:sha256="$(sha256_of "$scratch/srv/$1.tar")" "${@:4}"
}
touch "$scratch/victim"
hostile dots 'member \.\./\.\./victim: its name has \.\. in it' "a name with .." <<<'root(); add("../../victim", b"x")'
hostile inner 'member a/\.\./\.\./victim: its name has \.\. in it' ".. in the middle" <<<'root(); add("./a/../../victim", b"x")'
hostile absolute 'member .*/victim: its name is absolute' "an absolute name" <<<'root(); add(scratch + "/victim", b"x")'
hostile through 'member out/victim: its name goes through a link' "a name through a link" \
	<<<'root(); add("out", type=LINK, linkname=scratch); add("out/victim", b"x")'
hostile inside 'member in/x: its name goes through a link' "also through one that stays inside" \
	<<<'root(); add("in", type=LINK, linkname="etc"); add("in/x", b"x")'
hostile hard 'a hard link to .*/victim: its name is absolute' "a hard link to a file of the machine" \
	<<<'root(); add("mine", type=HARD, linkname=scratch + "/victim")'
hostile harddots 'a hard link to .*: its name has \.\. in it' "also by way of .." <<<'root(); add("mine", type=HARD, linkname="../../../victim")'
hostile hardlink 'a hard link to out, which is no file of the tarball' "a hard link to a link" \
	<<<'root(); add("out", type=LINK, linkname=scratch + "/victim"); add("mine", type=HARD, linkname="out")'
hostile hardthrough 'a hard link to out/victim, which is no file' "a hard link through a link" \
	<<<'root(); add("out", type=LINK, linkname=scratch); add("mine", type=HARD, linkname="out/victim")'
hostile block 'member dev/vda: a device' "a disk" <<<'root(); add("dev/vda", type=BLK, devmajor=254)'
hostile memory 'member mem: a device' "a device that is not in /dev" <<<'root(); add("mem", type=CHR, devmajor=1, devminor=1)'
hostile pipe 'member p: neither file nor folder nor link' "a pipe" <<<'root(); add("p", type=FIFO)'
hostile setuid 'member bin/su: runs with its owner.s rights .*tarball.setuid = yes' "a setuid program" <<<'root(); add("bin/su", b"x", mode=0o4755)'
hostile owner 'its owner is 70000:0; a worker has the ids 0 to 65535' "an owner that no worker has" <<<'root(); add("x", uid=70000)'
hostile sub 'there is no /bin/sh in it: is this a root file system, and not in a folder of its own' "a root file system in a folder" \
	<<<'whole.add(tree, "rootfs", filter=lambda i: (setattr(i, "uid", 0), setattr(i, "gid", 0), i)[2])'
hostile nothing 'there is nothing in it' "an empty tarball" <<<''
hostile proc '/proc of the root file system is not a folder' "a /proc that is a link" \
	-O 'backing/small:setup.command=true' <<<'root(); whole.members.clear(); add("proc2", type=DIR)
whole = tarfile.open(out, "w"); whole.add(tree, ".", filter=lambda i: None if i.name.startswith("./proc") else (setattr(i, "uid", 0), setattr(i, "gid", 0), i)[2]); add("proc", type=LINK, linkname="/etc")'
is "$(cat "$scratch/victim")" "" "nothing outside was touched"
head -c 500000 "$scratch/srv/small.tar" >"$scratch/srv/cut.tar"
wrong small 'tarball .*/cut.tar: ' "one that is cut short" -O backing/small:tarball="$scratch/srv/cut.tar" -O backing/small:sha256="$(sha256_of "$scratch/srv/cut.tar")"
head -c 300000 /dev/urandom >"$scratch/srv/noise.tar"
wrong small 'tarball .*/noise.tar: ' "noise" -O backing/small:tarball="$scratch/srv/noise.tar" -O backing/small:sha256="$(sha256_of "$scratch/srv/noise.tar")"
clean "of all that nothing is left"
tarball good <<<'root(); add("bin/su", b"x", mode=0o4755); add("dev/null", type=CHR, devmajor=1, devminor=3); add("k\u00f6nig", b"x"); add("abs", type=LINK, linkname="/etc/passwd"); add("hard", type=HARD, linkname="./bin/sh")'
gzip -k "$scratch/srv/good.tar"
make small -O backing/small:tarball="$scratch/srv/good.tar.gz" -O backing/small:sha256="$(sha256_of "$scratch/srv/good.tar.gz")" -O backing/small:tarball.setuid=yes
is "$status" 0 "what a root file system may have is taken: links, more rights where that is allowed, names, compressed" || diag "$said"
is "$(stat -c '%a' "$backings/$digest/rootfs/bin/su") $(readlink "$backings/$digest/rootfs/abs") $(ls -A "$backings/$digest/rootfs/dev")" "4755 /etc/passwd " \
	"as it is in there, without devices"
ok "(also a name that is not ASCII)" [ -e "$backings/$digest/rootfs/könig" ]

# A full disk.
mkdir "$scratch/full" && mount -t tmpfs -o size=12m none "$scratch/full"
full=(-O "state=$scratch/full")
make small "${full[@]}"
is "$status" 0 "there is room for one" || diag "$said"
refresh small "${full[@]}"
is "$status" 0 "and for another" || diag "$said"
head -c 2000000 /dev/zero >"$scratch/full/zeros"
refresh small "${full[@]}"
ok "but not for a third" [ "$status" -eq 75 ]
like "$said" 'the disk of .* has [0-9]+ MiB left, and it will take some [0-9]+: `byoci-slave backing prune`' "which is told beforehand"
cat >>"$etc/byov.conf" <<-CONF
	[backing/greedy]
	source = tarball
	tarball = $scratch/srv/small.tar
	sha256 = $(sha256_of "$scratch/srv/small.tar")
	setup.command = head -c 20000000 /dev/zero >/big
CONF
find "$scratch/full/worker/backings" -mindepth 1 -delete
make greedy "${full[@]}"
is "$status" 75 "a disk that gets full ends it"
like "$said" 'setup.command: the disk of .* is full' "which is told"
is "$(find "$scratch/full/worker/backings" -mindepth 1 -maxdepth 1 -type d)" "" "and nothing half stays"
umount "$scratch/full"
clean "and nothing else"
done_testing
