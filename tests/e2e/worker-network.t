#!/bin/bash
# What a worker reaches: nothing, one proxy, or the world but neither the host nor others. All in network namespaces of this test's
# own: one is the host, in which byoci-worker runs, the other the world.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/worker.sh"

cat >>"$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf" <<-CONF
	[$BYOCI_NAMESPACE]
	worker.proxy = 127.0.0.1:8921
	worker.nat.dns = 10.99.0.53
	[job/none]
	backing = small
	tests.command = sh ./test.sh
	[job/proxy]
	backing = small
	tests.command = sh ./test.sh
	network = proxy
	[job/nat]
	backing = small
	tests.command = sh ./test.sh
	network = nat
	[job/spoof]
	backing = small
	tests.command = sh ./test.sh
	network = nat
	nested = yes
CONF

# A process that holds a network namespace; its number is in $!.
space() {
	unshare --net -- sleep infinity &
	disown
	until_true different "$!"
}
different() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
space && host=$!
space && world=$!
trap 'worker_kill 2>/dev/null; units_end; lxd_end; kill -9 $host $world $servers 2>/dev/null; rm -rf "$scratch"' EXIT
in_host() { nsenter -t "$host" -n -- "$@"; }
in_world() { nsenter -t "$world" -n -- "$@"; }
in_host sysctl -q -w net.ipv4.ip_forward=0 # else that of this machine
in_host ip link set lo up
in_world ip link set lo up
in_host ip link add up0 type veth peer name down0 netns "$world"
in_host ip address add 192.0.2.1/24 dev up0
in_host ip address add 203.0.113.7/32 dev lo
in_host ip link set up0 up
in_world ip address add 192.0.2.254/24 dev down0
in_world ip link set down0 up
for address in 198.51.100.1 10.99.0.1 10.99.0.53 169.254.169.254; do in_world ip address add "$address/32" dev lo; done
in_host ip route add default via 192.0.2.254

# serve NAMESPACE PORT: says who asks and what for, to everybody.
servers=
serve() {
	nsenter -t "$1" -n -- perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 256, ReuseAddr => 1) or die "$!\n";
		while (my $c = $s->accept) {
			next if fork; close $s; my $line = <$c> // "";
			while (defined(my $header = <$c>)) { last if $header =~ /^\r?$/ }
			$line =~ s/\r?\n//; my $text = "asked by " . $c->peerhost . ": $line\n" . ($line =~ /long/ ? "x" x 3000000 : "");
			print $c "HTTP/1.0 200 OK\r\nContent-Length: " . length($text) . "\r\n\r\n$text"; close $c; exit;
		}' "$2" &
	servers+=" $!"
	disown
	until_true nsenter -t "$1" -n -- bash -c "exec 3<>/dev/tcp/127.0.0.1/$2"
}
serve "$host" 8921 && serve "$host" 8922 && serve "$world" 80 && serve "$world" 53 || bail_out "no servers"
scope=(nsenter -t "$host" -n --)
ok "byoci-worker starts where nat can't be" worker_start
like "$(cat "$scratch/worker.log")" 'network = nat: this machine does not forward what comes by up0: sysctl net.ipv4.ip_forward=1' "and says why"

# ask ADDRESS PORT: who must not answer has two seconds for it; reach: who must, has all the time.
ask='ask() { within 2 "$@"; }; reach() { within '$wait_limit' "$@"; }
	within() { timeout "$1" bash -c "exec 3<>/dev/tcp/$2/$3 && printf \"GET http://example.org/ HTTP/1.0\r\n\r\n\" >&3 && cat <&3" 2>&1 | grep -aE "^asked|502|refused|unreachable|does not" | head -n 1 | head -c 200 | sed "s|^|$2 $3: |"; }'

# None.
runs_as none none <<-SH
	$ask
	for address in 127.0.0.1 192.0.2.1 203.0.113.7 198.51.100.1 10.213.0.1; do ask \$address 8921; ask \$address 80; done
	env | grep -i proxy; ip link 2>/dev/null | grep -c '^[0-9]'; cat /proc/net/dev | tail -n +3 | wc -l | sed 's/^/interfaces: /'
SH
unlike "$said" 'asked by' "without a network nobody answers"
unlike "$said" '[Pp][Rr][Oo][Xx][Yy]=' "and no proxy is named"
like "$said" '^interfaces: 1$' "there is lo, and nothing else"

# Proxy.
runs_as proxy proxy <<-SH
	$ask
	env | grep -i proxy | sort | tr '\n' ' '; echo
	reach 127.0.0.1 3128
	for address in 127.0.0.1 192.0.2.1 203.0.113.7 198.51.100.1; do ask \$address 8921; ask \$address 8922; ask \$address 80; done
	perl -MIO::Socket::INET -e 'pipe(my \$said, my \$say); for (1 .. 150) { next if fork;
			my \$c = IO::Socket::INET->new("127.0.0.1:3128") or exit; print \$c "GET http://many/\$_ HTTP/1.0\r\n\r\n";
			my \$text = do { local \$/; <\$c> }; syswrite \$say, "1\n" if \$text =~ m{asked by 127.0.0.1: GET http://many/\$_ }; exit }
		close \$say; print "many: ", scalar(() = <\$said>), "\n";
		my \$c = IO::Socket::INET->new("127.0.0.1:3128"); print \$c "GET http://long/ HTTP/1.0\r\n\r\n"; my \$text = do { local \$/; <\$c> };
		print "long: ", \$text =~ tr/x//, "\n"'
	(sleep 30 <>/dev/tcp/127.0.0.1/3128) &
	ps -e -o args= | grep -c byoci | sed 's/^/of ours: /'
	cat /proc/net/dev | tail -n +3 | wc -l | sed 's/^/interfaces: /'
SH
like "$said" '^HTTPS_PROXY=http://127.0.0.1:3128 HTTP_PROXY=http://127.0.0.1:3128 .*http_proxy=http://127.0.0.1:3128 https_proxy=http://127.0.0.1:3128 no_proxy=' "the proxy is named"
like "$said" '^127.0.0.1 3128: asked by 127.0.0.1: GET http://example.org/ HTTP/1.0$' "and answers"
is "$(grep -c 'asked by' <<<"$said")" 1 "nobody else does"
like "$said" '^many: 150$' "more at once than it has room for are answered"
like "$said" '^long: 3000000$' "long answers come whole"
like "$said" '^interfaces: 1$' "there is lo, and nothing else"
like "$said" '^of ours: [01]$' "the relay is not to be seen inside"
clean "and nothing of it stays"

layer holder <<<'sleep 1000'
mkfifo "$scratch/hold"
: >"$scratch/held"
setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" start=proxy,,"$layer" exec hold <>"$scratch/hold" > >(exec cat >"$scratch/held") 2>&1 &
caller=$!
disown
relay() { ps -o pid=,uid=,args= --ppid "$(jq -r .pid "$slots/0.json")" | awk '$2 == 65534 { print $1 }'; }
until_true grep -q holding "$scratch/held"
is_nobody() { relay=$(relay) && [ -n "$relay" ]; }
ok "the relay runs as nobody" until_true is_nobody
rights() { grep -E '^(CapPrm|CapBnd|NoNewPrivs|Seccomp|Groups):' "/proc/$relay/status" | tr -s '\t \n' ' ' | sed 's/CapBnd: [0-9a-f]* //'; }
is_confined() { [ "$(rights)" = 'Groups: CapPrm: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 ' ]; }
ok "without a capability or a group, and few system calls" until_true is_confined || diag "$(rights)"
is "$(find "/proc/$relay/root/" -mindepth 1 | wc -l)" 0 "in an empty folder"
is "$(find "/proc/$relay/fd" -mindepth 1 | wc -l)" 1 "with the listening socket only"
let_go "$caller"
clean "it goes with its caller"
proxy=$(awk '{print $1}' <<<"$servers")
kill -9 "$proxy"
until_true not kill -0 "$proxy"
runs_as proxy absent <<-SH
	$ask
	reach 127.0.0.1 3128
SH
like "$said" '3128: HTTP/1.1 502 ' "a proxy that is away is told of"

# NAT.
layer nat <<<true
try start=nat,,"$layer"
like "$said" '^failed .* network = nat: this machine does not forward' "no nat where the machine does not forward"
clean "leaves nothing"
in_host sysctl -q -w net.ipv4.ip_forward=1
in_host ip address add 10.213.0.200/30 dev up0
try start=nat,,"$layer"
like "$said" '^failed .* worker.nat: this machine has addresses of that network already, on up0' "nor where its addresses are taken"
in_host ip address delete 10.213.0.200/30 dev up0
worker_kill TERM
ok "byoci-worker makes the rules when it starts" worker_start
bridge=byo$(printf %s "$BYOCI_NAMESPACE" | sha256sum | cut -c1-8)
ok "and the bridge" [ -n "$(in_host ip link show "$bridge" 2>/dev/null)" ]
runs_as nat nat <<-SH
	$ask
	cat /etc/resolv.conf
	reach 198.51.100.1 80
	for address in 127.0.0.1 192.0.2.1 203.0.113.7 10.213.0.1; do ask \$address 8922; done
	ask 10.99.0.1 80; ask 169.254.169.254 80; ask 10.99.0.53 80; reach 10.99.0.53 53
	cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' ' | sort | tr -d '\n'; echo
SH
like "$said" '^198.51.100.1 80: asked by 192.0.2.1: ' "the world is reached, by the host's address"
is "$(grep 'asked by' <<<"$said" | cut -d' ' -f1,2 | sort -u | tr '\n' ' ')" '10.99.0.53 53: 198.51.100.1 80: ' \
	"but no address of the host, no private network, and of the name server only its port"
like "$said" '^nameserver 10.99.0.53$' "which is named"
like "$said" '^eth0lo$' "there are eth0 and lo"
links() { in_host ip -o link | grep -c "$bridge\."; }
no_link() { [ "$(links)" = 0 ]; }
ok "no end of it stays on the host" until_true no_link
clean "and nothing else"

# Two of them.
layer one <<-'SH'
	perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 9); while (my $c = $s->accept) { print $c "asked by one\n"; close $c }'
SH
: >"$scratch/held"
setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" start=nat,,"$layer" exec hold <>"$scratch/hold" > >(exec cat >"$scratch/held") 2>&1 &
caller=$!
disown
until_true grep -q holding "$scratch/held"
inside() { in_host ip -o link | grep -q "$bridge\.0"; }
ok "one runs" until_true inside
serves() { grep -q ':0050 00000000:0000 0A ' "/proc/$(processes | awk '{ print $2; exit }')/net/tcp"; }
ok "and serves" until_true serves
runs_as nat two <<-SH
	$ask
	ask 10.213.0.2 80
	reach 198.51.100.1 80
	ask 10.213.0.3 80
SH
unlike "$said" '^10.213.0.2 80: asked' "one worker does not reach another"
like "$said" '^198.51.100.1 80: asked' "though both reach the world"
# One that may change its network (nested) takes the other's address, by ioctl, and then another route.
runs_as spoof spoof <<-SH
	$ask
	reach 198.51.100.1 80 | sed 's/^/before: /'
	change() { perl -MSocket -e 'socket(my \$s, 2, 2, 0);
		ioctl(\$s, 0x8916, pack("a16 a16", "eth0", pack_sockaddr_in(0, inet_aton(\$ARGV[0])))) or die "address: \$!\n";
		ioctl(\$s, 0x891c, pack("a16 a16", "eth0", pack_sockaddr_in(0, inet_aton(\$ARGV[2])))) or die "mask: \$!\n";
		ioctl(\$s, 0x890b, pack("x8 a16 a16 a16 S x40", pack_sockaddr_in(0, inet_aton("0.0.0.0")), pack_sockaddr_in(0, inet_aton(\$ARGV[1])),
			pack_sockaddr_in(0, inet_aton("0.0.0.0")), 3)) or print "route: \$!\n"; print "changed\n"' "\$@"; }
	change 10.213.0.2 10.213.0.1 255.255.255.0
	ask 198.51.100.1 80 | sed 's/^/as another: /'
	ask 10.213.0.1 8922 | sed 's/^/as another: /'
	change 10.213.0.99 10.213.0.1 255.255.255.0
	ask 198.51.100.1 80 | sed 's/^/as a stranger: /'
	change 10.213.0.3 10.213.0.1 255.255.255.0
	reach 198.51.100.1 80 | sed 's/^/as itself: /'
SH
like "$said" '^before: 198.51.100.1 80: asked' "a worker that may change its network"
is "$(grep -c '^changed$' <<<"$said")" 3 "does so"
unlike "$said" '^as (another|a stranger): .*asked' "but has no other address for the bridge"
like "$said" '^as itself: 198.51.100.1 80: asked' "than its own"
in_host nft delete table inet "byoci_$BYOCI_NAMESPACE"
runs_as nat again <<-SH
	$ask
	reach 198.51.100.1 80
SH
like "$said" '^198.51.100.1 80: asked' "rules that somebody removed are made again"
handler=$(jq -r .pid "$slots/0.json")
kill -9 "$handler"
ok "the end of a worker that was killed goes" until_true no_link
let_go "$caller"
clean "as all of it"

is "$(in_host nft list tables | grep -c "byoci_$BYOCI_NAMESPACE")" 2 "the rules stay"
said=$("${scope[@]}" "$build/bin/byoci-worker" -n "$BYOCI_NAMESPACE" remove-network 2>&1) || said="failed: $said"
is "$said$(in_host nft list tables)$(in_host ip -o link | grep -c byo)" 0 "until they are removed"
ok "twice is fine" "${scope[@]}" "$build/bin/byoci-worker" -n "$BYOCI_NAMESPACE" remove-network
worker_kill TERM
done_testing
