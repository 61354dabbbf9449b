#!/bin/bash
# shellcheck disable=SC2154,SC2317,SC2016
# setup/byoci on machines and with arguments that are not right: one clear line with the remedy, and nothing is left behind.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip_all "setup/byoci needs root"

e2e_remove

# refuses STATUS PATTERN WHAT: what e2e_setup or e2e_where just ran.
refuses() {
	is "$status" "$1" "$3: exit status $1"
	like "$said" "$2" "$3: says so, and the remedy"
	is "$(grep -c '^setup/byoci: ' <<<"$said")" 1 "$3: in one line"
}

nothing_is_left() {
	! getent passwd | grep -q '^byoci-selftest' && [ ! -e /etc/byoci/selftest ] && [ ! -e /var/lib/byoci/selftest ] &&
		[ ! -e /run/byoci-setup-selftest.work ]
}

# Arguments.
e2e_setup selftset
refuses 64 'no \[selftset\] in byov.conf, only testing selftest' "a name that nothing mentions"
e2e_setup
refuses 64 'which namespace.*setup/byoci testing' "no namespace"
e2e_setup Selftest
refuses 64 'Selftest is no name.*lower-case' "a name with a capital letter"
e2e_setup ../etc
refuses 64 'is no name' "a name with a path in it"
e2e_setup byoci
refuses 64 'choose another name' "a name that means every namespace"
e2e_setup selftest --frobnicate
refuses 64 'unknown option --frobnicate' "an unknown option"
e2e_setup selftest other
refuses 64 'one namespace at a time' "two namespaces"
e2e_setup selftest -O nonsense
refuses 64 'NAME=VALUE' "-O without a value"
e2e_setup selftest -O
refuses 64 'NAME=VALUE' "-O at the end"
e2e_setup --help
is "$status" 0 "--help"
like "$said" '^usage: setup/byoci NAMESPACE' "tells the usage"

# e2e_where COMMAND…: setup/byoci selftest on a machine which the command makes different, for this one process.
e2e_where() {
	status=0
	# shellcheck disable=SC2016
	unshare --mount bash -c 'set -e; eval "$1"; exec "$2/setup/byoci" selftest --no-sample' bash "$*" "$checkout" >"$scratch/said" 2>&1 </dev/null || status=$?
	said=$(cat "$scratch/said")
}

# Machines.
as_nobody() {
	(cd "$checkout" && cp -r setup byov.conf Makefile "$scratch/") && chmod -R a+rX "$scratch"
	status=0
	said=$(cd "$scratch" && unshare --mount bash -c '
		for helper in /usr/bin/sudo /usr/bin/doas; do [ ! -e "$helper" ] || { mount -t tmpfs none /mnt && touch /mnt/x && mount --bind /mnt/x "$helper"; }; done
		exec runuser -u nobody -- setup/byoci selftest' 2>&1) || status=$?
}
as_nobody
refuses 75 'needs root.*run it as root' "not root"

echo 0 >"$scratch/zero"
e2e_where "mount --bind $scratch/zero /proc/sys/user/max_user_namespaces"
refuses 75 'no user namespaces.*sysctl -w user.max_user_namespaces' "a machine without user namespaces"

printf 'ID=ubuntu\nVERSION_ID=24.04\n' >"$scratch/os-release"
e2e_where "mount --bind $scratch/os-release \$(readlink -f /etc/os-release)"
refuses 75 'this is ubuntu 24.04.*Debian 12' "another system"

e2e_where "mount -t tmpfs -o size=1m none /var/lib"
refuses 75 'MB free and .* are needed' "a full disk"

for file in subuid subgid; do cp "/etc/$file" "$scratch/$file" 2>/dev/null || : >"$scratch/$file"; done
echo someone:1200000000:65536 >>"$scratch/subuid"
e2e_where "touch /etc/subuid /etc/subgid; mount --bind $scratch/subuid /etc/subuid; mount --bind $scratch/subgid /etc/subgid"
refuses 75 'overlap with someone:1200000000:65536.*-O worker.ids.first=[0-9]+' "ids that are somebody else's"
unlike "$said" 'made' "and it has made nothing before it says so"

# Configuration.
e2e_setup selftest -O nonsense=1
refuses 75 'configuration does not hold' "an unknown option of the configuration"
like "$said" 'nonsense' "and names it"
e2e_setup selftest -O worker.slots=many
refuses 75 'configuration does not hold' "a bad value"
like "$said" 'worker.slots' "and names the option"

# Ports: somebody else's.
exec {port_out}< <(exec perl -MIO::Socket::INET -e '$| = 1; my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:8822", Listen => 1, ReuseAddr => 1) or die;
	print "$$\n"; select undef, undef, undef, undef')
read -r listener <&"$port_out"
e2e_setup selftest
refuses 75 "git.listen: 127.0.0.1:8822 is taken by .*perl.*pid $listener.*-O git.listen=" "a port in use"
kill "$listener"
exec {port_out}<&-

ok "no refusal has left anything behind" nothing_is_left

# Two at once: the second one leaves.
exec {lock}>/run/byoci-setup-selftest.lock
flock "$lock"
e2e_setup selftest
refuses 75 'another setup/byoci selftest is at work' "two at once"
exec {lock}>&-

# Ended in the middle, wherever that is: the next run goes on from there.
begin_and() { # SIGNAL LINE
	"$checkout/setup/byoci" selftest --no-sample >"$scratch/said" 2>&1 </dev/null &
	ended=$!
	seen() {
		grep -q "$2" "$scratch/said"
	}
	ok "setup got as far as: $2" until_true seen "$@"
	kill "-$1" "$ended"
	status=0
	wait "$ended" 2>/dev/null || status=$?
}
begin_and TERM "made users"
is "$status" 130 "stopped by a signal"
like "$(cat "$scratch/said")" 'interrupted; run setup/byoci selftest again' "it says how to go on"
# Ctrl-C is for the whole group; what runs then may be a function whose output goes elsewhere.
setsid bash -c 'cd "$1" && . setup/lib/say.sh && namespace=selftest && say_interruptible bash -c "
	. setup/lib/say.sh && say_log=\$1 && long() { echo begun; sleep 1000; } && say_while taking_long long" - "$2"' - "$checkout" "$scratch/long" \
	>"$scratch/said" 2>&1 </dev/null &
ended=$!
begun() { [ -s "$scratch/long" ]; }
ok "a long command of its own runs" until_true begun
kill -TERM -- "-$ended"
status=0
wait "$ended" 2>/dev/null || status=$?
is "$status" 130 "stopped in the middle of that"
like "$(cat "$scratch/said")" 'interrupted; run setup/byoci selftest again' "it says so, too"
begin_and KILL "made folders"
begin_and KILL "made repositories"
e2e_setup selftest
is "$status" 0 "run again after signals, it goes on" || diag "$(tail -n 20 <<<"$said")"
like "$said" '^landed [0-9a-f]{40} in [0-9]+ ms$' "and lands the sample proposal"
is "$(find /proc/[0-9]*/fd -lname "$scratch/said" 2>/dev/null)" "" "nothing that it started holds its output"

# What is not right is mended, and said.
e2e_places
chmod 755 "$secrets/land"
gpasswd --delete "$user_slave" "$user_git" >/dev/null
echo "# a line of somebody's" >>"$etc/gitconfig"
service_stop land >/dev/null 2>&1
service_systemd || { lost=$(service_pid brain) && rm "$run/byoci-brain.pid"; }
rm -f "$etc/known_hosts"
e2e_setup selftest
is "$status" 0 "setup/byoci mends"
if ! service_systemd; then
	like "$said" "found byoci-brain \(pid $lost\), which was not in" "a service that lives and is not in its file"
	is "$(cat "$run/byoci-brain.pid")" "$lost" "(it is again, and goes on)"
fi
like "$said" "mended $secrets/land: was .*:755, is .*:700" "a mode"
like "$said" "put $user_slave into group $user_git" "a membership"
like "$said" "wrote $etc/gitconfig" "a file"
like "$said" "wrote $etc/known_hosts" "a missing file"
like "$said" 'started byoci-land' "a process that had ended"
unlike "$said" 'started byoci-git' "and leaves what was right"
like "$said" '^landed [0-9a-f]{40} in [0-9]+ ms$' "and lands a proposal"

# Where there is no journal, logs are turned over while they are written to.
if ! service_systemd; then
	cp "$log/byoci-brain.log" "$scratch/brain.log"
	status=0
	said=$(logrotate --force --state "$scratch/rotated" "/etc/logrotate.d/byoci-$namespace" 2>&1) || status=$?
	is "$status $said" "0 " "logrotate takes what setup/byoci left for it"
	zcat "$log/byoci-brain.log.1.gz" 2>/dev/null | head -c "$(stat -c %s "$scratch/brain.log")" >"$scratch/packed.log"
	ok "what was in the brain's log is kept, packed" cmp -s "$scratch/packed.log" "$scratch/brain.log"
	kill -HUP "$(cat "$run/byoci-brain.pid")"
	reloaded() {
		grep -q . "$log/byoci-brain.log"
	}
	ok "the brain goes on writing" until_true reloaded
	like "$(head -c 200 "$log/byoci-brain.log" | tr '\0' Z)" '^[^Z]' "at the beginning of what is empty now"
	is "$(stat -c '%U %a' "$log/byoci-brain.log")" "$(stat -c '%U %a' "$log/byoci-brain.log.1.gz")" "as the same user's, with the same mode"
fi

# An administrator's own configuration stays.
echo '# edited here' >>"$etc/byov.conf"
e2e_setup selftest --no-sample -O landing.fullname='Somebody Else'
is "$status" 0 "setup/byoci with an edited byov.conf and an override"
like "$(cat "$etc/byov.conf")" '^# edited here$' "keeps the edited one"
like "$said" "left $etc/byov.conf, which was edited here" "and says so"
is "$("$bin/byoci" -n selftest config --json | jq -r '.[] | select(.option == "landing.fullname") | .value')" 'Somebody Else' "the override holds"

# Another namespace on the same machine: neither may have what is the other's, and it stays when the first one goes.
e2e_setup --remove selftwo
two=(-O hook.listen=127.0.0.1:8830 -O pages.listen=127.0.0.1:8831 -O git.listen=127.0.0.1:8832 -O worker.ids.first=1300000000)
e2e_setup selftwo "${two[@]}" -O worker.ids.first=1200065536
refuses 75 'overlap with root:1200000000:.*-O worker.ids.first=[0-9]+' "another namespace with the same ids"
e2e_setup selftwo "${two[@]}" -O git.listen=127.0.0.1:8822
refuses 75 'git.listen: 127.0.0.1:8822 is taken by .*sshd.* -O git.listen=' "another namespace with the same ports"
e2e_setup selftwo "${two[@]}"
is "$status" 0 "another namespace with ids and ports of its own" || diag "$(tail -n 20 <<<"$said")"
e2e_remove
ok "the first one can be removed" nothing_is_left
is "$(/usr/local/bin/byoci -n selftwo status | awk '$1 == "namespace" { print $2 }')" selftwo, "the other one answers, and the command is there"
e2e_setup selftwo
like "$said" 'everything is as it should be' "nothing of it was touched"
like "$said" '^landed [0-9a-f]{40} in [0-9]+ ms$' "and it lands proposals"
e2e_setup --remove selftwo
is "$status" 0 "until it is removed, too"
ok "and nothing is left" not getent passwd byoci-selftwo byoci-selftwo-slave byoci-selftwo-land byoci-selftwo-git

done_testing
