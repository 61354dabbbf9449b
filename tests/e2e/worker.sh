# shellcheck shell=bash disable=SC2034,SC2154
# What the tests of byoci-worker share: a namespace of its own, in a folder of its own, with a worker process and a backing.
# worker_kind is the kind of its workers (option workers), lxc unless a test says another before; worker_blank (no) its option worker.blank.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip_all "workers need root"
build=$(cd "$checkout" && realpath -m "${O:-build}")
for program in bin/byoci-worker tool/worker-try; do
	[ -x "$build/$program" ] || bail_out "$build/$program is not built: make all tools"
done

# A namespace of its own, in a root folder of its own; `daemon` is the slave's user.
export BYOCI_NAMESPACE=w$$ BYOCI_ROOT=$scratch
slave=daemon
ids_first=$((2000000000 + $$ % 400 * 327680)) # five slots: two, one for new backings, two that are kept
state=$scratch/state
socket=$scratch/run/worker/socket
slots=$state/worker/slots
install -d -m 755 "$scratch/etc/byoci/$BYOCI_NAMESPACE" "$state/worker/backings"
install -d -o root -g "$slave" -m 2750 "$scratch/run/worker"
cat >"$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf" <<-CONF
	[$BYOCI_NAMESPACE]
	state = $state
	run = $scratch/run
	slave.user = $slave
	worker.ids.first = $ids_first
	worker.slots = 2
	worker.blank = ${worker_blank:-no}
	lxd.socket = $scratch/lxd/unix.socket
	[backing/small]
	workers = ${worker_kind:-lxc}
	packages = procps
	[job/script]
	backing = small
	tests.command = sh ./test.sh
	memory = 64M
	disk = 32M
	processes = 64
	[job/both]
	backing = small
	setup.command = echo set up; set -e; false || true
	tests.command = echo tested; exit 7
	[job/unset]
	backing = small
	setup.command = set -e; exit 5; true
	tests.command = echo tested
	[job/nowhere]
	backing = never
	tests.command = true
	[backing/never]
	packages = hello
CONF

worker_pid=
# Under systemd it is a unit, as set-up installs it, but that it is not started again by itself; its workers' groups are another's.
units=/run/systemd/system
unit=byoci-worker@$BYOCI_NAMESPACE.service
groups=byoci-workers@$BYOCI_NAMESPACE.service
units_begin() {
	[ -d "$units" ] || return 0
	install -m 755 "$build/bin/byoci-worker" "$scratch/byoci-worker"
	sed "s,^ExecStart=.*,ExecStart=$scratch/byoci-worker -n %i,; s,^Restart=.*,Restart=no," "$checkout/setup/units/byoci-worker@.service" >"$units/$unit"
	printf '[Service]\n%s\n' "Environment=BYOCI_ROOT=$scratch" "StandardError=append:$scratch/worker.log" >>"$units/$unit"
	cp "$checkout/setup/units/byoci-workers@.service" "$units/$groups"
	systemctl daemon-reload && systemctl start "$groups"
	[ ! -e /sys/kernel/security/apparmor/profiles ] || apparmor_parser -r "$checkout/setup/apparmor/byoci-worker"
}
units_end() {
	rmdir "/sys/fs/cgroup/byoci.slice/$groups"/{init.scope,} 2>/dev/null # without systemd it is byoci-worker who makes it
	[ -e "$units/$groups" ] || return 0
	systemctl stop "$unit" "$groups"
	rm -f "${units:?}/$unit" "$units/$groups"
}
scope=() # what starts it in another way
worker_start() {
	if [ -d "$units" ] && [ "${#scope[@]}" -eq 0 ]; then
		systemctl start "$unit" && worker_pid=$(systemctl show -P MainPID "$unit")
	else
		"${scope[@]}" "$build/bin/byoci-worker" -n "$BYOCI_NAMESPACE" >>"$scratch/worker.log" 2>&1 </dev/null &
		worker_pid=$!
	fi
	until_true [ -S "$socket" ] && until_true listening
}
listening() { grep -q "listening" "$scratch/worker.log"; }
worker_kill() {
	kill "-${1:-TERM}" "$worker_pid" 2>/dev/null
	wait "$worker_pid" 2>/dev/null || [ ! -d "$units" ] || until_true not kill -0 "$worker_pid"
	rm -f "$scratch/worker.log.old"
	mv "$scratch/worker.log" "$scratch/worker.log.old"
}
# Kills callers that were put into the background, and disowned.
let_go() {
	local pid
	for pid; do
		kill -9 "$pid" 2>/dev/null
		until_true not kill -0 "$pid"
	done
}
lxd_end() { :; } # of its own, where the workers are LXD's
trap 'worker_kill 2>/dev/null; units_end; rm -rf "$scratch"' EXIT
units_begin

# try STEP…: what tests/tool/worker-try says, as the slave's user, is in $said.
as() {
	setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"
}
install -m 755 "$build/tool/worker-try" "$scratch/worker-try"
try() {
	status=0
	blank_waits
	said=$(as "$slave" timeout -k 5 "$wait_limit" "$scratch/worker-try" "$socket" "$@" 2>&1 </dev/null) || status=$?
}
# layer NAME: a folder with a workspace, whose test.sh is standard input.
layer() {
	mkdir -p "$scratch/$1/workspace"
	cat >"$scratch/$1/workspace/test.sh"
	chown -R "$slave:$slave" "$scratch/$1"
	layer=$scratch/$1
}
# runs_as JOB NAME: a worker of that job runs test.sh and is removed; runs NAME: one of the job `script`.
runs_as() {
	layer "$2"
	try start="$1",,"$layer" exec wait remove
}
runs() {
	runs_as script "$1"
}

# Where worker.blank says so, there is always one container for no job yet. blank: its process, once it is there.
blank() {
	local pid
	pid=$(sed -n 's/^info a container waits for a job pid=\([0-9]*\).*/\1/p' "$scratch/worker.log" | tail -n 1)
	[ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && grep -lsF '"job":""' "$slots"/*.json | xargs grep -lF "\"pid\":$pid," | grep -q . && echo "$pid"
}
blank_waits() {
	[ "${worker_blank:-no}" = no ] || until_true blank >"$scratch/blank"
}
# What is not of the container that waits.
beside_blank() {
	local slot
	slot=$(grep -lsF '"job":""' "$slots"/*.json | sed 's,.*/\([0-9]*\).json$,\1,')
	if [ "${worker_blank:-no}" = no ] || [ -z "$slot" ]; then
		cat
	else
		awk -v slot="$slot" -v ids=$((ids_first + slot * 65536)) -v pid="$(blank)" \
			'$0 ~ "byoci-.*-" slot "$" || $1 >= ids && $1 < ids + 65536 && NF > 1 || $1 == pid || $0 ~ "/" slot "[.](json|lock is taken)$" {next} {print}'
	fi
}

group_folders() { find /sys/fs/cgroup -maxdepth 8 -name "byoci-$BYOCI_NAMESPACE-*" 2>/dev/null; }
processes() { ps -eo uid=,pid=,args= | awk -v first="$ids_first" '$1 >= first && $1 < first + 327680'; }
handlers() { ps -o pid= --ppid "$worker_pid"; }
leftovers() { leftovers_and_blank | beside_blank; }
leftovers_and_blank() {
	group_folders
	processes
	handlers
	grep -F -e "$scratch" -e "byoci-$BYOCI_NAMESPACE-" /proc/self/mountinfo
	find "$slots" -name '*.json'
	for lock in "$slots"/*.lock; do flock -n "$lock" true || echo "$lock is taken"; done
}
is_clean() { [ -z "$(leftovers)" ]; }
clean() { ok "$1" until_true is_clean || diag "$(leftovers)"; }

# backing NAME: from the cache of earlier tests, else built. Its digest is in $digest.
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/byoci-tests
backing() {
	digest=$("$scratch/worker-try" - digest="$1") || bail_out "no digest of the backing: $digest"
	if [ -f "$cache/backing-$digest.tar" ]; then
		touch "$cache/backing-$digest.tar" # which a virtual machine gets the newest of
		mkdir "$state/worker/backings/$digest" && tar -C "$state/worker/backings/$digest" -xf "$cache/backing-$digest.tar" ||
			bail_out "$cache/backing-$digest.tar cannot be unpacked"
	fi
	built=$("$build/bin/byoci-worker" -n "$BYOCI_NAMESPACE" build-backing "$1" 2>"$scratch/building") ||
		bail_out "the backing cannot be built: $(tail -n 5 "$scratch/building")"
	is "$built" "$digest" "build-backing tells the digest of the backing"
	if [ ! -f "$cache/backing-$digest.tar" ]; then
		like "$(cat "$scratch/building")" "backing $1: built" "and says when it was built"
		mkdir -p "$cache" && tar -C "$state/worker/backings/$digest" -cf "$cache/.$digest.$$" rootfs &&
			mv "$cache/.$digest.$$" "$cache/backing-$digest.tar"
	fi
}
backing small
is "$(stat -c %u "$state/worker/backings/$digest/rootfs/etc")" 0 "a backing does not depend on the ids of workers"
if [ "${worker_kind:-lxc}" = lxd ]; then
	# shellcheck source=tests/e2e/lxd-lib.sh
	. "$checkout/tests/e2e/lxd-lib.sh"
	ok "LXD starts by hand" lxd_start || bail_out "$(tail -n 20 "$lxd_log" "$scratch/lxd.out")"
fi

# For tests of the slave's daemon with real workers: a project, its people, the keys.
slave_ready() {
	local who
	install -d -o "$slave" -g "$slave" -m 700 "$scratch/secrets" "$scratch/secrets/slave" "$state/slave"
	install -d -o "$slave" -m 755 "$scratch/run/slave"
	install -d -m 755 "$scratch/git" "$scratch/libexec/bin" "$scratch/etc/byoci/$BYOCI_NAMESPACE/result-keys"
	ln -s "$build/bin/byoci" "$scratch/libexec/bin/byoci"
	printf '[url "%s/git/"]\n\tinsteadOf = ssh://git@forge.test/\n[safe]\n\tdirectory = *\n' "$scratch" >"$scratch/gitconfig"
	cat >>"$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf" <<-CONF
		[$BYOCI_NAMESPACE]
		secrets = $scratch/secrets
		libexec = $scratch/libexec
		git.root = $scratch/git
		git.config = $scratch/gitconfig
		user = root
		pages.listen = 127.0.0.1:1
		[project/sample]
		repository = ssh://git@forge.test/{name}.git
		repository.read = $scratch/git/{name}.git
		allowed_signers = $scratch/allowed
		jobs = script
	CONF
	as "$slave" openssl genpkey -algorithm ed25519 -out "$scratch/secrets/slave/result.key" 2>/dev/null
	as "$slave" chmod 600 "$scratch/secrets/slave/result.key"
	openssl pkey -in "$scratch/secrets/slave/result.key" -pubout \
		-out "$scratch/etc/byoci/$BYOCI_NAMESPACE/result-keys/local.pub" 2>/dev/null
	export HOME=$scratch/home GIT_CONFIG_NOSYSTEM=1
	mkdir "$HOME"
	git config --global user.name Ann
	git config --global user.email ann@example.org
	git config --global include.path "$scratch/gitconfig"
	for who in ann bob brain landing; do
		ssh-keygen -q -t ed25519 -N '' -f "$scratch/$who" -C "$who"
		echo "$who $(cat "$scratch/$who.pub")"
	done >"$scratch/allowed"
	git init -q --bare -b main "$scratch/git/sample.git"
	git init -q -b main "$scratch/w"
	echo 'true' >"$scratch/w/test.sh"
	git -C "$scratch/w" add . && git -C "$scratch/w" commit -q -m first &&
		git -C "$scratch/w" push -q "$scratch/git/sample.git" main
}

slave_pid=
slave_start() {
	setpriv --reuid="$slave" --regid="$slave" --clear-groups "$build/bin/byoci-slave" -n "$BYOCI_NAMESPACE" serve \
		>>"$scratch/slave.log" 2>&1 </dev/null &
	slave_pid=$!
	disown
	until_true slave_answers
}
slave_answers() { "$build/bin/byoci-slave" kept >/dev/null 2>&1; }
slave_kill() {
	kill "-${1:-TERM}" "$slave_pid" 2>/dev/null
	until_true not kill -0 "$slave_pid"
}
