#!/bin/bash
# Workers of failed builds that are kept: who wants it, for how long, how many, what is left of them, and the shell in them.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/worker.sh"

# shellcheck source=tests/e2e/keep-lib.sh
. "$checkout/tests/e2e/keep-lib.sh"
tested failing <<-'SH'
	echo mine >left; echo there >/root/note; ls -A /run/secrets 2>/dev/null
	trap '' TERM; setsid sleep 1000 & exit 3
SH
first_id=$id
is "$status" 1 "a build fails"
like "$log" "^byoci: the worker is kept for (9|10) minutes: byoci-slave shell $id" "its log says that its worker is kept"
is "$(kept)" "$id" "it is listed"
like "$(byoci_slave kept | jq '.kept[0] | (.expiry - now * 1000) / 60000 | floor')" '^([5-9]|10)$' "with its expiry"
is_told() { [ "$(slave_says | jq -c '[.kept[0].build, .kept[0].expiry > now * 1000, .running, .backings, .trouble]')" = "[\"$id\",true,[],[],null]" ]; }
ok "the slave tells it to who asks how it stands" until_true is_told || diag "$(slave_says)"
ok "nothing runs in it, and it has no control group" until_true shell_gone
is "$(jq -c '[.kept, .build]' "$slots/0.json")" "[true,\"$id\"]" "its record says so"

# Beside it others work: both slots are free.
tested fine <<<'echo fine'
is "$status" 0 "another build succeeds"
unlike "$log" 'kept' "and is not kept"
id=$first_id
layer script <<<'sleep 1000'
holders=()
hold_both() {
	local name
	for name in one two; do
		setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" start=script,,"$layer" hold \
			<>"$wait_idle" >"$scratch/$name" 2>&1 &
		holders+=($!)
		disown
	done
	until_true grep -q holding "$scratch/one" && until_true grep -q holding "$scratch/two"
}
ok "as many workers as before work beside it" hold_both
let_go "${holders[@]}"
only_it() { [ "$(handlers | wc -l)" = 1 ]; }
until_true only_it

# The shell, without a terminal.
said=$(printf 'pwd; cat left /root/note; id -u; tty; echo oops >&2; ps -e -o args= | grep -c "[s]leep"; echo more >>left; exit 7' |
	shell "$id")
is "$?:$said" "7:/workspace
mine
there
0
not a tty
0" "a shell sees what the tests left, but nothing of what ran"
is "$(cat "$scratch/shell.err")" oops "its standard error is apart"
is "$(shell "$id" <<<'cat left' | tr '\n' ' ')" "mine more " "what it writes stays"
is "$(head -c 3000000 /dev/zero | shell "$id" | wc -c)" 0 "who does not read what it is sent is no obstacle"
is "$(shell "$id" <<<'head -c 3000000 /dev/zero' | wc -c)" 3000000 "all that it writes comes"
is "$(shell "$id" <<<'setsid sleep 1000 & mount -t tmpfs none /mnt 2>&1; grep -c . /proc/net/dev; exit 0' | grep -c 'permission\|denied\|3')" 2 \
	"it may not do more than the tests"
ok "and nothing runs on when it has ended" until_true shell_gone
said=$(as "$slave" timeout -k 5 "$wait_limit" "$build/bin/byoci-slave" -n "$BYOCI_NAMESPACE" shell "$id" <<<'echo slave' 2>&1)
is "$said" slave "the slave's user may have one"
said=$(as nobody timeout -k 5 "$wait_limit" "$build/bin/byoci-slave" -n "$BYOCI_NAMESPACE" shell "$id" <<<'echo nobody' 2>&1)
unlike "$said" '^nobody$' "others may not"
said=$(as nobody timeout -k 5 "$wait_limit" "$build/bin/byoci-slave" -n "$BYOCI_NAMESPACE" discard "$id" 2>&1)
is "$(kept)" "$id" "nor may they discard it"

# On a terminal.
terminals=$(shell "$id" <<<'ls /dev/pts')
said=$(typed 'stty size; tty; ps -o tty= -p $$; echo $((6 * 7)); exit 5')
like "$said" '33 77$' "a shell on a terminal has the window's size"
like "$said" '/dev/pts/[0-9]+$' "and a terminal that the container knows"
like "$said" '(^|[^/])pts/[0-9]+ *$' "which controls it"
like "$said" '42$' "what is typed is done"
like "$terminals" '^ptmx$' "(before there were no others than the container's own)"
is "$(shell "$id" <<<'ls /dev/pts')" "$terminals" "no terminal is left there"

# One at a time, and no longer than its client.
"$build/bin/byoci-slave" shell "$id" <>"$wait_idle" >/dev/null 2>&1 &
holder=$!
disown
ok "a shell runs" until_true shell_runs
shell "$id" <<<'true' >/dev/null
like "$(cat "$scratch/shell.err")" 'somebody has a shell in it already' "a second one is refused"
kill -9 "$holder"
ok "when its client is killed it ends" until_true shell_gone
is "$(kept)" "$id" "and the worker is still kept"

# Whose output nobody reads.
mkfifo "$scratch/nowhere"
exec {nowhere}<>"$scratch/nowhere"
printf 'not a whole page' >&"$nowhere"
mkfifo "$scratch/typing"
exec {typing}<>"$scratch/typing"
echo yes >&"$typing"
"$build/bin/byoci-slave" shell "$id" <"$scratch/typing" >"$scratch/nowhere" 2>/dev/null {nowhere}<&- {typing}<&- &
holder=$!
disown
# A pipe holds 64 KiB: all is stuck then.
stuck() { [ "$(perl -e 'ioctl STDIN, 0x541b, my $held = pack "i", 0; print unpack "i", $held' <&"$nowhere")" -ge 61440 ]; }
ok "a shell has nowhere to write to" until_true stuck
kill "$holder"
ended() { not kill -0 "$holder" && shell_gone; }
ok "it can be ended all the same" until_true ended || kill -9 "$holder"

# Restarts.
worker_kill KILL
slave_kill KILL
ok "byoci-worker and the slave's daemon are killed and start again" worker_start && slave_start
is "$(kept)" "$id" "it is kept all the same"
is "$(shell "$id" <<<'cat left' | tr '\n' ' ')" "mine more " "with its disk"
is "$(byoci_slave reap | jq -c .left)" '[]' "the reaper leaves it alone"
is "$(kept)" "$id" "(it does)"

# How many.
tested second <<<'exit 1'
second_id=$id
is "$(kept | sort)" "$(printf '%s\n' "$first_id" "$id" | sort)" "a second one is kept"
tested third <<<'exit 1'
is "$status" 1 "a third build fails"
like "$log" '^byoci: the worker is not kept: .*2 workers are kept already' "its worker is not kept, and why is said"
is "$(byoci_slave discard "$first_id")" '{"ok":true}' "one is discarded"
is "$(kept)" "$second_id" "the other is kept"
byoci_slave discard "$first_id" 2>"$scratch/err"
like "$(cat "$scratch/err")" "no worker of build $first_id is kept" "there is nothing to discard then"
shell "$first_id" <<<'true'
like "$(cat "$scratch/shell.err")" "no worker of build $first_id is kept" "nor to enter"
keeper=$(jq -r 'select(.kept) | .pid' "$slots"/*.json)
kill -9 "$keeper"
reaped() { byoci_slave reap >/dev/null && none_kept; }
ok "the process of a kept worker is killed: nothing is kept" until_true reaped
clean "and nothing is left"

# Wanted by a person.
keeps 0s
tested unwanted <<<'exit 1'
unlike "$log" 'kept' "where nobody wants it a failed build's worker goes"
proposed wanted <<<'echo begun; sleep 1000; echo ended'
timeout -k 5 "$wait_limit" "$build/bin/byoci-slave" test --spec "$scratch/spec" >"$scratch/wanted" 2>&1 &
client=$!
until_true grep -q begun "$scratch/wanted"
is "$(byoci_slave keep "$id")" '{"ok":true}' "a person wants it while the tests run"
kill "$(processes | awk '/[s]leep 1000/ { print $2; exit }')"
wait "$client"
like "$(cat "$scratch/wanted")" '^byoci: the worker is kept for (1439|1440) minutes' "it is kept as long as may be, also when they succeed"
byoci_slave keep "$id" 2>"$scratch/err"
like "$(cat "$scratch/err")" 'has ended' "afterwards it is too late"
is "$(byoci_slave discard "$id")" '{"ok":true}' "and it is discarded while someone could have wanted it"

# For how long.
keeps 2s
tested short <<<'exit 1'
like "$log" "^byoci: the worker is kept for .*: byoci-slave shell $id" "a worker is kept for two seconds"
ok "and no longer" until_true none_kept
clean "nothing is left of it"
keeps 10m 'keep.limit = 1s'
tested limited <<<'exit 1'
ok "keep.limit is the longest" until_true none_kept
keeps 10m 'worker.kept = 0'
tested never <<<'exit 1'
like "$log" 'not kept: .*0 workers are kept' "none is kept where there may be none"
clean "nothing is left at the end"
done_testing
