# shellcheck shell=bash disable=SC2034,SC2154
# What the tests of kept workers share: the slave's daemon with real workers, builds of proposals whose tests are told, shells. To be read
# after worker.sh.
slave_ready
# What a test that ended early leaves kept must not stay until its time is over: discarded while somebody can, else ended, if it is ours.
kept_end() {
	local record pid start id
	for id in $(timeout "$wait_limit" "$build/bin/byoci-slave" kept 2>/dev/null | jq -r '.kept[].build'); do
		timeout "$wait_limit" "$build/bin/byoci-slave" discard "$id"
	done
	for record in "$slots"/*.json; do
		read -r pid start < <(jq -r '"\(.pid) \(.process_start)"' "$record" 2>/dev/null) || continue
		[ "$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f20)" = "$start" ] && kill -KILL "$pid"
	done
} >/dev/null 2>&1
trap 'kept_end; [ "$(type -t author_end)" != function ] || author_end; slave_kill KILL; worker_kill KILL; units_end; [ "${worker_kind:-}" != lxd ] || lxd_end; rm -rf "$scratch"' EXIT
conf=$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf
cp "$conf" "$scratch/conf"
# keeps DURATION [OPTION=VALUE]: what the job wants.
keeps() {
	{
		cat "$scratch/conf"
		printf '[backing/small]\nready.minimum = 0\n[job/script]\nkeep = %s\n[%s]\n%s\n' "$1" "$BYOCI_NAMESPACE" "${2:-}"
	} >"$conf"
	[ -z "$slave_pid" ] || read_again "$slave_pid" "$scratch/slave.log"
}
keeps 10m
# byoci_slave VERB…: of the configured namespace. Whatever does not answer, the test goes on.
byoci_slave() { timeout -k 5 "$wait_limit" "$build/bin/byoci-slave" "$@"; }
ok "byoci-worker and the slave's daemon start" worker_start && slave_start || bail_out "$(tail "$scratch"/*.log)"

# tested NAME SCRIPT: builds a proposal whose tests are this script: $status, $log, its id is $id.
proposed() {
	git -C "$scratch/w" checkout -q -B "$1" main
	cat >"$scratch/w/test.sh"
	git -C "$scratch/w" commit -q -a --allow-empty -m "$1"
	(cd "$scratch/w" && timeout -k 5 "$wait_limit" "$build/bin/byoci" propose --project sample --name "$1" -k "$scratch/ann") >/dev/null &&
		byoci_slave spec --project sample "$1" >"$scratch/spec" || bail_out "no proposal $1"
	id=$(jq -r .build "$scratch/spec")
}
tested() {
	proposed "$1"
	status=0
	log=$(byoci_slave test --spec "$scratch/spec" 2>&1) || status=$?
}
kept() { byoci_slave kept | jq -r '.kept[].build'; }
shell() { byoci_slave shell "$1" 2>"$scratch/shell.err"; }
none_kept() { [ -z "$(kept)" ]; }

# typed LINE…: to a shell in the worker of the build $id, on a terminal. Typed when the shell is there; the terminal is not closed before it has ended.
typed() {
	mkfifo "$scratch/typed"
	(
		exec >"$scratch/typed"
		until_true shell_runs
		printf '%s\n' "$@"
		until_true shell_gone
	) &
	timeout "$wait_limit" script -qec "stty rows 33 cols 77; $build/bin/byoci-slave shell $id" /dev/null <"$scratch/typed" | tr -d '\r'
}
shell_runs() { processes | grep -q '/bin/bash'; }
shell_gone() { [ -z "$(processes)$(group_folders)" ]; }
slave_says() {
	perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 1; print $s qq({"op":"status"}\n); $s->flush; print scalar <$s>' \
		"$scratch/run/slave/socket"
}
# copied SECONDS COMMAND: in a copy of the worker of the build $id; what that says.
copied() {
	cat <<<"$2" | as "$slave" timeout -k 5 "$wait_limit" "$scratch/worker-try" "$socket" build="$id" copy="$1" shell wait 2>&1 | timeout "$wait_limit" grep -vx copied
}
