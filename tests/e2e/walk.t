#!/bin/bash
# The walk: setup/byoci stands selftest up and lands a sample proposal; what must not land does not; --remove leaves nothing.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip_all "setup/byoci needs root"

e2e_remove
[ "$patience" -eq 1 ] || backings_restore # a slow machine would take long for it, and setup.t makes one, too
limit=$((15 * patience))
e2e_setup selftest -O "job/unit:tests.limit=${limit}s"
is "$status" 0 "setup/byoci stands a namespace up" || bail_out "$(tail -n 30 <<<"$said")"
like "$said" '^landed [0-9a-f]{40} in [0-9]+ ms$' "and lands a sample proposal"
like "$said" '^ +[0-9]+ +[0-9]+  landed' "and prints its time line"
e2e_places

# What landed.
landed=$(grep -oE '^landed [0-9a-f]{40}' <<<"$said" | cut -d' ' -f2)
name=$(grep -oE 'sample-[0-9]{8}-[0-9]{6}-[0-9a-f]{4}' <<<"$said" | head -n 1)
is "$(main_now)" "$landed" "main is what was said to have landed"
is "$(repo rev-parse "$landed^2")" "$(repo rev-parse "refs/proposals/$name/head")" "its second parent is the proposed commit"
is "$(repo rev-parse "$landed^1")" "$(repo rev-list --max-parents=0 "$landed")" "its first parent is main as it was"
build=$(show "$name" | jq -r '.builds[0].build // .builds[0].id')
output=$("$bin/byoci" -n selftest log "$build" 2>&1)
like "$output" "ids 0\.\. are (${ids_first}|$((ids_first + 65536)))\.\. on the host" "the tests ran as root of ids of their own"
like "$output" 'network: (lo)? ?$' "and without a network"
like "$(show "$name" | jq -r '.builds[0].tests')" '^[0-9]+ tests, 0 failed, 0 skipped$' "what they told in TAP is counted"

# Who runs what.
for service in $service_names; do
	pid=$(service_pid "$service")
	is "$(stat -c %U "/proc/${pid:-0}" 2>/dev/null)" "$(service_user "$service")" "byoci-$service runs as $(service_user "$service")"
done

# Whose secrets.
for folder in brain slave land git; do
	user=user_$folder
	is "$(stat -c '%U:%a' "$secrets/$folder")" "${!user}:700" "secrets/$folder belongs to ${!user} alone"
done
is "$(stat -c '%U:%a' "$secrets/worker")" root:700 "secrets/worker belongs to root alone"
is "$(find "$secrets" -type f ! -name '*.pub' -perm /077 | wc -l)" 0 "no secret has a mode that lets others in"
# The folders of the secrets that a user can read.
reads() {
	runuser -u "$1" -- find "$secrets"/*/ -type f -readable -printf '%h\n' 2>/dev/null | sort -u
}
for folder in brain slave land git; do
	user=user_$folder
	is "$(reads "${!user}" | grep -cv "/$folder$")" 0 "${!user} reads no secret but its own"
done

# Again: nothing to mend, and a proposal lands.
e2e_setup selftest
is "$status" 0 "setup/byoci again"
like "$said" '^  everything is as it should be$' "finds nothing to mend"
like "$said" '^landed [0-9a-f]{40} in [0-9]+ ms$' "and lands another sample proposal"
is "$(main_now)" "$(grep -oE '^landed [0-9a-f]{40}' <<<"$said" | cut -d' ' -f2)" "which is main now"

# What must not land, does not: the proposal NAME ends as rejected with a report that matches PATTERN, and main stays.
rejected_for() {
	local name=$1 pattern=$2 what=$3 before=$4
	ok "$what is rejected" comes_to "$name" rejected || diag "$("$bin/byoci" -n selftest why "$name" 2>&1)"
	ok "and reported on the proposal" until_true has_report "$name"
	like "$(report_of "$name")" "$pattern" "with the reason"
	like "$("$bin/byoci" -n selftest why "$name" 2>&1)" "$pattern" "which byoci why tells, too"
	is "$(main_now)" "$before" "and main stays"
}

branch late >/dev/null 2>&1 && change late README "the late one"
proposed early README "the early one" >"$scratch/early.out" 2>&1
ok "a proposal that changes README lands" comes_to early landed || diag "$(cat "$scratch/early.out")"
before=$(main_now)
{ propose late && approve late; } >/dev/null 2>&1
rejected_for late '[Cc]onflict' "one from before that, which changes it as well," "$before"

proposed failing tests/fails 'echo "this one fails"; exit 1' >/dev/null 2>&1
rejected_for failing '[Ff]ail' "a proposal whose tests fail" "$before"
build=$(show failing | jq -r '.builds[0].build // .builds[0].id')
like "$("$bin/byoci" -n selftest log "$build" 2>&1)" 'this one fails' "its log says why"
like "$(report_of failing)" ' tests, 1 failed, 0 skipped\.' "and the proposal is told how many tests failed"

proposed hanging tests/hangs 'echo "this one hangs"; exec tail -f /dev/null' >/dev/null 2>&1
rejected_for hanging "[Tt]im(e|ed)[ -]?(out|limit)|took longer|$limit ?s" "a proposal whose tests hang" "$before"

# Nobody but the landing account moves the target.
branch direct >/dev/null 2>&1 && change direct README "by hand"
pushed=$(sample_git author -C "$scratch/direct" push origin HEAD:refs/heads/main 2>&1)
ok "a push to main by hand fails" [ $? -ne 0 ]
is "$(main_now)" "$before" "and main stays"
like "$pushed" 'main' "and is told why"

# The landing daemon believes nobody: the tested result of another proposal, and one that nobody approved.
branch unapproved >/dev/null 2>&1 && change unapproved landed "unapproved" && propose unapproved >/dev/null 2>&1
head=$(repo rev-parse refs/proposals/unapproved/head)
tested=$state/slave/builds/$(show early | jq -r '.builds[0].build // .builds[0].id')
jq -c --arg head "$head" --arg base "$before" --arg build 00112233445566778899aabbccddeeff \
	'.proposal = "unapproved" | .build = $build | .trees[0].base = $base | .trees[0].merges[0].source = $head' "$tested/spec.json" >"$scratch/spec.json"
cp "$tested/result" "$scratch/result"
chmod 644 "$scratch/spec.json" "$scratch/result"
asks_to_land() {
	asked=0
	answer=$(runuser -u "$1" -- "$bin/byoci-slave" -n selftest land --spec "$scratch/spec.json" --result "$scratch/result" 2>&1) || asked=$?
}
for user in root "$user_brain"; do
	asks_to_land "$user"
	is "$asked" 77 "$user asks to land what nobody approved: refused" || diag "$answer"
	like "$answer" '[a-z]' "with a reason"
done
for user in nobody "$user_slave"; do
	asks_to_land "$user"
	ok "$user may not even ask" [ "$asked" -ne 0 ]
done
is "$(main_now)" "$before" "and main stays"

# The brain is down: a push is told so, and what happened meanwhile is read back. What changes after its approval does not land.
service_stop brain >/dev/null 2>&1
branch changed >/dev/null 2>&1 && change changed late.txt "as approved"
proposed=$({ propose changed && approve changed; } 2>&1)
like "$proposed" '^byoci: pushed, but the brain was not told' "with the brain down, propose says that it does not know"
change changed late.txt "as changed after that"
pushed=$(sample_git author -C "$scratch/changed" push --force origin HEAD:refs/proposals/changed/head 2>&1)
is $? 0 "a push works"
like "$pushed" 'brain was not told' "and is told so, too"
proposed missed missed.txt "approved while the brain was down" >/dev/null 2>&1
e2e_setup selftest --no-sample
is "$status" 0 "setup/byoci starts the brain again"
like "$said" 'started byoci-brain' "and says so"
ok "what was approved meanwhile lands" comes_to missed landed || diag "$("$bin/byoci" -n selftest why missed 2>&1)"
wants_approval() { "$bin/byoci" -n selftest why changed 2>&1 | grep -q '[Aa]pprov'; }
ok "what changed after its approval wants a new one, as byoci why tells" until_true wants_approval
pass 1
ok "and does not land" not state_is changed landed
ok "main does not have it" not repo merge-base --is-ancestor "$(repo rev-parse refs/proposals/changed/head)" refs/heads/main

# Nothing is left behind by a worker; the one that waits goes with the daemon that has it.
one_waits() { [ "$(runuser -u "$user_slave" -- "$bin/byoci-slave" -n selftest list | jq -r '.ready[].job')" = unit ]; }
ok "one worker waits for the next build" until_true one_waits
service_stop slave >/dev/null 2>&1
no_cgroup() { [ -z "$(find /sys/fs/cgroup -type d -name 'byoci-selftest-[0-9]*' -print -quit)" ]; }
ok "no cgroup of a worker is left" until_true no_cgroup
no_mount() { ! grep -q "$state/worker/slots/" /proc/self/mountinfo; }
ok "nor a mount" until_true no_mount
no_folder() { [ -z "$(find "$state/worker/slots" -mindepth 2 -maxdepth 2 -type d)" ]; }
ok "nor a folder" until_true no_folder

# All of it goes.
e2e_setup --remove selftest
is "$status" 0 "setup/byoci --remove"
is "$(remove_pids | wc -l)" 0 "leaves no process"
is "$(getent passwd | grep -c '^byoci-selftest')" 0 "no user"
is "$(getent group | grep -c '^byoci-selftest')" 0 "no group"
is "$(grep -c 'byoci/selftest' /proc/self/mountinfo)" 0 "no mount"
is "$(find /sys/fs/cgroup -type d -name 'byoci-selftest*' | wc -l)" 0 "no cgroup"
is "$(cat /etc/subuid /etc/subgid | grep -c "^root:$ids_first:")" 0 "no ids"
is "$(ls -d /etc/byoci/selftest /var/lib/byoci/selftest /run/byoci/selftest /var/log/byoci/selftest /usr/local/lib/byoci/selftest \
	/run/byoci-setup-selftest* 2>/dev/null)" "" "no folder"
e2e_setup --remove selftest
is "$status" 0 "removed twice is removed"
like "$said" 'nothing of byoci selftest' "and there was nothing left to remove"

done_testing
