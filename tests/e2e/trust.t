#!/bin/bash
# Whose proposals are tested where nothing contains them (workers = dir): [project] dir.trusted, by what the forge says, not the brain.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/slave-lib.sh
. "$(dirname "$0")/slave-lib.sh"

make_namespace
start_worker

# trusting NAME…: a slave that is configured so.
trusting() {
	configure "workers = dir"
	[ -z "$*" ] || sed -i "s|^allowed_signers = .*|&\ndir.trusted = $*|" "$root/etc/byoci/byov.conf"
	[ -z "${slave_pid:-}" ] || { kill "$slave_pid" && wait "$slave_pid"; }
	start_slave
}

# tests NAME: a proposal as it is now.
tests() {
	spec "$1"
	run_test "$1"
}

ended() { ! kill -0 "$1" 2>/dev/null; }

trusting
propose hers 'echo ran'
tests hers
is "$status" 77 "without dir.trusted nobody's tests run uncontained"
like "$log" '^byoci: refused: workers = dir: nothing contains these tests, and \[project/sample\] dir.trusted names nobody$' "and why is told"
unlike() { ok "$3" not_like "$1" "$2"; }
not_like() { ! grep -qE -- "$2" <<<"$1"; }
unlike "$log" '^\| ran' "nothing of them ran"

trusting bob
propose again 'echo ran'
tests again
is "$status" 77 "nor do those of somebody who is not named"
like "$log" 'refused: .*, and ann is not one of \[project/sample\] dir.trusted' "which is told by name"
unlike "$log" '^\| ran' "nothing of them ran"

trusting ann
propose mine 'echo ran'
tests mine
is "$status" 0 "those of somebody who is named do"
like "$log" '^\| ran$' "and are seen to"
propose backed 'echo ran'
approve backed
tests backed
is "$status" 77 "not when somebody approved it who is not named"
like "$log" 'refused: .* approved by bob, who is not one of' "which is told by name"
trusting ann, bob
propose both 'echo ran'
approve both
tests both
is "$status" 0 "but when that one is named, too"

# A record that does not come keeps nobody from cancelling.
mv "$root/libexec/bin/byoci" "$root/libexec/bin/away"
printf '#!/bin/sh\necho $$ >>%s/asked\nexec sleep 600\n' "$root" >"$root/libexec/bin/deaf"
chmod 755 "$root/libexec/bin/deaf"
ln -s away "$root/libexec/bin/byoci"
propose slow 'echo ran'
spec slow
ln -sf deaf "$root/libexec/bin/byoci"
slave test --spec "$root/slow.spec" --result "$root/slow.result" >"$root/slow.log" 2>&1 &
client=$!
pids="$pids $client"
ok "a forge is asked that does not answer" until_true test -s "$root/asked"
slave cancel "$(jq -r .build "$root/slow.spec")" >/dev/null
ok "the build can be cancelled meanwhile" until_true ended "$client"
status=0
wait "$client" || status=$?
is "$status" 130 "  and says so"
like "$(cat "$root/slow.log")" "cancelled while the forge was asked whose proposal it is" "  and while what that was"
ok "  and the forge is asked no more" until_true ended "$(head -n 1 "$root/asked")"
ln -sf away "$root/libexec/bin/byoci"

# What the brain says of a commit counts for nothing.
propose honest 'echo ran'
spec honest
propose evil 'echo evil ran'
evil=$(git -C "$root/git/sample.git" rev-parse refs/proposals/evil/head)
jq -c --arg evil "$evil" '.trees[0].merges[0].source = $evil' "$root/honest.spec" >"$root/forged.spec"
run_test forged
is "$status" 5 "another commit than that of the proposal is not tested"
like "$log" 'moved: .*honest is at [0-9a-f]{12} now, not at [0-9a-f]{12}' "saying so"
unlike "$log" '^\| evil ran' "and does not run"
propose moved 'echo ran'
spec moved
git -C "$root/w" commit -q --amend -m 'by somebody else'
git -C "$root/w" push -q -f "$root/git/sample.git" HEAD:refs/proposals/moved/head
run_test moved
is "$status" 5 "one that moved since goes back to the queue"
spec moved && run_test moved
is "$status" 77 "and so is one whose commit nobody signed"
unlike "$log" '^\| ran' "whoever's proposal it was"
done_testing
