#!/bin/bash
# Backings in use: byoci-slave backing, made anew beside, only when the new one is good; a running worker keeps what it is made from.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/backing.sh
. "$(dirname "$0")/backing.sh"

# Its smoke test fails while somebody listens on port 8940 (22EC) of this machine: it was seen when it was made.
configure <<-CONF
	[backing/fickle]
	source = backing
	base = small
	setup.command = cat /proc/net/tcp >/listening; date 2>/dev/null; cat /proc/uptime >/made
	smoke.command = case "\$(cat /listening)" in *:22EC*) echo "this will not do"; exit 3;; esac
	[backing/often]
	source = backing
	base = small
	setup.command = cat /proc/uptime >/made
	refresh = 0
	[job/script]
	backing = fickle
	tests.command = sh ./test.sh
	memory = 64M
	disk = 16M
	[job/small]
	backing = small
	tests.command = sh ./test.sh
	memory = 64M
	disk = 16M
CONF
ok "byoci-worker listens" worker_start || bail_out "$(cat "$scratch/worker.log")"

# Asked for: backing WORDS…; what is said is in $said, the exit status in $status.
backing() {
	status=0
	said=$(slave backing "$@" 2>&1 </dev/null) || status=$?
}
as_slave() { setpriv --reuid="$slave" --regid="$slave" --clear-groups "$@"; }
backing list
is "$status" 0 "there is a list before there is a backing"
like "$said" '^small +[0-9a-f]{12} +not built ' "of what is not built"
backing build fickle
is "$status" 0 "one is built by way of the worker" || diag "$said"
like "$said" '^backing fickle: built$' "progress comes through"
like "$said" "^$(digest_of fickle)\$" "and the digest"
backing list
like "$said" '^fickle +[0-9a-f]{12} +[0-9]{8}T[0-9]{9}Z +[0-9]+[sm] +[0-9.]+M +0  well, [0-9]+[sm] ago$' "it is listed: digest, generation, age, size, users, how it went"
backing list --json
is "$(jq -r '.failed, (.backings[] | select(.name == "fickle") | .built, .users, .source)' <<<"$said" | paste -sd ' ')" "0 true 0 backing" "also as JSON"
backing show fickle
like "$said" '^setup.command=cat /proc/net/tcp' "and shown with all its inputs"
backing show nothing
is "$status" 64 "but not what is not configured"
backing build nothing
is "$status" 64 "nor can that be built"
backing burn
is "$status" 64 "nor is there another verb"
install -d "$scratch/bin" && install -m 755 "$build/bin/byoci-slave" "$scratch/bin/byoci-slave"
like "$(as_slave "$scratch/bin/byoci-slave" backing list)" '^small' "the slave's user may look, too"
chmod 755 "$scratch/run/worker" && chmod 666 "$socket"
like "$(setpriv --reuid=nobody --regid=nogroup --clear-groups "$scratch/bin/byoci-slave" backing list 2>&1)" 'may not ask for workers' "nobody else may"
chmod 2750 "$scratch/run/worker" && chmod 660 "$socket"

# Made anew.
oldest=$(generation fickle)
backing build --refresh fickle
is "$status" 0 "it is made anew" || diag "$said"
second=$(generation fickle)
ok "it is another one, of the same digest" [ "$oldest" != "$second" ]
is "$(readlink "$backings/$(digest_of fickle).previous")" "$oldest" "the one before is kept"
backing build --refresh fickle
is "$(generations fickle) $([ -e "$backings/$oldest" ] && echo there)" "2 " "but not the one before that"
third=$(generation fickle)

# … and is no good.
listen() {
	python3 -c 'import socket,time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", 8940)); s.listen()
print("listening", flush=True); time.sleep(600)' >"$scratch/listener" &
	listener=$!
	until_true grep -q listening "$scratch/listener"
}
unlisten() { kill "$listener" && wait "$listener" 2>/dev/null; }
listen
backing build --refresh fickle
is "$status" 75 "one that fails its smoke test is no success"
like "$said" '^this will not do$' "what the test says is told"
like "$said" 'backing fickle: smoke.command in a worker made from it: exit status 3' "and that it failed"
is "$(generation fickle) $(generations fickle)" "$third 2" "the one in use stays in use, and nothing else is there"
backing list
is "$status" 1 "the list's exit status tells of it"
like "$said" '^fickle .* FAILED 1 times, [0-9]+[sm] ago: .*exit status 3$' "and so does its line"
is "$(worker check-backing fickle 2>"$scratch/said"; echo $?)" "$(digest_of fickle)
1" "so does check-backing"
like "$(cat "$scratch/said")" 'backing fickle was not refreshed \(1 times\): ' "with the reason"
like "$(cat "$scratch/worker.log")" '^error "?a backing could not be refreshed: the one of before stays in use.* backing=fickle .*backing build --refresh fickle' \
	"the log has an error that says what to do"
# The slave tells it, for byoci status.
install -d -o "$slave" -m 700 "$scratch/secrets" "$scratch/secrets/slave" "$state/slave"
install -d -o "$slave" -m 755 "$scratch/run/slave"
as_slave openssl genpkey -quiet -algorithm ed25519 -out "$scratch/secrets/slave/result.key"
chmod 600 "$scratch/secrets/slave/result.key"
printf '[%s]\nsecrets = %s\n[backing/fickle]\nready.minimum = 0\n[backing/small]\nready.minimum = 0\n' "$BYOCI_NAMESPACE" "$scratch/secrets" >>"$etc/byov.conf"
setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/bin/byoci-slave" serve >"$scratch/slave.log" 2>&1 </dev/null &
server=$!
slave_says() {
	perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 1; print $s qq({"op":"status"}\n); $s->flush; print scalar <$s>' \
		"$scratch/run/slave/socket" >"$scratch/standing" 2>/dev/null
}
ok "the slave's daemon starts" until_true slave_says || diag "$(cat "$scratch/slave.log")"
is "$(jq -r '.backings[] | "\(.name) \(.failures) \(.generation) \(.made < .tried) \(.error)"' "$scratch/standing")" \
	"fickle 1 $third true smoke.command in a worker made from it: exit status 3" "it tells of the refresh that failed, and what is used meanwhile" ||
	diag "$(cat "$scratch/standing")"
worker_end
slave_says
like "$(jq -r .trouble "$scratch/standing")" '^byoci-worker: ' "without byoci-worker it says that it does not know"
kill "$server" && wait "$server" 2>/dev/null
worker_start
mkdir -p "$scratch/layer/workspace" && chown -R "$slave" "$scratch/layer"
printf 'cat /made; echo ran; [ ! -e hold ] || sleep 1000\n' >"$scratch/layer/workspace/test.sh"
try() { as_slave timeout "$wait_limit" "$scratch/worker-try" "$socket" "$@" 2>&1 </dev/null; }
like "$(try start=script,,"$scratch/layer" exec wait remove)" '^ran$' "workers are made from the old one"
unlisten
backing build --refresh fickle
is "$status" 0 "when it is good again, it is used" || diag "$said"
backing list
is "$status" 0 "and all is well"
clean "nothing is left of all that"

# By itself.
sed -i 's/^refresh = 0$/refresh = 1s/' "$etc/byov.conf"
sed -i 's/^\[backing\/fickle\]$/&\nrefresh = 1s/' "$etc/byov.conf"
backing build often
worker_end
worker_start
oldest=$(generation often)
other() { [ "$(generation "$1")" != "$2" ]; }
ok "when it is time, byoci-worker makes it anew" until_true other often "$oldest" || diag "$(tail -n 5 "$scratch/worker.log")"
told() { grep -q '^info "a backing was refreshed" backing=often' "$scratch/worker.log" || grep -q 'backing was refreshed.*backing=often' "$scratch/worker.log"; }
ok "which it tells" until_true told
like "$(cat "$backings/$(digest_of often).log")" '^backing often: ' "its lines are in a file"
is "$(generation small | wc -l) $(generations small)" "1 1" "what would come out the same is not made anew"
listen
failed() { [ "$(field fickle .failures)" -ge 2 ]; }
ok "one that is no good is tried again" until_true failed
is "$(field fickle .generation | cut -d. -f2)" "$(generation fickle | cut -d. -f2)" "while the old one is used"
ok "and the others go on" other often "$(generation often | sed 's/./x/')"
unlisten
well() { [ "$(field fickle .failures)" -eq 0 ]; }
ok "until it is good again" until_true well
sed -i '/^refresh = 1s$/d' "$etc/byov.conf"
worker_end
# What it had begun to make is made to its end, or given up.
for name in fickle often; do until_true flock -n "$backings/$(digest_of "$name").lock" true; done
worker_start

# In use.
touch "$scratch/layer/workspace/hold"
mkfifo "$scratch/hold"
setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" start=script,,"$scratch/layer" exec hold \
	<>"$scratch/hold" > >(exec cat >"$scratch/held") 2>&1 &
caller=$!
ok "a worker runs" until_true grep -q '^ran$' "$scratch/held" || diag "$(cat "$scratch/held")"
used=$(generation fickle)
is "$(field fickle .users)" 1 "who uses a backing is counted"
backing build --refresh fickle
backing build --refresh fickle
is "$(generations fickle)" 3 "what it is made from stays, though there are two newer ones"
like "$(slave backing list)" "^- +[0-9a-f]{12} +$(cut -d. -f2 <<<"$used") .* 1  no section needs it" "it is listed as used by one"
backing prune
like "$said" "$used is in use and stays" "prune leaves it" || diag "$said"
is "$(cat "$backings/$used/rootfs/etc/passwd" | wc -l)" 1 "as it is"
kill "$caller"
wait "$caller" 2>/dev/null
unused() { [ "$(slave backing list --json | jq '.unused[0].users')" = 0 ]; }
ok "when the worker is gone, nobody uses it" until_true unused
backing prune
is "$status $(generations fickle)" "0 2" "and then it goes" || diag "$said"

# Out of use.
gone=$(digest_of often)
sed -i '/^\[backing\/often\]$/,/^setup/d' "$etc/byov.conf"
like "$(slave backing list)" "^- +$(cut -c1-12 <<<"$gone") .* no section needs it" "what no section asks for is listed as such"
sed 's/^base = small$/base = nothing/' "$etc/byov.conf" >"$scratch/wrong.conf" && mv "$etc/byov.conf" "$scratch/right.conf" && cp "$scratch/wrong.conf" "$etc/byov.conf"
backing prune
is "$status" 75 "while the configuration does not hold, nothing is removed"
like "$said" "since it can.t be said what is needed" "and why is told"
ok "(nothing is)" [ -e "$backings/$gone" ]
backing list
is "$status" 1 "the list tells of that, too"
cp "$scratch/right.conf" "$etc/byov.conf"
exec 9<"$backings/$(readlink "$backings/$gone")/rootfs" && flock -s 9
backing prune
like "$said" 'is in use and stays' "what somebody builds on stays, too"
exec 9<&-
backing prune
is "$status $(find "$backings" -name "$gone*")" "0 " "with it goes all that was known of it" || diag "$said"
is "$(generations small)$(generations fickle)" 12 "and nothing else"

# Killed, all of it, while it is made anew.
sed -i 's/^setup.command = cat .proc.net.tcp/setup.command = cat \/opt\/slow 2>\/dev\/null; cat \/proc\/net\/tcp/' "$etc/byov.conf"
backing build fickle
slave backing build --refresh fickle >/dev/null 2>&1 &
caller=$!
begun_or_over() { [ -n "$(unfinished)" ] || ! kill -0 "$caller"; }
until_true begun_or_over
worker_end KILL
kill -9 "$caller" 2>/dev/null
wait "$caller" 2>/dev/null
worker_start
is "$(generation fickle | cut -d. -f1)" "$(digest_of fickle)" "byoci-worker killed while it is made: there is one to use" 
backing build --refresh fickle
is "$status" 0 "and the next one is made" || diag "$said"
until_true flock -n "$backings/$(digest_of fickle).lock" true
backing prune
clean "with nothing left"
done_testing
