#!/bin/bash
# worker.blank: a container that was started before it is known for which job. What a job gets of it is what it would get of one of its own.
# shellcheck disable=SC2154
worker_blank=yes
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/worker.sh"
cat >>"$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf" <<-CONF
	[job/nested]
	backing = small
	nested = yes
	tests.command = sh ./test.sh
CONF
worker_start || bail_out "$(cat "$scratch/worker.log")"
ok "a container waits" blank_waits
waiting=$(blank)
slot=$(jq -r 'select(.job == "") | .slot' "$slots"/*.json)

# All that a worker's own start would have given it.
layer looks <<-'SH'
	echo "root: $(stat -c %u:%g /) $(ls -d /new /workspace /usr 2>/dev/null | tr '\n' ' ')"
	echo "mounts: $(awk '{print $5}' /proc/self/mountinfo | sort | tr '\n' ' ')"
	echo "of init: $(stat -c %d:%i /proc/1/root/ 2>/dev/null || echo unreachable)"
	echo "shm: $(df -k --output=size /dev/shm | tail -n 1 | tr -d ' ') kB"
	echo "ids: $(cat /proc/self/uid_map | tr -s ' ')"
	touch /etc/written /dev/shm/written && echo "writes"
	umount /dev/shm 2>/dev/null || echo "no mounts"
	head -c 300m /dev/zero | tail >/dev/null; echo "tail: $?"
SH
try start=script,,"$layer" exec wait remove
looks=$said
is "$(sed -n 's/^info worker started .* slot=\([0-9]*\).*/\1/p' "$scratch/worker.log")" "$slot" "a worker has the slot of what waited"
like "$looks" "^root: 0:0 /usr /workspace $" "its root is its backing's, and nothing of the first one"
like "$looks" "^shm: 32768 kB$" "/dev/shm has its size"
like "$looks" "^ids:  ?0 $((ids_first + slot * 65536)) 65536$" "its ids are those of the slot"
like "$looks" '^writes$' "its files can be written"
like "$looks" '^no mounts$' "its mounts can't be changed"
like "$looks" '^tail: 137$' "the job's memory is its limit"
like "$looks" '^ended with 0 the memory limit \(96 MiB, disk of 32 MiB included\)' "and is told"
ok "the next one waits" blank_waits
unlike "$(blank)" "^$waiting$" "another process"

# The same job without: the same mounts.
waiting=$(blank)
kill -9 "$waiting"
ok "a killed one leaves nothing, and there is another" until_true eval '[ -n "$(blank)" ] && [ "$(blank)" != "$waiting" ]'
worker_kill
clean "when byoci-worker ends, what waits does, too"
sed -i 's/^\tworker.blank = .*/\tworker.blank = no/; s/^worker.blank = .*/worker.blank = no/' "$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf"
worker_blank=no
worker_start
try start=script,,"$layer" exec wait remove
is "$(grep '^mounts:' <<<"$looks")" "$(grep '^mounts:' <<<"$said")" "a worker of its own start has the same mounts"
is "$(grep '^of init:' <<<"$looks" | grep -c unreachable)" "$(grep '^of init:' <<<"$said" | grep -c unreachable)" "and sees as much of its init"
worker_kill
worker_blank=yes
sed -i 's/^\(\t*\)worker.blank = .*/\1worker.blank = yes/' "$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf"
worker_start

# What it is not for goes by, and it waits on.
ok "one waits again" blank_waits
waiting=$(blank)
said=$("$scratch/worker-try" "$socket" reap 2>&1)
like "$said" '^reaped 0$' "who wants no worker is served"
as "$slave" perl -MIO::Socket::UNIX -MSocket -e '
	for my $bytes ("", "rubbish", "\0" x 176) {
		my $s = IO::Socket::UNIX->new(Type => SOCK_SEQPACKET, Peer => $ARGV[0]) or die "$!\n";
		syswrite $s, $bytes if length $bytes;
		select undef, undef, undef, 0.1;
	}' "$socket"
is "$(blank)" "$waiting" "what waited is the same"
try start=script,,"$layer" exec wait remove
like "$said" '^removed$' "and is of use still"

# The only slot is no obstacle.
blank_waits
worker_kill KILL
clean "when byoci-worker is killed, what waits ends"
sed -i 's/^\(\t*\)worker.slots = 2/\1worker.slots = 1/' "$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf"
worker_start
blank_waits
try start=script,,"$layer" exec wait remove
like "$said" '^removed$' "with one slot, a worker starts in what waits there"
blank_waits
waiting=$(blank)
try start=nested,,"$layer" exec wait remove
like "$said" '^removed$' "a job that needs a start of its own gets it, and the slot"
ok "the next one waits" blank_waits
unlike "$(blank)" "^$waiting$" "since what waited before made room"

# While every slot has work, no connection is given to what can't wait.
layer holder <<<'sleep 1000'
mkfifo "$scratch/hold"
blank_waits
setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" start=script,,"$layer" exec hold \
	<>"$scratch/hold" > >(exec cat >"$scratch/held") 2>&1 &
caller=$!
disown
until_true grep -q '^holding' "$scratch/held" || diag "$(cat "$scratch/held")"
answers=
for ((i = 0; i < 65; i++)); do
	answers+=$("$scratch/worker-try" "$socket" reap 2>&1)$'\n'
	pass 0.2
done
is "$(sort -u <<<"$answers" | grep .)" "reaped 0" "who wants no worker is served all the time"
let_go "$caller"
worker_kill
clean "and nothing is left"
done_testing
