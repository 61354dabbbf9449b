#!/bin/bash
# Landing: exactly what was approved and tested, or nothing, whoever asks and whatever he brings along.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/slave-lib.sh
. "$(dirname "$0")/slave-lib.sh"

make_namespace
start_worker
start_slave
start_land

# land NAME: $status and $answer.
land() {
	status=0
	answer=$(slave land --spec "$root/$1.spec" --result "$root/${2:-$1}.result" 2>&1) || status=$?
	reason=$(jq -r '.reason // .error' <<<"$answer" 2>/dev/null) || reason=$answer
}

# tested NAME TESTS…: proposed and tested.
tested() {
	propose "$@" && spec "$1" && run_test "$1"
}

# forge FILE KEY JQ: the result in FILE with its payload changed, signed with KEY.
forge() {
	local head
	head="byoci-result-1 $(payload "$1" | jq -c "$3" | tr -d '\n' | base64 -w0)"
	printf %s "$head" >"$root/head"
	openssl pkeyutl -sign -inkey "$2" -rawin -in "$root/head" -out "$root/signature"
	echo "$head $(base64 -w0 <"$root/signature")"
}

# refused WHAT PATTERN: the landing was, and main is where it was.
refused() {
	is "$status" 77 "$1: refused"
	like "$reason" "$2" "  and the reason is said"
	is "$(main_now)" "$before" "  and main is where it was"
}
before=$(main_now)

# Approval.
tested one
is "$status" 0 "it is tested"
land one
refused "what nobody approved" 'not approved: 0 of 1'
approve one ann
land one
refused "what only its proposer approved" 'own'
approve one brain
land one
refused "what the brain approved" 'never counts|does not count'
approve one landing
land one
refused "what the landing account approved" 'never counts|does not count'
is "$(slave approved --project sample main; echo $?)" 3 "and it is not listed as approved"

# Results. It is approved from here on.
approve one
is "$(slave approved --project sample main)" "one $(git -C "$root/git/sample.git" rev-parse refs/proposals/one/head)" "what is approved is listed"
openssl genpkey -algorithm ed25519 -out "$root/other.key" 2>/dev/null
forge "$root/one.result" "$root/other.key" . >"$root/forged.result"
land one forged
refused "a result signed by another key" 'signature|signed'
sed 's/^\(byoci-result-1 .\{40\}\)./\1A/' "$root/one.result" >"$root/forged.result"
land one forged
refused "a result that was changed" 'signature|signed|payload'
echo "byoci-result-1 $(payload "$root/one.result" | base64 -w0) " >"$root/forged.result"
land one forged
refused "a result without a signature" '.'
echo rubbish >"$root/forged.result"
land one forged
refused "rubbish for a result" '.'
key=$root/secrets/slave/result.key
forge "$root/one.result" "$key" '.slave = "other"' >"$root/forged.result"
land one forged
refused "a result that says it is of another slave" 'of slave other'
forge "$root/one.result" "$key" '.outcome = "failure"' >"$root/forged.result"
land one forged
refused "a result that is no success" 'did not succeed'
forge "$root/one.result" "$key" '.jobs[0].outcome = "failure"' >"$root/forged.result"
land one forged
refused "a result whose job is no success" 'job unit did not succeed'
forge "$root/one.result" "$key" '.jobs[0].name = "other"' >"$root/forged.result"
land one forged
refused "a result without the required job" 'job unit is required'
forge "$root/one.result" "$key" '.jobs[0].digest = ("0" * 64)' >"$root/forged.result"
land one forged
refused "a result of another configuration" 'configured differently'
forge "$root/one.result" "$key" '.jobs[0].backing = ("0" * 64)' >"$root/forged.result"
land one forged
refused "a result in another backing" 'configured differently'
forge "$root/one.result" "$key" '.build = ("0" * 32)' >"$root/forged.result"
land one forged
refused "a result of another build" 'another build'
forge "$root/one.result" "$key" '.merge = .source' >"$root/forged.result"
land one forged
is "$status" 75 "a result whose merge is not the one that is made here: trouble"
like "$reason" 'merge differently' "  and the reason is said"
is "$(main_now)" "$before" "  and main is where it was"

# A key that was not brought whole says nothing: neither against a result that another one signed nor against the proposal.
broken=$root/etc/byoci/$BYOCI_NAMESPACE/result-keys/first.pub
head -c 40 "${broken%/*}/local.pub" >"$broken"
forge "$root/one.result" "$root/other.key" . >"$root/forged.result"
land one forged
is "$status" 75 "a result that a broken key may have signed: trouble"
like "$reason" 'first.pub: is not a public ed25519 key' "  and the reason is said"
is "$(main_now)" "$before" "  and main is where it was"

# Specs. (The broken key is there still.)
change() {
	jq -c "$1" "$root/one.spec" >"$root/changed.spec"
	land changed one
}
change '.namespace = "other"'
refused "a spec for another namespace" 'namespace'
change '.target = "refs/heads/other"'
refused "a target that is not configured" 'not a target'
change '.trees[0].merges[0].source = .trees[0].base'
refused "a source that was not tested" 'another source'
change '.trees[0].base = .trees[0].merges[0].source'
refused "a base that was not tested" 'another base'
change '.trees[0].merges[0] += {from: "forge.test/other", ref: "refs/heads/other"}'
refused "a source in another repository" 'another repository is none of the forge git'
change '.proposal = "two"'
refused "another proposal" 'another proposal'
change '.trees[0].merges[0].message = "Nobody said this"'
is "$status" 0 "a message in the spec is not believed: the merge is that of the record" || true
landed=$(main_now)
is "$landed" "$(payload "$root/one.result" | jq -r .merge)" "what landed is exactly what was tested"
is "$(git -C "$root/git/sample.git" log -1 --format=%s)" "Add one" "with the record's message"
land one
is "$status" 4 "landing it again: landed already"
is "$(jq -r .outcome <<<"$answer")" landed "  in a word"
before=$(main_now)

rm "$broken"

# What changed since.
tested two
approve two
git -C "$root/w" commit -q --amend -m "Add two differently"
git -C "$root/w" push -q -f "$root/git/sample.git" HEAD:refs/proposals/two/head
land two
is "$status" 5 "a push after the approval: moved"
is "$(main_now)" "$before" "  and main is where it was"
git -C "$root/git/sample.git" update-ref -d refs/proposals/two/head
land two
refused "a proposal that is withdrawn" 'closed'

tested three
approve three
git -C "$root/w" checkout -q -B aside "$before"
git -C "$root/w" commit -q --allow-empty -m aside
git -C "$root/w" push -q "$root/git/sample.git" aside:main
before=$(main_now)
land three
is "$status" 5 "a target that moved since the test: moved"
is "$(main_now)" "$before" "  and main is where it was"
spec three
run_test three
land three
is "$status" 0 "tested again it lands"
before=$(main_now)

# The same way the real thing would ask twice at once.
tested four
approve four
for i in 1 2 3; do
	slave land --spec "$root/four.spec" --result "$root/four.result" >"$root/answer.$i" 2>&1 &
	askers[i]=$!
done
wait "${askers[@]}"
is "$(cat "$root"/answer.? | jq -r .outcome | sort | tr '\n' ' ')" "landed landed success " "three at once: one lands it, two are told that it has landed"
is "$(git -C "$root/git/sample.git" rev-list --count --first-parent "$before..main")" 1 "and it is on main once"

# Killed in the middle: while the forge thinks about it, and after it took it.
hook() {
	mkdir -p "$root/git/sample.git/hooks"
	printf '#!/bin/sh\n%s\n' "$2" >"$root/git/sample.git/hooks/$1"
	chmod 755 "$root/git/sample.git/hooks/$1"
}
lander_of() {
	lander=$(pgrep -P "$land_pid" | head -n 1)
	[ -n "$lander" ]
}
tested five
approve five
hook post-receive "touch $root/taken; while [ ! -e $root/go ]; do sleep 0.02; done"
"$O/bin/byoci-slave" land --spec "$root/five.spec" --result "$root/five.result" >"$root/five.answer" 2>&1 &
client=$!
ok "the forge has the push" until_true test -e "$root/taken"
ok "and is asked by one process" lander_of
kill -9 "$lander"
touch "$root/go"
wait "$client"
is "$?" 75 "a landing that is killed is infrastructure trouble"
rm "$root/git/sample.git/hooks/post-receive"
land five
is "$status" 4 "asked again: it has landed"

tested six
approve six
hook pre-receive "touch $root/thinks; while [ ! -e $root/goes ]; do sleep 0.02; done"
"$O/bin/byoci-slave" land --spec "$root/six.spec" --result "$root/six.result" >"$root/six.answer" 2>&1 &
client=$!
ok "the forge thinks" until_true test -e "$root/thinks"
kill "$client"
wait "$client" 2>/dev/null
touch "$root/goes"
merge=$(payload "$root/six.result" | jq -r .merge)
on_main() {
	[ "$(main_now)" = "$merge" ]
}
ok "a client that goes away does not stop a landing" until_true on_main
rm "$root/git/sample.git/hooks/pre-receive"
rm "$root/thinks" "$root/goes"

# The daemon is stopped in the middle.
tested stop
approve stop
hook pre-receive "touch $root/thinks; while [ ! -e $root/goes ]; do sleep 0.02; done"
"$O/bin/byoci-slave" land --spec "$root/stop.spec" --result "$root/stop.result" >"$root/stop.answer" 2>&1 &
client=$!
ok "the forge thinks" until_true test -e "$root/thinks"
kill "$land_pid"
stopping() {
	printf '{"op":"approved","project":"sample","target":"main"}\n' | raw land 1 | grep -q stopping
}
ok "a daemon that is stopped begins nothing more" until_true stopping
touch "$root/goes"
wait "$client"
is "$?" 0 "it ends what it has begun, and answers"
wait "$land_pid"
is "$?" 0 "and ends"
start_land
rm "$root/git/sample.git/hooks/pre-receive"
before=$(main_now)

tested seven
approve seven
hook pre-receive 'echo not today >&2; exit 1'
land seven
is "$status" 77 "what the forge does not take is refused"
like "$reason" 'not today' "  with its words"
rm "$root/git/sample.git/hooks/pre-receive"
mv "$root/git/sample.git" "$root/git/away.git"
land seven
is "$status" 69 "a forge that is away is unreachable"
mv "$root/git/away.git" "$root/git/sample.git"

# The land host's own configuration counts.
kill "$land_pid"
wait "$land_pid" 2>/dev/null
configure '[job/lint]
backing = bookworm
tests.command = true'
sed -i 's/^jobs = .*/jobs = unit, lint/' "$root/etc/byoci/byov.conf"
start_land
land seven
refused "a job more is required" 'job lint is required'
configure
sed -i 's/^tests.command = .*/tests.command = true/' "$root/etc/byoci/byov.conf"
kill "$land_pid"
wait "$land_pid" 2>/dev/null
start_land
land seven
refused "the job is another one here" 'configured differently'
configure
printf 'approvals = 2\n' | sed -i '/^jobs = /r /dev/stdin' "$root/etc/byoci/byov.conf"
kill "$land_pid"
wait "$land_pid" 2>/dev/null
start_land
land seven
refused "one approval more is required" '1 of 2'
configure
kill "$land_pid"
wait "$land_pid" 2>/dev/null
start_land
land seven
is "$status" 0 "with everything in order it lands"

# Reports.
report() {
	jq -cn --arg approved "$landed" "{op: \"report\", project: \"sample\", proposal: \"one\", kind: \"landed\", approved: \$approved, merge: \$approved,
		text: \"It has landed.\"} | $1" | raw land 1
}
said=$(report .)
is "$(jq -r .outcome <<<"$said")" success "a report is made"
marker=$(jq -r .marker <<<"$said")
is "$(git -C "$root/git/sample.git" cat-file blob "refs/proposals/one/reports/$marker" | jq -r .text)" "It has landed." "it is with the proposal"
is "$(report . | jq -r '.outcome + " " + .marker')" "success $marker" "and again: it is there"
is "$(report '.text = "Otherwise."' | jq -r .outcome)" success "what has the same mark is the same report"
is "$(git -C "$root/git/sample.git" for-each-ref refs/proposals/one/reports | wc -l)" 1 "of which there is one"
is "$(report '.proposal = "../../heads/main"' | jq -r .outcome)" usage "a name that is a path is not one"
is "$(report '.kind = "x/y"' | jq -r .outcome)" usage "nor is a kind"
is "$(report '.approved = "HEAD"' | jq -r .outcome)" usage "nor is a commit"
is "$(report '.project = "other"' | jq -r .outcome)" refused "an unknown project is refused"

# By hand, while the brain is down.
by_hand() {
	status=0
	said=$(slave land-approved --project sample "$@" 2>&1) || status=$?
}
by_hand main
is "$status" 3 "nothing is approved: nothing is landed by hand"
propose eight
approve eight
propose nine 'exit 1'
approve nine
by_hand main
is "$status" 1 "by hand one lands, and one fails"
like "$said" '^eight [0-9a-f]{40}: success' "what lands is told"
like "$said" '^nine [0-9a-f]{40}: failure' "and what does not"
like "$said" '^\| hello$' "with the logs of the tests"
is "$(git -C "$root/git/sample.git" log -1 --format=%s main)" "Add eight" "it is on main"
for name in eight nine; do
	git -C "$root/git/sample.git" for-each-ref --format='%(refname)' "refs/proposals/$name/reports" | while read -r ref; do
		git -C "$root/git/sample.git" cat-file blob "$ref" | jq -r .kind
	done
done >"$root/kinds"
is "$(cat "$root/kinds")" "landed
rejected" "and both proposals are told"
by_hand main
is "$status" 1 "what failed is tried again, what landed is not"

# One that cannot be read keeps no other one from landing.
blob=$(echo rubbish | git -C "$root/git/sample.git" hash-object -w --stdin)
git -C "$root/git/sample.git" update-ref refs/proposals/bad/head "$blob"
git -C "$root/git/sample.git" update-ref -d refs/proposals/nine/head
by_hand main
is "$status" 75 "a proposal that cannot be read, and nothing else: trouble"
like "$said" 'land-approved: bad: left out, for it cannot be read: .*refs/proposals/bad/head is not a commit; mend it' "  which one and why is said"
status=0
said=$(slave approved --project sample main 2>&1) || status=$?
is "$status" 75 "the list of what is approved is none, either"
like "$said" 'bad cannot be read: .*is not a commit' "  which is said"
propose ten
approve ten
like "$(slave approved --project sample main 2>"$root/unread")" '^ten [0-9a-f]{40}$' "what else is approved is listed"
like "$(cat "$root/unread")" 'bad cannot be read' "  and beside it what cannot be read"
by_hand main
is "$status" 0 "and landed"
like "$said" '^ten [0-9a-f]{40}: success' "  which is told"
like "$said" 'bad: left out' "  as well as what was left out"
is "$(git -C "$root/git/sample.git" log -1 --format=%s main)" "Add ten" "  and is on main"
git -C "$root/git/sample.git" update-ref -d refs/proposals/bad/head
propose eleven 'exit 1'
approve eleven
perl -MIO::Socket::INET -e '
	my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die; print $s->sockport, "\n"; close STDOUT;
	while (my $c = $s->accept) { sysread $c, my $b, 1000; print {$c} "HTTP/1.1 200 OK\r\n\r\n"; close $c }' >"$root/port" &
pids="$pids $!"
until_true test -s "$root/port"
by_hand main -O "pages.listen=127.0.0.1:$(cat "$root/port")"
is "$status" 77 "while the brain is up it is refused"
like "$said" 'the brain is up' "and why is said"
by_hand main --force -O "pages.listen=127.0.0.1:$(cat "$root/port")"
is "$status" 1 "unless it is forced"
mv "$root/git/sample.git" "$root/git/away.git"
by_hand main
is "$status" 75 "a repository that is not there at all is no proposal's trouble"
ok "  and none is blamed for it" test "${said#*left out}" = "$said"
mv "$root/git/away.git" "$root/git/sample.git"

# Whose turn it is, the landing daemon knows.
perl -MIO::Socket::UNIX -e '
	$| = 1; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die;
	print {$s} q({"op":"turn","project":"sample","target":"refs/heads/main"}), "\n"; $s->flush; print scalar <$s>; <$s>' \
	"$root/run/land/socket" >"$root/turn" &
holder=$!
pids="$pids $holder"
until_true test -s "$root/turn"
is "$(cat "$root/turn")" '{"ok":true}' "somebody's turn on a target"
by_hand main
is "$status" 75 "meanwhile nobody lands by hand there"
like "$said" 'another land-approved is at work on refs/heads/main' "  which is said"
kill "$holder"
by_hand_again() {
	by_hand main
	[ "$status" != 75 ]
}
ok "when he is gone, whose turn it was, others have it" until_true by_hand_again
perl -MIO::Socket::UNIX -MSocket -MDigest::SHA=sha256_hex -e '
	$| = 1; socket my $s, AF_UNIX, SOCK_STREAM, 0;
	bind $s, pack_sockaddr_un("\0byoci-land-approved-" . sha256_hex("$ARGV[0]\nsample\nrefs/heads/main")) or die; print "bound\n"; sleep 600' \
	"$BYOCI_NAMESPACE" >"$root/squat" &
pids="$pids $!"
until_true test -s "$root/squat"
by_hand main
ok "no name that anybody can take keeps anybody from it" test "$status" != 75
by_hand other
is "$status" 77 "what is no target is nobody's"
like "$said" 'refs/heads/other is not a target of project sample' "  which is said"

# Rubbish, and who may.
like "$(printf '{"op":"nope"}\n' | raw land 1)" 'must be one of' "an unknown operation"
like "$(printf '{"op":"land","spec":{},"result":"x"}\n' | raw land 1)" '"kind":"input"' "an empty spec"
like "$(printf '[1]\n' | raw land 1)" 'JSON object' "a request that is none"
is "$(printf 'rubbish\n' | raw land)" "" "rubbish ends the connection"
chmod 711 "$root"
chmod 755 "$root/run" "$root/run/land"
chmod 666 "$root/run/land/socket"
like "$(setpriv --reuid=65534 --regid=65534 --clear-groups perl -MIO::Socket::UNIX -e \
	'$SIG{PIPE} = "IGNORE"; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; print {$s} "{\"op\":\"approved\"}\n"; $s->flush; print scalar <$s>' \
	"$root/run/land/socket" 2>&1)" 'may not' "another user may not ask, even when the socket's mode lets him"
ok "the daemon outlives all that" kill -0 "$land_pid"
# Branches and tags that anybody may push, called like what a landing is about.
tested decoyed
approve decoyed
decoys=(refs/heads/refs/heads/main refs/heads/refs/proposals/decoyed/head refs/tags/refs/heads/main)
old=$(main_now)
for name in "${decoys[@]}"; do git -C "$root/git/sample.git" update-ref "$name" "$old"; done
land decoyed
is "$status" 0 "with branches that are called like refs it is landed" || diag "$reason"
is "$(git -C "$root/git/sample.git" for-each-ref --format='%(objectname)' refs/heads/main)" "$(payload "$root/decoyed.result" | jq -r .merge)" "  on the target"
is "$(git -C "$root/git/sample.git" for-each-ref --format='%(objectname)' refs/heads/refs refs/tags | sort -u)" "$old" "  and nowhere else"
is "$(git -C "$root/state/land/trees/sample.git" for-each-ref 'refs/byoci/push-*')" "" "nothing of a push is left in the clone"
for name in "${decoys[@]}"; do git -C "$root/git/sample.git" update-ref -d "$name"; done

# A report that the forge does not take is not told, whatever branches there are.
tested heard
report=$(jq -nc --arg commit "$(git -C "$root/git/sample.git" rev-parse refs/proposals/heard/head)" \
	'{op: "report", project: "sample", proposal: "heard", kind: "rejected", approved: $commit, text: "no"}')
told() {
	timeout -k 5 60 perl -MIO::Socket::UNIX -e 'my $daemon = IO::Socket::UNIX->new(Peer => shift) or die; print $daemon shift, "\n"; print scalar <$daemon>' \
		"$root/run/land/socket" "$report"
}
printf '#!/bin/sh\nexit 1\n' >"$root/git/sample.git/hooks/pre-receive"
chmod 755 "$root/git/sample.git/hooks/pre-receive"
answer=$(told)
is "$(jq -r .outcome <<<"$answer")" refused "a report that is not taken is refused"
git -C "$root/git/sample.git" branch "refs/proposals/heard/reports/$(jq -r .marker <<<"$answer")" main
is "$(told | jq -r .outcome)" refused "a branch that is called like it is not it"
rm "$root/git/sample.git/hooks/pre-receive"
is "$(told | jq -r .outcome)" success "it is told when it is taken"
is "$(told | jq -r .outcome)" success "  and once"

# What the command line is given.
is "$(slave land-approved --project sample $'\xff' 2>&1; echo $?)" "byoci-slave land-approved: a word that is asked with is not UTF-8
64" "a target that is no text is told so"
tested said
approve said
for verb in 'list' 'spec --project sample said' 'approved --project sample main'; do
	# shellcheck disable=SC2086
	is "$(slave $verb 2>&1 >/dev/full; echo $?)" "byoci-slave: not all could be written to standard output: do not rely on what is there
75" "an answer for which there is no room is none: $verb"
done
spec said
is "$(slave test --spec "$root/said.spec" --result "$root/closed.result" 2>&1 >&-; echo $?)" 0 "a test is none the worse for an output that is closed"
is "$(payload "$root/closed.result" | jq -r .outcome)" success "  and has its result"
is "$(slave list 0<&- | jq -r '.builds | length > 0')" true "nor is a question for an input that is"
done_testing
