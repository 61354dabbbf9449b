#!/bin/bash
# The commands of README.md, as they are written there, in their order. Only the namespace is another one, and `tests/run`, which
# this test is a part of, runs its shortest part.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip_all "setup/byoci needs root"

e2e_remove
cd "$checkout" || bail_out "no checkout"

# The lines of the blocks that are fenced as sh.
commands() {
	awk '/^```sh$/ { inside = 1; next } /^```/ { inside = 0 } inside' README.md
}

mapfile -t lines < <(commands)
ok "README.md has commands" [ "${#lines[@]}" -gt 4 ]
is "${lines[0]}" 'setup/byoci testing' "the first sets up"
for line in "${lines[@]}"; do
	command=${line/testing/selftest}
	[ "$command" != tests/run ] || command='tests/run tests/lint/headers.t'
	status=0
	said=$(bash -c "$command" 2>&1 </dev/null) || status=$?
	is "$status" 0 "$line" || diag "$(tail -n 20 <<<"$said")"
	[ "$line" != 'setup/byoci testing' ] || like "$said" '^landed [0-9a-f]{40} in [0-9]+ ms$' "ends as it says there"
done

e2e_remove
done_testing
