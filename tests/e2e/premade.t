#!/bin/bash
# Merges made before a build asks for them: taken over when it is the very merge, gone when it is past, and nothing half made is used.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/slave-lib.sh
. "$(dirname "$0")/slave-lib.sh"

make_namespace
start_worker
start_slave
premade=$root/state/slave/premade

# premake NAME [FILTER]: has the merge of its spec made; the answer is in $answer.
premake() {
	answer=$(jq -c "${2:-.} | {op: \"premake\", spec: .}" "$root/$1.spec" | raw slave 1)
}
finished() {
	find "$premade" -mindepth 1 -maxdepth 1 ! -name '*.making' -printf '%f\n'
}
are_finished() {
	[ "$(finished | wc -l)" = "$1" ] && [ -z "$(find "$premade" -name '*.making')" ]
}
settled() {
	[ -z "$(find "$premade" -name '*.making')" ] && ! pgrep -a -P "$slave_pid" | grep -qvE " (standby|spare) "
}

propose one
spec one
premake one
is "$answer" '{"ok":true,"outcome":"success"}' "a merge is asked for beforehand"
ok "and made" until_true are_finished 1
premake one
ok "asked for again, it is there" until_true are_finished 1
run_test one
is "$status" 0 "its build succeeds"
like "$log" '^byoci: the merge is [0-9a-f]{40}, made beforehand$' "and says that it took it over"
ok "fetching nothing" test -z "$(grep fetching <<<"$log")"
is "$(payload "$root/one.result" | jq -r .tree)" "$(git -C "$root/state/slave/trees/sample.git" rev-parse \
	"$(payload "$root/one.result" | jq -r .merge)^{tree}")" "the tree that it names is that of the merge"
merged=$(payload "$root/one.result" | jq -r .merge)
ok "what was taken over is there no more" until_true are_finished 0
spec one
run_test one
unlike() { ok "$3" test -z "$(grep -E -- "$2" <<<"$1")"; }
unlike "$log" beforehand "another build of the same makes the merge itself"
is "$(payload "$root/one.result" | jq -r .merge)" "$merged" "which has the same id"

# Only that very merge.
spec one
premake one '.trees[0].merges[0].message = "Something else"'
ok "a merge with another message is made" until_true are_finished 1
run_test one
unlike "$log" beforehand "and not taken over"
spec one
premake one
ok "the right one takes its place" until_true are_finished 1
jq -c '.trees[0].merges[0].commit = ("0" * 40)' "$root/one.spec" >"$root/two.spec"
run_test two
is "$status" 75 "a build that expects another id does not take it over"
like "$log" 'was expected' "  and finds that out by itself"

# One that is just being made is waited for.
name=$(finished)
mv "$premade/$name" "$premade/$name.making"
exec 7<"$premade/$name.making"
flock 7
spec one
"$O/bin/byoci-slave" test --detach --spec "$root/one.spec" >"$root/one.out" 2>&1 7<&- &
client=$!
waits() { grep -q -- "->.*:$(stat -c %i "$premade/$name.making") " /proc/locks; }
ok "a build waits for one that is being made" until_true waits
mv "$premade/$name.making" "$premade/$name"
exec 7<&-
wait "$client"
like "$(cat "$root/one.out")" 'made beforehand$' "and takes it over"

# What is past, and how many there are.
for name in three four five; do
	propose "$name"
	spec "$name"
	premake "$name"
done
ok "others are made one after the other" until_true are_finished 3
like "$(find "$premade" -path '*/workspace/*' -name four)" four "each with its files"
cp "$root/five.spec" "$root/old.spec"
(cd "$root/w" && git push -q "$root/git/sample.git" HEAD:refs/heads/main)
propose six
spec six
premake six
ok "when the target has moved, those of its old tip go" until_true are_finished 1
like "$(find "$premade" -path '*/workspace/*' -name six)" six "and the new one stays"
configure
sed -i 's/^state = /premade.maximum = 2\n&/' "$root/etc/byoci/byov.conf"
slave_rereads
for name in seven eight nine; do
	propose "$name"
	spec "$name"
	premake "$name"
done
has_file() { [ -n "$(find "$premade" -path '*/workspace/*' -name "$1")" ]; }
until_true has_file nine
ok "no more than premade.maximum are kept" until_true are_finished 2
like "$(find "$premade" -path '*/workspace/*' -name nine)" nine "the newest"

# What does not merge, and what is refused.
git -C "$root/w" checkout -q -B clash "$(main_now)" && write_tests 'echo ours' && git -C "$root/w" commit -qam ours
git -C "$root/w" push -q "$root/git/sample.git" HEAD:refs/heads/main
git -C "$root/w" checkout -q -B theirs 'HEAD^' && write_tests 'echo theirs' && git -C "$root/w" commit -qam theirs
(cd "$root/w" && "$O/bin/byoci" propose --project sample --name theirs -k "$root/ann") >/dev/null
spec theirs
premake theirs
ok "of what does not merge nothing is kept" until_true settled
is "$(finished)" "" "  not a file"
run_test theirs
is "$status" 2 "and its build says so"
git -C "$root/w" checkout -q -B module "$(main_now)" 2>/dev/null || git -C "$root/w" fetch -q "$root/git/sample.git" main
git -C "$root/w" checkout -q -B module FETCH_HEAD
git -C "$root/w" update-index --add --cacheinfo "160000,$(main_now),module" && git -C "$root/w" commit -qm module
(cd "$root/w" && "$O/bin/byoci" propose --project sample --name module -k "$root/ann") >/dev/null
git -C "$root/w" rm -q --cached module
spec module
premake module
ok "nor of what may not be exported" until_true settled
is "$(finished)" "" "  not a file"
premake module '.namespace = "other"'
like "$answer" '"kind":"refused"' "a spec for another namespace is refused here too"
premake module '.build = "../../x"'
like "$answer" '"kind":"input"' "and a path for an id"
premake module 'del(.trees)'
like "$answer" '"kind":"input"' "and half a spec"

# What would fill the disk is refused before anybody approved it.
sed -i 's/^repository.read = .*/&\ntree.limit = 1M/' "$root/etc/byoci/byov.conf"
slave_rereads
git -C "$root/w" checkout -q -B big "$(main_now)" 2>/dev/null || git -C "$root/w" checkout -q -B big FETCH_HEAD
head -c 2000000 /dev/zero >"$root/w/zeros" && git -C "$root/w" add zeros && git -C "$root/w" commit -qm zeros
(cd "$root/w" && "$O/bin/byoci" propose --project sample --name big -k "$root/ann") >/dev/null
spec big
premake big
ok "files of more than tree.limit are not exported" until_true settled
is "$(finished)" "" "  not one"
run_test big
is "$status" 77 "and their build is refused"
like "$log" 'zeros .*tree.limit' "  with the file and the option"
git -C "$root/w" rm -q --cached zeros && rm "$root/w/zeros"
tree=$(printf '100644 blob %s\tf\n' "$(git -C "$root/w" hash-object -w /dev/null)" | git -C "$root/w" mktree)
for _ in 1 2 3 4 5 6 7; do
	tree=$(for i in 0 1 2 3 4 5 6 7 8 9; do printf '040000 tree %s\t%s%d\n' "$tree" d "$i"; done | git -C "$root/w" mktree)
done
git -C "$root/w" reset -q --hard HEAD^
bomb=$({ git -C "$root/w" ls-tree HEAD; printf '040000 tree %s\tbomb\n' "$tree"; } | git -C "$root/w" mktree)
git -C "$root/w" checkout -q -B bomb && git -C "$root/w" update-ref refs/heads/bomb "$(git -C "$root/w" commit-tree -p HEAD -m bomb "$bomb")"
(cd "$root/w" && "$O/bin/byoci" propose --project sample --name bomb -k "$root/ann") >/dev/null
git -C "$root/w" update-ref refs/heads/bomb HEAD^
spec bomb
premake bomb
ok "nor are ten million files that are one" until_true settled
is "$(finished)" "" "  not one"
ok "and the daemon is well" answers
git -C "$root/w" reset -q --hard

# Killed at any moment: what looks finished is.
propose slow
spec slow
whole=0
for pause in 0 0.005 0.01 0.015 0.02 0.03 0.04 0.05 0.06 0.08; do
	premake slow
	pass "$pause"
	kill -9 "$slave_pid"
	wait "$slave_pid" 2>/dev/null
	for name in $(finished); do
		whole=$((whole + 1))
		[ "$(find "$premade/$name/layer/workspace" -mindepth 1 | wc -l)" = "$(git -C "$root/w" ls-tree -r slow | wc -l)" ] &&
			jq -e '.outcome == "success"' "$premade/$name/made.json" >/dev/null || whole=-1000
	done
	start_slave
done
ok "killed ten times, nothing looks finished that is not ($whole were)" [ "$whole" -ge 0 ]
none_there() { [ -z "$(find "$premade" -mindepth 1)" ]; }
ok "a daemon begins with none" until_true none_there
run_test slow
is "$status" 0 "and builds go on"

configure
sed -i 's/^state = /premade.maximum = 0\n&/' "$root/etc/byoci/byov.conf"
slave_rereads
premake slow
like "$answer" 'premade.maximum is 0' "with premade.maximum = 0 none is made"
done_testing
