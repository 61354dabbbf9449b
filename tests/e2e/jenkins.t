#!/bin/bash
# A namespace whose tests and landings are jobs of a real master: setup/byoci with master.url ends with the sample landed there; what
# runs where, and as whom; with the brain stopped a build that somebody starts on the master lands the next proposal.
# shellcheck disable=SC2034,SC2154
BYOCI_E2E_NAMESPACE=steered jenkins_ports=9360 jenkins_ids=1500000000
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip_all "setup/byoci needs root"
# shellcheck source=tests/e2e/master-lib.sh
. "$checkout/tests/e2e/master-lib.sh"

e2e_remove
hudson_start
jenkins_setup
like "$said" '^landed [0-9a-f]{40} in [0-9]+ ms$' "setup/byoci with master.url ends with the sample landed"
name=$(grep -oE 'sample-[0-9]{8}-[0-9]{6}-[0-9a-f]{4}' <<<"$said" | head -n 1)
is "$(main_now)" "$(grep -oE '^landed [0-9a-f]{40}' <<<"$said" | cut -d' ' -f2)" "main is what was said to have landed"

# One build of a job for each attempt, and one for the landing; the ids are the brain's.
build=$(builds_of "$name")
# The brain reads results in the log; the master may still be ending the build then.
has_builds() { [ "$(hudson_builds "$namespace-sample-$1" | jq -r '"\(.id | sub("/.*"; "")) \(.result) \(.builtOn)"')" = "$2" ]; }
ok "its tests were one build of the job" until_true has_builds gate "$build SUCCESS local" || diag "$(hudson_builds "$namespace-sample-gate")"
ok "its landing was one of the other node's" until_true has_builds land "$build SUCCESS local-land" || diag "$(hudson_builds "$namespace-sample-land")"
like "$(hudson_get "job/$namespace-sample-gate/1/consoleText")" '^byoci-result-1 ' "the signed result is in the master's log"
like "$("$bin/byoci" -n "$namespace" log "$build")" "ids 0\.\. are [0-9]+\.\. on the host" "and the tests ran in a container"

# Who runs what, and who has which secret.
pid=$(service_pid agent)
is "$(stat -c %U "/proc/${pid:-0}")" "$user_agent" "the way in for the master is the agent's user's"
is "$(stat -c '%U:%a' "$secrets/agent" "$secrets/master" | paste -sd ' ')" "$user_agent:700 root:700" "the keys are the agent's and the master's"
is "$(find "$secrets" -type f ! -name '*.pub' -perm /077 | wc -l)" 0 "no secret has a mode that lets others in"
is "$(runuser -u "$user_agent" -- find "$secrets"/*/ -type f -readable -printf '%h\n' 2>/dev/null | sort -u)" "$secrets/agent" \
	"what runs on the master's behalf reads no secret but its host key"
asks_brain() { runuser -u "$user_agent" -- "$bin/byoci" -n "$namespace" queue >/dev/null 2>&1; }
ok "and may not ask the brain" not asks_brain

# The master's key starts the agent and nothing else.
by_ssh() {
	timeout "$wait_limit" ssh -F none -i "$secrets/master/id_ed25519" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes \
		-o UserKnownHostsFile="$etc/slave_hosts" -o GlobalKnownHostsFile=/dev/null -p $((jenkins_ports + 4)) "$user_agent@127.0.0.1" "$@"
}
is "$(by_ssh "echo in; id" </dev/null 2>/dev/null | tr -d '\0' | head -c 34)" '<===[HUDSON REMOTING CAPACITY]===>' "the master's key starts the agent, whatever it asks for"
forwards() { by_ssh -o ExitOnForwardFailure=yes -N -R 127.0.0.1:0:127.0.0.1:22 </dev/null 2>/dev/null; }
ok "and forwards nothing" not forwards

# Again: nothing to mend.
e2e_setup "$namespace" --no-sample
is "$status" 0 "setup/byoci again"
like "$said" 'everything is as it should be' "changes nothing"
e2e_setup --check "$namespace"
is "$status" 0 "--check agrees" || diag "$said"

# The brain is away: people press "Build".
service_stop brain >/dev/null 2>&1
proposed byhand byhand.txt "landed by hand" >"$scratch/byhand.out" 2>&1
before=$(main_now)
is "$(hudson_post "job/$namespace-sample-gate/buildWithParameters?delay=0sec")" 302 "with the brain stopped, a build that is started by hand"
has_landed() { [ "$(main_now)" != "$before" ]; }
ok "lands the next proposal" until_true has_landed ||
	diag "$(hudson_get "job/$namespace-sample-gate/2/consoleText" 2>&1)"
is "$(repo rev-parse refs/heads/main^2)" "$(repo rev-parse refs/proposals/byhand/head)" "which is that one"
reported() { report_of byhand | grep -q landed; }
ok "and is told" until_true reported
like "$(report_of byhand)" 'by hand' "that it was by hand"
before=$(main_now)
e2e_setup "$namespace" --no-sample
is "$status" 0 "the brain comes up again" || diag "$said"
landed_seen() { "$bin/byoci" -n "$namespace" why byhand 2>/dev/null | grep -qi 'landed\|merged'; }
ok "and agrees" until_true landed_seen || diag "$("$bin/byoci" -n "$namespace" why byhand 2>&1)"
proposed after after.txt "landed by the brain" >"$scratch/after.out" 2>&1
ok "the next one lands by the brain" comes_to after landed || diag "$("$bin/byoci" -n "$namespace" why after 2>&1)"
is "$(repo rev-parse refs/heads/main^1)" "$before" "right upon it"
is "$(hudson_builds "$namespace-sample-gate" | wc -l)" 3 "three builds of the job: one for each proposal"

# Without the master the brain is in no doubt whose trouble that is.
"$tool" stop "$hudson"
e2e_setup --check "$namespace"
is "$status" 1 "--check, when the master is down"
like "$said" "the master http://127.0.0.1:$jenkins_ports/ does not answer us: " "says so"
e2e_setup "$namespace" --no-sample
is "$status" 75 "setup/byoci, too"
like "$said" 'master .* does not answer us: .*--credentials' "with the remedy"

mkdir -p "$scratch/work"
said=$(checkout=$checkout work=$scratch/work remove_on_masters 2>&1)
like "$said" "left on http://127.0.0.1:$jenkins_ports/: jobs and views .* $namespace-, and the nodes of local: the lines above say why" \
	"who removes the namespace meanwhile hears what stays on the master, and why"
like "$said" '\| .*(refused|connect)' "  that it does not answer"
"$tool" resume "$hudson" >"$scratch/hudson.out" 2>&1 || bail_out "Hudson does not come up again: $(tail -n 20 "$scratch/hudson.out")"
is "$(hudson_post "createItem?name=$namespace-theirs" -H 'Content-Type: application/xml' --data-binary '<project><builders/></project>')" 200 \
	"somebody else's job that is called like ours"

e2e_setup --remove "$namespace"
is "$status" 0 "setup/byoci --remove"
like "$said" "on the master: deleted job $namespace-sample-gate$" "takes our jobs away from the master"
is "$(hudson_get 'api/json?tree=jobs[name],views[name]' | jq -c '[[.jobs[].name], [.views[].name]]')" "[[\"$namespace-theirs\"],[\"All\"]]" \
	"  all of them, and the views, and nothing of somebody else's"
is "$(hudson_get 'computer/api/json?tree=computer[displayName]' | jq -r '.computer[].displayName' | grep -c '^local')" 0 "  and the nodes"
is "$(getent passwd | grep -c "^byoci-$namespace")" 0 "leaves no user"
is "$(ls -d {/etc,/var/lib,/run,/usr/local/lib,/var/log}/byoci/"$namespace" 2>/dev/null)" "" "and no folder"
done_testing
