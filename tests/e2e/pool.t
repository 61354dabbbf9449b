#!/bin/bash
# Workers that wait for a build: there before it is asked for, used once, replaced when they are unwell, old or of another configuration,
# given up when their slot is needed, and gone with the daemon, however it ends.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/slave-lib.sh
. "$(dirname "$0")/slave-lib.sh"

others="[project/second]
repository = ssh://git@forge.test/sample.git
repository.read = $root/git/sample.git
allowed_signers = $root/allowed
jobs = zone
[job/zone]
backing = bookworm
tests.command = ./run-tests"
# set_options OPTION=VALUE… of the namespace; the daemon hears of it when it runs.
set_options() {
	local option
	configure "$others"
	for option; do sed -i "s/^state = /${option/=/ = }\n&/" "$root/etc/byoci/byov.conf"; done
	[ -z "${slave_pid:-}" ] || slave_rereads
}

waiting() {
	slave list | jq -r ".ready[] | select(.state == \"ready\") | .${1:-job}"
}
wait_for() {
	[ "$(waiting)" = "$1" ]
}
standbys() {
	pgrep -f "^$O/bin/byoci-slave -n $BYOCI_NAMESPACE standby "
}
# Processes that wait to have a worker started, and the one that had it started last.
spares() {
	pgrep -f "^$O/bin/byoci-slave -n $BYOCI_NAMESPACE spare "
}
newest() {
	pgrep -n -f "^$O/bin/byoci-slave -n $BYOCI_NAMESPACE (standby|spare) "
}
# Processes that hold a worker, beside the daemon itself.
held() {
	ps --ppid "$worker_pid" -o stat=,pid= | awk '$1 !~ /^Z/ { print $2 }'
}
none() {
	[ -z "$("$@")" ]
}
gone() {
	[ ! -e "/proc/$1" ]
}
# What was there before has gone, too.
one_alone() {
	wait_for unit && [ "$(standbys | wc -l)" = 1 ] && [ "$(held | wc -l)" = 1 ]
}
begin() {
	propose "$1" "echo begun; while [ ! -e $root/go-$1 ]; do sleep 0.02; done"
	slave spec --project "${2:-sample}" "$1" >"$root/$1.spec"
	build=$(jq -r .build "$root/$1.spec")
	"$O/bin/byoci-slave" test --detach --spec "$root/$1.spec" --result "$root/$1.result" >"$root/$1.out" 2>"$root/$1.err" &
	client=$!
	until_true grep -q 'begun' "$root/$1.out" || bail_out "$1 did not begin: $(cat "$root/$1".{out,err}; tail -n 3 "$root/slave.log")"
}
go() {
	touch "$root/go-$1"
	wait "$client"
}

ready=1
make_namespace
start_worker
start_slave
ok "a worker waits before a build is asked for" until_true one_alone
leader=$(standbys)
begin one
is "$(jq .pid "$(folder)/leader.pid")" "$leader" "the process that had it started leads the build"
ok "and another one waits soon" until_true wait_for unit
ok "which is another" [ "$(standbys | grep -vx "$leader")" ]
go one
is "$?" 0 "the build succeeds"
is "$(payload "$root/one.result" | jq -r '.jobs[0].backing | length')" 64 "and its result names the backing"
ok "the one that was used is gone" until_true gone "$leader"
ok "one waits" until_true wait_for unit

propose fails 'exit 3'
spec fails
run_test fails
is "$status" 1 "tests that fail in one fail"
until_true wait_for unit
git -C "$root/w" checkout -q -B ours "$(main_now)" && write_tests 'echo ours' && git -C "$root/w" commit -qam ours
git -C "$root/w" push -q "$root/git/sample.git" HEAD:refs/heads/main
git -C "$root/w" checkout -q -B theirs 'HEAD^' && write_tests 'echo theirs' && git -C "$root/w" commit -qam theirs
(cd "$root/w" && "$O/bin/byoci" propose --project sample --name theirs -k "$root/ann") >/dev/null
spec theirs
run_test theirs
is "$status" 2 "a conflict is a conflict, whatever waits"
begin cancelled
slave cancel "$build" >/dev/null
wait "$client"
is "$?" 130 "a build in one can be cancelled"
ok "and one waits again" until_true one_alone

# Unwell: its worker is gone, its process is gone, it is gone as it is asked.
since=$(waiting since)
kill -9 "$(held)"
replaced() {
	local now
	now=$(waiting since)
	[ -n "$now" ] && [ "$now" != "$since" ]
}
ok "one whose worker is gone is replaced" until_true replaced
until_true one_alone
since=$(waiting since)
kill -9 "$(standbys)"
ok "and one whose process is gone" until_true replaced
until_true one_alone
propose late
spec late
kill -9 "$(held)" "$(standbys)"
run_test late
is "$status" 0 "a build that is asked for in that moment has a worker started"
until_true one_alone
stopped=$(standbys)
kill -STOP "$stopped"
kill -9 "$(held)"
"$O/bin/byoci-slave" test --detach --spec "$root/late.spec" >"$root/late.out" 2>&1 &
jq -c '.build = "00112233445566778899aabbccddeeff"' "$root/late.spec" >"$root/later.spec"
"$O/bin/byoci-slave" test --spec "$root/later.spec" >"$root/later.out" 2>&1 &
client=$!
until_true test -e "$root/state/slave/builds/00112233445566778899aabbccddeeff/spec.json"
kill -CONT "$stopped"
wait "$client"
is "$?" 0 "one that was ordered to lead, and finds its worker unwell, starts another"
like "$(cat "$root/later.out")" 'the worker that waited is not used' "and says so"

# The configuration is another one; they expire.
until_true wait_for unit
since=$(waiting since)
slave_rereads
ok "when the configuration is read again, it is replaced" until_true replaced
sed -i 's/^tests.command = .*/tests.command = echo new; .\/run-tests/' "$root/etc/byoci/byov.conf"
slave_rereads
until_true wait_for unit
propose new
spec new
run_test new
like "$log" '^\| new$' "and builds run by the new one"
sed -i 's/^ready.minimum = .*/&\nready.expiry = 1s/' "$root/etc/byoci/byov.conf"
slave_rereads
until_true wait_for unit
since=$(waiting since)
ok "one that has waited for ready.expiry is replaced" until_true replaced

# Slots.
set_options worker.slots=1
ok "with one slot one waits" until_true wait_for unit
begin other second
is "$(grep -c 'its slot is needed' "$root/slave.log")" 1 "a build of another job gets its slot"
is "$(waiting)" "" "while it runs none waits"
go other
ok "then one waits for that other job, which was asked for last" until_true wait_for zone
set_options worker.slots=3
both() { [ "$(waiting | sort | tr '\n' ' ')" = "unit zone " ]; }
ok "with three slots a job that was asked for lately has one as well" until_true both
ready=0
set_options
ok "with ready.minimum = 0 none waits" until_true none standbys
propose cold
spec cold
run_test cold
is "$status" 0 "and builds start their workers"
ok "no process is left" until_true none held

# A build that may come: when a push is told of, one is started, whether or not one is to wait.
told='{"op":"ahead","project":"sample","proposal":"soon"}'
leads() {
	[ "$(jq .pid "$(folder)/leader.pid" 2>/dev/null)" = "$leader" ]
}
lines() {
	grep -c "$1" "$root/slave.log"
}
propose soon
spec soon
: >"$root/slave.log"
one_spare() { [ "$(spares | wc -l)" = 1 ]; }
ok "where none waits, a process does that would have one started" until_true one_spare
leader=$(spares)
for ((count = 0; count < 40; count++)); do echo "$told"; done | raw slave 40 >/dev/null
ok "when pushes are told of, a worker is started" until_true wait_for unit
is "$(lines 'a worker waits')" 1 "one for all of them"
run_test soon
is "$status" 0 "a build that comes succeeds"
ok "led by that process" leads

# tell PID: of a push, for which a process has a worker started now: $leader, which is not that one.
begun_since() {
	leader=$(newest)
	[ -n "$leader" ] && [ "$leader" != "$1" ]
}
is_told() {
	raw slave 1 <<<"$told" >/dev/null
	[ "$(slave list | jq '.ready | length')" -gt 0 ]
}
tell() {
	until_true is_told && until_true begun_since "$1"
}

until_true one_spare
spare=$(spares)
kill -9 "$spare"
until_true gone "$spare"
kill -STOP "$worker_pid"
tell "$spare"
is "$(slave list | jq -r '.ready[].state')" starting "one that still starts"
spec soon
run_test soon &
client=$!
ok "is given a build, too" until_true leads
kill -CONT "$worker_pid"
wait "$client"
like "$(cat "$root/soon.out")" '^byoci: success' "which succeeds"

# The order is there before the daemon hears that the worker is: by a connection that it has taken before it was stopped.
until_true none held # so that who is held below is held for this one
kill -STOP "$worker_pid"
tell "$leader"
spec soon
mkfifo "$root/say"
perl -MIO::Socket::UNIX -e '
	my ($socket, $taken, $said, $limit) = @ARGV;
	sub note { open my $file, ">", $_[0] }
	alarm $limit;
	my $s = IO::Socket::UNIX->new(Peer => $socket) or exit 1;
	print {$s} "{\"op\":\"list\"}\n";
	$s->flush;
	<$s>;
	note($taken);
	print {$s} scalar <STDIN>;
	$s->flush;
	note($said);
	print scalar <$s>' "$root/run/slave/socket" "$root/taken" "$root/said" "$wait_limit" <"$root/say" >"$root/answer" &
client=$!
exec 8>"$root/say"
until_true test -e "$root/taken"
kill -STOP "$slave_pid"
jq -c '{op: "start", spec: .}' "$root/soon.spec" >&8
exec 8>&-
until_true test -e "$root/said"
kill -CONT "$worker_pid"
is_held() { [ "$(held)" ]; }
until_true is_held
kill -CONT "$slave_pid"
wait "$client"
until_true test -e "$(folder)/result"
is "$(payload "$(folder)/result" | jq -r .outcome)" success "and one that is asked for as its worker says that it is there"
ok "  is led by it" leads

kill -STOP "$worker_pid"
tell "$leader"
kill -STOP "$leader"
kill -9 "$worker_pid"
wait "$worker_pid" 2>/dev/null
rm -f "$root/run/worker/socket"
spec soon
run_test soon &
client=$!
until_true test -e "$(folder)/spec.json"
start_worker
kill -CONT "$leader"
wait "$client"
like "$(cat "$root/soon.out")" '^byoci: success' "one whose worker did not start has another one started"

again() {
	raw slave 1 <<<"$told" >/dev/null
	replaced
}
since=
until_true again
: >"$root/slave.log"
since=$(waiting since)
ok "one that no build comes for goes" until_true wait_for ""
ok "  soon" test "$(lines 'no build has come for it')" -ge 1
ok "then another one is started" until_true again
later=$(($(waiting since) - since))
ok "  not at once ($later ms after the one before)" [ "$later" -ge 6000 ]
sed -i 's/^ready.minimum = .*/&\nready.maximum = 0/' "$root/etc/byoci/byov.conf"
slave_rereads
until_true wait_for ""
raw slave 1 <<<"$told" >/dev/null
is "$(slave list | jq '.ready | length')" 0 "with ready.maximum = 0 none is"
until_true one_spare
before=$(spares)
slave_rereads
another() { one_spare && [ "$(spares)" != "$before" ]; }
ok "when the configuration is read again, another process waits" until_true another

# The daemon ends.
ready=1
set_options
one_waits() { waiting | grep -qx unit; } # maybe beside one of the other job
until_true one_waits
kill "$slave_pid"
wait "$slave_pid" 2>/dev/null
ok "a daemon that ends leaves none" until_true none newest
ok "and no worker" until_true none held
slave_pid=
start_slave
until_true one_waits
kill -9 "$slave_pid"
wait "$slave_pid" 2>/dev/null
ok "nor does one that is killed" until_true none newest
ok "nor a worker" until_true none held
start_slave
until_true one_waits
begin goes-on
kill -9 "$slave_pid"
wait "$slave_pid" 2>/dev/null
start_slave
ok "a build in one goes on when the daemon is killed" kill -0 "$(jq .pid "$(folder)/leader.pid")"
go goes-on
is "$?" 0 "to its end"

# Nobody makes workers.
kill "$worker_pid"
wait "$worker_pid" 2>/dev/null
rm -f "$root/run/worker/socket"
: >"$root/slave.log"
kill -HUP "$slave_pid"
gave_up() { grep -q 'no worker waits' "$root/slave.log"; }
ok "without byoci-worker none waits, and the log says why" until_true gave_up
pass 2
ok "and it is not tried in a circle ($(grep -c 'no worker waits' "$root/slave.log") times)" \
	[ "$(grep -c 'no worker waits' "$root/slave.log")" -le 4 ]
start_worker
kill -HUP "$slave_pid"
ok "when it is there again, one waits" until_true one_waits
done_testing
