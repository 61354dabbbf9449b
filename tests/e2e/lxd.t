#!/bin/bash
# What is LXD's own about workers that it runs (all else: worker-lxd.t): whose an instance is can be seen, one without a living owner is
# found and deleted, and LXD away, restarted, slow or talking nonsense is trouble of the machine's and no test's failure.
# shellcheck disable=SC2154
worker_kind=lxd
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/worker.sh"
conf=$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf
instance=byoci-$BYOCI_NAMESPACE-0
set_option() { sed -i "s|^\($1 = \).*|\1$2|" "$conf"; }
sed -i "s|^lxd.socket = .*|&\nlxd.limit = 2m\nlxd.pool = default|" "$conf"
ok "byoci-worker listens" worker_start || bail_out "$(cat "$scratch/worker.log")"

# behind NAME STEP…: the same as try, in the background; what it says is in $scratch/NAME.said, its input is open until let_go.
behind() {
	local name=$1
	shift
	mkfifo "$scratch/$name.input"
	setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" "$@" <>"$scratch/$name.input" \
		> >(exec cat >"$scratch/$name.said") 2>&1 &
	caller=$!
	disown
}
said_by() { until_true grep -qE "$2" "$scratch/$1.said" || diag "$(cat "$scratch/$1.said")"; }
key() { lxc query "/1.0/instances/$instance" | jq -r "$1"; }
gone() { ! lxc query "/1.0/instances/$instance" >/dev/null 2>&1; }
sleeper() { layer sleeper <<<'echo begun; sleep 1000'; }

# Whose it is, and what it may.
sleeper
behind keys start=script,,"$layer" exec wait
ok "a command runs" said_by keys '^begun'
handler=$(jq -r .pid "$slots/0.json")
is "$(key '.config["user.byoci.namespace"]')" "$BYOCI_NAMESPACE" "an instance says of which namespace it is"
is "$(key '.config["user.byoci.build"]')" aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "and of which build"
is "$(key '.config["user.byoci.owner"]')" \
	"$handler $(cut -d' ' -f22 "/proc/$handler/stat") $(cat /proc/sys/kernel/random/boot_id)" "whose process, start and boot"
ok "and until when" [ "$(key '.config["user.byoci.expiry"]')" -gt "$(date +%s%3N)" ]
is "$(key '[.ephemeral, (.profiles | length), (.expanded_devices | keys | join(" "))] | join(",")')" 'true,0,root' \
	"it is ephemeral, has nothing of LXD's profiles and no device but its disk"
is "$(key '[.config["security.privileged", "security.nesting", "security.devlxd", "security.idmap.isolated"]] | join(",")')" \
	false,false,false,true "it is unprivileged, alone with its ids, can't nest and can't speak to LXD"
is "$(lxc query "/1.0/images/aliases/byoci-$BYOCI_NAMESPACE-$digest" | jq -r .target)" "$(key '.config["volatile.base_image"]')" \
	"its image names the backing's digest"
let_go "$caller"
ok "a caller that is killed leaves no instance" until_true gone
clean "and nothing else"

# The tree is as it was, whatever it has in it; all output arrives.
layer hostile <<'SH'
ls -lnA --time-style=+ --quoting-style=c | tr -s ' ' | cut -d' ' -f1,3,4,6-
ls -Aq | wc -l
SH
tree=$layer/workspace
ln -s ../../../etc/shadow "$tree/link" && : >"$tree/$(printf 'a\n\033[31m\377')" && : >"$tree/-rf *" && mkdir -m 700 "$tree/deep" && chmod 4711 "$tree/-rf *"
chown -hR "$slave:$slave" "$tree"
chmod 4711 "$tree/-rf *"
try start=script,,"$layer" exec wait remove
like "$said" '^lrwxrwxrwx 0 0 "link" -> "../../../etc/shadow"$' "a link is a link"
like "$said" '^-rws--x--x 0 0 "-rf \*"$' "modes stay"
like "$said" '^-rw-r--r-- 0 0 "a\\n\\033\[31m\\377"$' "and so do names"
like "$said" '^5$' "nothing is lost"
runs much <<'SH'
seq 1 400000; exit 9
SH
is "$(grep -E '^[0-9]+$' <<<"$said" | md5sum)" "$(seq 1 400000 | md5sum)" "all output comes through"
like "$said" '^ended with 9 $' "before the end is told"
runs quiet <<'SH'
exec >/dev/null 2>&1; sleep 1; exit 4
SH
like "$said" '^ended with 4 $' "a command that closes its output has not ended"
runs held <<'SH'
sleep 1000 & setsid sleep 1000 & (trap '' HUP TERM; sleep 1000) & echo left; exit 6
SH
like "$said" '^ended with 6 $' "what a command leaves behind, with its output open, does not keep it from ending"
clean "the first slot is free again"

# An instance that no record tells of, and one that is not ours.
behind lost start=script,,"$layer" exec wait
said_by lost '^started'
worker_kill KILL
kill -9 "$(jq -r .pid "$slots/0.json")"
let_go "$caller"
rm "$slots/0.json"
ok "its owner dead and its record lost" [ -n "$(lxc query "/1.0/instances/$instance" 2>/dev/null)" ]
ok "byoci-worker starts again" worker_start
ok "and deletes it" until_true gone
ok "saying so" until_true grep -q "an instance without an owner was deleted instance=$instance" "$scratch/worker.log"
image=$(lxc query "/1.0/images/aliases/byoci-$BYOCI_NAMESPACE-$digest" | jq -r .target)
lxc init "$image" "$instance" -s default >/dev/null 2>&1
try start=script,,"$layer"
like "$said" "^failed 3 .* there is an instance $instance that is not ours" "an instance that is not ours is not touched"
ok "it is there" not gone
lxc delete "$instance"
clean "and else nothing"

# LXD in trouble: each is told, as the machine's fault (3).
set_option lxd.pool nowhere
try start=script,,"$layer"
like "$said" '^failed 3 .*pool' "a pool that LXD does not have"
clean "which leaves nothing"
set_option lxd.pool default
sleeper
behind restarted start=script,,"$layer" exec wait remove
said_by restarted '^begun'
lxd_kill KILL
ok "LXD is killed in the middle, and started again" lxd_daemon
ok "what became of the command can't be known" said_by restarted '^failed 3 .*LXD'
let_go "$caller"
worker_kill TERM
worker_start # it does so by itself once a minute
ok "the worker is removed all the same" until_true gone
clean "without a trace"
behind dead start=script,,"$layer" exec wait
said_by dead '^begun'
lxd_kill KILL
ok "LXD is killed for good" said_by dead '^failed 3 .*LXD'
let_go "$caller"
try start=script,,"$layer"
like "$said" '^failed 3 .*(LXD at .*unix.socket|leftovers)' "without LXD there are no workers, and why is told"
ok "what is left stays on record" [ -e "$slots/0.json" ]
kill "$lxd_holder"
lxd_holder= # in other name spaces LXD does not find the containers that it had
lxd_daemon
worker_kill TERM
ok "byoci-worker starts when LXD is back" worker_start
clean "and removes it, though LXD knows nothing of it any more"
set_option lxd.limit 3s
kill -STOP "$lxd_pid"
try start=script,,"$layer"
kill -CONT "$lxd_pid"
set_option lxd.limit 2m
like "$said" '^failed 3 .*(Timeout|timed out)' "LXD that does not answer is not waited for longer than lxd.limit"
worker_kill TERM
worker_start
clean "and leaves nothing"

# Something else where LXD should be.
cat >"$scratch/nonsense.py" <<'PY'
import os, socketserver, sys
path, says = sys.argv[1], sys.argv[2].encode().decode("unicode_escape").encode("latin-1")
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(65536)
        self.request.sendall(says)
class Server(socketserver.UnixStreamServer):
    pass
Server(path, Handler).serve_forever()
PY
mkdir "$scratch/else"
set_option lxd.socket "$scratch/else/socket"
no_handler() { [ -z "$(handlers)" ]; }
nonsense() {
	local what=$1 says=$2 pattern=$3 pid
	rm -f "$scratch/else/socket"
	python3 "$scratch/nonsense.py" "$scratch/else/socket" "$says" 2>/dev/null &
	pid=$!
	disown
	until_true listens "$scratch/else/socket"
	try start=script,,"$layer"
	like "$said" "^failed 3 .*$pattern" "$what"
	let_go "$pid"
	until_true no_handler
	rm -f "$slots/0.json" # who speaks nonsense removes nothing either
}
ok_head='HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n'
nonsense "nobody" '' 'else/socket'
nonsense "noise" '\x00\xff\x7f nonsense' 'else/socket'
nonsense "no JSON" "$ok_head<html>" "the answer \(HTTP 200\) is not LXD's"
nonsense "JSON of somebody else" "$ok_head{\"hello\":1}" "not LXD's: type: missing"
nonsense "a wrong type" "$ok_head{\"type\":\"sync\",\"metadata\":7}" 'else/socket|fingerprint|uid_map|status'
nonsense "an error that is none" "$ok_head{\"type\":\"error\",\"error\":\"fine\",\"error_code\":200}" 'is no error'
nonsense "an error" "HTTP/1.1 500 no\r\nConnection: close\r\n\r\n{\"type\":\"error\",\"error\":\"disk on fire\",\"error_code\":500}" 'disk on fire'
rm -rf "$scratch/else"
try start=script,,"$layer"
like "$said" '^failed 3 .*option lxd.socket.*is LXD installed' "no LXD at all: what to do is told"
rm -f "$slots/0.json"
set_option lxd.socket "$LXD_DIR/unix.socket"

# The image goes with its backing.
worker_kill TERM
rm -rf "$state/worker/backings/$digest" "$state/worker/backings/$digest".*
ok "byoci-worker starts without the backing" worker_start
imageless() { [ "$(lxc image list --format csv -c f | wc -l)" -eq 0 ]; }
ok "and its image goes" until_true imageless
clean "nothing is left"
is "$(lxd_instances)" "" "no instance"
done_testing
