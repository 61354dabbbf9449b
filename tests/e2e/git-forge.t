#!/bin/bash
# The plain git forge with real git, ssh and sshd: proposals and approvals are pushed, read back and verified, and what must not be
# pushed is refused. Needs no set-up: everything is in a temporary folder, under the user who runs it.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$(realpath "${O:-build}")
byoci=${BYOCI:-$build/bin/byoci}
tmp=$(mktemp -d /tmp/byoci-git-forge.XXXXXX) || exit 1
export HOME=$tmp/home BYOCI_ROOT=$tmp/root GIT_CONFIG_NOSYSTEM=1
unset SSH_AUTH_SOCK GIT_SSH_COMMAND BYOCI_NAMESPACE GIT_DIR
ns=forge
count=0 failed=0 sshd_pid='' listener_pid=''
trap 'finish' EXIT

finish() {
	if [ -n "$sshd_pid" ]; then kill "$sshd_pid" 2>/dev/null; fi
	if [ -n "$listener_pid" ]; then kill "$listener_pid" 2>/dev/null; fi
	rm -rf "$tmp"
}

bail() {
	echo "Bail out! $*"
	exit 1
}

report() { # GOOD WHAT [FILE with why]
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		failed=$((failed + 1))
		echo "not ok $count - $2"
		if [ -n "${3:-}" ]; then sed 's/^/# /' "$3"; fi
	fi
}

ok() { # WHAT COMMAND…
	local what=$1
	shift
	"$@" >"$tmp/out" 2>&1
	report $? "$what" "$tmp/out"
}

said() { # WHAT REGULAR-EXPRESSION: the command before said it
	grep -q -- "$2" "$tmp/out"
	report $? "$1" "$tmp/out"
}

refused() { # WHAT WORDS COMMAND…: it fails, and says why in these words
	local what=$1 words=$2
	shift 2
	if "$@" >"$tmp/out" 2>&1; then
		report 1 "$what (it went through)" "$tmp/out"
	else
		grep -qF -- "$words" "$tmp/out"
		report $? "$what" "$tmp/out"
	fi
}

is() { # GOT WANTED WHAT
	printf 'got:    %s\nwanted: %s\n' "$1" "$2" >"$tmp/out"
	[ "$1" = "$2" ]
	report $? "$3" "$tmp/out"
}

# ---- the server side ----

make_keys() {
	local who
	mkdir -p "$HOME/.ssh" "$tmp/keys" "$tmp/secrets/git"
	chmod 700 "$tmp/secrets/git" "$HOME/.ssh"
	for who in alice bob carol stranger landing host; do
		ssh-keygen -q -t ed25519 -N '' -C "$who" -f "$tmp/keys/$who" || bail "ssh-keygen failed"
	done
	head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n' >"$tmp/secrets/git/hook"
	chmod 600 "$tmp/secrets/git/hook"
}

# Answers posts; writes one line for each: whether its HMAC is right, and the body.
cat >"$tmp/listener.pl" <<'END'
use strict; use warnings; use IO::Socket::INET; use Digest::SHA qw(hmac_sha256_hex);
my ($secret_file, $log_file) = @ARGV;
open my $secret_in, '<', $secret_file or die; my $secret = <$secret_in>; chomp $secret;
open my $log, '>>', $log_file or die; $log->autoflush(1);
my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 16, ReuseAddr => 1) or die;
$| = 1; print $server->sockport, "\n";
while (my $client = $server->accept) {
	my ($request, %header) = (scalar <$client>);
	while (defined(my $line = <$client>)) { last if $line =~ /^\r?\n$/; $header{lc $1} = $2 if $line =~ /^([^:]+):\s*(.*?)\r?\n$/ }
	read $client, my $body, $header{'content-length'} // 0;
	my $good = $request =~ m{^POST /hook/git HTTP/1.1} && ($header{'x-byoci-signature'} // '') eq 'sha256=' . hmac_sha256_hex($body, $secret)
		&& ($header{'x-byoci-event'} // '') eq 'push' && ($header{'x-byoci-delivery'} // '') =~ /^[0-9a-f]{32}$/
		&& ($header{'content-type'} // '') eq 'application/json';
	print $log $good ? 'good ' : 'bad ', $body, "\n";
	print $client "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 14\r\nConnection: close\r\n\r\n{\"delivery\":1}";
	close $client;
}
END

start_listener() {
	: >"$tmp/posts"
	mkfifo "$tmp/port"
	perl "$tmp/listener.pl" "$tmp/secrets/git/hook" "$tmp/posts" >"$tmp/port" &
	listener_pid=$!
	read -r hook_port <"$tmp/port" || bail "the listener did not start"
}

write_configuration() {
	local etc=$tmp/root/etc/byoci/$ns who
	mkdir -p "$etc/allowed_signers" "$tmp/git"
	cat >"$etc/byov.conf" <<-END
		[$ns]
		git.listen = 127.0.0.1:$1
		hook.listen = 127.0.0.1:$hook_port
		git.root = $tmp/git
		git.config = $etc/gitconfig
		secrets = $tmp/secrets
		[project/sample]
		repository = ssh://$(id -un)@{git.listen}/sample.git
		repository.read = {git.root}/sample.git
		allowed_signers = $etc/allowed_signers/sample
		jobs = unit
		[job/unit]
		backing = base
		tests.command = true
		[backing/base]
	END
	for who in alice bob carol landing; do
		echo "$who namespaces=\"byoci-record@v1\" $(cut -d' ' -f1,2 "$tmp/keys/$who.pub")"
	done >"$etc/allowed_signers/sample"
	for who in alice bob carol stranger landing; do
		echo "command=\"env BYOCI_ROOT=$BYOCI_ROOT $byoci -n $ns git-serve $who\",restrict $(cut -d' ' -f1,2 "$tmp/keys/$who.pub")"
	done >"$tmp/authorized_keys"
	echo "[127.0.0.1]:$1 $(cut -d' ' -f1,2 "$tmp/keys/host.pub")" >"$etc/known_hosts"
}

start_sshd() { # PORT; it is listening when this returns
	cat >"$tmp/sshd_config" <<-END
		ListenAddress 127.0.0.1:$1
		HostKey $tmp/keys/host
		PidFile $tmp/sshd.pid
		AuthorizedKeysFile $tmp/authorized_keys
		StrictModes no
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		PermitRootLogin yes
		UsePAM no
	END
	local sshd=(/usr/sbin/sshd -D -f "$tmp/sshd_config" -E "$tmp/sshd.log")
	if [ "$(id -u)" = 0 ]; then # root's sshd wants /run/sshd: it gets one of its own, that nobody else makes or removes
		sshd=(unshare --mount sh -c 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec "$@"' sh "${sshd[@]}")
	fi
	"${sshd[@]}" &
	sshd_pid=$!
	while [ ! -s "$tmp/sshd.pid" ]; do # written when it listens
		kill -0 "$sshd_pid" 2>/dev/null || return 1
	done
}

free_port() {
	perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1)->sockport'
}

start() {
	local try
	make_keys
	start_listener
	for try in 1 2 3; do
		port=$(free_port)
		write_configuration "$port"
		if start_sshd "$port"; then break; fi
		[ "$try" != 3 ] || bail "sshd does not start: $(tail -n 3 "$tmp/sshd.log")"
	done
	identity=127.0.0.1:$port/sample
	url=ssh://$(id -un)@127.0.0.1:$port/sample.git
}

make_repository() {
	local hook
	git init -q --bare --initial-branch=main "$tmp/git/sample.git"
	for hook in pre-receive post-receive; do
		printf '#!/bin/sh\nexec %s -n %s git-%s\n' "$byoci" "$ns" "$hook" >"$tmp/git/sample.git/hooks/$hook"
		chmod 755 "$tmp/git/sample.git/hooks/$hook"
	done
}

# ---- people ----

as() { # WHO COMMAND…: git over ssh as WHO
	local key=$tmp/keys/$1
	shift
	GIT_SSH_COMMAND="ssh -F /dev/null -i $key -o IdentitiesOnly=yes -o UserKnownHostsFile=$tmp/root/etc/byoci/$ns/known_hosts" "$@"
}

people() {
	git config --global user.name 'Alice A' && git config --global user.email alice@example.org
	git config --global init.defaultBranch main
	git init -q "$tmp/work" || bail "no clone"
	cd "$tmp/work" || exit 1
	commit 'first'
	git push -q "$tmp/git/sample.git" main 2>"$tmp/out" || bail "the first commit: $(cat "$tmp/out")"
	git remote add origin "$url"
}

commit() { # MESSAGE
	echo "$1" >>file && git add file && git commit -q -m "$1"
}

read_back() { # JQ-EXPRESSION NAME
	"$byoci" -n $ns git-read --project sample "$2" 2>"$tmp/err" | jq -r "$1"
}

sign() { # WHO JSON → blob on standard output
	printf '%s\n' "$2" >"$tmp/payload"
	rm -f "$tmp/payload.sig"
	ssh-keygen -q -Y sign -n "${namespace:-byoci-record@v1}" -f "$tmp/keys/$1" "$tmp/payload" 2>/dev/null
	cat "$tmp/payload" "$tmp/payload.sig"
}

record() { # KIND NAME COMMIT [TIME] → JSON
	printf '{"byoci":1,"kind":"%s","repository":"%s","proposal":"%s","target":"refs/heads/main","commit":"%s","time":%s%s}' \
		"$1" "$identity" "$2" "$3" "${4:-$(date +%s)}" "$([ "$1" = propose ] && echo ',"message":"m"')"
}

id_of() { # blob file
	sha256sum <"$1" | cut -c1-32
}

push_record() { # PUSHER NAME SIGNER JSON [ID]
	sign "$3" "$4" >"$tmp/blob"
	as "$1" git push -q origin "$(git hash-object -w "$tmp/blob"):refs/proposals/$2/records/${5:-$(id_of "$tmp/blob")}"
}

posts() { wc -l <"$tmp/posts"; }

start
make_repository
people

# ---- propose, read, approve ----

git checkout -q -b Feature/One
commit 'one'
one=$(git rev-parse HEAD)
ok 'alice proposes her branch' "$byoci" -n $ns propose -k "$tmp/keys/alice"
said 'it says what is next' 'approve feature-one'
is "$(read_back '[.proposal,.repository,.target,.head,.state,.proposer,.message,.author_name] | join(" ")' feature-one)" \
	"feature-one $identity refs/heads/main $one open alice one Alice A" 'it is read back as proposed'
is "$(read_back '.target_tip' feature-one)" "$(git rev-parse main)" 'with the tip of the target'
is "$(tail -n 1 "$tmp/posts" | cut -d' ' -f1)" good 'the brain is told, signed'
is "$(tail -n 1 "$tmp/posts" | cut -d' ' -f2- | jq -r '[.pusher,.repository,(.refs|length)] | map(tostring) | join(" ")')" "alice $identity 2" \
	'who pushed what'
"$byoci" -n $ns git-read --list >"$tmp/list1"
ok 'bob approves it' "$byoci" -n $ns approve -k "$tmp/keys/bob" feature-one
said 'and is shown what' "commit ${one:0:12} .*\"one\" by Alice A, proposed by alice"
is "$(read_back '.records[] | select(.kind == "approve") | [.who,.commit,.target,.why_not] | map(tostring) | join(" ")' feature-one)" \
	"bob $one refs/heads/main null" 'the approval is read back'
"$byoci" -n $ns git-read --list >"$tmp/list2"
is "$(jq -r '.proposals[0].name' "$tmp/list2")" feature-one 'the list has it'
[ "$(jq -r '.proposals[0].version' "$tmp/list1")" != "$(jq -r '.proposals[0].version' "$tmp/list2")" ]
report $? 'and its version changed with the approval'
is "$(jq -r '.targets[] | [.ref,.tip] | join(" ")' "$tmp/list2")" "refs/heads/main $(git rev-parse main)" 'the list has the targets'

# ---- a push after the approval ----

ok 'a host that does not know the signers approves too' "$byoci" -n $ns -O "project/sample:allowed_signers=/none" \
	approve -k "$tmp/keys/carol" feature-one
said 'and says that it did not check' 'proposed by somebody (this host'

commit 'two'
two=$(git rev-parse HEAD)
ok 'alice pushes again' as alice git push -q -f origin "HEAD:refs/proposals/feature-one/head"
is "$(read_back '[.head,.proposer,.message] | tostring' feature-one)" "[\"$two\",null,\"one\"]" 'the head is the new commit; nobody has proposed that one'
is "$(read_back '[.records[] | select(.kind == "approve") | .who] | unique | tostring' feature-one)" '[null]' 'the approvals of the other commit are nobody'\''s now'
ok 'it says why' test "$(read_back '.records[] | select(.kind == "approve") | .why_not' feature-one | uniq)" = 'it is for another commit than the proposal has now'
refused 'what nobody proposed is not approved' 'was not proposed by anybody' "$byoci" -n $ns approve -k "$tmp/keys/bob" feature-one
ok 'a message of one'\''s own' "$byoci" -n $ns propose -k "$tmp/keys/alice" --name feature-one -m 'said better'
is "$(read_back '[.proposer,.message] | join(" ")' feature-one)" 'alice said better' 'it replaces the older one, and the commit has a proposer'
refused 'approving what was read before is refused' 'has the commit' "$byoci" -n $ns approve -k "$tmp/keys/bob" --commit "$one" feature-one
ok 'approving what is there now is not' "$byoci" -n $ns approve -k "$tmp/keys/bob" --commit "${two:0:10}" feature-one

ok 'a message with carriage returns' "$byoci" -n $ns propose -k "$tmp/keys/alice" --name feature-one -m $'one\r\n\r\ntwo\r\n'
is "$(read_back .message feature-one)" $'one\n\ntwo' 'has none of them when it is read'
refused 'a message with escapes' 'without control characters' "$byoci" -n $ns propose -k "$tmp/keys/alice" --name feature-one -m $'\e[2J'
refused 'an empty message' 'needs a message' "$byoci" -n $ns propose -k "$tmp/keys/alice" --name feature-one -m ' '
git commit -q --amend -m 'two, amended'
ok 'an own commit is replaced' "$byoci" -n $ns propose -k "$tmp/keys/alice" --name feature-one
is "$(read_back .head feature-one)" "$(git rev-parse HEAD)" 'by the new one'
two=$(git rev-parse HEAD)
ok 'and approved' "$byoci" -n $ns approve -k "$tmp/keys/bob" feature-one
git clone -q "file://$tmp/git/sample.git" "$tmp/other" && git -C "$tmp/other" commit -q --allow-empty -m 'another one'
refused 'a stranger'\''s proposal is not replaced by mistake' 'with a commit that you do not have' \
	"$byoci" -n $ns propose -k "$tmp/keys/carol" --name feature-one --repository "$tmp/other"
is "$(read_back .head feature-one)" "$two" 'it is as it was'

# Without -k: the caller's own ssh and git configuration; the hosts are known all the same.
own() { # WHO COMMAND…
	git config --global user.signingkey "$tmp/keys/$1"
	GIT_SSH_COMMAND="ssh -F /dev/null -i $tmp/keys/$1 -o IdentitiesOnly=yes -o UserKnownHostsFile=/dev/null" "${@:2}"
	local status=$?
	git config --global --unset user.signingkey
	return $status
}
ok 'proposing with one'\''s own ssh' own carol "$byoci" -n $ns propose --name own "$two"
ok 'approving with it' own bob "$byoci" -n $ns approve own
is "$(read_back '[.proposer, (.records[] | select(.kind == "approve") | .who)] | join(" ")' own)" 'carol bob' 'is the same'
is "$("$byoci" -n $ns approve --json -k "$tmp/keys/alice" own | jq -r '[.proposal,.commit] | join(" ")')" "own $two" 'as JSON'
ok 'taken back' as alice git push -q origin :refs/proposals/own/head

# ---- what nobody may ----

before=$(posts)
refused 'a person does not push to the target' 'only what was approved and tested lands here' as alice git push -q origin HEAD:main
refused 'nor deletes it' 'only what was approved' as alice git push -q origin :main
refused 'tags are not kept' 'only branches and proposals' as alice git push -q origin HEAD:refs/tags/v1
refused 'a name with two dots' 'a proposal'\''s name' as alice git push -q origin HEAD:refs/proposals/-a/head
refused 'a branch that a proposal would go to' 'called like the ref refs/proposals/feature-nine/head' \
	as alice git push -q origin HEAD:refs/heads/refs/proposals/feature-nine/head
refused 'other refs of a proposal' 'a head, records and reports only' as alice git push -q origin HEAD:refs/proposals/x/other
refused 'a report by a person' 'by the landing account only' as alice git push -q origin \
	"$(echo '{}' | git hash-object -w --stdin):refs/proposals/feature-one/reports/00112233445566778899aabbccddeeff"
refused 'a blob as head' 'must be a commit' as alice git push -q origin "$(echo x | git hash-object -w --stdin):refs/proposals/x/head"
for i in $(seq 257); do echo "create refs/many/x$i $two"; done | git update-ref --stdin
refused 'hundreds of refs in one push' 'push them in parts' as alice git push -q origin 'refs/many/*:refs/heads/many/*'
refused 'pushing into the folder of the repository' 'push over ssh' git push -q "$tmp/git/sample.git" HEAD:topic
refused 'also to the target, once it is there' 'only what was approved' git push -q "$tmp/git/sample.git" HEAD:main
ok 'an ordinary branch is anybody'\''s' as alice git push -q origin HEAD:topic
ok 'and is deleted again' as bob git push -q origin :topic
is "$(($(posts) - before))" 2 'only what went through is told'

# ---- records ----

refused 'a wrong ID' 'the ID of that record is' push_record carol feature-one carol "$(record approve feature-one "$two")" 00112233445566778899aabbccddeeff
refused 'a stranger'\''s approval' 'not signed by a key in allowed_signers' push_record stranger feature-one stranger "$(record approve feature-one "$two")"
refused 'an approval by the landing account' 'neither proposes nor approves' push_record landing feature-one landing "$(record approve feature-one "$two")"
refused 'also when somebody else pushes it' 'neither proposes nor approves' push_record alice feature-one landing "$(record approve feature-one "$two")"
sign carol "$(record approve feature-one "$two")" | sed "s/$two/$one/" >"$tmp/blob"
refused 'a changed text under a good signature' 'not good for this text' as carol git push -q origin \
	"$(git hash-object -w "$tmp/blob"):refs/proposals/feature-one/records/$(id_of "$tmp/blob")"
namespace=git refused 'a signature made for something else' 'not good for this text' push_record carol feature-one carol "$(record approve feature-one "$two")"
refused 'a record of another proposal' 'signed for the proposal' push_record carol other carol "$(record approve feature-one "$two")"
refused 'of another repository' 'signed for the repository' push_record carol feature-one carol "$(record approve feature-one "$two" | sed "s#$identity#x.org/sample#")"
refused 'for another target' 'not a target of this project' push_record carol feature-one carol "$(record approve feature-one "$two" | sed 's#heads/main#heads/next#')"
refused 'not JSON' 'not JSON' push_record carol feature-one carol 'hello'
head -c 200000 /dev/zero | tr '\0' 'x' >"$tmp/blob"
refused 'a blob over the cap' 'of at most' as carol git push -q origin "$(git hash-object -w "$tmp/blob"):refs/proposals/feature-one/records/$(id_of "$tmp/blob")"
id=$(git ls-remote "$tmp/git/sample.git" 'refs/proposals/feature-one/records/*' | head -n 1 | sed 's,.*/,,')
refused 'a record is not overwritten' 'never changed' as alice git push -q -f origin "$(git hash-object -w "$tmp/blob"):refs/proposals/feature-one/records/$id"
refused 'nor deleted' 'never changed' as alice git push -q origin ":refs/proposals/feature-one/records/$id"
refused 'one bad ref refuses the whole push' 'never changed' as alice git push -q origin HEAD:refs/proposals/side/head ":refs/proposals/feature-one/records/$id"
is "$(git ls-remote "$tmp/git/sample.git" 'refs/proposals/side/*')" '' 'nothing of it is there'

# What is in the repository all the same (somebody was its administrator) is verified when it is read.
put() { # WHO JSON [ID]
	sign "$1" "$2" >"$tmp/blob"
	git -C "$tmp/git/sample.git" update-ref "refs/proposals/feature-one/records/${3:-$(id_of "$tmp/blob")}" \
		"$(git -C "$tmp/git/sample.git" hash-object -w "$tmp/blob")"
}
put stranger "$(record approve feature-one "$two")"
put carol "$(record approve feature-one "$two" $(($(date +%s) + 9999)))"
put carol "$(record approve feature-one "$two")" 00112233445566778899aabbccddeeff
is "$(read_back '[.records[] | select(.kind == "approve" and .why_not == null) | .who] | join(",")' feature-one)" bob \
	'only the good approval counts when it is read'
is "$(read_back '[.records[] | .why_not // "counts"] | sort | unique | join("; ")' feature-one | tr -s ' ')" \
	"a newer proposal counts; counts; it is dated in the future; it is for another commit than the proposal has now; it is not what its ID says; not signed by a key in allowed_signers" \
	'and every other says why not'

# A commit that says very much of itself is cut, and is no trouble for the others.
git checkout -q -b long main
{ head -c 300000 /dev/zero | tr '\0' 'x'; echo; } >"$tmp/message"
git commit -q --allow-empty --author="$(head -c 5000 /dev/zero | tr '\0' 'n') <$(head -c 5000 /dev/zero | tr '\0' 'm')>" -F "$tmp/message"
ok 'a commit with a very long message' "$byoci" -n $ns propose -k "$tmp/keys/alice" -m short
is "$(read_back '[.subject,.author_name,.author_email] | map(length) | join(" ")' long)" '1000 1000 1000' 'is cut'
ok 'taken back' as alice git push -q origin :refs/proposals/long/head
git checkout -q Feature/One

# ---- read from elsewhere: over ssh, with the slave's read key ----

mkdir -m 700 "$tmp/secrets/slave"
cp "$tmp/keys/carol" "$tmp/secrets/slave/id_ed25519"
far=(-O "project/sample:repository.read=$url")
"$byoci" -n $ns git-read feature-one >"$tmp/near"
"$byoci" -n $ns "${far[@]}" git-read feature-one >"$tmp/far" 2>&1
is "$(cat "$tmp/far")" "$(cat "$tmp/near")" 'a repository that is elsewhere reads the same'
"$byoci" -n $ns git-read --list >"$tmp/near"
"$byoci" -n $ns "${far[@]}" git-read --list >"$tmp/far" 2>&1
is "$(cat "$tmp/far")" "$(cat "$tmp/near")" 'and so does the list'
"$byoci" -n $ns -O "project/sample:repository.read=ssh://x@127.0.0.1:1/sample.git" git-read feature-one >"$tmp/out" 2>&1
is $? 69 'out of reach is 69'
rm -r "$tmp/secrets/slave"

# The repository's own configuration is the git user's: for who reads it, it runs nothing.
bare=$tmp/git/sample.git
cp "$bare/config" "$tmp/config"
printf '#!/bin/sh\ntouch %s/evil\n' "$tmp" >"$tmp/run" && chmod 755 "$tmp/run"
git -C "$bare" config core.repositoryFormatVersion 1
git -C "$bare" config extensions.partialClone origin
git -C "$bare" config remote.origin.url "$tmp/git/sample.git"
git -C "$bare" config remote.origin.uploadpack "$tmp/run"
git -C "$bare" config core.fsmonitor "$tmp/run"
git -C "$bare" config core.pager "$tmp/run"
git -C "$bare" config core.sshCommand "$tmp/run"
mkdir -p "$bare/refs/proposals/bad/records"
echo 00112233445566778899aabbccddeeff00112233 >"$bare/refs/proposals/bad/head"
git -C "$bare" cat-file -t 00112233445566778899aabbccddeeff00112233 >"$tmp/out" 2>&1
[ -e "$tmp/evil" ]
report $? 'it would run something for a careless reader' "$tmp/out"
rm -f "$tmp/evil"
refused 'an object that is missing' 'bad' "$byoci" -n $ns git-read bad
[ ! -e "$tmp/evil" ]
report $? 'runs nothing'
rm -r "$bare/refs/proposals/bad"
ok 'and a good proposal is read' "$byoci" -n $ns git-read feature-one
[ ! -e "$tmp/evil" ]
report $? 'without running anything'
cp "$tmp/config" "$bare/config"

# ---- landing ----

git checkout -q main
git merge -q --no-ff -m 'merged' Feature/One
merge=$(git rev-parse HEAD)
ok 'the landing account moves the target forward' as landing git push -q origin HEAD:main
is "$(read_back '[.state,.target_tip] | join(" ")' feature-one)" "merged $merge" 'the proposal is merged'
refused 'approving it now is refused' 'landed already' "$byoci" -n $ns approve -k "$tmp/keys/bob" feature-one
git commit -q --amend -m 'rewritten'
refused 'the landing account does not move it aside' 'does not descend' as landing git push -q -f origin HEAD:main
refused 'nor deletes it' 'neither made nor deleted' as landing git push -q origin :main
refused 'nor pushes other branches' 'gated branches and reports only' as landing git push -q origin HEAD:side
report_blob=$(echo '{"byoci":1,"kind":"landed"}' | git hash-object -w --stdin)
ok 'it writes a report' as landing git push -q origin "$report_blob:refs/proposals/feature-one/reports/00112233445566778899aabbccddeeff"
refused 'once' 'never changed' as landing git push -q -f origin \
	"$(echo '{}' | git hash-object -w --stdin):refs/proposals/feature-one/reports/00112233445566778899aabbccddeeff"
ok 'a proposal is taken back' as alice git push -q origin :refs/proposals/feature-one/head
is "$(read_back '[.state,.head] | join(" ")' feature-one)" 'closed ' 'it is closed'
is "$(read_back .state nothing-here)" closed 'as is one that never was'

# ---- the door, and mistakes ----

refused 'no shell' 'serves git only' ssh -F /dev/null -n -i "$tmp/keys/alice" -o UserKnownHostsFile="$tmp/root/etc/byoci/$ns/known_hosts" \
	-p "$port" "$(id -un)@127.0.0.1"
door() { SSH_ORIGINAL_COMMAND=$1 "$byoci" -n $ns git-serve alice; }
refused 'another command' 'git-upload-pack and git-receive-pack only' door 'git-upload-archive '\''sample.git'\'
refused 'a path that climbs' 'no repository has such a path' door 'git-upload-pack '\''../sample.git'\'
refused 'an absolute path' 'no repository has such a path' door "git-upload-pack '$tmp/git/sample.git'"
refused 'a path with a quote in it' 'no repository has such a path' door 'git-upload-pack '\''a'\'';id;'\'''\'
refused 'an option for a path' 'no repository has such a path' door 'git-upload-pack --version'
refused 'a repository that is not configured' 'no project' door 'git-upload-pack '\''other.git'\'
refused 'a project that is not there' 'no project x' "$byoci" -n $ns propose --project x
refused 'a target that is none' 'not a target' "$byoci" -n $ns propose --target next -k "$tmp/keys/alice"
refused 'a name that is none' 'cannot be named' "$byoci" -n $ns propose --name 'A..b' -k "$tmp/keys/alice"
refused 'a key that is not there' 'No such file' "$byoci" -n $ns propose -k "$tmp/none"
refused 'no key at all' 'no ssh key in' "$byoci" -n $ns propose
refused 'not a clone' 'not a clone' "$byoci" -n $ns propose --repository "$tmp/keys" -k "$tmp/keys/alice"
refused 'an unknown option' 'no such option' "$byoci" -n $ns approve --yes feature-one
refused 'approving nothing' 'say the NAME' "$byoci" -n $ns approve
refused 'approving what is not there' 'no open proposal' "$byoci" -n $ns approve -k "$tmp/keys/bob" nothing-here

# The brain is away: the push goes through and says so.
kill "$listener_pid" && wait "$listener_pid" 2>/dev/null
listener_pid=''
git checkout -q -b last
commit last
ok 'a push while the brain is away' "$byoci" -n $ns propose -k "$tmp/keys/alice"
is "$(read_back .state last)" open 'is there'
mv "$tmp/git/sample.git/hooks/pre-receive" "$tmp/git/sample.git/hooks/pre-receive.off"
refused 'a repository without its hook is not served' 'not served' door 'git-receive-pack '\''sample.git'\'

echo "1..$count"
[ "$failed" = 0 ]
