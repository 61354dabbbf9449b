# shellcheck shell=bash disable=SC2034,SC2154
# What the tests of backings share: a namespace of its own, a root file system that is made of a few programs of this machine, and how
# to say what is made of it.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip_all "backings are made by root"
build=$(cd "$checkout" && realpath -m "${O:-build}")
for program in bin/byoci-worker bin/byoci-slave tool/worker-try; do
	[ -x "$build/$program" ] || bail_out "$build/$program is not built: make all tools"
done

export BYOCI_NAMESPACE=k$$ BYOCI_ROOT=$scratch
slave=daemon
state=$scratch/state
backings=$state/worker/backings
slots=$state/worker/slots
etc=$scratch/etc/byoci/$BYOCI_NAMESPACE
socket=$scratch/run/worker/socket
ids_first=$((1340000000 + $$ % 100 * 196608)) # ids of two workers and of smoke tests
install -d -m 755 "$etc/files" "$scratch/srv" "$state"
install -d -o root -g "$slave" -m 2750 "$scratch/run/worker"
install -m 755 "$build/tool/worker-try" "$scratch/worker-try"

worker() { "$build/bin/byoci-worker" "$@"; }
slave() { "$build/bin/byoci-slave" "$@"; }

# root_tree FOLDER: a root file system with a shell and a few programs.
root_tree() {
	local file library
	mkdir -p "$1"/{bin,dev,etc,proc,root,run,sys,tmp,usr,lib,lib64,workspace}
	for file in sh cat ls rm cp mkdir chmod sleep stat head; do cp "$(readlink -f "$(command -v "$file")")" "$1/bin/$file"; done
	ldd "$1"/bin/* | grep -oE '/lib[^ ]*' | sort -u | while read -r library; do
		mkdir -p "$1$(dirname "$library")" && cp -L "$library" "$1$library"
	done
	echo root:x:0:0::/root:/bin/sh >"$1/etc/passwd"
}
root_tree "$scratch/tree"
tar -C "$scratch/tree" --owner=0 --group=0 --numeric-owner -cf "$scratch/srv/small.tar" .
sha256_of() { sha256sum "$1" | cut -d' ' -f1; }

# configure SECTION…: the namespace, [backing/small], and these lines.
configure() {
	cat >"$etc/byov.conf" <<-CONF
		[$BYOCI_NAMESPACE]
		state = $state
		run = $scratch/run
		slave.user = $slave
		worker.ids.first = $ids_first
		worker.slots = 2
		backing.files = $etc/files
		[backing/small]
		source = tarball
		tarball = $scratch/srv/small.tar
		sha256 = $(sha256_of "$scratch/srv/small.tar")
		$(cat)
	CONF
}

# make NAME OPTION…: byoci-worker build-backing NAME; what it said is in $said, its exit status in $status, the digest in $digest.
make() {
	status=0
	digest=$(worker "${@:2}" build-backing "$1" 2>"$scratch/said" </dev/null) || status=$?
	said=$(cat "$scratch/said")
}
refresh() {
	status=0
	digest=$(worker "${@:2}" refresh-backing "$1" 2>"$scratch/said" </dev/null) || status=$?
	said=$(cat "$scratch/said")
}
digest_of() { "$scratch/worker-try" - "digest=$1"; }
# generation NAME: of the one in use.
generation() { readlink "$backings/$(digest_of "$1")"; }
generations() { find "$backings" -mindepth 1 -maxdepth 1 -type d -name "$(digest_of "$1").*" | wc -l; }
# What is there that is neither whole nor known.
unfinished() { find "$backings" -mindepth 1 -maxdepth 1 -name '.*' 2>/dev/null; }
field() { slave backing list --json | jq -r --arg name "$1" ".backings[] | select(.name == \$name) | $2"; }

worker_pid=
worker_start() {
	"$build/bin/byoci-worker" 2>>"$scratch/worker.log" </dev/null &
	worker_pid=$!
	until_true listens "$socket" && until_true grep -q listening "$scratch/worker.log"
}
worker_end() {
	[ -n "$worker_pid" ] || return 0
	kill "-${1:-TERM}" "$worker_pid" 2>/dev/null
	wait "$worker_pid" 2>/dev/null
	worker_pid=
	rm -f "$scratch/worker.log.old"
	mv "$scratch/worker.log" "$scratch/worker.log.old"
}
finish() {
	worker_end
	[ -z "${server:-}" ] || kill "$server" 2>/dev/null
	mountpoint -q "$scratch/full" && umount "$scratch/full"
	rm -rf "$scratch"
}
trap finish EXIT

group_folders() { find /sys/fs/cgroup -maxdepth 8 -name "byoci-$BYOCI_NAMESPACE-*" 2>/dev/null; }
# Processes that belong to what is made here: they have its folder open, or its ids.
processes() { ps -eo uid=,pid=,args= | awk -v first="$ids_first" '$1 >= first && $1 < first + 196608'; }
leftovers() {
	unfinished
	group_folders
	processes
	grep "$scratch" /proc/self/mountinfo | grep -v "$scratch/full"
	find "$slots" -name '*.json' 2>/dev/null
}
is_clean() { [ -z "$(leftovers)" ]; }
clean() { ok "$1" until_true is_clean || diag "$(leftovers)"; }
