#!/bin/bash
# What the author of an approved proposal may try from the copy that he is let into. Each case says which promise it holds
# (doc/ARCHITECTURE.md).
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/../e2e/worker.sh"
# shellcheck source=tests/e2e/author-lib.sh
. "$checkout/tests/e2e/author-lib.sh"
ok "an ssh server of its own listens" way_in || bail_out "$(cat "$scratch/sshd.log")"
has_secret
approved secret <<-'SH'
	cp /run/secrets/token stolen; (sleep 1000 </run/secrets/token &); exit 3
SH
like "$log" '^byoci: ann, who proposed this, may look at a copy of it' "ann is let into a copy of what her tests left" || bail_out "$log"

# Promise 8: no secret, no credential, nothing of who let her in.
said=$(comes_in ann <<-'SH' 2>/dev/null
	find /run/secrets -type f -size +0 2>/dev/null | sed 's/^/secret: /'
	grep -rlaF not-for-authors / --exclude-dir=proc --exclude-dir=sys 2>/dev/null | sed 's/^/value: /'
	cat /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' | grep -E 'SSH|BYOCI|USER=' | sed 's/^/variable: /'
	for file in /proc/[0-9]*/fd/*; do readlink "$file"; done 2>/dev/null | grep -vE '^(pipe|/dev/null|/proc/|anon_inode:\[signalfd\]$)' | sed 's/^/file: /'
	find / -xdev -type s 2>/dev/null | sed 's/^/socket: /'
	find / -xdev \( -name 'ssh_host*' -o -name 'id_*' -o -name authorized_keys \) -path '*ssh*' 2>/dev/null | sed 's/^/key: /'
	wc -c <stolen; ps -e -o args= | grep -c '[s]leep'; echo looked
SH
)
like "$said" '^looked$' "she looks around"
unlike "$said" '^(secret|value|variable|file|socket|key): ' "there is no secret, variable, descriptor, socket or key of ours"
like "$said" '^16$' "a value that her tests have kept is stars"
like "$said" '^0$' "nothing runs there that her tests began"

# Promise 8: the host, its ports and its programs are as far away as for tests.
said=$(comes_in ann <<-SH 2>/dev/null
	for port in ${address##*:} 22 111; do (exec 3<>/dev/tcp/127.0.0.1/\$port) 2>/dev/null && echo "reached: \$port"; done
	perl -e 'print "link: \$_" for grep !/^(Inter-| face|\s*lo:)/, <>' /proc/net/dev
	perl -MIO::Socket::UNIX -e 'for (@ARGV) { print "reached: \$_\n" if IO::Socket::UNIX->new(Peer => \$_) }' "$socket" \
		"$scratch/run/slave/socket" "$scratch/run/author/socket"
	ls -d "$scratch" "/proc/1/root$scratch" 2>/dev/null | sed 's/^/seen: /'
	mount -t tmpfs none /mnt 2>/dev/null && echo "done: a mount"
	unshare -U true 2>/dev/null && echo "done: a user namespace"
	mknod /tmp/disk b 254 0 2>/dev/null && echo "done: a device"
	(echo 1 >/proc/sys/kernel/printk) 2>/dev/null && echo "done: a setting of the kernel"
	kill -9 $$ $worker_pid $slave_pid 2>/dev/null && echo "done: a kill"
	ps -e -o args= | grep '[b]yoci' | sed 's/^/seen: /'
	echo tried
SH
)
like "$said" '^tried$' "she tries the host"
unlike "$said" '^(reached|link|seen|done): ' "no port, link, socket, process, folder or setting of it is in reach"

# Promise 8: on a terminal she has one of the container's own, where nobody else is.
type_there() {
	until_true shell_runs
	cat <<-'SH'
		tty; ls -A /dev/pts | wc -l; ps -e -o args= | grep -c '[s]shd'
		printf 'al%s\n' ive; kill -HUP -1; kill -9 -1; exit
	SH
}
type_there >&"$silence" &
disown
said=$(timeout -k 5 "$wait_limit" script -qec "exec timeout -k 5 $wait_limit ${ssh[*]} -tt -i $scratch/ann ${address%:*}" /dev/null <"$scratch/silence" 2>&1 | tr -d '\r')
like "$said" 'alive$' "on a terminal she tries it and everybody there"
like "$said" '/dev/pts/[0-9]+$' "which is the container's"
like "$said" '^2$' "and its only one"
ok "when she has killed all of it nothing is left of the copy" until_true only_kept
outside() { pgrep -u "$guest" -f 'byoci-slave .*author ' >/dev/null; }
ok "nor of who let her in" until_true not outside
is "$(kept)" "$id" "the kept worker is still there"

# Promise 8: a copy and the worker that it is of know nothing of each other.
"${ssh[@]}" -i "$scratch/ann" "${address%:*}" <"$scratch/silence" >"$scratch/out" 2>&1 {silence}<&- {nowhere}<&- &
background+=($!)
disown
until_true shell_runs
echo 'echo mine | tee /dev/shm/note >>stolen; kill -9 $(seq 2 40 | grep -vx $$) 2>/dev/null; echo there; sleep 1000' >&"$silence"
ok "while she is in a copy" until_true grep -q there "$scratch/out"
said=$(shell "$id" <<<'ls -A /dev/shm; ps -e -o args= | grep "[s]leep"; wc -c <stolen; echo seen')
is "$said" "16
seen" "the kept worker has nothing of what she does"
many() {
	local -a others=()
	for _ in 1 2 3 4 5 6; do
		comes_in ann <<<'echo let in' >>"$scratch/many" 2>&1 &
		others+=($!)
	done
	wait "${others[@]}"
}
many

# Promise 11: she gets one, however often she asks, and it ends when its time is over, whether she reads what it says or not.
unlike "$(cat "$scratch/many")" '^let in$' "she is not let into another one meanwhile"
is "$(kept | wc -l)" 2 "there is one copy beside the kept worker"
kill -KILL "${background[-1]}"
ok "when her connection is lost it goes" until_true only_kept
over() { grep -c 'the time of a copy is over' "$scratch/worker.log"; }
before=$(over)
was_in() { shell_runs || [ "$(over)" -gt "$before" ]; }
sed -i 's/^author.limit = .*/author.limit = 3s/' "$scratch/conf"
keeps 10m
"${ssh[@]}" -i "$scratch/ann" "${address%:*}" <"$scratch/silence" >"$scratch/nowhere" 2>&1 {silence}<&- {nowhere}<&- &
background+=($!)
disown
echo yes >&"$silence"
ok "she is in one whose output she does not read" until_true was_in
ok "when its time is over it goes" until_true only_kept
ok "and so does who let her in" until_true not outside
kill -KILL "${background[-1]}"
byoci_slave discard "$id" >/dev/null
clean "nothing is left"
done_testing
