#!/bin/bash
# A project's secrets: there for the tests of an approved build, and nowhere else: not on the host's paths, in output, artefacts,
# environments or processes, and gone with the worker (promises 8 and 9).
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/../e2e/worker.sh"
install -d -m 755 "$scratch/secrets"
install -d -m 700 "$scratch/secrets/worker" "$scratch/secrets/worker/sub"
token=Tk-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
line=Ln-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
umask 077
printf '%s\n' "$token" >"$scratch/secrets/worker/token"
printf 'BEGIN %s\n%s\n%sEND\n' "$token" "$line" "$line" >"$scratch/secrets/worker/sub/key"
echo "open$token" >"$scratch/secrets/worker/open"
chmod 644 "$scratch/secrets/worker/open"
ln -s /etc/shadow "$scratch/secrets/worker/link"
printf '%s\n' "$token" "$line" >"$scratch/secrets/values" # what is looked for: no command line has it
umask 022
cat >>"$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf" <<-CONF
	[$BYOCI_NAMESPACE]
	secrets = $scratch/secrets
	[project/sample]
	repository = ssh://git@forge.test/sample.git
	jobs = script, keeping
	secrets = token, sub/key:/root/.ssh/key, token:/opt/new/folder/token, token:/workspace/token
	[project/links]
	repository = ssh://git@forge.test/links.git
	jobs = script
	secrets = token:/workspace/Folder/token
	[project/bad]
	repository = ssh://git@forge.test/bad.git
	jobs = script
	secrets = open
	[project/linked]
	repository = ssh://git@forge.test/linked.git
	jobs = script
	secrets = link
	[project/climbing]
	repository = ssh://git@forge.test/climbing.git
	jobs = script
	secrets = ../worker/token
	[job/keeping]
	backing = small
	tests.command = sh ./test.sh
	artefacts = out, token
CONF
worker_start || bail_out "$(cat "$scratch/worker.log")"

# Promise 8: where the host could show a value: every process, and what is mounted or written.
on_host() {
	grep -rlaF -f "$scratch/secrets/values" --exclude-dir=secrets "$scratch" /run /tmp /var/log 2>/dev/null
	cat /proc/[0-9]*/{environ,cmdline} 2>/dev/null | grep -caF -f "$scratch/secrets/values" | grep -v '^0$'
	grep -l 'run/secrets' /proc/[0-9]*/mountinfo 2>/dev/null | while read -r file; do
		[ "$(readlink "${file%/mountinfo}/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ] || echo "$file"
	done
}
while_it_runs() { # NAME: starts it in the background, with secrets, until it waits for its end
	layer "$1"
	setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" start="${2:-script}",,"$layer" secrets=sample exec wait remove \
		2>&1 | cat >"$scratch/$1.said" &
	said_by=$!
	until_true grep -q '^waiting$' "$scratch/$1.said"
}

layer seen <<-'SH'
	for file in /run/secrets/token /root/.ssh/key /opt/new/folder/token /workspace/token; do
		stat -c '%n %a %u:%g %s' $file
	done
	sha256sum /run/secrets/token /root/.ssh/key | cut -c 1-64
	(echo x >/run/secrets/token) 2>/dev/null || echo "can't be written"
	chmod 777 /run/secrets/token 2>/dev/null || echo "can't be changed"
	env | grep -c Tk-
	echo "<$(cat /run/secrets/token)>" ; cat /root/.ssh/key; cat /run/secrets/token >&2
	head -c 9 /run/secrets/token; tail -c +10 /run/secrets/token; printf 'prompt: '; sed 's/^/  /' /root/.ssh/key
	su -s /bin/sh nobody -c 'cat /run/secrets/token' 2>/dev/null || setpriv --reuid=65534 cat /run/secrets/token 2>&1 | grep -o denied
SH
try start=script,,"$layer" secrets=sample exec wait remove
like "$said" '^4 secrets$' "secrets are put into a worker" || diag "$said $(tail -n 3 "$scratch/worker.log")"
for file in /run/secrets/token /opt/new/folder/token /workspace/token; do
	like "$said" "^$file 400 0:0 $((${#token} + 1))\$" "the tests find $file, root's alone"
done
like "$said" "^$(sha256sum <"$scratch/secrets/worker/token" | cut -c 1-64)\$" "with its very bytes"
like "$said" "^$(sha256sum <"$scratch/secrets/worker/sub/key" | cut -c 1-64)\$" "also of several lines"
like "$said" "^can't be written\$" "it can't be written"
like "$said" "^0\$" "no environment has it"
unlike "$said" "$token|$line" "no value shows up in what is written"
like "$said" "^<\\*{${#token}}>\$" "it is masked"
like "$said" "^prompt:   \\*{$((${#token} + 6))}\$" "so are the lines of one of several, wherever they are"
clean "and nothing of the worker is left"
is "$(on_host)" "" "nor of the secrets"
is "$(find "$scratch/seen" | sort | tr '\n' ' ')" "$scratch/seen $scratch/seen/workspace $scratch/seen/workspace/test.sh " "the tree of the slave has none of it"

# Promise 8: while it runs.
while_it_runs running <<<'echo waiting; while [ ! -e /workspace/go ]; do sleep 0.1; done'
ok "a worker with secrets runs" grep -q '^waiting$' "$scratch/running.said" || diag "$(cat "$scratch/running.said")"
is "$(on_host)" "" "nothing on the host shows them meanwhile"
is "$(find "$scratch" -xdev -path "$scratch/secrets" -prune -o -name token -print)" "" "and no path has them"
kill -9 "$(ps -eo uid=,pid=,args= | awk -v first="$ids_first" '$1 == first && /sleep|test.sh/ { print $2; exit }')" 2>/dev/null
pkill -9 -P "$(ps -o pid= --ppid "$worker_pid" | head -n 1)" 2>/dev/null
wait "$said_by"
clean "a worker that dies takes them along"

# Promise 8: artefacts.
mkfifo -m 600 "$scratch/files.fifo" "$scratch/notes.fifo"
chown "$slave" "$scratch"/*.fifo
layer keeping <<-'SH'
	umask 022; mkdir out; cp /run/secrets/token out/copy; (head -c 4090 /dev/zero; cat /root/.ssh/key) >out/far; echo fine >out/fine
SH
cat "$scratch/files.fifo" >"$scratch/kept" & readers=$!
cat "$scratch/notes.fifo" >"$scratch/notes" & readers="$readers $!"
try start=keeping,,"$layer" secrets=sample exec wait collect="$scratch/files.fifo,$scratch/notes.fifo" remove
# shellcheck disable=SC2086
wait $readers
like "$(cpio -t --quiet <"$scratch/kept" | tr '\n' ' ')" 'out/fine' "artefacts of such a build come out" || diag "$said"
is "$(grep -caF -f "$scratch/secrets/values" "$scratch/kept")" 0 "without a value in them"
is "$(cpio -i --quiet --to-stdout out/copy <"$scratch/kept")" "$(tr -c '\n' '*' <<<"$token")" "which is masked"
is "$(cpio -i --quiet --to-stdout token <"$scratch/kept" | wc -c)" 0 "and where one was, nothing is"

# Promise 8: what is refused.
refuses() { # PROJECT PATTERN WHAT
	layer "$1" <<<'cat /run/secrets/* 2>/dev/null; echo ran'
	try start=script,,"$layer" secrets="$1"
	like "$said" "$2" "$3"
}
refuses bad 'secret open: .*lets others at the secret' "a source that others can read is refused"
refuses linked 'secret link: ' "so is a link"
refuses climbing 'secrets: ../worker/token: right is' "and a path that climbs"
refuses other 'there is no \[project/other\]' "and a project that is not there"
layer links <<<'echo ran'
ln -s /etc "$layer/workspace/Folder"
try start=script,,"$layer" secrets=links
like "$said" 'secrets: /workspace/Folder/token cannot be made in the worker' "a link in the tree leads them nowhere"
layer late <<<'sleep 1000'
try start=script,,"$layer" exec secrets=sample
like "$said" "secrets can't be done now" "while something runs it is too late"
try start=script,,"$layer" secrets=sample secrets=sample
like "$said" 'there are secrets in the worker already' "and once is enough"
try start=both,,"$layer" secrets=sample
like "$said" 'both is no job of the project sample' "a job that is not the project's gets none"

# Promise 9: the ends that a filter could hold up.
layer flood <<<'while :; do cat /run/secrets/token; done'
said=$(as "$slave" timeout "$wait_limit" "$scratch/worker-try" "$socket" start=script,,"$layer" secrets=sample exec stop wait remove 2>&1 </dev/null | tail -n 3)
like "$said" '^ended with 137 ' "a flood of secrets is stopped as any other" || diag "$said"
unlike "$said" "$token" "and masked to its end"
layer last <<<'head -c 300000 /dev/zero | tr "\0" x; echo; echo the last line'
try start=script,,"$layer" secrets=sample exec wait remove
like "$said" '^the last line$' "what is written last comes"
clean "nothing is left of all that"
is "$(on_host)" "" "and no value"
done_testing
