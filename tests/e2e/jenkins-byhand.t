#!/bin/bash
# While the brain is away: a person presses "Build" in a real Hudson, or its timer does, and what is approved is tested and landed; the
# brain, back up, sees it and does nothing twice. And what Hudson's stop of a build leaves alive on a slave ends by itself.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/slave-lib.sh
. "$(dirname "$0")/slave-lib.sh"

hudson=$root/hudson
end_all() {
	[ ! -d "$hudson" ] || "$checkout/tests/tool/hudson" stop "$hudson" >/dev/null 2>&1
	cleanup
}
trap end_all EXIT

# ---- a namespace with all of its daemons, and a master ----
make_namespace
sed -i "s/^pages.listen = .*/pages.listen = 127.0.0.1:9382\nhook.listen = 127.0.0.1:9381\npoll = 1s/" "$root/etc/byoci/byov.conf"
install -d -m 700 "$root/secrets/brain" "$root/state/brain" "$root/run/brain"
echo secret >"$root/secrets/brain/hook-git"
chmod 600 "$root/secrets/brain/hook-git"
openssl genpkey -algorithm ed25519 -out "$root/secrets/land/result.key" 2>/dev/null
chmod 600 "$root/secrets/land/result.key"
openssl pkey -in "$root/secrets/land/result.key" -pubout -out "$root/etc/byoci/$BYOCI_NAMESPACE/result-keys/local-land.pub"
start_worker
start_slave
start_land

brain_ready() {
	curl -fsS --noproxy '*' -o /dev/null http://127.0.0.1:9382/readyz 2>/dev/null
}
start_brain() {
	"$O/bin/byoci-brain" 2>>"$root/brain.log" &
	brain_pid=$!
	pids="$pids $!"
	until_true brain_ready || diag "$(cat "$root/brain.log")"
}
kill_brain() {
	kill "-${1:-TERM}" "$brain_pid"
	wait "$brain_pid" 2>/dev/null
}
item() {
	(cd / && "$O/bin/byoci" show "$1" --json) 2>/dev/null | jq -r '.item.state // "none"'
}
item_is() {
	[ "$(item "$1")" = "$2" ]
}
# What the proposal was told, one line a report.
reports() {
	git -C "$root/git/sample.git" for-each-ref --format='%(refname)' "refs/proposals/$1/reports" | while read -r ref; do
		git -C "$root/git/sample.git" cat-file blob "$ref" | jq -c '[.kind, .text]'
	done
}
# How often its tests were begun.
tested_times() {
	local spec count=0
	while read -r spec; do
		! grep -qs "^byoci: the merge is" "${spec%/*}/log" || count=$((count + 1))
	done < <(grep -l "\"proposal\":\"$1\"" "$root"/state/slave/builds/*/spec.json 2>/dev/null)
	echo "$count"
}
approved() {
	propose "$@" && approve "$1"
}

HUDSON_EXECUTORS=2 "$checkout/tests/tool/hudson" start "$hudson" 9380 >"$root/hudson.out" 2>&1 || bail_out "$(cat "$root/hudson.out")"
ask() {
	local path=$1
	shift
	curl -sS --noproxy '*' -u "$(cat "$hudson/user"):$(cat "$hudson/password")" "$@" "http://127.0.0.1:9380/$path"
}
crumb=$(ask crumbIssuer/api/json | jq -r .crumb)
post() {
	ask "$1" -o /dev/null -w '%{http_code}' -H ".crumb: $crumb" "${@:2}"
}
# make_job NAME KIND LABEL: as jobs/ makes them: declared parameters, one line of shell.
make_job() {
	{
		echo '<?xml version="1.0"?><project><concurrentBuild>false</concurrentBuild><properties><hudson.model.ParametersDefinitionProperty><parameterDefinitions>'
		for name in BRAIN_BUILD SPEC RESULT FORCE; do
			echo "<hudson.model.StringParameterDefinition><name>$name</name><defaultValue></defaultValue></hudson.model.StringParameterDefinition>"
		done
		echo '</parameterDefinitions></hudson.model.ParametersDefinitionProperty></properties>'
		[ -z "${3:-}" ] || echo "<assignedNode>$3</assignedNode><canRoam>false</canRoam>"
		echo "<builders><hudson.tasks.Shell><command>BYOCI_ROOT=$root exec $O/bin/byoci-slave -n $BYOCI_NAMESPACE agent $2 --project sample --script &quot;\$0&quot;"
		echo '</command></hudson.tasks.Shell></builders></project>'
	} >"$root/job.xml"
	is "$(post "createItem?name=$1" -H 'Content-Type: application/xml' --data-binary @"$root/job.xml")" 200 "Hudson has the job $1"
}
make_job gate test
make_job away away
make_job check check
last_build() {
	ask "job/$1/api/json?tree=lastBuild%5Bnumber%5D" | jq -r '.lastBuild.number // 0'
}
has_ended() {
	[ "$(ask "job/$1/$2/api/json?tree=building" | jq -r .building 2>/dev/null)" = false ]
}
# press JOB [NAME=VALUE]: somebody presses "Build"; $result and $console, when it has ended.
begin_press() {
	number=$(($(last_build "$1") + 1))
	post "job/$1/buildWithParameters?delay=0sec" --data "${2:-FORCE=}" >/dev/null
}
end_press() {
	until_true has_ended "$1" "$number" || diag "build $number of $1 does not end: $(ask "job/$1/$number/consoleText")"
	result=$(ask "job/$1/$number/api/json?tree=result" | jq -r .result)
	console=$(ask "job/$1/$number/consoleText")
}
press() {
	begin_press "$@"
	end_press "$1"
}

# ---- beside a running brain ----
start_brain
approved one
ok "the brain lands one" until_true item_is one landed
press gate
is "$result" FAILURE "beside a running brain a build by hand is refused"
like "$console" 'the brain is up' "  and why is said"
press gate FORCE=yes
like "$console" 'nothing is approved' "  unless it is forced: there is nothing to do"
press away
is "$result" SUCCESS "the job that does it while the brain is away has nothing to say meanwhile"
like "$console" 'the brain is up .*: nothing to do' "  but so"

# ---- the brain is stopped: what it did not know yet ----
kill_brain
approved two
approved bad 'echo no; exit 1'
before=$(main_now)
press check
is "$result" FAILURE "a check by hand of what comes first: its tests fail" || diag "$console"
like "$console" '^bad [0-9a-f]{40}: failure' "  as is said"
is "$(reports bad)" "" "  and the proposal is not told"
press gate
is "$result" FAILURE "a build by hand of what comes first: its tests fail" || diag "$console"
like "$console" '^bad [0-9a-f]{40}: failure' "  as is said"
like "$(reports bad)" 'rejected.*Tested by hand' "  also on the proposal, marked as by hand"
is "$(main_now)" "$before" "  and nothing lands"
press check
is "$result" SUCCESS "a check of the next" || diag "$console"
like "$console" '^two [0-9a-f]{40}: success' "  whose tests say yes"
is "$(main_now) $(reports two)" "$before " "  and nothing lands, and nobody is told"
press gate
is "$result" SUCCESS "the next build by hand passes over what failed" || diag "$console"
like "$console" '^bad [0-9a-f]{40}: passed over: it was rejected' "  and says so"
like "$console" '^two [0-9a-f]{40}: success' "  and the next one lands"
is "$(git -C "$root/git/sample.git" log -1 --format=%s main)" "Add two" "  on the target"
is "$(git -C "$root/git/sample.git" rev-list --parents -n 1 main | cut -d' ' -f2)" "$before" "  as a merge with what was there"
like "$(reports two)" 'landed.*Landed by hand' "  and the proposal is told, marked as by hand"
press gate
is "$result" FAILURE "then there is nothing to do"
like "$console" 'nothing is approved that was not tried' "  as it says"
is "$(tested_times bad)" 2 "and what failed was tested once, and once by the check"

# ---- killed with work in its queue; by hand it lands; the brain comes back ----
start_brain
knows_bad() {
	(cd / && "$O/bin/byoci" why bad) 2>/dev/null | grep -q 'was rejected: push a new commit, or approve it again'
}
ok "back up, the brain knows that it was rejected" until_true knows_bad || diag "$(cd / && "$O/bin/byoci" why bad)"
is "$(item bad) $(tested_times bad) $(reports bad | wc -l)" "none 2 1" "and neither tests it nor says so again"
kill "$slave_pid"
wait "$slave_pid" 2>/dev/null
approved three
queued() {
	[[ $(item "$1") = queued || $(item "$1") = building ]]
}
ok "the brain has it in its queue, while the slave's daemon is away" until_true queued three
approved worse 'echo no; exit 1'
ok "and one behind it" until_true item_is worse queued
kill_brain KILL
start_slave
press gate
is "$result" SUCCESS "by hand it lands" || diag "$console"
tip=$(main_now)
is "$(tested_times three)" 1 "tested once"
press gate
is "$result" FAILURE "the one behind it fails by hand" || diag "$console"
start_brain
ok "the brain, back up, sees that" until_true item_is three landed || diag "$(item three)"
reported() {
	[ "$(sqlite3 "$root/state/brain/state.db" "select count(*) from reports where state = 'owed'" 2>/dev/null)" = 0 ]
}
ok "and has told what it had to tell" until_true reported
is "$(reports three | wc -l)" 1 "which was told by hand: the proposal has it once"
is "$(tested_times three) $(main_now)" "1 $tip" "it tested nothing again, and landed nothing again"
ok "what failed by hand while it was queued is out of the queue" until_true item_is worse rejected || diag "$(item worse)"
is "$(tested_times worse) $(reports worse | wc -l)" "1 1" "not tested once more, and not told again"

# ---- by the clock ----
kill_brain
approved four
approved five
press away
is "$result" SUCCESS "while the brain is away, the job lands all that is approved" || diag "$console"
is "$(git -C "$root/git/sample.git" log --merges -2 --format=%s main | sort | tr '\n' ' ')" "Add five Add four " "  both of it"

# ---- two at once ----
approved six "until [ -e $root/go ]; do sleep 0.02; done"
begin_press gate
first=$number
under_way() {
	[ "$(tested_times six)" = 1 ]
}
ok "one is being tested by hand" until_true under_way
press away
is "$result" FAILURE "meanwhile another does nothing about that target"
like "$console" 'another land-approved is at work' "  and says why"
touch "$root/go"
number=$first
end_press gate
is "$result" SUCCESS "the first lands it" || diag "$console"
is "$(tested_times six)" 1 "it was tested once"

# ---- what else jobs run, where the worker can't do it ----
status=0
said=$(slave agent refresh 2>&1) || status=$?
is "$status" 75 "a backing that can't be made anew"
like "$said" '^byoci: backing bookworm: infrastructure: .*not here' "  with what byoci-worker says"

# ---- stopped by the master, on a slave that leaves processes alive ----
jar=$root/slave.jar
ask jnlpJars/slave.jar -o "$jar"
mkdir "$root/remote"
json="{\"name\":\"far\",\"nodeDescription\":\"\",\"numExecutors\":1,\"remoteFS\":\"$root/remote\",\"labelString\":\"\",\"mode\":\"EXCLUSIVE\",\"type\":\"hudson.slaves.DumbSlave\$DescriptorImpl\",\"retentionStrategy\":{\"stapler-class\":\"hudson.slaves.RetentionStrategy\$Always\"},\"nodeProperties\":{\"stapler-class-bag\":\"true\"},\"launcher\":{\"stapler-class\":\"hudson.slaves.CommandLauncher\",\"command\":\"java -Xmx96m -jar $jar\"}}"
is "$(post computer/doCreateItem --data-urlencode name=far --data-urlencode 'type=hudson.slaves.DumbSlave$DescriptorImpl' --data-urlencode "json=$json")" \
	302 "a slave of the master's"
node_is_up() {
	[ "$(ask 'computer/far/api/json?tree=offline' | jq -r .offline)" = false ]
}
ok "which comes up" until_true node_is_up
make_job far test far
approved endless "trap '' TERM HUP; echo begun; while :; do sleep 1000; done"
begin_press far
begun() {
	ask "job/far/$number/consoleText" | grep -q '^| begun'
}
ok "a build on it" until_true begun
agent=$(pgrep -f "byoci-slave -n $BYOCI_NAMESPACE agent test" | head -n 1)
post "job/far/$number/stop" --data '' >/dev/null
end_press far
is "$result" ABORTED "a person stops it"
gone() {
	! kill -0 "$agent" 2>/dev/null
}
ok "what ran for it ends" until_true gone || diag "$(ps -fp "$agent")"
idle() {
	! slave list | grep -q '"state":"running"'
}
ok "and so does the build on the slave" until_true idle
done_testing
