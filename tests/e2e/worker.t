#!/bin/bash
# byoci-worker: what a test is told, its limits, and that nothing of a worker stays, however it ends.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/worker.sh"

ok "byoci-worker listens" worker_start || bail_out "$(cat "$scratch/worker.log")"

# A backing whose caller goes away while it is built.
unfinished() { find "$state/worker/backings" -maxdepth 1 -name '.*' ! -name '.' ; }
setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" backing=never >"$scratch/never" 2>&1 &
caller=$!
disown
ok "a backing is built for the slave's user" until_true grep -q 'backing never: building it' "$scratch/never"
one_begun() { [ "$(unfinished | wc -l)" = 1 ]; }
ok "beside the others" until_true one_begun
let_go "$caller"
unbuilt() { [ -z "$(unfinished)$(handlers)" ]; }
ok "when the caller goes away it is given up" until_true unbuilt || diag "$(unfinished; handlers)"

# What a test is told, and what comes back.
runs plain <<-'SH'
	echo to output; echo to errors >&2; exit 3
SH
like "$said" "^started on $digest in" "a worker starts on the backing"
like "$said" '^to output$' "standard output comes through"
like "$said" '^to errors$' "so do errors"
like "$said" '^ended with 3 $' "and the exit status"
like "$said" '^removed$' "the worker is removed"
clean "and nothing of it is left"

try start=both,,"$layer" exec wait
like "$said" '^set up$' "setup.command runs"
like "$said" '^ended with 7 $' "tests.command runs after it, in a shell of its own"
try start=unset,,"$layer" exec wait
unlike "$said" '^tested$' "tests.command does not run when setup.command failed"
like "$said" '^ended with 5 $' "whose status it is"
clean "callers that go away leave nothing, either"

runs inside <<-'SH'
	echo "in $(pwd) as $(id -u):$(id -g)"
	echo "workspace of $(stat -c %u:%g . test.sh | sort -u)"
	echo "files of root: $(stat -c %u /etc/passwd)"
	env | grep -Ev '^(PWD|SHLVL|OLDPWD|_)=' | sort | tr '\n' ' '; echo
	echo "ids: $(tr -s ' ' </proc/self/uid_map)"
	echo "groups:$(id -G)"
	grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\t\n' '  '; echo
	grep -E '^CapBnd' /proc/self/status
	echo "interfaces: $(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ')"
	echo "processes: $(ps -e -o pid= | wc -l)"
	echo "descriptors: $(ls /proc/self/fd | tr '\n' ' ')"
	echo new > file && mkdir -p /opt/new && rm test.sh && echo "writes"
	bash -c 'echo > /dev/tcp/192.0.2.1/80' 2>&1 | grep -o unreachable
	chown 70000 file 2>/dev/null || echo "no other ids"
	unshare -U true 2>/dev/null || echo "no user namespaces"
	mount -t tmpfs none /mnt 2>/dev/null || echo "no mounts"
	mknod /tmp/sda b 8 0 2>/dev/null || echo "no devices"
	echo x 2>/dev/null >/proc/sys/kernel/core_pattern || echo "no settings of the kernel"
	kill -9 1 2>/dev/null; [ -d /proc/1 ] && echo "init lives"
	ls /sys/fs/cgroup | wc -l | sed 's/^/cgroups: /'
SH
like "$said" '^in /workspace as 0:0$' "the tests run in /workspace, as root"
like "$said" '^workspace of 0:0$' "and own the tree"
like "$said" '^files of root: 0$' "and the system"
like "$said" '^CI=true HOME=/root LANG=C.UTF-8 PATH=[^ ]* (USER=root )?container=lxc $' "their environment is small"
like "$said" "^ids:  ?0 $ids_first 65536$" "root is not root"
like "$said" '^groups:0$' "they have no group of ours"
like "$said" '^NoNewPrivs: 1 Seccomp: 2' "they can't gain privileges"
like "$said" '^CapBnd:.00000000a0040[0-9a-f]{3}$' "and have few"
like "$said" '^interfaces: lo$' "they have no network but their own lo"
like "$said" '^unreachable$' "and reach nobody"
like "$said" '^descriptors: 0 1 2 3 $' "no descriptor of ours is open there"
like "$said" '^writes$' "what they see can be written"
for line in 'no other ids' 'no user namespaces' 'no mounts' 'no devices' 'no settings of the kernel' 'init lives'; do
	like "$said" "^$line\$" "$line"
done
is "$(wc -l <"$layer/workspace/test.sh")" 20 "the tree outside stays as it was"
is "$(find "$state/worker/backings/$digest/rootfs/opt" | wc -l)" 1 "so does the backing"

echo secret >"$scratch/secret" && chmod 644 "$scratch/secret"
runs outside <<-SH
	cat "$scratch/secret" 2>/dev/null || echo "not there"
	cat /proc/mounts /proc/self/mountinfo /proc/self/cgroup
	ls /proc/1/root/ /proc/1/cwd/ /run /tmp /var/tmp /dev
	echo "sockets: \$(grep -c byoci /proc/net/unix)"
SH
like "$said" '^not there$' "files of the host are not there"
unlike "$said" "$scratch|$state|byoci-$BYOCI_NAMESPACE" "nor are their names"
like "$said" '^sockets: 0$' "nor are sockets"

# A worker that is started before its tree is known.
layer waiting <<-'SH'
	echo "in $(pwd): $(ls | tr '\n' ' ')of $(stat -c %u:%g . test.sh | sort -u), on $(stat -fc %b / . | sort -u | wc -l) disk"
	mkdir new && rm test.sh && echo "writes"
	head -c 20m /dev/zero >/tmp/big && { head -c 20m /dev/zero >big || echo "full at $(($(stat -c %s big) >> 20))"; }
SH
try ready=script, check attach=script,,"$layer" check exec wait remove
like "$said" "^waits on $digest in" "a worker waits on the backing"
is "$(grep -c '^well$' <<<"$said")" 2 "and is well, without its tree and with it"
like "$said" '^in /workspace: test.sh of 0:0, on 1 disk$' "the tests find the tree, which is theirs"
like "$said" '^writes$' "and write to it"
like "$said" '^full at (8|9|1[0-2])$' "the tree and the rest share the disk"
is "$(find "$layer" | wc -l)" 3 "the tree outside stays as it was"
clean "and nothing of it is left"
try ready=script, exec wait
like "$said" '^failed .* exec: build: missing' "without a tree there is no command"
try ready=script, attach=both,,"$layer"
like "$said" '^failed .* attach: the worker was started for job script' "the tree must be for the same job"
try ready=script, attach=script,"$digest","$layer"
like "$said" '^failed .* attach: job script is configured otherwise here' "configured as it is here"
try ready=script, attach=script,,"$layer/workspace"
like "$said" '^failed .* attach: the layer has no folder workspace' "and be a tree"
try ready=script, attach=script,,"$layer" attach=script,,"$layer"
like "$said" '^failed .* attach: attach can.t be done now: the worker waits for its command' "there is one tree for a worker"
try ready=script, stop check
like "$said" '^failed .* check: check can.t be done now' "a worker that was stopped does not wait"
try ready=script, remove
like "$said" '^removed$' "a worker that waits can be removed"
try ready=script,"$digest"
like "$said" '^failed .* ready: job script is configured otherwise here' "the job must be configured as it is here from the start"
clean "none of them left anything"
none_lives() { ! processes | grep -qv ']'; } # of who is dead, and waited for by nobody yet, ps has the name in brackets
said=$( (until_true grep -q '^holding' "$scratch/dying"; processes | awk '{print $2}' | xargs kill -9; until_true none_lives; pass 0.1) |
	as "$slave" "$scratch/worker-try" "$socket" ready=script, hold check 2>&1 | tee "$scratch/dying")
like "$said" '^failed .* check: .*(its first process has ended|does not run any more)$' "one whose container has died is not well"
clean "and leaves nothing"

# Limits.
runs hog <<-'SH'
	head -c 300m /dev/zero | tail >/dev/null; echo "tail: $?"
SH
like "$said" '^tail: 137$' "who takes too much memory is killed"
like "$said" '^ended with 0 the memory limit \(96 MiB, disk of 32 MiB included\) was reached: 1 processes were killed' "and that is told"
runs disk <<-'SH'
	head -c 100m /dev/zero >big || echo "full at $(($(stat -c %s big) >> 20))"
SH
like "$said" '^full at (3[0-2])$' "the disk is full at its size"
like "$said" '^ended with 0 the disk of 32 MiB was full' "and that is told"
runs bomb <<-'SH'
	i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i + 1)); done; echo "not limited"
SH
unlike "$said" '^not limited$' "processes are limited"
like "$said" '^ended with [1-9][0-9]* the limit of 64 processes was reached' "and that is told"
clean "and what ran in the background is gone"

# STOP.
layer sleeper <<-'SH'
	bomb() { bomb & bomb & wait; }
	trap '' TERM HUP INT
	[ ! -e bomb ] || bomb
	sleep 1000 & setsid sleep 1000 & sleep 1000
SH
try start=script,,"$layer" exec stop wait remove
like "$said" '^ended with 137 ' "STOP ends the command: status 137"
like "$said" '^removed$' "and then the worker can be removed"
clean "and nothing is left of it"
try start=script,,"$layer" stop exec wait
like "$said" '^failed .* exec: exec can.t be done now: its command has ended' "after STOP there is no command"
clean "and nothing is left of that"
touch "$layer/workspace/bomb"
try start=script,,"$layer" exec remove wait
like "$said" '^ended with 137 ' "REMOVE in the middle of a fork bomb"
clean "leaves nothing"

# A connection that is held open, and a worker in which something runs: $caller has it, $handler is its process.
hold() {
	mkfifo "$scratch/hold.$1"
	setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" build="$2" start=script,,"$layer" exec hold \
		<>"$scratch/hold.$1" > >(exec cat >"$scratch/held.$1") 2>&1 &
	caller=$!
	disown
	until_true grep -q '^holding' "$scratch/held.$1" || diag "$(cat "$scratch/held.$1")"
	until_true runs_in "$3"
	handler=$(jq -r .pid "$slots/$3.json")
}
# The command runs in slot N.
runs_in() { processes | awk -v n=$((ids_first + $1 * 65536)) '$1 >= n && $1 < n + 65536' | grep -q 'sleep 1000'; }

rm "$layer/workspace/bomb"
hold 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 0
first_caller=$caller
hold 2 cccccccccccccccccccccccccccccccc 1
ok "two at once, each with ids of its own" runs_in 0 && ok "(both)" runs_in 1
try start=script,,"$layer"
like "$said" '^failed .* all 2 slots for workers are taken' "a third is told to try again later"
let_go "$caller" "$first_caller"
clean "callers that were killed leave nothing"

hold 3 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 0
kill -9 "$handler"
clean "a worker's process that was killed leaves nothing"
let_go "$caller"
hold 4 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 0
worker_kill KILL
ok "a worker lives on when byoci-worker is killed" runs_in 0
ok "byoci-worker starts again beside it" worker_start
is "$(jq -r .build "$slots/0.json")" aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "its slot stays taken"
worker_kill KILL
kill -9 "$handler"
let_go "$caller"
ok "both killed: the record stays" [ -e "$slots/0.json" ]
ok "byoci-worker starts again" worker_start
clean "and removes what was left"
try reap
like "$said" '^reaped 0$' "there is nothing to reap then"
mkdir /sys/fs/cgroup/memory/byoci-"$BYOCI_NAMESPACE"-1 2>/dev/null || mkdir /sys/fs/cgroup/byoci-"$BYOCI_NAMESPACE"-1
group=$(group_folders)
jq -n --arg group "$group" '{kind: "lxc", traces: [$group]}' >"$slots/1.json"
said=$("$scratch/worker-try" "$socket" reap 2>&1)
like "$said" '^reaped 1$' "root can have leftovers reaped at once"
clean "and they are gone"
jq -n '{kind: "lxc", traces: ["/etc"]}' >"$slots/0.json"
jq -n '{kind: "strange", traces: []}' >"$slots/1.json"
try reap
like "$said" '^failed .* reap: slot [01]: .*; slot [01]: ' "what can.t be removed is told, all of it"
rm "$slots"/[01].json
hold 5 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 0
worker_kill TERM
ok "byoci-worker ends, its worker does not" runs_in 0
jq -c '.expiry = 1000' "$slots/0.json" >"$scratch/expired" && cat "$scratch/expired" >"$slots/0.json"
ok "byoci-worker starts again, after the worker's expiry" worker_start
gone() { ! kill -0 "$handler"; }
ok "which ends it" until_true gone
let_go "$caller"
worker_kill TERM
worker_start
clean "and the next time removes what was left"

# Killed at any moment, the caller or the worker's process: nothing stays.
moment() {
	setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" start=script,,"$layer" exec wait \
		> >(exec cat >"$scratch/moment") 2>&1 &
	caller=$!
	disown
	sleep "0.0$1"
	if [ "$2" = caller ]; then kill -9 "$caller"; else handlers | xargs -r kill -9; fi 2>/dev/null
	let_go "$caller"
	until_true is_clean || diag "killed after $1 hundredths of a second: the $2"
	is_clean
}
for who in caller handler; do
	for hundredths in ${worker_moments:-00 03 06 10 12 14 16 18 20 25 30 40 50 70}; do
		moment "$hundredths" "$who" || break
	done
	ok "the $who killed at one moment or another leaves nothing" is_clean
done

# A caller with mounts of its own (as systemd gives its services), in which the layer is.
mkdir "$scratch/mount"
layer mounted <<-'SH'
	echo from a mount of its own
SH
said=$(unshare --mount --propagation private sh -c "mount --bind '$layer' '$scratch/mount' && exec setpriv --reuid=$slave --regid=$slave \
	--clear-groups '$scratch/worker-try' '$socket' ready=script, attach=script,,'$scratch/mount' exec wait" 2>&1)
like "$said" '^from a mount of its own$' "a layer from a caller with mounts of its own"
clean "leaves nothing either"

# Who and what is refused.
chmod 755 "$scratch/run/worker" && chmod 666 "$socket"
said=$(setpriv --reuid=nobody --regid=nogroup --clear-groups "$scratch/worker-try" "$socket" start=script,,"$layer" 2>&1)
like "$said" '^failed .* may not ask for workers' "another user is refused"
said=$("$scratch/worker-try" "$socket" start=script,,"$layer" 2>&1)
like "$said" '^failed .* root may not ask for workers, only for backings' "root gets no workers over the socket"
said=$("$scratch/worker-try" "$socket" backing=small 2>&1)
like "$said" "^backing $digest$" "but backings"
try start=script,"$digest","$layer"
like "$said" '^failed .* job script is configured otherwise here' "a job with another digest is refused"
try start=missing,"$digest","$layer"
like "$said" '^failed .* missing' "a job that does not exist is refused"
try start=nowhere,,"$layer"
like "$said" '^failed .* backing never is not built .*: byoci-slave -n .* backing build never$' "without its backing a job is refused, and what to do is told"
mkdir -p "$scratch/foreign/workspace"
try start=script,,"$scratch/foreign"
like "$said" '^failed .* the layer belongs to user 0' "a folder of somebody else is refused"
as "$slave" mkdir -p "$layer/workspace/empty"
try start=script,,"$layer/workspace"
like "$said" '^failed .* the layer has no folder workspace' "a folder without a workspace is refused"
said=$(as "$slave" "$scratch/worker-try" "$socket" start=script,,"$layer" exec wait 2>"$scratch/file" <&-)
like "$said" '^failed .* must be writing ends of pipes' "a file as standard error is refused"
for link in dev proc sys run tmp workspace/x etc usr bin lib; do
	layer linked <<-'SH'
		ls / /tmp /proc/1/root 2>&1
	SH
	as "$slave" ln -s /../../../../../../.. "$layer/$link"
	try start=script,,"$layer" exec wait remove
	unlike "$said" "$(basename "$scratch")|byoci-$BYOCI_NAMESPACE" "a layer in which $link is a link out does not lead out"
	rm "$layer/$link"
done
clean "and leaves nothing"
layer linked <<<true
as "$slave" mv "$layer/workspace" "$layer/elsewhere" && as "$slave" ln -s elsewhere "$layer/workspace"
try start=script,,"$layer"
like "$said" '^failed .* the layer has no folder workspace' "a workspace that is a link is refused"
try exec wait
like "$said" '^failed .* exec: ' "a command without a worker is refused"
for raw in short long huge version operation operation-0 dots slash unended upper slot unused few many; do
	try raw="$raw"
	like "$said" '^reply 1 [^ ].*, then closed$' "rubbish is answered and the connection closed: $raw"
done
clean "what was refused leaves nothing"
runs still <<-'SH'
	exit 0
SH
like "$said" '^ended with 0 $' "and byoci-worker still works"
clean "without a trace"
worker_kill TERM
done_testing
