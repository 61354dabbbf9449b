#!/bin/bash
# What hostile tests may leave where artefacts are taken from: nothing comes out but plain files of the workspace, within the limits (promises
# 8 and 11).
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/../e2e/worker.sh"
cat >>"$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf" <<-CONF
	[job/keeping]
	backing = small
	tests.command = sh ./test.sh
	memory = 256M
	disk = 64M
	artefacts = **
	artefacts.count = 20
	artefacts.limit = 1M
CONF
worker_start || bail_out "$(cat "$scratch/worker.log")"

mkfifo -m 600 "$scratch/files.fifo" "$scratch/notes.fifo"
chown "$slave" "$scratch"/*.fifo
# Whoever waits for a writer of a fifo that none opened reads its end; who reads reads on.
have_read() {
	local fifo pid
	for fifo in "$scratch"/{files,notes}.fifo; do
		exec {end}<>"$fifo"
		exec {end}>&-
	done
	for pid in $readers; do ! kill -0 "$pid" || return 1; done
}
# keeps NAME: a worker runs standard input; what is kept of it goes to $scratch/NAME.cpio and its notes to $notes.
keeps() {
	layer "$1"
	cat "$scratch/files.fifo" >"$scratch/$1.cpio" & readers=$!
	cat "$scratch/notes.fifo" >"$scratch/$1.notes" & readers="$readers $!"
	try start=keeping,,"$layer" exec wait collect="$scratch/files.fifo,$scratch/notes.fifo" remove
	until_true have_read
	notes=$(cat "$scratch/$1.notes")
	names=$(cpio -t --quiet <"$scratch/$1.cpio" | sort | tr '\n' ' ')
}
content() { cpio -i --quiet --to-stdout "$2" <"$scratch/$1.cpio"; }

keeps links <<-'SH'
	rm -f test.sh; umask 077
	echo good >good; mkdir sub; echo deep >sub/file; ln good second
	ln -s /etc/shadow shadow; ln -s /proc/1/root host; ln -s . loop; ln -s ../../../../../../etc/shadow dots; ln -s sub folder
	mkfifo fifo; perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un("socket"))'
	mknod sda b 8 0 2>/dev/null; mknod null c 1 3 2>/dev/null
	ln /etc/passwd passwd 2>/dev/null
SH
is "$status" 0 "a worker whose files are links is collected" || diag "$said"
like "$names" '^(good|second) sub/file $' "only plain files come out, each by one name"
like "$notes" '^shadow: it is a symbolic link$' "a link to a file of the host is left out"
like "$notes" '^host: it is a symbolic link$' "one to its root too"
like "$notes" '^dots: it is a symbolic link$' "one that climbs"
like "$notes" '^folder: it is a symbolic link$' "one to a folder"
like "$notes" '^fifo: it is a fifo$' "a fifo is left out, and does not stop it"
like "$notes" '^socket: it is a socket$' "so is a socket"
is "$(content links sub/file)" deep "what comes out is what was there"
clean "nothing of the worker is left"

keeps gone <<-'SH'
	cd /; mv /workspace /elsewhere 2>/dev/null; rm -rf /workspace/* 2>/dev/null; rmdir /workspace 2>/dev/null
	ln -sfn /etc /workspace 2>/dev/null; :
SH
unlike "$names" 'passwd|shadow' "a workspace that became a link leads nowhere"

keeps names <<-'SH'
	rm -f test.sh
	perl -e 'for my $name ("\e[2J", "a\nb", "\xff\xfe", "x" x 255, "tab\tbed", "\xe2\x80\xae", "ok \xc3\xa9", "-rf", "..x", "TRAILER!!!", "*") {
		open my $f, ">", $name; print $f "x" } mkdir("d" x 200), chdir("d" x 200) for 1 .. 12; open my $f, ">", "far"; '
SH
like "$names" 'ok é' "names may be UTF-8"
unlike "$names" "$(printf '\033')" "and have no terminal escape"
unlike "$names$notes" "$(printf '\033')|$(printf '\xe2\x80\xae')" "nor do the notes about them"
like "$notes" '^\\x1b\[2J: its name is too long, too deep or no clean UTF-8$' "those that do are left out"
like "$notes" '^a / b: |^a\\x0ab: ' "a newline makes no second line"
like "$notes" 'd{200}: (what is in it has too long a name|its name is too long)' "as are those without an end"
like "$notes" '^TRAILER!!!: nothing can be kept under that name$' "a name can't end the stream"

keeps sizes <<-'SH'
	truncate -s 4T bomb; truncate -s 900K holes; head -c 500000 /dev/zero >rest; echo small >small
	head -c 2000000 /dev/zero >large
SH
unlike "$names" 'bomb|large' "files over the limit stay, whatever they take of a disk"
like "$names" 'small' "the others come"
like "$notes" '^bomb: it is larger than what is left of artefacts.limit$' "and it is told"
ok "no more than the limit came" test "$(stat -c %s "$scratch/sizes.cpio")" -lt 1060000

begin=$(date +%s)
keeps many <<-'SH'
	perl -e 'mkdir "m"; for (1 .. 15000) { open my $f, ">", "m/$_" or last } for (1 .. 1000) { mkdir "n$_" or last }'
SH
is "$status:$(cpio -t --quiet <"$scratch/many.cpio" | wc -l)" "0:20" "of very many files as many come as may"
like "$notes" '^there are more files than artefacts.count allows: the rest is left out$' "and it is told"
ok "in time" test $(($(date +%s) - begin)) -lt "$wait_limit"
ok "in few words" test "$(wc -l <<<"$notes")" -lt 40

# Promise 8: asked for at the wrong time, or with the wrong descriptors.
layer early <<<'echo x >x'
try start=keeping,,"$layer" collect=/dev/null,/dev/null
like "$said" "collect can't be done now: the worker waits for its command" "nothing comes out before the end" || diag "$said"
try start=keeping,,"$layer" exec wait collect=/dev/null,/dev/null
like "$said" 'must be writing ends of pipes' "nor into anything but a pipe"
layer stopped <<<'echo x >x; sleep 1000'
cat "$scratch/files.fifo" >"$scratch/stopped.cpio" & readers=$!
cat "$scratch/notes.fifo" >/dev/null & readers="$readers $!"
try start=keeping,,"$layer" stop collect="$scratch/files.fifo,$scratch/notes.fifo" remove
until_true have_read
is "$(cpio -t --quiet <"$scratch/stopped.cpio")" "test.sh" "what a stopped worker has can be kept"
# Promise 11: somebody who asks and does not read, then goes away.
layer silent <<<'head -c 900000 /dev/zero >big'
exec 8<>"$scratch/files.fifo" 9<>"$scratch/notes.fifo"
setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" start=keeping,,"$layer" exec wait \
	collect="$scratch/files.fifo,$scratch/notes.fifo" > >(cat >"$scratch/silent.said") 2>&1 &
caller=$!
disown
walks() { ps -eo uid=,comm= | awk -v first="$ids_first" '$1 >= first && $1 < first + 131072 && $2 ~ /byoci-worker/ { found = 1 } END { exit !found }'; }
ok "what looks for files is root of the worker only" until_true walks || diag "$(processes; cat "$scratch/silent.said"; tail -n 3 "$scratch/worker.log")"
let_go "$caller"
exec 8<&- 9<&-
clean "who asks and goes away leaves nothing"
done_testing
