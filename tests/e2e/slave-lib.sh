# shellcheck shell=bash disable=SC2034
# A namespace in a temporary folder for the tests of byoci-slave: a bare repository as the forge, a worker that contains nothing
# (tests/tool/worker-fake.c), both daemons as the very user who runs this. Needs neither setup nor containers.

set -uo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
checkout=$PWD
O=${O:-build}
case $O in /*) ;; *) O=$checkout/$O ;; esac
root=$(mktemp -d /tmp/byoci-slave.XXXXXX)
export BYOCI_ROOT=$root BYOCI_NAMESPACE=slave$$ HOME=$root/home GIT_CONFIG_NOSYSTEM=1
unset GIT_CONFIG_GLOBAL GIT_DIR GIT_WORK_TREE
pids=
waits_in=$root
# shellcheck source=tests/e2e/wait.sh
. tests/e2e/wait.sh

tap_count=0
tap_failed=0

skip_all() {
	echo "1..0 # SKIP $*"
	rm -rf "$root"
	exit 0
}
[ "$(id -u)" -eq 0 ] || skip_all "daemons read files that root owns"
for program in bin/byoci bin/byoci-slave tool/worker-fake; do
	[ -x "$O/$program" ] || { echo "Bail out! $O/$program is not built: make all tools"; exit 255; }
done

cleanup() {
	local pid
	for pid in $pids; do kill "$pid" 2>/dev/null; done
	for pid in $(leader_pids); do kill -9 "$pid" 2>/dev/null; done
	wait 2>/dev/null
	rm -rf "$root"
}
trap cleanup EXIT

leader_pids() {
	cat "$root"/state/slave/builds/*/leader.pid 2>/dev/null | grep -o '"pid":[0-9]*' | cut -d: -f2
}

diag() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

ok() {
	local what=$1
	shift
	tap_count=$((tap_count + 1))
	if "$@"; then
		echo "ok $tap_count - $what"
	else
		echo "not ok $tap_count - $what"
		tap_failed=$((tap_failed + 1))
		diag "failed: $*"
	fi
}

is() {
	ok "$3" [ "$1" = "$2" ] || true
	[ "$1" = "$2" ] || diag "got:    $1
wanted: $2"
}

like() {
	ok "$3" grep -qE -- "$2" <<<"$1"
	grep -qE -- "$2" <<<"$1" || diag "no line matches $2 in: $(tail -n 20 <<<"$1")"
}

# What ends all tests is a line; the rest of it comes before, as comments.
bail_out() {
	diag "$*"
	echo "Bail out! $(basename "$0"): $(tail -n 1 <<<"$*")"
	exit 1
}

done_testing() {
	echo "1..$tap_count"
	[ "$tap_failed" -eq 0 ] && ! wait_failed
	exit
}

slave() {
	"$O/bin/byoci-slave" "$@"
}

# The tests' command of the job, its limit, and what else is in its section.
configure() {
	cat >"$root/etc/byoci/byov.conf" <<-END
		[$BYOCI_NAMESPACE]
		state = $root/state
		run = $root/run
		secrets = $root/secrets
		libexec = $root/libexec
		git.root = $root/git
		git.config = $root/gitconfig
		user = root
		slave.user = root
		land.user = root
		pages.listen = 127.0.0.1:1
		[project/sample]
		repository = ssh://git@forge.test/{name}.git
		repository.read = $root/git/{name}.git
		allowed_signers = $root/allowed
		jobs = unit
		[job/unit]
		backing = bookworm
		tests.command = ./run-tests
		tests.limit = 30m
		output.limit = 64k
		[backing/bookworm]
		suite = bookworm
		ready.minimum = ${ready:-0}
		$*
	END
}

make_namespace() {
	local who
	mkdir -p "$root"/{etc/byoci/$BYOCI_NAMESPACE/result-keys,secrets/slave,secrets/land,libexec/bin,run/slave,run/land,run/worker,state,home,git}
	chmod 755 "$root" "$root/etc" "$root/etc/byoci"
	chmod 700 "$root"/secrets/*
	ln -s "$O/bin/byoci" "$root/libexec/bin/byoci"
	configure
	openssl genpkey -algorithm ed25519 -out "$root/secrets/slave/result.key" 2>/dev/null
	chmod 600 "$root/secrets/slave/result.key"
	openssl pkey -in "$root/secrets/slave/result.key" -pubout -out "$root/etc/byoci/$BYOCI_NAMESPACE/result-keys/local.pub"
	printf '[url "%s/git/"]\n\tinsteadOf = ssh://git@forge.test/\n[safe]\n\tdirectory = *\n' "$root" >"$root/gitconfig"
	git config --global user.name Ann
	git config --global user.email ann@example.org
	git config --global init.defaultBranch main
	git config --global include.path "$root/gitconfig"
	for who in ann bob brain landing; do
		ssh-keygen -q -t ed25519 -N '' -f "$root/$who" -C "$who"
		echo "$who $(cat "$root/$who.pub")"
	done >"$root/allowed"
	git init -q --bare "$root/git/sample.git"
	git init -q "$root/w"
	write_tests 'echo hello'
	git -C "$root/w" add .
	git -C "$root/w" commit -q -m first
	git -C "$root/w" push -q "$root/git/sample.git" main
}

write_tests() {
	printf '#!/bin/sh\n%s\n' "$1" >"$root/w/run-tests"
	chmod 755 "$root/w/run-tests"
}

main_now() {
	git -C "$root/git/sample.git" rev-parse refs/heads/main
}

# (In $root/w, because the checkout's own byov.conf would be read too.)
# propose NAME TESTS…: a proposal on main whose tests are this shell script.
propose() {
	git -C "$root/w" fetch -q "$root/git/sample.git" main && git -C "$root/w" checkout -q -B "$1" FETCH_HEAD
	write_tests "${2-echo hello}"
	[ -e "$root/w/$1" ] || echo "$1" >"$root/w/$1"
	git -C "$root/w" add -A
	git -C "$root/w" commit -q -m "Add $1"
	(cd "$root/w" && "$O/bin/byoci" propose --project sample --name "$1" -k "$root/ann") >/dev/null
}

approve() {
	(cd "$root/w" && "$O/bin/byoci" approve --project sample -k "$root/${2:-bob}" "$1") >/dev/null
}

# What the brain would ask for it now, in $root/NAME.spec.
spec() {
	slave spec --project sample "$1" >"$root/$1.spec"
	build=$(jq -r .build "$root/$1.spec")
}

# Tests it: $status, $log, and the result in $root/NAME.result.
run_test() {
	status=0
	slave test --spec "$root/$1.spec" --result "$root/$1.result" >"$root/$1.out" 2>"$root/$1.err" || status=$?
	log=$(cat "$root/$1.out" "$root/$1.err")
}

payload() {
	cut -d' ' -f2 "$1" | base64 -d
}

folder() {
	echo "$root/state/slave/builds/$build"
}

start_worker() {
	rm -f "$root/run/worker/socket"
	"$O/tool/worker-fake" "$root/run/worker/socket" 2>"$root/worker.log" &
	worker_pid=$!
	pids="$pids $!"
	until_true listens "$root/run/worker/socket" || diag "$(cat "$root/worker.log")"
}

answers() {
	slave list >/dev/null 2>&1
}

start_slave() {
	"$O/bin/byoci-slave" serve 2>>"$root/slave.log" &
	slave_pid=$!
	pids="$pids $!"
	until_true answers || diag "$(cat "$root/slave.log")"
}

start_land() {
	rm -f "$root/run/land/socket"
	"$O/bin/byoci-slave" serve --land 2>>"$root/land.log" &
	land_pid=$!
	pids="$pids $!"
	until_true listens "$root/run/land/socket" || diag "$(cat "$root/land.log")"
}

# raw SOCKET [LINES]: sends standard input, prints what comes back until so many lines came, or the other side closes.
raw() {
	perl -MIO::Socket::UNIX -e '
		alarm pop; my ($path, $lines) = @ARGV; my $said = "";
		my $s = IO::Socket::UNIX->new(Peer => $path) or exit 1;
		local $/; my $in = <STDIN>; local $SIG{PIPE} = "IGNORE"; print {$s} $in; $s->flush;
		while ((!$lines || $said =~ tr/\n// < $lines) && sysread $s, $said, 65536, length $said) { }
		print $said' "$root/run/$1/socket" "${2:-0}" "$wait_limit"
}

slave_rereads() {
	read_again "$slave_pid" "$root/slave.log"
}
