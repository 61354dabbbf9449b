#!/bin/bash
# The slave's daemon and its builds: every way in which one ends, who goes away meanwhile, and what it is asked that it must refuse.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/slave-lib.sh
. "$(dirname "$0")/slave-lib.sh"

make_namespace
start_worker
start_slave

running() {
	slave list | jq -e --arg build "$build" '.builds[] | select(.build == $build and .state == "running")' >/dev/null
}

done_with() {
	slave list | jq -e --arg build "$build" --arg outcome "$1" '.builds[] | select(.build == $build and .outcome == $outcome)' >/dev/null
}

logged() {
	grep -q "$1" "$(folder)/log" 2>/dev/null
}

# begin NAME: tests it without waiting for its end, which comes when go() is called.
begin() {
	propose "$1" "echo begun; while [ ! -e $root/go-$1 ]; do sleep 0.02; done; echo went on"
	spec "$1"
	"$O/bin/byoci-slave" test --spec "$root/$1.spec" --result "$root/$1.result" "${@:2}" >"$root/$1.out" 2>"$root/$1.err" &
	client=$!
	until_true logged '| begun' || bail_out "$1 did not begin: $(cat "$root/$1".{out,err}; tail -n 3 "$root/slave.log")"
}

go() {
	touch "$root/go-$1"
}

# success
propose good 'echo hello; echo oops >&2; pwd; id -u'
spec good
run_test good
is "$status" 0 "tests that succeed exit with 0"
like "$log" '^\| hello$' "what they write is in the log"
like "$log" '^! oops$' "standard error too, marked"
like "$log" '^byoci: success$' "and the end"
is "$(payload "$root/good.result" | jq -r '.outcome, .build, .jobs[0].exit')" "success
$build
0" "the result says so"
is "$(payload "$root/good.result" | jq -r '[.steps[].name] | join(" ")')" "fetch merge export worker tests teardown" "with every step"
is "$(payload "$root/good.result" | jq '[.steps[] | select(.ended < .started or .started == 0)] | length')" 0 "and its times"
ok "the exported tree is gone" test ! -e "$(folder)/layer"
is "$(git -C "$root/state/slave/trees/sample.git" rev-parse "$(payload "$root/good.result" | jq -r .merge)^2")" \
	"$(git -C "$root/git/sample.git" rev-parse refs/proposals/good/head)" "the merge has the proposal as its second parent"
first=$(cat "$root/good.result")
run_test good
is "$status:$(cat "$root/good.result")" "0:$first" "the same spec again: the same build, the same answer"
jq -c '.attempt = 2' "$root/good.spec" >"$root/other.spec"
run_test other
is "$status" 77 "another spec with that id is refused"
like "$log" 'exists: build' "and why is said"

# Other ends.
propose bad 'echo no >&2; exit 3'
spec bad
run_test bad
is "$status" 1 "tests that fail exit with 1"
is "$(payload "$root/bad.result" | jq -r '.outcome, .reason, .jobs[0].exit')" "failure
the tests ended with 3
3" "and the result has their exit status"

propose clash
git -C "$root/w" checkout -q -B tip "$(main_now)"
echo other >"$root/w/clash"
git -C "$root/w" add clash
git -C "$root/w" commit -q -m "Add clash otherwise"
git -C "$root/w" push -q "$root/git/sample.git" tip:main
spec clash
run_test clash
is "$status" 2 "a conflict exits with 2"
like "$log" '^byoci:   CONFLICT \(add/add\): Merge conflict in clash$' "and names the file"

propose moving
spec moving
git -C "$root/w" commit -q --allow-empty -m again
git -C "$root/w" push -q "$root/git/sample.git" HEAD:refs/proposals/moving/head
run_test moving
is "$status" 5 "a proposal that was pushed to since is moved"

propose gone
spec gone
git -C "$root/git/sample.git" update-ref -d refs/proposals/gone/head
run_test gone
is "$status" 5 "as is one that is gone"

propose already
spec already
git -C "$root/git/sample.git" update-ref refs/heads/main refs/proposals/already/head
run_test already
is "$status" 4 "what is on the target already is landed"

git init -q "$root/w/sub"
git -C "$root/w/sub" commit -q --allow-empty -m sub
propose sub 2>/dev/null
rm -rf "$root/w/sub"
spec sub
run_test sub
is "$status" 77 "a submodule is refused"
like "$log" 'sub is a submodule' "and named"

# Output.
# shellcheck disable=SC2016
propose flood 'printf "\033[2J\377\n"; i=0; while [ $i -lt 100000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done'
spec flood
run_test flood
is "$status" 1 "a flood of output is a failure"
like "$(payload "$root/flood.result" | jq -r .reason)" 'wrote more than their limit' "and why is said"
ok "its log is not larger than the limit and what we add" test "$(stat -c %s "$(folder)/log")" -lt 90000
like "$log" '^\| \\x1b\[2J\\xff$' "its control characters are escaped"

# Time.
configure
sed -i 's/^tests.limit = .*/tests.limit = 5s/' "$root/etc/byoci/byov.conf"
kill "$slave_pid" "$worker_pid"
wait "$slave_pid" "$worker_pid"
start_worker
start_slave
propose slow 'echo slow; while :; do :; done'
spec slow
run_test slow
is "$status" 124 "tests that take too long are timed out"
like "$log" '^\| slow$' "and what they wrote is kept"
kill "$slave_pid" "$worker_pid"
wait "$slave_pid" "$worker_pid"
configure
start_worker
start_slave

# Cancel, and a client that goes away.
begin stopped
ok "it runs" running
propose second
cp "$root/stopped.spec" "$root/running.spec"
spec second
run_test second
is "$status" 75 "a second build meanwhile"
like "$log" 'is running; one build at a time' "is told that the slave is busy"
build=$(jq -r .build "$root/running.spec")
slave cancel "$build" >/dev/null
wait "$client"
is "$?" 130 "a cancelled build exits with 130"
is "$(payload "$root/stopped.result" | jq -r .outcome)" cancelled "and its result says so"
is "$(slave cancel "$build")" '{"ok":true}' "cancelling it again is fine"

begin left
kill "$client"
wait "$client" 2>/dev/null
ok "a client that goes away cancels its build" until_true done_with cancelled

begin kept --detach
kill "$client"
wait "$client" 2>/dev/null
ok "unless it said otherwise" running
go kept
ok "then the build goes on to its end" until_true done_with success

# The daemon dies, and is there again.
begin lives
kill -9 "$slave_pid"
wait "$slave_pid" 2>/dev/null
start_slave
ok "a build goes on when the daemon is killed, and is found again" running
spec second
run_test second
is "$status" 75 "it still is the one that runs"
build=$(jq -r .build "$root/lives.spec")
go lives
wait "$client"
is "$?" 0 "its client has found the new daemon"
is "$(grep -c 'went on' "$root/lives.out")" 1 "and has read each line once"
is "$(cat "$root/lives.out")" "$(cat "$(folder)/log")" "what it printed is the log"

begin stops
kill "$slave_pid"
wait "$slave_pid" 2>/dev/null
ok "a daemon that is stopped leaves its build running" kill -0 "$(jq .pid "$(folder)/leader.pid")"
go stops
start_slave
wait "$client"
is "$?" 0 "and the next one has the result"

# The leader dies.
begin lost
kill -9 "$(jq .pid "$(folder)/leader.pid")"
wait "$client"
is "$?" 75 "a build whose leader is killed is infrastructure trouble"
is "$(payload "$root/lost.result" | jq -r .outcome)" infrastructure "with a signed result"
ok "and nothing is left of its tree" test ! -e "$(folder)/layer"

begin orphan
kill -9 "$slave_pid" "$(jq .pid "$(folder)/leader.pid")"
wait "$slave_pid" 2>/dev/null
start_slave
wait "$client"
is "$?" 75 "and so when both are killed"

# The worker dies.
begin worker
kill "$worker_pid"
wait "$worker_pid" 2>/dev/null
go worker
wait "$client"
status=$?
ok "a worker that is killed is never a failure of the tests ($status)" [ "$status" -ne 1 ]
start_worker

# What must be refused.
propose fine
spec fine
refused() {
	jq -c "$1" "$root/fine.spec" >"$root/refused.spec"
	run_test refused
	is "$status" "$2" "$3"
	like "$log" "$4" "  and the message says why"
}
refused '.namespace = "other"' 77 "a spec for another namespace is refused" "namespace $BYOCI_NAMESPACE"
refused '.project = "nope"' 77 "an unknown project" 'project nope is not configured'
refused '.trees[0].repository = "evil.test/sample"' 77 "another repository" 'is in forge.test/sample here'
refused '.target = "refs/heads/other"' 77 "another target" 'not a target'
refused '.jobs[0].name = "other"' 77 "another job" 'not a job of project sample'
refused '.jobs[0].digest = ("0" * 64)' 77 "another digest" 'configured differently'
refused '.extra = 1' 64 "an unknown field" 'field'
refused '.build = "../../etc"' 64 "an id that is a path" 'build'
refused '.trees[0].merges[0].author = "no mail"' 64 "an author without an address" 'author'
refused '.trees[0].merges[0].source = "HEAD"' 64 "a commit that is a name" 'source'
is "$(find "$root/state/slave/builds" -name "$(jq -r .build "$root/fine.spec")")" "" "nothing was begun for them"

line=$(printf '{"op":"follow","build":"%032d"}\n' 7 | raw slave 1)
like "$line" '"kind":"input"' "following a build that is not there is an error"
like "$(printf '{"op":"nope"}\n' | raw slave 1)" 'must be one of' "as is an unknown operation"
like "$(printf '{"op":"cancel","build":"../x"}\n' | raw slave 1)" '32 lower-case hex' "a path for a build"
like "$(printf '{"op":"follow","build":"%s","offset":3}\n' "$(jq -r .build "$root/good.spec")" | raw slave 1)" 'beginning of a line' \
	"an offset inside a line"
like "$(printf '[]\n' | raw slave 1)" 'error' "a line that is no object"
is "$(printf 'rubbish\n' | raw slave)" "" "rubbish ends the connection"
head -c 3000000 /dev/zero | tr '\0' x | raw slave >/dev/null
ok "the daemon outlives all that" answers
spec fine
run_test fine
is "$status" 0 "and still works"

# Who may.
chmod 755 "$root/run" "$root/run/slave"
chmod 666 "$root/run/slave/socket"
chmod 711 "$root"
like "$(printf '{"op":"list"}\n' | setpriv --reuid=65534 --regid=65534 --clear-groups perl -MIO::Socket::UNIX -e \
	'$SIG{PIPE} = "IGNORE"; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; print {$s} scalar <STDIN>; $s->flush; print scalar <$s>' "$root/run/slave/socket" 2>&1)" \
	'may not' "another user may not use the socket, even when its mode lets him"

# What daemons say reaches no terminal as anything but text.
bad_words() { # SOCKET TYPE: whoever asks there is told something that would clear a terminal
	perl -MSocket -e 'my $what = $ARGV[1] eq "packets" ? SOCK_SEQPACKET : SOCK_STREAM; socket my $s, AF_UNIX, $what, 0 or die;
		bind $s, pack_sockaddr_un("$ARGV[0].new") or die; listen $s, 1; rename "$ARGV[0].new", $ARGV[0]; accept my $c, $s; sysread $c, my $b, 100000;
		syswrite $c, qq({"error":"go \\u001b[2J away","kind":"refused"}) . ($ARGV[1] eq "packets" ? "" : "\n"); sysread $c, $b, 1' "$@" &
	pids="$pids $!"
	until_true test -S "$1"
}
bad_words "$root/run/bad-author" packets
read -r type key _ <"$root/ann.pub"
like "$(slave -O "author.socket=$root/run/bad-author" author "$type" "$key" 2>&1)" '^byoci: go \\x1b\[2J away$' "an author sees an escape sequence as text"
bad_words "$root/run/bad-slave" lines
like "$(slave -O "slave.socket=$root/run/bad-slave" list 2>&1)" '^byoci-slave list: go \\x1b\[2J away$' "and so does who asks the slave"

# What is kept, and for how long.
is "$(slave reap)" '{"removed":0,"left":[]}' "of young builds nothing is left to reap"
build=$(jq -r .build "$root/good.spec")
touch -d '20 days ago' "$(folder)/spec.json"
is "$(slave reap)" '{"removed":1,"left":[]}' "an old one is removed"
ok "and gone" test ! -e "$(folder)"
empty() {
	[ -z "$(ls -A "$root/state/slave/trash")" ]
}
ok "with all that was in it" until_true empty
build=$(jq -r .build "$root/fine.spec")
mkdir "$(folder)/layer"
is "$(slave reap)" '{"removed":1,"left":[]}' "a tree that was left is removed too"
ok "its build stays" done_with success
packs=$root/state/slave/trees/sample.git/objects/pack
touch "$packs/tmp_pack_now" && touch -d '2 days ago' "$packs/tmp_pack_old" "$packs/tmp_idx_old" "${packs%/*}/tmp_obj_old"
ok "clones are packed" slave tidy slave
is "$(cd "${packs%/*}" && find . -name 'tmp_*')" ./pack/tmp_pack_now "what a fetch had left that was killed goes, not what is being fetched"
run_test fine
is "$status" 0 "and are as they were"
done_testing
