#!/bin/bash
# Workers that nothing contains (workers = dir): the same section and outcomes, an end that is certain, and who may use them.
# shellcheck disable=SC2154
worker_kind=dir
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/worker.sh"
conf=$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf
cat >>"$conf" <<-CONF
	[job/systemd]
	backing = small
	tests.command = true
	init = systemd
CONF
ok "byoci-worker listens" worker_start || bail_out "$(cat "$scratch/worker.log")"

runs inside <<-'SH'
	echo "as $(id -u):$(id -g), groups $(id -G), in $(stat -c %u:%g . test.sh | sort -u)"
	env | grep -Ev '^(PWD|SHLVL|OLDPWD|_)=' | sort | tr '\n' ' '; echo
	grep -E '^(NoNewPrivs|CapBnd):' /proc/self/status | tr -s '\t\n' '  '; echo
	echo "descriptors: $(ls /proc/self/fd | tr '\n' ' ')"
	echo new >new && rm test.sh && echo x >/tmp/mine && echo "writes"
	echo x 2>/dev/null >/etc/byoci-was-here || echo "not to the host"
	ls -A /tmp; echo to errors >&2; exit 3
SH
like "$said" "^as $ids_first:$ids_first, groups $ids_first, in $ids_first:$ids_first\$" "the tests run as an id of the slot, which the tree belongs to"
like "$said" '^CI=true HOME=/tmp LANG=C.UTF-8 PATH=[^ ]* $' "their environment is small"
like "$said" '^CapBnd: 0000000000000000 NoNewPrivs: 1 $' "they can't gain privileges"
like "$said" '^descriptors: 0 1 2 3 $' "no descriptor of ours is open there"
like "$said" '^writes$' "the tree can be written, and /tmp"
like "$said" '^not to the host$' "what belongs to others can't"
like "$said" '^mine$' "/tmp is their own"
like "$said" '^ended with 3 $' "the exit status comes back"
is "$(find "$layer" | wc -l)" 3 "the tree outside stays as it was"
clean "and nothing of it is left"
runs hog <<-'SH'
	head -c 300m /dev/zero | tail >/dev/null; echo "tail: $?"
SH
like "$said" '^ended with 0 the memory limit \(96 MiB, disk of 32 MiB included\) was reached' "memory is limited, and that is told"
runs disk <<-'SH'
	head -c 100m /dev/zero >big || echo "full at $(($(stat -c %s big) >> 20))"
SH
like "$said" '^full at (3[0-2])$' "so is the disk"
runs bomb <<-'SH'
	i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i + 1)); done; echo "not limited"
SH
like "$said" '^ended with [1-9][0-9]* the limit of 64 processes was reached' "and processes"
clean "what ran in the background is gone"
layer sleeper <<-'SH'
	bomb() { bomb & bomb & wait; }
	trap '' TERM HUP INT
	setsid sleep 1000 & (setsid sh -c 'trap "" TERM; sleep 1000 & sleep 1000') & bomb
SH
try start=script,,"$layer" exec stop wait remove
like "$said" '^ended with 137 ' "STOP in the middle of a fork bomb that left its session"
clean "leaves nothing"
mkfifo "$scratch/hold"
setpriv --reuid="$slave" --regid="$slave" --clear-groups "$scratch/worker-try" "$socket" start=script,,"$layer" exec hold <>"$scratch/hold" \
	> >(exec cat >"$scratch/held") 2>&1 &
caller=$!
disown
until_true grep -q '^holding' "$scratch/held"
kill -9 "$(jq -r .pid "$slots/0.json")"
clean "a worker's process that was killed leaves nothing"
let_go "$caller"
layer failing <<<'exit 1'
try start=script,,"$layer" exec wait keep=60
like "$said" "^failed .*workers of the kind dir can't be kept: nothing contains them" "none is kept, and why is told"
clean "it goes like any other"
layer sleeper <<<'sleep 1000'
try start=systemd,,"$layer"
like "$said" '^failed .*\[job/systemd\] init = systemd: .* workers = dir, and only those of lxc and lxd have that' "what it can't hold is refused"

# Never in production.
worker_kill TERM
export BYOCI_NAMESPACE=production
scope=(env) # not as a unit, which could be a real one
mkdir "$scratch/etc/byoci/production"
sed 's/^\[w[0-9]*\]/[production]/' "$conf" >"$scratch/etc/byoci/production/byov.conf"
rm -r "$(dirname "$conf")" # no two namespaces may share ids
ok "byoci-worker starts for another namespace" worker_start || diag "$(cat "$scratch/worker.log")"
try start=script,,"$layer"
like "$said" '^failed .*workers = dir: nothing contains them, so never in production$' "in a namespace called production it is refused"
clean "and leaves nothing"
done_testing
