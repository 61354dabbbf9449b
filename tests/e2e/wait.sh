# shellcheck shell=bash disable=SC2154
# How tests in shell wait; no other limit of theirs is anywhere. Who reads this says in $waits_in where a file of it may be.

# How many times slower than others this machine may be.
patience=${BYOCI_TEST_PATIENCE:-1}

# Seconds for what must come true or end by itself. On a machine that is slow, or busy with something else, all of it takes longer than
# anybody would guess, so only what never comes runs into this. Commands that could hang have it, too: timeout -k 5 $wait_limit.
wait_limit=$((120 * patience))

# Nobody ever writes to it: what reads there waits. No process is started for that: after tens of thousands of them bash 5.2 was seen
# waiting for ever for one that had long ended.
wait_idle=$waits_in/.idle
mkfifo "$wait_idle"

# pass SECONDS: for what must not happen in a short while. What must happen is waited for by until_true.
pass() {
	read -rt "$1" <>"$wait_idle" || :
}

# until_true COMMAND…: asked again and again until it holds; else that is told, and false. A test in which that happened has failed
# (wait_failed), also where it goes on.
until_true() {
	local end=$((SECONDS + wait_limit))
	until "$@" 2>/dev/null; do
		if [ "$SECONDS" -ge "$end" ]; then
			printf '# not true in %d s: %s (%s:%d)\n' "$wait_limit" "$*" "$(basename "${BASH_SOURCE[1]}")" "${BASH_LINENO[0]}" | tee -a "$waits_in/.late" >&2
			return 1
		fi
		pass 0.02
	done
}

# listens PATH: somebody in our network namespace does, at that Unix socket, which may be there before.
listens() {
	awk -v path="$1" '$8 == path && $4 == "00010000" { found = 1 } END { exit !found }' /proc/net/unix
}

# read_again PID LOG: a daemon reads its configuration again, and has said so.
times_read() {
	grep -c '^[a-z]* the configuration was read again' "$1"
}
has_read() {
	[ "$(times_read "$1")" -gt "$2" ]
}
read_again() {
	local before
	before=$(times_read "$2")
	kill -HUP "$1" && until_true has_read "$2" "$before"
}

wait_failed() {
	[ -e "$waits_in/.late" ]
}
