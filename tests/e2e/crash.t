#!/bin/bash
# A process is killed at each point that matters (brain/base/crash.h), one proposal for each, and started again as an init would: the
# proposal lands once, is told of it once, and nothing is left behind. Then what happens while a process is away.
# BYOCI_CRASH_ONLY=REGEX takes only the points that match.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/crash-lib.sh
. "$(dirname "$0")/crash-lib.sh"
[ "$(id -u)" -eq 0 ] || skip_all "setup/byoci needs root"
only=${BYOCI_CRASH_ONLY:-.}

# Who is started with the point, whether that process is the one that dies (itself) or one that it has started (child), after how many
# builds the proposal has landed, and the point; NAME:N is its N-th passing.
points='
brain itself 1 intake.delivery-written
brain itself 1 intake.delivery-kept
brain itself 1 intake.delivery-answered
brain itself 1 proposal.event-read
brain itself 1 read.intended:2
brain itself 1 read.asked:2
brain itself 1 read.answered:2
brain itself 1 proposal.read-back
brain itself 1 gate.item-made
brain itself 1 gate.build-asked
brain itself 1 build.call-made
brain itself 1 build.intended
brain itself 1 build.sent
brain itself 1 build.taken
brain itself 1 build.began
brain itself 1 build.answered
brain itself 1 build.end-stored
brain itself 1 gate.landing-asked
brain itself 1 landing.call-made
brain itself 1 wire.intended
brain itself 1 wire.sent
brain itself 1 wire.answered
brain itself 1 landing.end-stored
brain itself 1 gate.report-owed
brain itself 1 report.call-made
brain itself 1 wire.intended:2
brain itself 1 wire.sent:2
brain itself 1 wire.answered:2
brain itself 1 report.answer-read
slave itself 1 slave.asked
slave itself 1 slave.build-claimed
slave itself 2 slave.spec-written
slave itself 1 slave.leader-started
slave itself 1 slave.leader-gone
slave itself 1 slave.build-settled
slave child 2 leader.begun
slave child 2 leader.signed-in
slave child 2 prepare.fetched
slave child 2 prepare.merged
slave child 2 prepare.exported
slave child 2 leader.prepared
slave child 2 leader.worker-started
slave child 2 leader.tests-begun
slave child 2 leader.tests-ended
slave child 2 leader.worker-removed
slave child 2 leader.tested
slave child 2 leader.cleaned-up
slave child 1 leader.result-written
worker itself 1 worker.handler-started
worker itself 1 worker.handler-reaped
worker child 2 worker.slot-claimed
worker child 2 worker.slot-recorded
worker child 2 worker.mounted
worker child 2 worker.container-started
worker child 2 worker.tree-mounted
worker child 2 worker.command-started
worker child 2 worker.command-ended
worker child 1 worker.container-gone
worker child 1 worker.unmounted
worker child 1 worker.slot-released
land itself 1 land.asked
land itself 1 land.lander-started
land itself 1 land.lander-answered
land child 1 lander.result-checked
land child 1 lander.proposal-read
land child 1 lander.merge-made
land child 1 lander.pushed
land child 1 lander.proved
land child 1 lander.answer-ready
land child 1 lander.report-made
land child 1 lander.report-pushed
'
# The same with merges that are made beforehand.
beforehand='
slave child 1 premade.made
slave child 1 premade.named
slave child 2 premade.taken
'

# With workers that wait.
waiting='
slave child 1 standby.ready
slave child 2 standby.ordered
'
number=0

# killed_at SERVICE WHO BUILDS POINT: true when all holds; else the reasons are in $why.
killed_at() {
	local service=$1 name
	number=$((number + 1))
	name=$(tr -c 'a-z\n' - <<<"$4")-$number
	crash_stop "$service"
	crash_start "$service" "$4"
	proposed_and_approved "$name"
	why="it is never passed"
	until_true struck "$4" || { crash_again "$service" && return 1; }
	if [ "$2" = itself ]; then
		ended=0
		wait "${crash_pid[$service]}" 2>/dev/null || ended=$?
		why="byoci-$service ended with $ended"
		[ "$ended" = 137 ] || return 1
		crash_start "$service"
	fi
	once "$name" "$3"
}

# shellcheck disable=SC2086
stands_up --no-sample ${BYOCI_E2E_SETUP:-}
crash_build
crash_install
for service in $crash_services; do crash_start "$service"; done
crash_clone
# Builds make their merges and start their workers themselves, so that each point has one process that passes it.
crash_option premade.maximum 0
crash_option ready.minimum 0
proposed_and_approved calm
ok "with the programs that can crash a proposal lands" once calm 1 || diag "$why"

began=$SECONDS
service=
kill_all_of() {
	while read -r service who builds point; do
		[ -n "$service" ] && [[ $point =~ $only ]] || continue
		ok "byoci-$service, $who, killed at $point" killed_at "$service" "$who" "$builds" "$point" || diag "$why"
	done <<<"$1"
}
kill_all_of "$points"
crash_option premade.maximum 16
kill_all_of "$beforehand"
crash_option ready.minimum 1
kill_all_of "$waiting"
crash_option ready.minimum 0
ok "and with the daemon that had them the workers that waited are gone" until_true nothing_left || diag "$(leftovers)"
diag "$number points in $((SECONDS - began)) s"

# Every COMMIT of a proposal's way, from the push to the report: killed before it (what was done outside since the last one is not
# known any more), and after it (nothing of what it owes is begun).
# swept POINT N: whether there was an N-th one; the rest as killed_at.
swept() {
	local name=${1#*.}-$2
	crash_stop brain
	crash_start brain "$1:$2"
	proposed_and_approved "$name"
	struck_or_landed() { struck "$1" || is_landed "$2"; }
	why="neither struck nor landed"
	until_true struck_or_landed "$1:$2" "$name" || return 1
	over=yes
	! struck "$1:$2" || over=
	crash_again brain
	once "$name" 1
}

for point in turn.worked turn.committed; do
	[[ $point =~ $only ]] || continue
	over=
	step=1
	[ "$point" = turn.committed ] || step=3
	for ((turn = 1; turn <= 40; turn += step)); do
		ok "byoci-brain killed at $point:$turn" swept "$point" "$turn" || diag "$why"
		[ -z "$over" ] || break
	done
	ok "$point: the last one was found" [ -n "$over" ]
done

# The whole machine: as soon as one is dead, all of them are killed, and started again.
# all_killed_at SERVICE POINT
all_killed_at() {
	local service name=all-${2//./-}
	crash_stop "$1"
	crash_start "$1" "$2"
	proposed_and_approved "$name"
	why="it is never passed"
	until_true struck "$2" || { crash_again "$1" && return 1; }
	# shellcheck disable=SC2046
	kill -KILL $(find /proc/[0-9]*/exe -maxdepth 0 -lname "$bin/*" 2>/dev/null | cut -d/ -f3) 2>/dev/null
	for service in $crash_services; do crash_again "$service"; done
	once "$name"
}

if [[ machine =~ $only ]]; then
	while read -r service point; do
		ok "everything killed at $point" all_killed_at "$service" "$point" || diag "$why"
	done <<-END
		brain build.sent
		slave leader.tests-begun
		worker worker.container-started
		land lander.pushed
		land lander.report-pushed
	END
fi

# held NAME SERVICE POINT: NAME is proposed, approved and on its way, and SERVICE was killed at POINT and is away.
held() {
	crash_stop "$2"
	crash_start "$2" "$3"
	proposed_and_approved "$1" "${@:4}"
	ok "$1: byoci-$2 is killed at $3" until_true struck "$3" || bail_out "what follows makes no sense"
	wait "${crash_pid[$2]}" 2>/dev/null
}

# Somebody else's commit on main, by hand, as the git server's own user.
on_top() {
	local commit
	as_git() { runuser -u "$user_git" -- git --git-dir "$repository" -c user.name=other -c user.email=other@localhost "$@"; }
	commit=$(as_git commit-tree -p refs/heads/main -m "$1" 'refs/heads/main^{tree}') && as_git update-ref refs/heads/main "$commit"
}

if [[ scenario =~ $only ]]; then
	held on-top land land.lander-answered
	on_top "On top of what was pushed"
	above=$(main_now)
	crash_start land
	ok "pushed, the answer lost, and somebody else's commit on top: it has landed, and is not landed again" once on-top 1 || diag "$why"
	is "$(main_now)" "$above" "  and main is where the other left it"
	like "$(query "SELECT outcome FROM landings ORDER BY id DESC LIMIT 1")" '^landed$' "  which is what the landing daemon says"

	held moved brain wire.intended
	on_top "The target moves after the test"
	above=$(main_now)
	crash_start brain
	ok "the target moves between test and landing: merged and tested again" once moved 2 || diag "$why"
	is "$(repo rev-parse 'refs/heads/main^1')" "$above" "  and landed on top of it"

	held again brain wire.intended
	{
		sample_git author -C "$scratch/clone" commit -q --allow-empty -m "Push again" &&
			sample_propose "$scratch/clone" again
	} >>"$scratch/again.out" 2>&1
	crash_approve again
	crash_start brain
	untested=$(repo rev-parse 'refs/proposals/again/head^')
	ok "another commit is pushed and approved between test and landing: it lands" until_true is_landed again ||
		diag "$("$bin/byoci" -n "$namespace" why again)"
	is "$(repo rev-parse 'refs/heads/main^2')" "$(repo rev-parse refs/proposals/again/head)" "  after a test of its own"
	is "$(repo rev-list --merges --parents refs/heads/main | grep -c " $untested\$")" 0 "  and the one that was tested before did not"
	is "$(builds_of again)" 2 "  in two builds"

	held outlives brain build.began
	outlived=$(query_build outlives)
	ok "a build goes on to its end while the brain is away" until_true test -s "$state/slave/builds/$outlived/result"
	crash_start brain
	ok "  and is found again, and landed" once outlives 1 || diag "$why"
	like "$("$bin/byoci" -n "$namespace" log "$outlived")" '^byoci: success' "  with its log to the end"

	# What a git that died in the middle of a fetch leaves in the clones of slave and landing daemon.
	for folder in slave land; do
		for clone in "$state/$folder"/trees/*.git; do
			for ref in "$clone"/refs/byoci/*source; do
				touch "$ref.lock" && chown --reference="$clone" "$ref.lock"
			done
		done
	done
	proposed_and_approved locked
	ok "locks that a dead git left in the clones do not stop anything" once locked 1 || diag "$why"
fi

# SIGHUP: a configuration that does not hold changes nothing, one that does is in force.
said_again() {
	[ "$(grep -c "$2" "$log/byoci-$1.log")" -gt "${before[$1]:-0}" ]
}
# hangs_up TEXT: every daemon that reads its configuration again says so; false when one does not, or is gone.
hangs_up() {
	local service
	declare -A before=()
	for service in brain slave land; do
		before[$service]=$(grep -c "$1" "$log/byoci-$service.log")
		kill -HUP "${crash_pid[$service]}" || return 1
	done
	kill -HUP "${crash_pid[worker]}" || return 1
	for service in brain slave land; do until_true said_again "$service" "$1" || return 1; done
}
pages() {
	"$bin/byoci" -n "$namespace" status --json | jq -r .pages
}
if [[ hangup =~ $only ]]; then
	was=$(pages)
	printf '[%s]\npublic.url = http://one.test\nnonsense = 1\n' "$namespace" >"$etc/zz.conf"
	ok "a wrong configuration and SIGHUP: each process says so, and goes on" hangs_up 'stays in force'
	like "$(grep 'stays in force' "$log/byoci-brain.log")" 'zz\.conf:3: .*nonsense' "  with the place"
	rm "$etc/zz.conf"
	is "$(pages)" "$was" "  and the old one is in force"
	printf '[%s]\npublic.url = http://one.test\nhook.deadline = 59s\n' "$namespace" >"$etc/zz.conf"
	ok "a right one and SIGHUP" hangs_up 'was read again'
	is "$(pages)" http://one.test "  is in force"
	like "$(cat "$log/byoci-brain.log")" 'takes a restart to change.*hook\.deadline' "  and what takes a restart is said"
	rm "$etc/zz.conf"
	ok "again" hangs_up 'was read again'
	proposed_and_approved reloaded
	ok "and a proposal lands afterwards" once reloaded 1 || diag "$why"
fi

for service in $crash_services; do
	crash_stop "$service"
	is "$ended" 0 "byoci-$service ends well"
done
e2e_remove
done_testing
