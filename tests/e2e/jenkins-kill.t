#!/bin/bash
# Ten proposals, tested and landed by jobs of a real master, with the brain killed again and again and the master restarted among them:
# each lands once, none is lost, and the master's history has one build for each attempt.
# shellcheck disable=SC2034,SC2154
BYOCI_E2E_NAMESPACE=unsteady jenkins_ports=9370 jenkins_ids=1510000000
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip_all "setup/byoci needs root"
# shellcheck source=tests/e2e/master-lib.sh
. "$checkout/tests/e2e/master-lib.sh"

seed=${BYOCI_SEED:-$((SRANDOM % 32768))}
RANDOM=$seed
diag "BYOCI_SEED=$seed"
e2e_remove
hudson_start
jenkins_setup --no-sample
first=$(main_now)

proposals=()
for ((i = 1; i <= 10; i++)); do proposals+=("p$i"); done
propose_all() {
	local name
	for name in "${proposals[@]}"; do proposed "$name" "$name.txt" "of $name" || return; done
}

# all_over: 0 when each is landed; what a brain that is down does not say counts as not yet.
landed_count() {
	"$bin/byoci" -n "$namespace" queue >/dev/null 2>&1 || return 1
	over=0
	for name in "${proposals[@]}"; do ! state_is "$name" 'landed' || over=$((over + 1)); done
}
all_over() { landed_count && [ "$over" -eq 10 ]; }
has_landed_since() { landed_count && { [ "$over" -gt "$1" ] || [ "$over" -eq 10 ]; }; }

brain_kill() {
	local pid
	pid=$(service_pid brain)
	[ -n "$pid" ] || return 0
	kill -KILL "$pid"
	until_true service_gone "$pid"
	kills=$((kills + 1))
}
brain_start() {
	service_start brain
	until_true service_ready brain
}

# Somewhere in the next so many milliseconds; nothing is waited for by it.
pause() { read -r -t "$(printf '%d.%03d' $((RANDOM % $1 / 1000)) $((RANDOM % 1000)))" _ <>"$scratch/never"; }
mkfifo "$scratch/never"
kills=0 restarts=0
propose_all >"$scratch/proposed.out" 2>&1 &
proposing=$!
deadline=$((SECONDS + ${BYOCI_KILL_LIMIT:-240}))
while [ "$SECONDS" -lt "$deadline" ]; do
	pause 3000
	if all_over; then break; fi
	brain_kill
	if [ "$restarts" -eq 0 ] && [ "$kills" -ge 2 ]; then
		[ $((RANDOM % 2)) -eq 0 ] || brain_start # with and without a brain that sees it
		"$tool" restart "$hudson" >>"$scratch/hudson.out" 2>&1 || diag "Hudson did not come back: $(tail -n 5 "$scratch/hudson.out")"
		restarts=1
	fi
	[ -n "$(service_pid brain)" ] || brain_start || diag "the brain did not come up: $(tail -n 5 "$log/byoci-brain.log")"
	# Else nothing would ever get anywhere on a slow machine.
	[ $((kills % 3)) -ne 0 ] || until_true has_landed_since "${over:-0}"
done
wait "$proposing" || bail_out "$(tail "$scratch/proposed.out")"
diag "the brain was killed $kills times, the master restarted $restarts times"
all_land() { for name in "${proposals[@]}"; do until_true state_is "$name" landed || return 1; done; }
ok "ten proposals land in the end" all_land ||
	for name in "${proposals[@]}"; do state_is "$name" landed || diag "$("$bin/byoci" -n "$namespace" why "$name" 2>&1 | tail -n 8)"; done
ok "with the brain killed in between" [ "$kills" -ge 3 ]
is "$restarts" 1 "and the master restarted"

# On main: ten merges, each of one proposal's head, each head once.
merges=$(repo rev-list --first-parent --merges "$first..refs/heads/main" | wc -l)
is "$merges" 10 "main has ten merges more"
is "$(repo rev-list --first-parent "$first..refs/heads/main" | while read -r merge; do repo rev-parse "$merge^2"; done | sort)" \
	"$(for name in "${proposals[@]}"; do repo rev-parse "refs/proposals/$name/head"; done | sort)" "one of each proposal"
told() {
	for name in "${proposals[@]}"; do
		repo for-each-ref --format='%(objectname)' "refs/proposals/$name/reports/" | while read -r blob; do
			repo cat-file blob "$blob" | jq -r --arg name "$name" 'select(.kind == "landed") | $name'
		done
	done
}
all_told() { [ "$(told | sort)" = "$(printf '%s\n' "${proposals[@]}" | sort)" ]; }
ok "each is told once that it has landed" until_true all_told || diag "$(told)"

# In the master's history: the brain's attempts, each once.
attempts() { for name in "${proposals[@]}"; do builds_of "$name"; done | sort; }
history=$(hudson_builds "$namespace-sample-gate" | jq -r .id | sort)
is "$(uniq -d <<<"$history")" "" "no attempt was built twice"
is "$(comm -23 <(printf '%s\n' "$history") <(attempts))" "" "the master built nothing that the brain does not know"
# A restart of the master may abort one that has said its signed result already: that counts, and not what the master calls it.
successes_of() {
	show "$1" | jq -r '.builds[] | select(.outcome == "success") | .build // .id' | sort
}
is "$(for name in "${proposals[@]}"; do comm -12 <(successes_of "$name") <(printf '%s\n' "$history"); done | wc -l)" 10 \
	"of each proposal there is one that succeeded"
landings=$(hudson_builds "$namespace-sample-land" | jq -r .id | sort)
is "$(uniq -d <<<"$landings")" "" "no landing was asked for twice"
diag "$(wc -l <<<"$history") builds, $(wc -l <<<"$landings") landings: $(hudson_builds "$namespace-sample-gate" | jq -r .result | sort | uniq -c | paste -sd ' ')"

# Nothing is left.
e2e_setup --check "$namespace"
is "$status" 0 "after all that, --check finds nothing wrong" || diag "$said"
done_testing
