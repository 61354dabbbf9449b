#!/bin/bash
# Nothing of a build outlives it, whoever is killed at whatever moment: a real brain has 200 short builds made by the real daemons, in
# real workers with a network, whose tests leave behind what they can, while brain, slave daemon, leader, worker process and
# byoci-worker are killed at random (tests/e2e/chaos). Every build has ended, once, with one outcome; then one pass of the reaper, and
# nothing is left. BYOCI_TEARDOWN_BUILDS and BYOCI_TEARDOWN_SEED are other numbers than 200 and the time.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/worker.sh"
# What such tests do not want to end with them.
propose_it() {
	git -C "$scratch/w" checkout -q -b clinging
	cat >"$scratch/w/test.sh" <<-'SH'
		trap '' TERM HUP INT
		setsid sh -c 'trap "" TERM HUP; while :; do sleep 1000; done' &
		(cd / && setsid sleep 1000 >/dev/null 2>&1 &)
		head -c 1m /dev/zero >/tmp/full
		echo begun
		case $(od -An -N1 -tu1 /dev/urandom) in
			*[0-2]) sleep 0.1 ;;
			*3) while :; do sh -c 'sleep 1000 & sleep 1000 &' & done 2>/dev/null ;;
		esac
		exit 3
	SH
	git -C "$scratch/w" commit -q -a -m Cling
	(cd "$scratch/w" && "$build/bin/byoci" propose --project sample --name clinging -k "$scratch/ann") >/dev/null
}

# The machine that the workers' network is on: a network namespace of this test's own, with a way to nowhere.
unshare --net -- sleep infinity &
host=$!
disown
different() { [ "$(readlink "/proc/$host/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
in_host() { nsenter -t "$host" -n -- "$@"; }
# shellcheck disable=SC2046,SC2086
end_all() {
	kill -9 "$chaos" 2>/dev/null
	kill $slave_pid $(cat "$scratch"/{brain,worker,slave,land}.pid 2>/dev/null) 2>/dev/null
	kill -9 "$host" 2>/dev/null
	units_end
	rm -rf "$scratch"
}
chaos=
trap end_all EXIT
until_true different && in_host ip link set lo up && in_host ip link add up0 type veth peer name down0 && in_host ip address add 192.0.2.1/24 dev up0 &&
	in_host ip link set down0 up && in_host ip link set up0 up && in_host ip route add default via 192.0.2.254 && in_host sysctl -q -w net.ipv4.ip_forward=1 ||
	bail_out "no network namespace"
bridge=byo$(printf %s "$BYOCI_NAMESPACE" | sha256sum | cut -c1-8)
links() { in_host ip -o link | grep "$bridge\."; }

slave_ready
port=$((10000 + 2 * ($$ % 4000))) # and the one behind it: of those that the kernel gives to nobody
mkdir -p "$scratch/run/brain" "$scratch/run/land" "$state/brain" "$scratch/secrets/brain"
install -m 600 /dev/stdin "$scratch/secrets/brain/hook-git" <<<"$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
chmod 755 "$scratch/secrets"
cat >>"$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf" <<-CONF
	[$BYOCI_NAMESPACE]
	hook.listen = 127.0.0.1:$port
	pages.listen = 127.0.0.1:$((port + 1))
	land.user = root
	worker.nat.dns = 192.0.2.254
	[job/script]
	network = nat
CONF
ok "a proposal whose tests cling to life" propose_it || bail_out "no proposal"

seed=${BYOCI_TEARDOWN_SEED:-$(date +%s)}
builds=${BYOCI_TEARDOWN_BUILDS:-200}
began=$SECONDS
status=0
BYOCI_BUILD=$build BYOCI_HOOK=127.0.0.1:$port timeout $((900 * patience)) perl "$checkout/tests/e2e/chaos" \
	"$scratch" "$slave" "$builds" "$seed" "$host" >"$scratch/said" 2>&1 </dev/null &
chaos=$!
wait "$chaos" || status=$?
said=$(cat "$scratch/said")
is "$status" 0 "$builds builds while processes are killed at random: each ends once, with one outcome (seed $seed)" ||
	diag "$(tail -n 5 "$scratch"/{brain,slave,worker}.log)"
diag "$said in $((SECONDS - began)) s"
worker_pid=$(cat "$scratch/worker.pid") slave_pid=$(cat "$scratch/slave.pid") || bail_out "who runs is not known"
for who in brain slave worker handler leader; do
	like "$said" "$who [1-9]" "a $who was killed"
done
kill "$(cat "$scratch/brain.pid")"
is "$(grep '^error' "$scratch/brain.log" "$scratch/slave.log")" "" "neither the brain nor the slave had trouble that it names an error"
ok "the brain ends" until_true not kill -0 "$(cat "$scratch/brain.pid")"
status=0
reaped=$("$build/bin/byoci-slave" reap 2>&1) || status=$?
is "$status:$(jq -c .left <<<"$reaped")" '0:[]' "the reaper removes all that it finds"
diag "$reaped"
is "$(find "$state/slave/builds" -name layer)" "" "and no tree"
is "$(find "$state/slave/builds" -mindepth 1 -maxdepth 1 | wc -l)" "$(find "$state/slave/builds" -mindepth 2 -name result | wc -l)" "of any build"

slave_kill
clean "with the daemon go the workers that wait: no process, control group, mount, slot or record is left"
no_links() { [ -z "$(links)" ]; }
ok "nor an end of a network" until_true no_links || diag "$(links)"
is "$(find "$state" "$scratch/run" -uid "+$((ids_first - 1))" | head -n 5)" "" "nor a file of a worker's ids"

# What can't be removed is told.
printf '[backing/small]\nready.minimum = 0\n' >>"$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf"
slave_start
echo '{"kind":"lxc","traces":["/sys/fs/cgroup/../../etc"]}' >"$slots/1.json"
status=0
reaped=$("$build/bin/byoci-slave" reap 2>&1) || status=$?
is "$status" 75 "what the reaper can't remove ends it with 75"
like "$(jq -r '.left[]' <<<"$reaped")" '^byoci-worker: reap: slot 1: /sys/fs/cgroup/\.\./\.\./etc: is not inside' "and is named"
rm "$slots/1.json"
slave_kill
worker_kill
done_testing
