#!/bin/bash
# Workers that are kept and that LXD runs (all else: keep.t): the instance goes, its disk stays, and a shell gets another instance on it.
# shellcheck disable=SC2154
worker_kind=lxd
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/worker.sh"
# shellcheck source=tests/e2e/keep-lib.sh
. "$checkout/tests/e2e/keep-lib.sh"
instance=byoci-$BYOCI_NAMESPACE-0
sed -i 's/^\[backing\/never\]$/&\nready.minimum = 0/' "$scratch/conf" && keeps 10m

tested failing <<-'SH'
	echo mine >left; echo there >/root/note
	trap '' TERM; setsid sleep 1000 & exit 3
SH
is "$status" 1 "a build fails"
like "$log" "^byoci: the worker is kept for (9|10) minutes: byoci-slave shell $id" "its log says that its worker is kept"
is "$(slave_says | jq -c '[.kept[0].build, .kept[0].expiry > now * 1000, .trouble]')" "[\"$id\",true,null]" "the slave lists it, with its expiry"
nothing_runs() { [ -z "$(lxd_instances)$(processes)" ]; }
ok "its instance is gone, and all that ran in it" until_true nothing_runs
is "$(find /sys/fs/cgroup -maxdepth 8 -name "lxc.*.$instance")" "" "with its control groups"

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
is "$(head -c 3000000 /dev/zero | shell "$id" | wc -c)" 0 "who does not read what it is sent is no obstacle"
is "$(shell "$id" <<<'head -c 3000000 /dev/zero' | wc -c)" 3000000 "all that it writes comes"
is "$({ echo 'wc -c; exit 0'; head -c 3000000 /dev/zero; } | shell "$id")" 3000000 "and all that it is sent"
ok "nothing runs on when it has ended" until_true nothing_runs

# On a terminal, which is LXD's.
terminals=$(shell "$id" <<<'cat left; mount -t tmpfs none /mnt 2>&1 | grep -c "permission\|denied"; ls /dev/pts')
like "$terminals" '^more$' "what it writes stays"
like "$terminals" '^1$' "it may not do more than the tests"
said=$(typed 'stty size; tty; ps -o tty= -p $$; echo $((6 * 7)); exit 5')
is "$?" 5 "a shell on a terminal tells how it ended"
like "$said" '33 77$' "has the window's size"
like "$said" '/dev/pts/[0-9]+$' "and a terminal that the container knows"
like "$said" '(^|[^/])pts/[0-9]+ *$' "which controls it"
like "$said" '42$' "what is typed is done"

# One at a time, and no longer than its client.
"$build/bin/byoci-slave" shell "$id" <>"$wait_idle" >/dev/null 2>&1 &
holder=$!
disown
ok "a shell runs" until_true shell_runs
is "$(lxc query "/1.0/instances/$instance" | jq -r '.config["user.byoci.build"]')" "$id" "its instance says of which build it is"
shell "$id" <<<'true' >/dev/null
like "$(cat "$scratch/shell.err")" 'somebody has a shell in it already' "a second one is refused"
kill -9 "$holder"
gone() { [ -z "$(lxd_instances)" ]; }
ok "when its client is killed it ends" until_true gone

# A copy of it, which is an instance of its own.
look='pwd; cat left /root/note; wc -l <test.sh; stat -c "%u %g %a" left /root/note; id -u; ps -e -o args= | grep -c "[s]leep"'
is "$(copied 60 "$look" | grep -v '^ended')" "$(shell "$id" <<<"$look")" "a copy of it is just as it is"
is "$(copied 60 'echo more >>left; rm test.sh; setsid sleep 1000 & exit 9' | tail -n 1)" "ended with 9 " "the end of its shell is told"
is "$(shell "$id" <<<'cat left test.sh | wc -l')" 4 "what is done there is not done to the kept one"
ok "nothing is left of the copies" until_true gone
is "$(kept)" "$id" "but the kept one"

# Restarts, of LXD too.
worker_kill KILL
slave_kill KILL
lxd_kill TERM
ok "LXD, byoci-worker and the slave's daemon end and start again" lxd_daemon && worker_start && slave_start
is "$(byoci_slave reap | jq -c .left)" '[]' "the reaper leaves it alone"
is "$(kept) $(shell "$id" <<<'cat left' | tr '\n' ' ')" "$id mine more " "it is kept all the same, with its disk"
is "$(byoci_slave discard "$id")" '{"ok":true}' "it is discarded"
is "$(kept)" "" "and not kept any more"
clean "nothing of it is left"

# For how long, and not longer than its process.
keeps 2s
tested short <<<'exit 1'
ok "one that is kept for two seconds goes" until_true none_kept
keeps 10m
tested killed <<<'exit 1'
"$build/bin/byoci-slave" shell "$id" <>"$wait_idle" >/dev/null 2>&1 &
disown
ok "a shell runs" until_true shell_runs
kill -9 "$(jq -r 'select(.kept) | .pid' "$slots"/*.json)"
reaped() { byoci_slave reap >/dev/null && none_kept && gone; }
ok "the process of a kept worker is killed: nothing is kept, and the instance is deleted" until_true reaped
clean "and nothing is left"
is "$(lxd_instances)" "" "no instance"
done_testing
