#!/bin/bash
# What a build leaves: artefacts that are listed and printed, test reports that are counted, in log, result and what is kept; limits. And which
# builds get secrets.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/slave-lib.sh
. "$(dirname "$0")/slave-lib.sh"

make_namespace
keep() {
	configure
	sed -i "/^output.limit/r /dev/stdin" "$root/etc/byoci/byov.conf" <<<"$1"
	[ -z "${slave_pid:-}" ] || { kill "$slave_pid" "$worker_pid"; wait "$slave_pid" "$worker_pid"; }
	start_worker
	start_slave
}
reports() {
	payload "$root/$1.result" | jq -c '.jobs[0].reports | [.run, .failed, .skipped, .reports, .broken]'
}
kept() {
	payload "$root/$1.result" | jq -r '.jobs[0].artefacts | [.count, .bytes, (.list | map(.path) | sort | join(" "))] | join(" ")'
}
# built NAME TESTS…: proposed and tested.
built() {
	propose "$@"
	spec "$1"
	run_test "$1"
}

keep 'artefacts = out/*.txt, deep/**/*.log
reports = out/*.xml, stdout'
cat >"$root/tests" <<'SH'
umask 022
mkdir -p out deep/a/b other
echo hello >out/a.txt; printf 1234 >out/b.txt; : >out/empty.txt
echo log >deep/a/b/c.log; echo no >deep/a/b/c.txt; echo no >other/a.txt
ln -s /etc/passwd out/link.txt; mkfifo out/fifo.txt
cat >out/r.xml <<XML
<testsuite><testcase classname="x" name="one" time="1.25"/><testcase name="two"><failure/></testcase></testsuite>
XML
echo 1..3; echo ok 1; echo ok 2 '# SKIP none'; echo ok 3
SH
built good "$(cat "$root/tests")"
is "$status" 0 "a test that succeeds succeeds, whatever its reports say"
is "$(kept good)" "5 128 deep/a/b/c.log out/a.txt out/b.txt out/empty.txt out/r.xml" "the result lists what is kept" ||
	diag "$log"
is "$(reports good)" "[5,1,1,2,0]" "and counts the tests of both reports"
is "$(payload "$root/good.result" | jq -c '.jobs[0].reports.slowest')" '[{"name":"x.one","ms":1250}]' "with the slowest"
like "$log" '^byoci: not kept: out/link.txt: it is a symbolic link$' "what is left out is told"
like "$log" '^byoci: not kept: out/fifo.txt: it is a fifo$' "with why"
like "$log" '^byoci: artefacts: 5 files, 128 bytes$' "what is kept too"
like "$log" '^byoci: reports: 5 tests, 1 failed, 1 skipped, slowest x.one \(1.250 s\)$' "and what was counted"
is "$(payload "$root/good.result" | jq -r '[.steps[].name] | join(" ")')" "fetch merge export worker tests collect teardown" "it is a step"
list=$(slave artefact "$build")
is "$(awk '{ print $3 }' <<<"$list" | sort | tr '\n' ' ')" "deep/a/b/c.log out/a.txt out/b.txt out/empty.txt out/r.xml " "artefact lists them"
like "$list" "^$(sha256sum <<<hello | cut -d' ' -f1) +6 out/a.txt$" "with size and SHA-256"
is "$(slave artefact "$build" out/a.txt)" hello "and prints one"
status=0
slave artefact "$build" out/link.txt >"$root/out" 2>&1 || status=$?
is "$status:$(cat "$root/out")" "3:byoci-slave artefact: build $build has kept no out/link.txt" "what was not kept is not there"
is "$(stat -c %a "$(folder)/artefacts" "$(folder)/artefacts/1" "$(folder)/artefacts.json" | tr '\n' ' ')" "700 600 600 " "only the slave's user may look"
is "$(find "$(folder)/artefacts" -type f -printf '%f\n' | sort -n | tr '\n' ' ')" "1 2 3 4 5 " "no name of the test's is one of this host's"
ok "what was printed is not kept besides" test ! -e "$(folder)/stdout"

# shellcheck disable=SC2016
built lies 'umask 022; mkdir out; (printf "\263garbage"; head -c 100 /dev/zero) >out/a.xml
	printf "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>" >out/b.xml; echo "no TAP"; exit 3'
is "$status" 1 "a test that fails fails"
is "$(reports lies)" "[0,0,0,3,3]" "reports that can't be read are counted as such"
like "$log" '^byoci: report out/a.xml: subunit report: a broken packet at byte 0$' "and told"
like "$log" '^byoci: report out/b.xml: JUnit report: line 1: it has a document type' "each"
like "$log" '^byoci: report stdout: TAP report: no line of it is TAP$' "with its fault"
# shellcheck disable=SC2016
built flood 'umask 022; mkdir out; echo kept >out/a.txt; ln -s a.txt out/b.txt; while :; do echo 0123456789012345678901234567890123456789; done'
is "$status:$(kept flood)" "1:1 5 out/a.txt" "what tests leave that wrote too much is kept, too"
built none 'echo 1..1; echo ok 1'
is "$(kept none):$(reports none)" "0 0 :[1,0,0,1,0]" "nothing to keep is nothing wrong"

keep 'artefacts = **
artefacts.count = 3
artefacts.limit = 1k'
# shellcheck disable=SC2016
built many 'umask 022; i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo x >$i; done'
is "$status:$(payload "$root/many.result" | jq '.jobs[0].artefacts.count')" "0:3" "no more are kept than are asked for"
like "$log" '^byoci: not kept: there are more files than artefacts.count allows' "which is told"
built large 'umask 022; rm -f run-tests; truncate -s 1T sparse; head -c 1000 /dev/zero >small'
is "$status" 0 "a huge file of holes is no failure"
like "$(kept large)" '^. 10[0-9]* .*small' "and not kept, what is small is"
like "$log" '^byoci: not kept: sparse: it is larger than what is left of artefacts.limit$' "which is told"
slave_runs() {
	running=$(slave list | jq -r '.builds[] | select(.state == "running") | .build')
	[ -n "$running" ] && grep -q '| begun' "$root/state/slave/builds/$running/log"
}
built slow 'umask 022; echo partial >log; echo begun; while :; do :; done' >/dev/null &
job=$!
until_true slave_runs || bail_out "it does not begin"
slave cancel "$running" >/dev/null
wait "$job"
ok "of a cancelled build nothing is kept" test ! -e "$root/state/slave/builds/$running/artefacts"

# All builds together: what the oldest left goes first.
keep 'artefacts = **
artefacts.limit = 30k'
sed -i "/^state =/a artefacts.total = 100k" "$root/etc/byoci/byov.conf"
kill "$slave_pid" "$worker_pid"
wait "$slave_pid" "$worker_pid"
start_worker
start_slave
builds=()
for number in 1 2 3 4; do
	built "total$number" 'umask 022; rm -rf ./*; head -c 25000 /dev/urandom >file'
	is "$status" 0 "build $number keeps 25,000 bytes"
	builds+=("$build")
done
has() { test -f "$root/state/slave/builds/$1/artefacts/1"; }
not() { ! "$@"; }
ok "of four the first has nothing any more" not has "${builds[0]}"
for number in 1 2 3; do ok "the younger have all: $((number + 1))" has "${builds[number]}"; done
status=0
slave artefact "${builds[0]}" >"$root/out" 2>&1 || status=$?
is "$status:$(cat "$root/out")" "3:byoci-slave artefact: what build ${builds[0]} had kept was thrown away to make room (artefacts.total)" "which is said"
rm -f "$root/state/slave/builds/${builds[1]}/artefacts.json"
head -c 70000 /dev/zero >"$root/state/slave/builds/${builds[1]}/artefacts/2"
built total5 'umask 022; rm -rf ./*; echo small >file'
ok "what a leader that was killed had taken in counts, and goes in its turn" not has "${builds[1]}"
ok "others stay" has "${builds[2]}"
ok "(both)" has "${builds[3]}"
sed -i "s/^artefacts.total.*/artefacts.total = 4k/" "$root/etc/byoci/byov.conf"
built total6 'umask 022; rm -rf ./*; head -c 3000 /dev/zero >fits; head -c 5000 /dev/zero >large'
is "$status:$(kept total6)" "0:1 3000 fits" "one build gets no more than there may be of all"
like "$log" '^byoci: not kept: 1 that artefacts.total has no room for$' "which is told"
is "$(find "$root"/state/slave/builds/*/artefacts -type f | wc -l)" 1 "for which all others had to go"

# Secrets are for builds that ran after an approval, by the forge's record and nobody's word. (What a worker does with them: tests/escape.)
keep 'artefacts = out'
sed -i 's/^jobs = unit/&\nsecrets = token/' "$root/etc/byoci/byov.conf"
kill "$slave_pid" "$worker_pid"
wait "$slave_pid" "$worker_pid"
start_worker
start_slave
built early 'echo hello'
is "$status" 0 "a build before any approval runs"
like "$log" '^byoci: no secrets for this build: not approved: ' "without secrets, and says so"
propose late 'echo hello'
approve late
spec late
run_test late
like "$log" '^byoci: 1 secret of sample is in the worker$' "an approved one has them" || diag "$(tail -n 5 "$root/slave.log")"
propose late 'echo somebody pushed over it'
spec late
run_test late
like "$log" '^byoci: no secrets for this build: not approved: ' "what was pushed after the approval has none"
propose self 'echo hello'
approve self ann
spec self
run_test self
like "$log" '^byoci: no secrets for this build: not approved: ' "nor has what its proposer approves alone"
propose unread 'echo hello'
approve unread
spec unread
mv "$root/libexec/bin/byoci" "$root/libexec/bin/away"
run_test unread
is "$status" 75 "when the record can't be read that is trouble of ours, and no test without secrets" || diag "$log"
# A record that does not come keeps nobody from cancelling.
mv "$root/libexec/bin/away" "$root/libexec/bin/byoci"
propose slow 'echo hello'
approve slow
spec slow
mv "$root/libexec/bin/byoci" "$root/libexec/bin/away"
cat >"$root/libexec/bin/byoci" <<-END
	#!/bin/sh
	echo \$\$ >>$root/asked
	exec sleep 600
END
chmod 755 "$root/libexec/bin/byoci"
slave test --spec "$root/slow.spec" --result "$root/slow.result" >"$root/slow.log" 2>&1 &
client=$!
pids="$pids $client"
ok "a forge is asked that does not answer" until_true test -s "$root/asked"
slave cancel "$(jq -r .build "$root/slow.spec")" >/dev/null
cancelled() { ! kill -0 "$client" 2>/dev/null; }
ok "the build can be cancelled meanwhile" until_true cancelled
status=0
wait "$client" || status=$?
is "$status" 130 "  and says so"
like "$(cat "$root/slow.log")" "cancelled while the forge was asked about its project's secrets" "  and while what that was"
asked_no_more() { ! kill -0 "$(head -n 1 "$root/asked")" 2>/dev/null; }
ok "  and the forge is asked no more" until_true asked_no_more
mv "$root/libexec/bin/away" "$root/libexec/bin/byoci"
done_testing
