#!/bin/bash
# Authors of approved proposals in copies of kept workers.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/worker.sh"

# shellcheck source=tests/e2e/author-lib.sh
. "$checkout/tests/e2e/author-lib.sh"

# The copy itself.
tested failing <<-'SH'
	echo mine >left; echo there >/root/note; rm -rf /etc/apt /usr/share/doc; mkdir /usr/share/doc
	ln left right; ln -s /etc/passwd passwd; mkfifo pipe; truncate -s 100G sparse
	mkdir -p a/b/c; echo deep >a/b/c/file; chown 7:8 a/b/c/file; chmod 4755 a/b/c/file; touch -d 2001-02-03 left; exit 3
SH
is "$(shell "$id" <<<'cat test.sh | wc -l')" 3 "a kept worker has its tree"
is "$(ls "$state/slave/builds/$id/layer")" workspace "(which lies with its build)"
look='pwd; cat left right /root/note; wc -l <test.sh; ls -A /etc/apt /usr/share/doc 2>&1; readlink passwd; stat -c "%h %Y" left
	stat -c "%F %a %u %g %s" left pipe a/b/c a/b/c/file sparse; du sparse; id -u; grep -c . /proc/net/dev'
like "$(copied 60 "$look")" '^/workspace$' "a copy of it runs"
is "$(copied 60 "$look" | grep -v '^ended')" "$(shell "$id" <<<"$look")" "and is just as it is: files, links, owners, what was removed"
copied 60 'echo more >>left; rm test.sh; echo x >/root/note' >"$scratch/out"
is "$(shell "$id" <<<'cat left /root/note; wc -l <test.sh' | tr '\n' ' ')" "mine there 3 " "what is done in a copy is not done to the kept one"
is "$(kept)" "$id" "which is kept still"
is "$(copied 60 'setsid sleep 1000 & exit 9' | tail -n 1)" "ended with 9 " "the end of its shell is told"
ok "nothing is left of the copies" until_true only_kept
like "$(copied 1 'sleep 1000')" 'gone|closed|ended' "a copy has its time"
ok "and ends then" until_true only_kept
# in_copy: somebody is in a copy, until it is killed: the pid is $holder.
in_copy() {
	setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" build="$id" copy=60 shell wait \
		<"$scratch/silence" >"$scratch/nowhere" 2>"$scratch/nowhere" {silence}<&- {nowhere}<&- &
	holder=$!
	disown
	until_true shell_runs
}
ok "while somebody is in a copy" in_copy
is "$(byoci_slave kept | jq -c '[.kept[] | [.build, .copy]]')" "[[\"$id\",null],[\"$id\",true]]" "it is listed beside the kept one"
is "$(shell "$id" <<<'cat left')" mine "which can have its own shell"
like "$(copied 60 true)" 'no room for a copy' "there are no more than may be kept"
tested fine <<<'echo fine'
is "$status" 0 "and builds go on beside it"
id=$(kept | head -n 1)
copy_process=$(jq -r 'select(.copy) | .pid' "$slots"/*.json)
kill -9 "$copy_process"
byoci_slave reap >/dev/null
ok "the process of the copy is killed: nothing of it is left" until_true only_kept
let_go "$holder"
ok "somebody else is in a copy" in_copy
let_go "$holder"
ok "when the caller is killed it goes" until_true only_kept
is "$(byoci_slave discard "$id")" '{"ok":true}' "the kept one is discarded"
clean "and nothing is left"
tree_gone() { [ ! -e "$state/slave/builds/$id/layer" ]; }
ok "not even its tree" until_true tree_gone
like "$(copied 60 true)" 'no worker of build .* is kept' "there is nothing to copy then"

# The way in, with the configuration that setup writes.
ok "an ssh server of its own listens" way_in || bail_out "$(cat "$scratch/sshd.log")"
tested unapproved <<<'exit 3'
like "$log" '^byoci: the author is not let in: not approved' "nobody is let in where nothing was approved"
comes_in ann </dev/null >"$scratch/out" 2>&1
like "$(cat "$scratch/out")" 'Permission denied \(publickey\)' "the author's key opens nothing then"
byoci_slave discard "$id" >/dev/null

has_secret
approved secret <<-'SH'
	cat /run/secrets/token >stolen; echo "key=$(cat /run/secrets/token)" >config; exit 3
SH
like "$log" "^byoci: ann, who proposed this, may look at a copy of it, by ssh: $id" "the author of an approved proposal is let in"
is "$(shell "$id" <<<'cat stolen config' | tr '\n' ' ')" "not-for-authors key=not-for-authors " "(the kept worker has what its tests did with a secret)"
said=$(comes_in ann -- "$id" <<<'pwd; id -u; cat stolen config; cat /run/secrets/token 2>/dev/null; echo more >>stolen; exit 7' 2>"$scratch/err")
is "$?:$said" "7:/workspace
0
***************
key=***************" "she is in a copy without the secrets"
like "$(cat "$scratch/err")" "^byoci: ann: a copy of what the tests of secret in sample left, build $id, for 2 minutes" "which she is told"
is "$(shell "$id" <<<'wc -l <stolen')" 1 "what she does there is not done to the kept worker"
is "$(comes_in ann <<<'cat config' 2>/dev/null)" "key=***************" "without a build it is the only one"
like "$(cat "$scratch/slave.log")" "an author is let into a copy.*author=ann project=sample proposal=secret build=$id key=\"?$(ssh-keygen -lf "$scratch/ann.pub" | cut -d' ' -f2 | sed 's/+/./g')" \
	"the log says who was let into what, with which key"
type_there() {
	until_true shell_runs
	printf '%s\n' 'tty; echo $((6 * 7)); exit'
}
type_there >&"$silence" &
disown
said=$(timeout -k 5 "$wait_limit" script -qec "exec timeout -k 5 $wait_limit ${ssh[*]} -tt -i $scratch/ann ${address%:*}" /dev/null <"$scratch/silence" | tr -d '\r')
like "$said" '/dev/pts/[0-9]+$' "on a terminal she has one of the container's"
like "$said" '^42$' "and can type"

# What is not opened.
for who in bob landing; do
	comes_in "$who" </dev/null >"$scratch/out" 2>&1
	like "$(cat "$scratch/out")" 'Permission denied \(publickey\)' "$who is not let in"
done
for word in 'cat /etc/passwd' "$id; id" '-oProxyCommand=id' "$(printf '%0.sf' {1..32})" '../../../etc'; do
	comes_in ann -- "$word" </dev/null >"$scratch/out" 2>&1
	like "$(cat "$scratch/out")" '^byoci: (nothing can be run here|that is not one of the builds)' "nothing else is run: $word"
done
comes_in ann -s sftp </dev/null >"$scratch/out" 2>&1
like "$(cat "$scratch/out")" 'nothing can be run here|subsystem request failed' "no files are handed out"
comes_in ann -N -o ExitOnForwardFailure=yes -R "0:127.0.0.1:22" </dev/null >"$scratch/out" 2>&1
like "$(cat "$scratch/out")" 'remote port forwarding failed' "no port is forwarded to them"
comes_in ann -W "${address}" </dev/null >"$scratch/out" 2>&1
like "$(cat "$scratch/out")" 'administratively prohibited|forwarding failed|open failed' "nor from them"
said=$(comes_in ann -o SendEnv=LD_PRELOAD -o SetEnv='LD_PRELOAD=/x BYOCI_ROOT=/x' -- "$id" <<<'env | grep -c "LD_PRELOAD\|BYOCI\|SSH_"; ls /dev/pts' 2>/dev/null)
is "$said" "0
ptmx" "no variable of theirs or of ours goes in"
as "$guest" timeout -k 5 "$wait_limit" "$safe/bin/byoci-slave" -n "$BYOCI_NAMESPACE" shell "$id" </dev/null >"$scratch/out" 2>&1
like "$(cat "$scratch/out")" 'you may not connect' "the user that they come in as can't ask byoci-worker"
as "$guest" timeout -k 5 "$wait_limit" "$safe/bin/byoci-slave" -n "$BYOCI_NAMESPACE" discard "$id" >"$scratch/out" 2>&1
like "$(cat "$scratch/out")" 'Permission denied|may not' "nor the slave"
is "$(as "$guest" timeout -k 5 "$wait_limit" "$safe/bin/byoci-slave" -n "$BYOCI_NAMESPACE" author-key ssh-ed25519 'x",command="id' 2>&1)" "" "a key with a quote is none"
is "$(kept)" "$id" "all the while it is kept"

# One forge does not answer: its authors wait, and nobody else.
coproc silent { exec perl -MIO::Socket::INET -e '$| = 1; my @all; my $there = IO::Socket::INET->new(Listen => 64, LocalAddr => "127.0.0.1:0") or die;
	print $there->sockport, "\n"; push @all, $_ and print "asked\n" while $_ = $there->accept'; }
background+=("$!")
read -r port <&"${silent[0]}"
printf '[account/away]\ndialect = gitlab\nkeys.url = http://127.0.0.1:%s\n[project/away]\naccount = away\n%s\n' "$port" \
	$'repository = ssh://git@forge.test/away.git\njobs = script\nauthor.shell = yes' >>"$scratch/conf"
keeps 10m
known=$state/slave/authors
ann_id=$id
tested away <<<'exit 3'
as "$slave" sh -c "umask 077; echo '{\"who\":\"cleo\",\"project\":\"away\",\"proposal\":\"away\"}' >$state/slave/builds/$id/author.json"
is "$(kept | wc -l)" 2 "something is kept of whom another forge has the keys of"
asks_for() {
	local -a key
	read -ra key <"$scratch/$1.pub"
	as "$guest" timeout -k 5 "$wait_limit" "$safe/bin/byoci-slave" -n "$BYOCI_NAMESPACE" author-key "${key[@]:0:2}"
}
known_before_the_other() { rm -f "$known"/*; asks_for ann | grep -q restrict && [ -e "$known/sample:ann" ] && [ ! -e "$known/away:cleo" ]; }
ok "that forge does not answer: whose keys another has is known before it does" until_true known_before_the_other
gives_up() { [ -e "$known/away:cleo" ]; }
ok "it is given up soon, which is remembered" until_true gives_up
rm -f "$known"/*
said=$(asks_for bob)
is "$?:$said" "0:" "who has a key that is nobody's waits no longer than sshd does"
asked() { while read -r -t 0.1 -u "${silent[0]}"; do :; done; }
asked
touch "$known"/*
asks_for bob >"$scratch/out"
read -r -t 0.1 -u "${silent[0]}" said || said=nobody
is "$said" nobody "it is not asked again for a minute"
# Who has not come for a day is forgotten, but for one who is being asked for.
as "$slave" touch -d '2 days ago' "$known"/sample:{gone,gone:lock,left:lock,held,held:lock}
as "$slave" touch "$known"/sample:{here,here:lock}
exec {held}<"$known/sample:held:lock"
flock "$held"
rm "$known/sample:ann"
asks_for ann >"$scratch/out"
is "$(cd "$known" && echo sample:*)" "sample:ann sample:ann:lock sample:held sample:held:lock sample:here sample:here:lock" "what is kept of authors is not kept for ever"
exec {held}<&-
byoci_slave discard "$id" >/dev/null
id=$ann_id
is "$(comes_in ann <<<'echo in' 2>"$scratch/err")" in "ann comes in meanwhile"

# The end.
"${ssh[@]}" -i "$scratch/ann" "${address%:*}" "$id" <"$scratch/silence" >"$scratch/out" 2>&1 {silence}<&- {nowhere}<&- &
background+=($!)
disown
ok "she is in a copy" until_true shell_runs
kill -KILL "${background[-1]}"
ok "when her connection is lost it goes" until_true only_kept
sed -i 's/^author.limit = .*/author.limit = 1s/' "$scratch/conf"
keeps 10m
comes_in ann -- "$id" <"$scratch/silence" >"$scratch/out" 2>&1
ok "when its time is over it goes" until_true only_kept
like "$(cat "$scratch/worker.log")" 'the time of a copy is over' "and the log says so"
sed -i 's/^author.shell = .*/author.shell = no/' "$scratch/conf"
keeps 10m
comes_in ann </dev/null >"$scratch/out" 2>&1
like "$(cat "$scratch/out")" 'Permission denied \(publickey\)' "where the project lets nobody in any more, nobody is"
byoci_slave discard "$id" >/dev/null
clean "nothing is left"
done_testing
