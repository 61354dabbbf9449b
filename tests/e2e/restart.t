#!/bin/bash
# Processes die in the middle of a build: what was approved lands all the same, once, and nothing is left behind.
# shellcheck disable=SC2154,SC2317
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip_all "setup/byoci needs root"

stands_up --no-sample

build_of() {
	show "$1" | jq -r ".builds[${2:--1}].build"
}

# The tests of NAME's build have begun.
tests_begun() {
	"$bin/byoci" -n selftest log "$(build_of "$1")" 2>/dev/null | grep -q 'tests/slow'
}

# slow NAME: proposed, approved, and in the middle of tests that go on when goes_on() ends what they wait for.
slow() {
	proposed "$1" tests/slow "tail -f /dev/null || echo $1" >"$scratch/$1.out" 2>&1 || bail_out "$(cat "$scratch/$1.out")"
	ok "$1: its tests have begun" until_true tests_begun "$1" || diag "$(cat "$scratch/$1.out")"
}

# shellcheck disable=SC2046
goes_on() {
	kill $(ps -eo uid=,pid=,args= | awk -v first="$ids_first" -v count="$ids_count" '$1 >= first && $1 < first + count && /[t]ail -f/ { print $2 }') 2>/dev/null
}
lands() {
	has_landed() { goes_on; state_is "$1" landed; }
	ok "$1: it lands" until_true has_landed "$1" || diag "$("$bin/byoci" -n selftest why "$1" 2>&1)"
}

# lands_once NAME BUILDS: it lands, main has exactly one merge of it, and it took that many builds.
lands_once() {
	local head
	head=$(repo rev-parse "refs/proposals/$1/head")
	lands "$1"
	is "$(repo rev-list --merges --parents refs/heads/main | grep -c " $head\$")" 1 "$1: by one merge"
	is "$(show "$1" | jq '.builds | length')" "$2" "$1: after $2 build(s)"
	ok "$1: reported" until_true has_report "$1"
	is "$(repo for-each-ref "refs/proposals/$1/reports/" | wc -l)" 1 "$1: once"
}

kill_service() {
	local pid
	pid=$(service_pid "$1")
	kill -KILL "$pid"
	until_true service_gone "$pid"
	e2e_setup selftest --no-sample
	is "$status" 0 "setup/byoci starts byoci-$1 again" || diag "$said"
	service_systemd || like "$said" "started byoci-$1" "and says so"
}

# The brain: it finds the build again that goes on without it.
slow brain-killed
kill_service brain
lands_once brain-killed 1

# The slave's daemon: the leader of the build goes on without it.
slow slave-killed
kill_service slave
lands_once slave-killed 1

# The landing daemon: asked again when it is there again.
slow land-killed
kill_service land
lands_once land-killed 1

# The worker's daemon: its workers have parents of their own.
slow worker-killed
kill_service worker
lands worker-killed

# The leader of the build: trouble of ours, not a failure of the tests; tried again.
slow leader-killed
kill -KILL "$(jq .pid "$state/slave/builds/$(build_of leader-killed)/leader.pid")"
lands_once leader-killed 2
is "$(show leader-killed | jq -r '.builds[0].outcome')" infrastructure "leader-killed: the first build was infrastructure trouble"

# All of it at once.
slow all-killed
pids=()
for service in brain land slave worker; do pids+=("$(service_pid "$service")"); done
kill -KILL "${pids[@]}"
for pid in "${pids[@]}"; do until_true service_gone "$pid"; done
e2e_setup selftest --no-sample
is "$status" 0 "setup/byoci starts everything again"
lands all-killed

worker_nothing_left() {
	! grep -q "$state/worker/slots/" /proc/self/mountinfo &&
		[ -z "$(find /sys/fs/cgroup -type d -name 'byoci-selftest-[0-9]*' -print -quit)" ]
}
service_stop slave >/dev/null 2>&1 # and with it the worker that waits
ok "nothing of a worker is left" until_true worker_nothing_left

e2e_remove
done_testing
