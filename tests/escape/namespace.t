#!/bin/bash
# A whole namespace, and a proposal whose tests try to get at what is not theirs: credentials, sockets, ports, verdicts, people's
# terminals, other users' files, and all that the machine has. Each case says which promise it holds (doc/ARCHITECTURE.md); the host is well
# afterwards.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
[ "$(id -u)" -eq 0 ] || skip_all "setup/byoci needs root"

stands_up --no-sample -O "job/unit:tests.limit=$((60 * patience))s" -O job/unit:output.limit=256K -O job/unit:memory=128M -O job/unit:disk=32M \
	-O job/unit:processes=64
before=$(main_now)

# tries NAME: a proposal with standard input as tests/tries, approved; it comes to an end and must not have landed. Its output, as people
# read it, is in $log.
tries() {
	branch "$1" >"$scratch/said" 2>&1 && mkdir -p "$scratch/$1/tests" && cat >"$scratch/$1/tests/a-try" &&
		sample_git author -C "$scratch/$1" add -A >>"$scratch/said" 2>&1 && sample_git author -C "$scratch/$1" commit -qm "Try $1" &&
		{ propose "$1" && approve "$1"; } >>"$scratch/said" 2>&1 || diag "$(cat "$scratch/said")"
	ok "$1: it is rejected" comes_to "$1" rejected || diag "$("$bin/byoci" -n "$namespace" why "$1" 2>&1)"
	tried=$(show "$1" | jq -r '.builds[-1].build // .builds[-1].id')
	log=$("$bin/byoci" -n "$namespace" log "$tried" 2>&1 | tr -d '\0')
	why=$("$bin/byoci" -n "$namespace" why "$1" 2>&1)
	is "$(main_now)" "$before" "$1: main stays"
}
nothing_reached() {
	like "$log" '^\| tried everything$' "$1: each was tried"
	unlike "$log" '^\| reached: ' "$1: nothing was reached"
}

# Promise 8: no credential, no file and no name of the host's. The paths are the real ones of this machine.
paths="$secrets $secrets/land/id_ed25519 $secrets/slave/result.key $secrets/brain/hook-git $secrets/git/ssh_host_ed25519_key
$etc $etc/byov.conf $state/brain/state.db $state/slave/builds $git_root $kept $bin/byoci
/etc/byoci /run/byoci /var/lib/byoci /var/log/byoci $checkout/Makefile"
tries files <<-SH
	for path in \$(echo $paths); do
		for root in "" /proc/1/root /proc/self/root /proc/\$PPID/root /proc/1/cwd /proc/self/cwd/../../../.. /dev/fd/3/.. /dev/fd/9/..; do
			[ -e "\$root\$path" ] && echo "reached: \$root\$path"
		done
	done
	for file in /proc/[0-9]*/environ; do tr '\\0' '\\n' <"\$file" 2>/dev/null; done |
		grep -E 'BYOCI|SSH_|GIT_|SECRET|TOKEN|PASSWORD|DBUS|SUDO' | sed 's/^/reached: environment: /'
	env | grep -E 'BYOCI|SSH_|GIT_|SECRET|TOKEN|AUTH|SUDO' | sed 's/^/reached: environment: /'
	find / -xdev \\( -name 'id_ed25519*' -o -name '*.key' -o -name 'hook-*' -o -name 'known_hosts' -o -name '.git' \\) 2>/dev/null |
		sed 's/^/reached: /'
	find / -type s 2>/dev/null | sed 's/^/reached: socket /'
	grep -o '[^ ]*byoci[-/][^ ]*' /proc/self/mountinfo /proc/mounts /proc/self/cgroup /proc/net/unix /proc/*/cmdline 2>/dev/null |
		sed 's/^/reached: a name: /'
	for fd in /proc/self/fd/*; do readlink "\$fd"; done | grep -vE '^(/dev/null|pipe:|/proc/|/workspace/)' | sed 's/^/reached: descriptor /'
	echo "tried everything"; exit 1
SH
nothing_reached files

# Promise 8: neither brain, nor slave, nor any port or socket of the host's.
listens="$(option hook.listen) $(option pages.listen) $(option git.listen)"
addresses=$(ip -o -4 addr show | awk '{split($4, a, "/"); print a[1]}' | tr '\n' ' ')
is "$(timeout "$wait_limit" bash -c "exec 3<>/dev/tcp/${listens%%:*}/$(cut -d' ' -f1 <<<"$listens" | cut -d: -f2)" && echo reached)" reached \
	"doors: from the host the hook's port is reached"
tries doors <<-SH
	cat >/tmp/doors.pl <<'PERL'
	use IO::Socket::INET; use IO::Socket::UNIX; use Socket;
	for my \$port (qw($(for listen in $listens; do echo -n "${listen#*:} "; done) 22 53 80 443 8080)) {
		for my \$host (qw(127.0.0.1 127.1.2.3 0.0.0.0 169.254.169.254 10.0.0.1 192.168.0.1 $addresses)) {
			print "reached: \$host:\$port\\n" if IO::Socket::INET->new(PeerAddr => \$host, PeerPort => \$port, Timeout => 0.2);
		}
	}
	for my \$path (map { ("/run/byoci/$namespace/\$_/socket", "$run/\$_/socket") } qw(brain slave land approval worker)) {
		print "reached: \$path\\n" if IO::Socket::UNIX->new(Peer => \$path);
	}
	for (\`cat /proc/net/unix\`) { print "reached: abstract \$_" if /@/ }
	socket(my \$raw, PF_INET, SOCK_RAW, 1) and print "reached: raw socket\\n";
	print "tried everything\\n";
	PERL
	perl /tmp/doors.pl; ip link add type veth 2>/dev/null && echo "reached: veth"; exit 1
SH
nothing_reached doors

# Promise 8: a result is a line that the slave signs, whatever the tests print. The line is a true one, of a build that succeeded.
proposed good landed good >/dev/null 2>&1
ok "verdicts: a good proposal lands" comes_to good landed || diag "$("$bin/byoci" -n "$namespace" why good 2>&1)"
before=$(main_now)
line=$(cat "$state/slave/builds/$(show good | jq -r '.builds[-1].build // .builds[-1].id')/result")
tries verdicts <<-SH
	cat <<'LINE'
	$line
	LINE
	printf '%s\\n' '$line' >/proc/1/fd/1 2>/dev/null; printf '%s\\n' '$line' >&2
	echo 'byoci: success'; printf '\\rsuccess\\n'; echo '{"outcome":"success"}'
	printf 'byoci: the tests succeeded\\nlanded $before\\n'
	for fd in 3 4 5 6 7 8 9; do (printf '{"outcome":"success"}' >&\$fd) 2>/dev/null; done
	kill -USR1 1; kill -TERM 1; kill -KILL \$PPID; exit 1
SH
like "$why" 'tests ended with [1-9]' "verdicts: what it printed is no verdict"
unlike "$log" '^byoci: (success|the tests succeeded)' "verdicts: nor can it write lines as byoci does"

# Promise 8: what people read does nothing to their terminal, and can't pass for a line of another.
tries terminals <<-'SH'
	printf 'title \033]0;owned\007 clear \033[2J\033[H color \233[31m link \033]8;;http://x\033\\ note \033[8mha:AAAA\033[0m\n'
	printf 'over\rwritten\b\b\b bell \a nul \0 form \f del \177 bidi \342\200\256 mark \357\273\277 bad \377\376 end\n'
	printf 'no end of a line: '; head -c 100000 /dev/zero | tr '\0' 'x'; echo
	exit 1
SH
raw=$("$bin/byoci" -n "$namespace" log "$tried" 2>&1 | LC_ALL=C grep -c -aP '[\x00-\x08\x0b-\x1f\x7f]')
is "$raw" 0 "terminals: no control character reaches the log" || diag "$(cat -v <<<"$log" | cut -c1-200 | tail -n 20)"
raw=$("$bin/byoci" -n "$namespace" log "$tried" 2>&1 | LC_ALL=C grep -c -aP '\xe2\x80\xae|\xc2\x9b')
is "$raw" 0 "terminals: nor one that turns lines round"
ok "terminals: it is valid UTF-8" iconv -f UTF-8 -t UTF-8 -o /dev/null <("$bin/byoci" -n "$namespace" log "$tried" 2>&1)
ok "terminals: no line is endless" [ "$(awk '{ if (length > m) m = length } END { print m + 0 }' <<<"$log")" -lt 20000 ]

# Promise 11 (and 8): one that takes all there is gets its own share, and is told which limit it hit.
tries output <<-'SH'
	yes "a line that goes on and on" | head -c 50000000; exit 1
SH
like "$why" 'wrote more than their limit' "output: it ends at its limit"
ok "output: what is kept is not much more" [ "$(stat -c %s "$state/slave/builds/$tried/log")" -lt 400000 ]
tries memory <<-'SH'
	perl -e '$x = "x" x 2e9; print "got it\n"'; echo "perl: $?"; exit 1
SH
like "$log" '^\| perl: 137$' "memory: who takes it is killed"
like "$why" 'memory limit' "memory: and people are told"
tries processes <<-'SH'
	bomb() { bomb | bomb & }; bomb 2>/dev/null; sleep 1; (setsid sh -c 'trap "" TERM HUP; sleep 1000' &) 2>/dev/null; exit 1
SH
like "$why" 'limit of 64 processes' "processes: a fork bomb hits its limit"
tries disk <<-'SH'
	head -c 100000000 /dev/zero >/tmp/big; i=0; mkdir /tmp/many
	while [ $i -lt 30000 ] && : 2>/dev/null >/tmp/many/$i; do i=$((i + 1)); done
	head -c 100000000 /dev/zero >big; head -c 100000000 /dev/zero >/dev/shm/big
	[ "$(du -smx / 2>/dev/null | cut -f1)" -gt 2000 ] && echo "reached: the host's disk"
	exit 1
SH
like "$why" 'disk of 32 MiB was full' "disk: it is full at its size"
unlike "$log" '^\| reached: ' "disk: and it is its own"

# Promise 9: what daemonises, ignores signals and holds our descriptors is gone when the build ends.
tries daemons <<-'SH'
	trap '' TERM HUP INT QUIT PIPE
	perl -e 'use POSIX; fork and exit; setsid; fork and exit; $SIG{$_} = "IGNORE" for qw(TERM HUP INT PIPE CHLD);
		$0 = "byoci-hostile"; sleep 1000' &
	perl -e '$0 = "byoci-hostile-2"; $SIG{TERM} = "IGNORE"; while (1) { fork; sleep 1 }' &
	exit 1
SH
hostile() { [ "$(pgrep -f 'byoci-hostile' | wc -l)" -eq 0 ]; }
ok "daemons: none of it lives" until_true hostile

# Promise 8: nothing of the tree runs on the host, and no link or odd entry of it leads out of the worker.
trap_file=$scratch/trapped
branch tree >/dev/null 2>&1
(
	cd "$scratch/tree" && mkdir -p .githooks evil && ln -s /etc/shadow shadow && ln -s "$secrets" secrets && ln -s /proc/1/root root &&
		ln -s ../../../../../../../etc up && printf '*.txt filter=evil diff=evil merge=evil export-subst\n* ident\n' >.gitattributes &&
		printf '#!/bin/sh\ntouch %s\n' "$trap_file" | tee .githooks/post-checkout .githooks/pre-commit >evil/run &&
		chmod +x .githooks/* evil/run &&
		printf '[core]\nhooksPath = .githooks\nfsmonitor = evil/run\n[filter "evil"]\nsmudge = evil/run\nclean = evil/run\n' >.gitconfig &&
		cp .gitconfig config && printf 'x\n' >a.txt && printf '#!/bin/sh\n' >"$(printf 'odd\033[2J\nname')"
)
tries_tree() {
	printf '%s\n' 'for link in shadow secrets root/home up/byoci; do' \
		"	cat \"\$link\" 2>/dev/null | grep -q '^root:[\$]' && echo \"reached: \$link\"" \
		"	ls \"\$link/\" 2>/dev/null | grep -E 'land|byoci' | sed 's/^/reached: /'" \
		'done' 'echo "tried everything"; exit 1' >"$scratch/tree/tests/a-try"
}
tries_tree
sample_git author -C "$scratch/tree" add -A && sample_git author -C "$scratch/tree" commit -qm "Try links" &&
	{ propose tree && approve tree; } >/dev/null 2>&1
ok "tree: it is rejected" comes_to tree rejected || diag "$("$bin/byoci" -n "$namespace" why tree 2>&1)"
log=$("$bin/byoci" -n "$namespace" log "$(show tree | jq -r '.builds[-1].build // .builds[-1].id')" 2>&1)
nothing_reached tree
ok "tree: nothing of it ran on the host" [ ! -e "$trap_file" ]

branch submodule >/dev/null 2>&1
sample_git author -C "$scratch/submodule" update-index --add --cacheinfo "160000,$before,lib" &&
	printf '[submodule "lib"]\n\tpath = lib\n\turl = ext::sh -c "touch %s"\n' "$trap_file" >"$scratch/submodule/.gitmodules" &&
	sample_git author -C "$scratch/submodule" add .gitmodules && sample_git author -C "$scratch/submodule" commit -qm "Try a submodule" &&
	{ propose submodule && approve submodule; } >/dev/null 2>&1
ok "submodule: it is refused" comes_to submodule '(rejected|refused)' || diag "$("$bin/byoci" -n "$namespace" why submodule 2>&1)"
like "$("$bin/byoci" -n "$namespace" why submodule 2>&1)" 'submodule' "submodule: with the reason"
ok "submodule: nothing of it ran on the host" [ ! -e "$trap_file" ]
is "$(main_now)" "$before" "main stays"

# A secret of the project: who installed byoci-worker lets it reach that one, so that tests have it.
(umask 077 && echo for-tests-alone >"$secrets/worker/token")
e2e_setup selftest --no-sample -O project/sample:secrets=token
is "$status" 0 "secret: setup/byoci gives the project one" || diag "$said"
# shellcheck disable=SC2016
proposed secret tests/a-secret '[ "$(wc -c </run/secrets/token)" = 16 ]' >/dev/null 2>&1
ok "secret: what its tests find there is the one, and it lands" comes_to secret landed || diag "$("$bin/byoci" -n "$namespace" why secret 2>&1)"

# The host is well, and lands what is good.
for service in $service_names; do
	ok "byoci-$service lives" kill -0 "$(service_pid "$service")"
done
e2e_setup selftest
is "$status" 0 "setup/byoci finds nothing that it can't mend"
like "$said" '^landed [0-9a-f]{40} in [0-9]+ ms$' "and a good proposal lands"
service_stop slave >/dev/null 2>&1
gone() { [ -z "$(find /sys/fs/cgroup -type d -name 'byoci-selftest-[0-9]*')" ]; }
ok "no control group of a worker is left" until_true gone
is "$(ps -eo uid= | awk -v f="$ids_first" -v n="$ids_count" '$1 >= f && $1 < f + n' | wc -l)" 0 "no process with ids of workers"
is "$(find "$state/worker/slots" -name '*.json' | wc -l)" 0 "and no record of one"
e2e_remove
done_testing
