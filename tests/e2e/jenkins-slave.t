#!/bin/bash
# What setup/byoci --slave stands up on another machine than the brain's: all that a master needs to run builds there, and no more.
# shellcheck disable=SC2034,SC2154
BYOCI_E2E_NAMESPACE=outpost jenkins_ports=9354 jenkins_ids=1520000000
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip_all "setup/byoci needs root"
# shellcheck source=tests/e2e/master-lib.sh
. "$checkout/tests/e2e/master-lib.sh"

e2e_remove
hudson_start
far=("$namespace" --slave "${jenkins_ours[@]}" -O slave.name=far -O "slave/far:address=127.0.0.1:$((jenkins_ports + 4))")
e2e_setup "${far[@]}"
is "$status" 75 "setup/byoci --slave without a master"
like "$said" 'master.url: not set: .* -O master.url=URL' "says so"
far+=(-O "master.url=$(cat "$hudson/url")")
e2e_setup "${far[@]}"
is "$status" 75 "without the master's key"
like "$said" 'secrets/master/id_ed25519.pub: not there: bring that file' "says which file to bring"
mkdir -p "/var/lib/byoci/$namespace/secrets/master"
ssh-keygen -q -t ed25519 -N '' -f "$scratch/key"
cp "$scratch/key.pub" "/var/lib/byoci/$namespace/secrets/master/id_ed25519.pub"
backings_restore
e2e_setup "${far[@]}"
is "$status" 0 "then it stands it up" || bail_out "$(tail -n 30 <<<"$said")"
like "$said" 'result-keys/far.pub and .*/result-keys/far-land.pub' "and says what to bring to the brain"
like "$said" 'jenkins update-slave far$' "and what to do there"
e2e_places
backings_save
agent_dialect() { echo hudson; }
service_names_all
is "$service_names" "worker slave land agent" "it has four processes"
for service in worker:root slave:byoci-outpost-slave land:byoci-outpost-land agent:byoci-outpost-agent; do
	is "$(stat -c %U "/proc/$(service_pid "${service%:*}")")" "${service#*:}" "byoci-${service%:*} runs as ${service#*:}"
done
is "$(ls "$git_root")" "" "no repository"
is "$(for service in brain git master; do service_pid "$service"; done)" "" "and none of the brain's"
is "$(ss -Hltn | awk '{ print $4 }' | grep -cE ":($((jenkins_ports + 1))|$((jenkins_ports + 2))|$((jenkins_ports + 3)))$")" 0 "whose ports nobody has"
is "$(stat -c '%U:%a' "$secrets/land" "$secrets/land/result.key" "$secrets/slave/result.key" | paste -sd ' ')" \
	"$user_land:700 $user_land:600 $user_slave:600" "keys for landings and results"
say_hello() {
	timeout "$wait_limit" ssh -F none -i "$1" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes \
		-o UserKnownHostsFile="$etc/slave_hosts" -o GlobalKnownHostsFile=/dev/null -p $((jenkins_ports + 4)) "$user_agent@127.0.0.1" x </dev/null 2>/dev/null
}
is "$(say_hello "$scratch/key" | tr -d '\0' | head -c 34)" '<===[HUDSON REMOTING CAPACITY]===>' "the master's key starts the agent there"
ssh-keygen -q -t ed25519 -N '' -f "$scratch/other"
is "$(say_hello "$scratch/other" | tr -d '\0' | wc -c)" 0 "another does not"
is "$(runuser -u "$user_agent" -- "$bin/byoci-slave" -n "$namespace" list | jq -c .builds)" '[]' "whose user is answered by the slave's daemon"

e2e_setup "$namespace"
is "$status" 0 "again, without --slave" || diag "$said"
like "$said" 'everything is as it should be' "it stays what it is"
e2e_setup --check "$namespace"
is "$status" 0 "--check agrees" || diag "$said"
e2e_setup "$namespace" --slave --master
is "$status" 64 "--slave and --master are for different machines"
e2e_setup --remove "$namespace"
is "$status" 0 "setup/byoci --remove"
is "$(getent passwd | grep -c "^byoci-$namespace")" 0 "leaves no user"
done_testing
