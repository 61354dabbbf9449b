#!/bin/bash
# Merges begun when a hook comes, before the proposal was read back: used only for exactly these commits, and by who asks for them.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/slave-lib.sh
. "$(dirname "$0")/slave-lib.sh"

make_namespace
start_worker
start_slave
ahead=$root/state/slave/ahead

# ask PROPOSAL [PROJECT]: what the brain says when a hook comes; the answer is in $answer.
ask() {
	answer=$(jq -nc --arg project "${2:-sample}" --arg proposal "$1" '{op: "ahead", $project, $proposal}' | raw slave 1)
}
finished() {
	find "$ahead" -mindepth 1 -maxdepth 1 ! -name '*.making' -printf '%f\n'
}
settled() {
	[ -z "$(find "$ahead" -name '*.making' 2>/dev/null)" ] && ! pgrep -a -P "$slave_pid" | grep -qvE ' (standby|spare) '
}
are_finished() {
	settled && [ "$(finished | wc -l)" = "$1" ]
}
unlike() { ok "$3" test -z "$(grep -E -- "$2" <<<"$1")"; }
merge_of() { payload "$root/$1.result" | jq -r .merge; }

propose one
ask one
is "$answer" '{"ok":true}' "a proposal is said to be pushed"
ok "and merged before anybody asks for a build" until_true are_finished 1
spec one
run_test one
is "$status" 0 "its build succeeds"
like "$log" '^byoci: the merge is [0-9a-f]{40}, made beforehand$' "and says that it took it over"
unlike "$log" fetching "fetching nothing"
merged=$(merge_of one)
is "$(payload "$root/one.result" | jq -r .tree)" "$(git -C "$root/state/slave/trees/sample.git" rev-parse "$merged^{tree}")" \
	"its tree is that of the merge"
ok "what was taken over is there no more" until_true are_finished 0
spec one
run_test one
unlike "$log" beforehand "without it the build makes the merge itself"
is "$(merge_of one)" "$merged" "which has the same id"

# Which commit is made of it is the spec's to say.
ask one
until_true are_finished 1
spec one
jq -c '.trees[0].merges[0].message = "Something else"' "$root/one.spec" >"$root/other.spec"
run_test other
like "$log" beforehand "a merge with another message takes it over"
is "$(git -C "$root/state/slave/trees/sample.git" log -1 --format=%B "$(merge_of other)" | head -n 1)" "Something else" "and has that message"
ask one
until_true are_finished 1
spec one
jq -c '.trees[0].merges[0].commit = ("0" * 40)' "$root/one.spec" >"$root/two.spec"
run_test two
is "$status" 75 "one that expects another id is no success"
like "$log" 'was expected' "  and says so"

# A merge made beforehand takes it over, too.
ask one
until_true are_finished 1
layer=$(stat -c %i "$ahead"/*/layer)
spec one
jq -c '{op: "premake", spec: .}' "$root/one.spec" | raw slave 1 >/dev/null
made() { stat -c %i "$root"/state/slave/premade/*[0-9a-f]/layer 2>/dev/null; }
is_made() { [ -n "$(made)" ]; }
ok "a merge made beforehand" until_true is_made
is "$(made)" "$layer" "  is of the very tree"
run_test one
is "$(merge_of one)" "$merged" "and of the same id"

# Other commits.
propose moves
ask moves
until_true are_finished 1
git -C "$root/w" commit -q --allow-empty -m again
(cd "$root/w" && "$O/bin/byoci" propose --project sample --name moves -k "$root/ann") >/dev/null
spec moves
run_test moves
is "$status" 0 "a build of a newer commit"
unlike "$log" beforehand "  does not take over what was made of an older one"
propose target
ask target
until_true settled
git -C "$root/w" checkout -q -B newer "$(main_now)" && git -C "$root/w" commit -q --allow-empty -m newer
git -C "$root/w" push -q "$root/git/sample.git" HEAD:refs/heads/main
spec target
run_test target
is "$status" 0 "nor does a build"
unlike "$log" beforehand "  when the target has moved"
ask target
until_true settled
git -C "$root/git/sample.git" update-ref refs/heads/main "$(main_now)^"
spec target
git -C "$root/git/sample.git" update-ref refs/heads/main "$(git -C "$root/w" rev-parse newer)"
run_test target
is "$status" 5 "and a build of what is past is told so"

# One that is just being made is waited for.
ask one
until_true settled
name=$(finished | while read -r id; do grep -l "$(git -C "$root/git/sample.git" rev-parse refs/proposals/one/head)" "$ahead/$id/made.json"; done)
name=$(basename "$(dirname "$name")")
mv "$ahead/$name" "$ahead/$name.making"
exec 7<"$ahead/$name.making"
flock 7
spec one
"$O/bin/byoci-slave" test --detach --spec "$root/one.spec" >"$root/one.out" 2>&1 7<&- &
client=$!
waits() { grep -q -- "->.*:$(stat -c %i "$ahead/$name.making") " /proc/locks; }
ok "a build waits for one that is being made" until_true waits
mv "$ahead/$name.making" "$ahead/$name"
exec 7<&-
wait "$client"
like "$(cat "$root/one.out")" 'made beforehand$' "and takes it over"

# Who makes it may end while its files are written, when the build writes the commit already.
ask one
until_true settled
mv "$ahead/$name" "$ahead/$name.making"
exec 7<"$ahead/$name.making"
flock 7
spec one
"$O/bin/byoci-slave" test --spec "$root/one.spec" >"$root/one.out" 2>&1 7<&- &
client=$!
ok "a build waits for the files of one" until_true waits
mv "$ahead/$name.making" "$root/lost"
exec 7<&-
status=0
wait "$client" || status=$?
is "$status" 0 "when these do not come"
unlike "$(cat "$root/one.out")" beforehand "  it makes all itself"

# The clone may be another one by then.
ask one
until_true settled
spec one
find "$root/state/slave/trees/sample.git" -mindepth 1 -delete
run_test one
is "$status" 0 "when the clone is gone, a build"
like "$log" 'made again' "  makes all again"

# What a git that was killed leaves.
locked=$root/state/slave/trees/sample.git/refs/byoci/ahead-source.lock
touch "$locked"
ask one
until_true settled
ok "a lock that somebody left in the clone" test ! -e "$locked"
is "$(cat "${locked%.lock}")" "$(git -C "$root/git/sample.git" rev-parse refs/proposals/one/head)" "  does not keep it from what was fetched last"

# While objects come, the merge reads them where they come from. What is found only there is not taken for here.
propose known
git -C "$root/git/sample.git" merge-tree --write-tree refs/heads/main refs/proposals/known/head >/dev/null
ask known
until_true settled
spec known
run_test known
is "$status" 0 "a build whose merge somebody has made there, too"
is "$(git -C "$root/state/slave/trees/sample.git" fsck --connectivity-only 2>&1 | grep -c missing)" 0 "  has all of it here"

# What is of no use is not kept.
kept=$(finished | sort)
git -C "$root/w" checkout -q -B clash "$(main_now)" && write_tests 'echo ours' && git -C "$root/w" commit -qam ours
git -C "$root/w" push -q "$root/git/sample.git" HEAD:refs/heads/main
git -C "$root/w" checkout -q -B theirs 'HEAD^' && write_tests 'echo theirs' && git -C "$root/w" commit -qam theirs
(cd "$root/w" && "$O/bin/byoci" propose --project sample --name theirs -k "$root/ann") >/dev/null
ask theirs
ok "of what does not merge" until_true settled
is "$(finished | sort)" "$kept" "  nothing is kept"
git -C "$root/w" checkout -q -B module clash
git -C "$root/w" update-index --add --cacheinfo "160000,$(main_now),module" && git -C "$root/w" commit -qm module
(cd "$root/w" && "$O/bin/byoci" propose --project sample --name module -k "$root/ann") >/dev/null
git -C "$root/w" rm -q --cached module
ask module
ok "nor of what may not be exported" until_true settled
is "$(finished | sort)" "$kept" "  nothing"
git -C "$root/git/sample.git" update-ref refs/proposals/merged/head "$(main_now)"
ask merged
ok "nor of what is on the target" until_true settled
is "$(finished | sort)" "$kept" "  nothing"
ask nothing-there
ok "nor of what is not there" until_true settled
is "$(finished | sort)" "$kept" "  nothing"

ask one elsewhere
like "$answer" '"kind":"refused"' "a project that there is not is refused"
ask '../../one'
like "$answer" '"kind":"input"' "and what is no name"
ask one '../sample'
like "$answer" '"kind":"input"' "of either"
is "$(printf '{"op":"ahead","project":7}\n' | raw slave 1 | jq -r .kind)" input "and half a request"

configure
sed -i 's/^state = /premade.maximum = 2\n&/' "$root/etc/byoci/byov.conf"
slave_rereads
for name in seven eight nine; do
	propose "$name"
	ask "$name"
done
ok "no more than premade.maximum are kept" until_true are_finished 2

# Killed at any moment: what looks finished is.
propose slow
whole=0
for pause in 0 0.005 0.01 0.015 0.02 0.03 0.04 0.06; do
	ask slow
	pass "$pause"
	kill -9 "$slave_pid"
	wait "$slave_pid" 2>/dev/null
	for name in $(finished); do
		[ -n "$(jq -r 'select(.source == $s) | .tree' --arg s "$(git -C "$root/w" rev-parse slow)" "$ahead/$name/made.json")" ] || continue
		whole=$((whole + 1))
		[ "$(find "$ahead/$name/layer/workspace" -mindepth 1 | wc -l)" = "$(git -C "$root/w" ls-tree -r slow | wc -l)" ] || whole=-1000
	done
	start_slave
done
ok "killed eight times, nothing looks finished that is not ($whole were)" [ "$whole" -ge 0 ]
none_there() { [ -z "$(find "$ahead" -mindepth 1)" ]; }
ok "a daemon begins with none" until_true none_there
spec slow
run_test slow
is "$status" 0 "and builds go on"

configure
sed -i 's/^state = /premade.maximum = 0\n&/' "$root/etc/byoci/byov.conf"
slave_rereads
ask slow
like "$answer" 'premade.maximum is 0' "with premade.maximum = 0 none is made"
done_testing
