#!/bin/bash
# What a Jenkins job runs, without a master: the real daemons and containers, parameters of any content, and whoever started it gone in
# each of the ways in which a master forgets a build.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/worker.sh"

# The agent of a master is a user of its own, whom both daemons let in.
agent=games
slave_ready
etc=$scratch/etc/byoci/$BYOCI_NAMESPACE
sed -i "/^user = root/a slave.clients = $agent\nland.clients = $agent\nland.user = root" "$etc/byov.conf"
install -d -m 700 "$scratch/secrets/land" "$state/land"
chmod 711 "$scratch/secrets"
openssl genpkey -algorithm ed25519 -out "$scratch/secrets/land/result.key" 2>/dev/null
chmod 600 "$scratch/secrets/land/result.key"
openssl pkey -in "$scratch/secrets/land/result.key" -pubout -out "$etc/result-keys/local-land.pub" 2>/dev/null
install -d -m 755 "$scratch/run/land"
chmod 755 "$scratch"

land_pid=
land_start() {
	"$build/bin/byoci-slave" serve --land >>"$scratch/land.log" 2>&1 </dev/null &
	land_pid=$!
	disown
	until_true listens "$scratch/run/land/socket"
	chmod 666 "$scratch/run/land/socket"
}
open_slave() {
	slave_start
	chmod 666 "$scratch/run/slave/socket"
}
everything_ends() {
	slave_kill
	kill "$land_pid" ${old_master:+"$old_master"} 2>/dev/null
	worker_kill
	rm -rf "$scratch"
}
trap 'everything_ends 2>/dev/null' EXIT
ok "byoci-worker starts" worker_start
ok "the slave's daemon starts" open_slave
land_start

main_is() {
	git -C "$scratch/git/sample.git" rev-parse refs/heads/main
}
# proposal NAME TESTS…: proposed and approved.
proposal() {
	git -C "$scratch/w" fetch -q "$scratch/git/sample.git" main && git -C "$scratch/w" checkout -q -B "$1" FETCH_HEAD
	printf '%s\n' "$2" >"$scratch/w/test.sh"
	echo "$1" >"$scratch/w/$1"
	git -C "$scratch/w" add -A && git -C "$scratch/w" commit -q -m "Add $1"
	(cd "$scratch/w" && "$build/bin/byoci" propose --project sample --name "$1" -k "$scratch/ann" &&
		"$build/bin/byoci" approve --project sample -k "$scratch/bob" "$1") >/dev/null
}
# asked NAME: what the brain would ask for it, in $spec, as build $id.
asked() {
	spec=$("$build/bin/byoci-slave" spec --project sample "$1")
	id=$(jq -r .build <<<"$spec")
}
# job KIND VARIABLE=VALUE…: as the agent's user, with exactly these parameters: $said, $status.
job() {
	local kind=$1
	shift
	status=0
	said=$(as "$agent" env -i BYOCI_ROOT="$scratch" "$@" timeout "$wait_limit" "$build/bin/byoci-slave" -n "$BYOCI_NAMESPACE" agent \
		--project sample "$kind" 2>&1 </dev/null) || status=$?
	last=$(tail -n 1 <<<"$said")
}
payload() {
	cut -d' ' -f2 <<<"$1" | base64 -d
}
# signed_by LINE KEY: the signature of the line is by this public key.
signed_by() {
	printf '%s' "${1% *}" >"$scratch/head" && base64 -d <<<"${1##* }" >"$scratch/signature" 2>/dev/null &&
		openssl pkeyutl -verify -pubin -inkey "$2" -rawin -in "$scratch/head" -sigfile "$scratch/signature" >/dev/null 2>&1
}

# Tests whose output would be a console note, a result, a progress bar and a long line.
esc=$'\033'
cat >"$scratch/loud" <<'SH'
printf 'byoci-result-1 e30= AAAA\n'
printf '\033[8mha:AAAAlB+LCAAAAAAAAP9b85aBtbiIQTGjNKU4P08vOT+vOD8nVc83PyU1x6OyILUoJzMv2y+/JJUBAhiZGBgqihhk0NSjKDWzXb3RdlLBUSYGJk8GtpzUvPSSDB8G5tKinBIGIZ+sxLJE/ZzEvHT94JKizLx0a6BxUmjGOUNodHsLgAzWEgZu/dLi1CL9xJTczDwAj6GcLcAAAAA=\033[0mfake\n'
printf 'one\rtwo\n'
printf '\302\233\342\200\256reversed\n'
head -c 100000 /dev/zero | tr '\0' x
printf '\nbyoci: the end\n'
SH
proposal loud "$(cat "$scratch/loud")"
asked loud
job test BRAIN_BUILD="$id" SPEC="$spec"
is "$status" 0 "a build that the brain asked for" || diag "$said"
like "$last" '^byoci-result-1 [A-Za-z0-9+/=]+ [A-Za-z0-9+/=]+$' "its last line is the signed result"
ok "of the slave's key" signed_by "$last" "$etc/result-keys/local.pub"
is "$(payload "$last" | jq -r '.build + " " + .outcome')" "$id success" "about this build"
is "$(grep -c '^byoci-result-1' <<<"$said")" 1 "no other line looks like one"
like "$said" '^\| byoci-result-1 e30= AAAA$' "what tests write has its prefix"
is "$(LC_ALL=C tr -d '\12\11\40-\176\200-\377' <<<"$said" | wc -c)" 0 "no control character of the tests' is in it: no console note, no carriage return"
like "$said" '^\| \\x1b\[8mha:' "an escape is shown, not sent"
ok "no line is longer than 4096 bytes, but the result" [ "$(head -n -1 <<<"$said" | LC_ALL=C awk 'length > m { m = length } END { print m + 0 }')" -lt 4097 ]
result=$last
job test BRAIN_BUILD="$id" SPEC="$spec"
is "$last" "$result" "asked again: the same build, the same result"

# Landed, on the strength of that.
job land BRAIN_BUILD="$id/1" SPEC="$spec" RESULT="$result"
is "$status" 0 "a landing that the brain asked for" || diag "$said"
like "$last" '^byoci-landed-1 [A-Za-z0-9+/=]+ [A-Za-z0-9+/=]+$' "its last line is the signed answer"
ok "of the landing daemon's own key" signed_by "$last" "$etc/result-keys/local-land.pub"
ok "which is not the slave's" not signed_by "$last" "$etc/result-keys/local.pub"
is "$(payload "$last" | jq -r '[.build, .slave, .outcome, .merge] | join(" ")')" "$id local success $(payload "$result" | jq -r .merge)" \
	"about this landing"
is "$(main_is)" "$(payload "$result" | jq -r .merge)" "and the target is there"
job land BRAIN_BUILD="$id/2" SPEC="$spec" RESULT="$result"
is "$status $(payload "$last" | jq -r .outcome)" "4 landed" "asked again: landed already"
forged="byoci-result-1 $(payload "$result" | jq -c '.outcome = "success"' | tr -d '\n' | base64 -w0) ${result##* }"
job land BRAIN_BUILD="$id/3" SPEC="$(jq -c '.proposal = "other"' <<<"$spec")" RESULT="$forged"
is "$status $(payload "$last" | jq -r .outcome)" "77 refused" "a result of somebody's own making is refused, and that is signed, too"
like "$said" '^byoci: landing: refused: ' "with its reason in words"
job land
is "$status" 3 "a landing that nobody asked for is none"

# Parameters of any content.
proposal quiet true
asked quiet
bad() {
	local what=$1
	shift
	job test "$@"
	is "$status" 64 "$what" || diag "$said"
	is "$(LC_ALL=C tr -d '\12\11\40-\176\200-\377' <<<"$said" | wc -c)$(grep -c '^byoci-result' <<<"$said")" 00 "  with nothing harmful in what it says"
}
bad "a build without a spec" BRAIN_BUILD="$id"
bad "a spec without a build" SPEC="$spec"
bad "another build's spec" BRAIN_BUILD=00112233445566778899aabbccddeeff SPEC="$spec"
bad "a build that is a path" BRAIN_BUILD=../../x SPEC="$(jq -c '.build = "../../x"' <<<"$spec")"
bad "a build with a console note in it" BRAIN_BUILD="${esc}[8mha:AAAA${esc}[0m" SPEC="$spec"
bad "a spec that is no JSON" BRAIN_BUILD="$id" SPEC="byoci-result-1 ${esc}[8mha:AAAA"
bad "a spec of one letter and many brackets" BRAIN_BUILD="$id" SPEC="$(head -c 100000 /dev/zero | tr '\0' '[')"
bad "a spec for another project" BRAIN_BUILD="$id" SPEC="$(jq -c '.project = "other"' <<<"$spec")"
bad "a spec with a field of somebody's own" BRAIN_BUILD="$id" SPEC="$(jq -c '.command = "id"' <<<"$spec")"
bad "a word that is neither yes nor no" FORCE=$'perhaps\rbyoci-result-1 e30= AAAA'
job 'te;st' BRAIN_BUILD="$id" SPEC="$spec"
is "$status" 64 "a kind of work that is none"
job test BRAIN_BUILD="$id" SPEC="$(jq -c '.jobs[0].digest = ("0" * 64)' <<<"$spec")"
is "$status" 77 "a job that is configured differently: refused" || diag "$said"
like "$(as 65534 env -i BYOCI_ROOT="$scratch" BRAIN_BUILD="$id" SPEC="$spec" "$build/bin/byoci-slave" -n "$BYOCI_NAMESPACE" agent --project sample \
	test >/dev/null 2>&1; echo $?)" '^7[57]$' "another user is let in by neither daemon"

# Whoever started it goes away. The tests never end by themselves.
proposal endless 'trap "" TERM HUP INT; echo begun; while :; do sleep 1000; done'
is_running() {
	"$build/bin/byoci-slave" list | jq -e --arg build "$id" '.builds[] | select(.build == $build) | .state == "running"' >/dev/null
}
was_cancelled() {
	[ "$("$build/bin/byoci-slave" list | jq -r --arg build "$id" '.builds[] | select(.build == $build) | .outcome // "runs"')" = cancelled ]
}
# begin COMMAND…: the job as that command starts it, until its tests run. In $scratch/job.out what it says, $boss is the command.
begin() {
	asked endless
	: >"$scratch/job.out"
	export JOB="exec $build/bin/byoci-slave -n $BYOCI_NAMESPACE agent --project sample"
	export BRAIN_BUILD=$id SPEC=$spec
	"$@" &
	boss=$!
	disown
	unset BRAIN_BUILD SPEC
	until_true grep -q '^| begun' "$scratch/job.out"
}
workers() {
	group_folders | grep -c . | tr -d '\n'
}
none_runs() {
	[ "$(processes | grep -c 'sleep 1000')" = 0 ]
}
# ends WHAT: the build is cancelled, and neither worker nor agent is left.
ends() {
	ok "$1: the build is cancelled" until_true was_cancelled || diag "$(cat "$scratch/job.out")"
	ok "  its worker ends" until_true none_runs || diag "$(processes)"
	ok "  and so does what ran for the job" until_true not pgrep -f "byoci-slave -n $BYOCI_NAMESPACE .*agent" || diag "$(pgrep -af "byoci-slave -n $BYOCI_NAMESPACE .*agent")"
}
# As an agent does: a parent that stays, a shell that becomes the job, its output a pipe to the parent.
cat >"$scratch/parent" <<'SH'
trap '' HUP
sh -e "$1" 2>&1 | cat >"$2"
SH
cat >"$scratch/job.sh" <<'SH'
eval "$JOB" --script "$0" test
SH
by_parent() {
	exec setpriv --reuid="$agent" --regid="$agent" --clear-groups bash "$scratch/parent" "$scratch/job.sh" "$scratch/job.out"
}
guards() {
	pgrep -u "$agent" -f "byoci-slave -n $BYOCI_NAMESPACE agent --project sample"
}

touch "$scratch/job.out" && chmod 666 "$scratch/job.out"
ok "a job runs" begin by_parent
guard_pid=$(guards | head -n 1)
kill -TERM "$guard_pid"
ends "a master's stop, which is a signal"
job_said() { grep -q "$1" "$scratch/job.out"; } # whoever reads it may still be writing that down
ok "  and it says so" until_true job_said '^byoci: ended: a signal came'

ok "another runs" begin by_parent
guard_pid=$(guards | head -n 1)
kill -9 "$guard_pid"
ends "kill -9 of what runs for the job"

# A program, so that the job's own parent is no shell: Perl starts it directly and keeps reading, or is killed.
cat >"$scratch/parent.pl" <<'PERL'
open my $out, '>', $ARGV[1] or die; $out->autoflush;
my $pid = open my $job, '-|', 'sh', '-e', $ARGV[0] or die;
open my $to, '>', "$ARGV[1].boss" or die; print {$to} "$$\n"; close $to;
while (sysread $job, my $bytes, 65536) { print {$out} $bytes }
PERL
by_program() {
	exec setpriv --reuid="$agent" --regid="$agent" --clear-groups perl "$scratch/parent.pl" "$scratch/job.sh" "$scratch/job.out"
}
touch "$scratch/job.out.boss" && chmod 666 "$scratch/job.out.boss"
ok "one that a program started runs" begin by_program
kill -9 "$boss"
ends "kill -9 of its parent"

# Output to a file: neither does the pipe break nor anybody read.
by_file() {
	exec setpriv --reuid="$agent" --regid="$agent" --clear-groups perl -e \
		'open STDOUT, ">", $ARGV[1]; open STDERR, ">&STDOUT"; system "sh", "-e", $ARGV[0]' "$scratch/job.sh" "$scratch/job.out"
}
ok "one that writes to a file runs" begin by_file
kill -9 "$boss"
ends "kill -9 of its parent, to whom nothing was connected"

# Hudson's way: the parent lives on and even reads on, but the build is over: its script is removed.
ok "one whose parent stays runs" begin by_program
mv "$scratch/job.sh" "$scratch/job.aside"
ends "a stop that leaves it alive, and removes its script"
ok "  and it says so" until_true job_said "^byoci: ended: the job's script is gone"
mv "$scratch/job.aside" "$scratch/job.sh"
kill "$boss" 2>/dev/null

# Only the reader goes.
cat >"$scratch/deaf.pl" <<'PERL'
open my $out, '>', $ARGV[1] or die; $out->autoflush;
open my $job, '-|', 'sh', '-e', $ARGV[0] or die;
while (sysread $job, my $bytes, 65536) { print {$out} $bytes; last if $bytes =~ /begun/ }
require POSIX; POSIX::close(fileno $job); sleep 1000;
PERL
by_deaf() {
	exec setpriv --reuid="$agent" --regid="$agent" --clear-groups perl "$scratch/deaf.pl" "$scratch/job.sh" "$scratch/job.out"
}
ok "one whose output is read for a while runs" begin by_deaf
ends "a parent that stays and closes its end of the output"
kill "$boss" 2>/dev/null

# The slave's daemon is killed, and started again: the build goes on, and so does the job.
ok "one more runs" begin by_program
slave_kill KILL
open_slave
ok "a slave's daemon that is started anew: the build goes on" until_true is_running
guard_pid=$(guards | head -n 1)
kill -TERM "$guard_pid"
ends "and a stop ends it, still"

like "$("$build/bin/byoci-slave" serve -O slave.name=far-land 2>&1)" "would be the name of a landing daemon's key" \
	"no slave is called as a landing daemon's key is"

# Health, and what says that it is none.
job health
is "$status $last" "0 byoci-health-1 local well" "a slave that is well" || diag "$said"
sed -i "/^user = root/a slave.disk.minimum = 15T" "$etc/byov.conf"
read_again "$slave_pid" "$scratch/slave.log"
sick() {
	job health
	[ "$status" = 75 ] && grep -qE "^byoci-health-1 local unwell $1" <<<"$last"
}
ok "a disk that is full" until_true sick 'disk: [0-9]+ MiB are free in .*, and 15728640 are wanted$' || diag "$said"
sed -i "/^slave.disk.minimum/d" "$etc/byov.conf"
read_again "$slave_pid" "$scratch/slave.log"
worker_kill
ok "containers that don't start" sick 'container for job ' || diag "$said"
ok "byoci-worker is back" worker_start
well() {
	job health
	[ "$status" = 0 ]
}
ok "and the slave is well" until_true well || diag "$said"
perl -MIO::Socket::INET -e '
	my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1", ReuseAddr => 1) or die; print $s->sockport, "\n"; close STDOUT;
	while (my $c = $s->accept) { sysread $c, my $b, 1000; print {$c} "HTTP/1.1 403 Forbidden\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"; close $c }' \
	>"$scratch/port" &
old_master=$!
disown
until_true [ -s "$scratch/port" ]
job health JENKINS_URL="http://127.0.0.1:$(cat "$scratch/port")/"
is "$status" 75 "a clock that is not the master's"
like "$last" "^byoci-health-1 local unwell clock: [0-9]+ s ahead of the master's$" "  as it says"
kill "$old_master"
# The same over TLS, by an authority of one's own; and by nobody's.
mkdir "$scratch/tls"
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=127.0.0.1 -keyout "$scratch/tls/key" -out "$scratch/tls/req" 2>/dev/null
# tls_master DAYS: a master that has a certificate for so many days, and a clock of 1994; $url.
tls_master() {
	openssl x509 -req -in "$scratch/tls/req" -signkey "$scratch/tls/key" -days "$1" -extfile <(echo subjectAltName=IP:127.0.0.1) \
		-out "$scratch/tls/cert" 2>/dev/null
	chmod -R go+rX "$scratch/tls"
	rm -f "$scratch/tls/port"
	python3 -c '
import http.server, os, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def date_time_string(self, timestamp=None): return "Sun, 06 Nov 1994 08:49:37 GMT"
    def do_HEAD(self): self.send_response(403); self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + "/cert", sys.argv[1] + "/key")
server.socket = context.wrap_socket(server.socket, server_side=True)
with open(sys.argv[1] + "/new", "w") as file: file.write(str(server.server_port))
os.rename(sys.argv[1] + "/new", sys.argv[1] + "/port")
server.serve_forever()' "$scratch/tls" >>"$scratch/tls/log" 2>&1 &
	old_master=$!
	disown
	until_true [ -s "$scratch/tls/port" ]
	url=https://127.0.0.1:$(cat "$scratch/tls/port")/jenkins/
}
tls_master 2
job health JENKINS_URL="$url"
is "$status" 0 "a master whose certificate nobody vouches for says nothing" || diag "$said"
sed -i "/^user = root/a master.ca = $scratch/tls/cert" "$etc/byov.conf"
job health JENKINS_URL="$url"
is "$status" 75 "a clock that is not the master's, over TLS"
like "$last" "^byoci-health-1 local unwell clock: [0-9]+ s ahead of the master's$" "  as it says" || diag "$said"
kill "$old_master"
tls_master -1
job health JENKINS_URL="$url"
is "$status" 75 "a master whose certificate is not valid by our clock"
like "$last" "^byoci-health-1 local unwell clock: by it the master's certificate has expired$" "  as it says" || diag "$said"
kill "$old_master"
sed -i "/^master.ca/d" "$etc/byov.conf"
job health JENKINS_URL="file:///etc/passwd"$'\r'"x"
is "$status" 0 "an address that is none says nothing" || diag "$said"
job reap
is "$status" 0 "reaping by a job" || diag "$said"
like "$said" '^byoci: removed what [0-9]+ builds and workers had left$' "  says what it did"
# Every backing is refreshed, also after one that the daemon does not take.
perl -MSocket -e 'socket my $s, AF_UNIX, SOCK_STREAM, 0 or die; bind $s, pack_sockaddr_un("$ARGV[0].new") or die; listen $s, 5;
	rename "$ARGV[0].new", $ARGV[0];
	while (accept my $c, $s) { sysread $c, my $b, 100000;
		syswrite $c, $b =~ /"never"/ ? qq({"error":"backing: there is none of that name","kind":"input"}\n) : qq({"outcome":"success","text":"made"}\n);
		close $c }' "$scratch/run/refresher" &
refresher=$!
disown
until_true test -S "$scratch/run/refresher"
chmod 666 "$scratch/run/refresher"
sed -i "/^user = root/a slave.socket = $scratch/run/refresher" "$etc/byov.conf"
printf '[backing/zeal]\npackages = hello\n' >>"$etc/byov.conf"
job refresh
sed -i "/^slave.socket/d; /^\[backing\/zeal/,\$d" "$etc/byov.conf"
is "$status" 64 "a backing that the daemon does not take"
like "$said" '^byoci: backing: there is none of that name$' "  is told"
like "$said" '^byoci: backing small: success: made$' "  and those before it"
like "$said" '^byoci: backing zeal: success: made$' "  and after it are refreshed"
kill "$refresher"
ok "the slave's daemon has outlived all that" slave_answers
slave_kill
kill "$land_pid"
clean "nothing is left"
done_testing
