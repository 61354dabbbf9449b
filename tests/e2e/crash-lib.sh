# shellcheck shell=bash disable=SC2034,SC2154
# For crash.t: a namespace whose programs are the ones that can be made to crash (make CRASH=1), its processes as children of the
# test, and what must hold when one of them was killed and started again.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# bash tells of each child that was killed.
exec 2> >(exec grep --line-buffered -v ' Killed  ' >&2)

crash_services='worker slave land brain'
declare -A crash_pid=()

# One at a time: other tests make these programs, too.
crash_build() {
	(flock 8 && program_build CRASH=1 all) >"$scratch/build" 2>&1 8>"$checkout/build/crash.lock" || bail_out "make CRASH=1: $(tail -n 20 "$scratch/build")"
}

# The namespace, without its processes but the git server, and with the other programs.
crash_install() {
	local name
	for name in $crash_services; do service_stop "$name" >/dev/null 2>&1; done
	for name in $program_names; do
		install -o root -g root -m 755 "$checkout/build/crash/bin/$name" "$bin/$name.new" && mv -f "$bin/$name.new" "$bin/$name"
	done
	mkdir -m 1777 "$scratch/marks"
	trap 'crash_stop_all; rm -rf "$scratch"' EXIT
}

# Under systemd the worker needs a control group that is its own to divide, as its unit gives it.
crash_scope() {
	[ "$1" != worker ] || [ ! -d /run/systemd/system ] || echo systemd-run --quiet --scope -p Delegate=yes --
}

# crash_begin SERVICE [POINT]: starts it, to be killed at that point.
crash_begin() {
	local user
	local -a command scope
	user=$(service_user "$1")
	read -r -a command < <(service_command "$1")
	read -r -a scope < <(crash_scope "$1")
	[ -z "${2:-}" ] || rm -f "$scratch/marks/$2"
	(
		cd / && umask 022
		exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/ \
			${2:+BYOCI_CRASH_POINT="$2"} ${2:+BYOCI_CRASH_MARK="$scratch/marks/$2"} "${scope[@]}" \
			setpriv --reuid "$user" --regid "$user" --init-groups -- "${command[@]}"
	) >>"$log/byoci-$1.log" 2>&1 </dev/null &
	crash_pid[$1]=$!
}

crash_is_up() {
	listens "$(service_socket "$1")" && { [ "$1" != brain ] || "$bin/byoci" -n "$namespace" status >/dev/null 2>&1; }
}

struck() {
	[ -e "$scratch/marks/$1" ]
}

crash_is_up_or_struck() {
	crash_is_up "$1" || { [ -n "$2" ] && struck "$2"; }
}

# crash_start SERVICE [POINT]: and it answers, or is dead already.
crash_start() {
	crash_begin "$@"
	until_true crash_is_up_or_struck "$1" "${2:-}" || bail_out "byoci-$1 does not start: $(tail -n 5 "$log/byoci-$1.log")"
}

# Its exit status is in $ended.
crash_stop() {
	kill "-${2:-TERM}" "${crash_pid[$1]}" 2>/dev/null
	ended=0
	wait "${crash_pid[$1]}" 2>/dev/null || ended=$?
	unset "crash_pid[$1]"
}

# Whether it is dead or only armed: it is there again, without a point.
crash_again() {
	crash_stop "$1"
	crash_start "$1"
}

crash_stop_all() {
	local name
	for name in "${!crash_pid[@]}"; do crash_stop "$name" KILL; done
}

# crash_option OPTION VALUE: for the namespace, or for its backing; slave and brain begin anew.
declare -A crash_options=()
crash_option() {
	local name
	crash_options[$1]=$2
	printf '[%s]\npremade.maximum = %s\n[backing/bookworm]\nready.minimum = %s\n' "$namespace" "${crash_options[premade.maximum]:-16}" \
		"${crash_options[ready.minimum]:-1}" >"$etc/zy.conf"
	for name in slave brain; do crash_again "$name"; done
}

# What the proposals of this test are made in; all of them begin at main as it was first.
crash_clone() {
	sample_git author clone -q "$(option repository project/sample)" "$scratch/clone" >/dev/null 2>&1 || bail_out "main can't be cloned"
	first=$(main_now)
}

# crash_propose NAME [TESTS…]: with a script that its tests run.
crash_propose() {
	local name=$1
	shift
	{
		sample_git author -C "$scratch/clone" checkout -q -B "$name" "$first" && mkdir -p "$scratch/clone/tests" &&
			printf '%s\n' "${@:-true}" >"$scratch/clone/tests/$name" && sample_git author -C "$scratch/clone" add . &&
			sample_git author -C "$scratch/clone" commit -q -m "Add $name" && sample_propose "$scratch/clone" "$name"
	} >"$scratch/$name.out" 2>&1 || diag "$name is not proposed: $(cat "$scratch/$name.out")"
}

# crash_approve NAME; it may be said by a brain that dies meanwhile.
crash_approve() {
	approve "$1" >>"$scratch/$1.out" 2>&1 || diag "$1 is not approved: $(cat "$scratch/$1.out")"
}

proposed_and_approved() {
	crash_propose "$@" && crash_approve "$1"
}

query() {
	sqlite3 -readonly -cmd '.timeout 2000' "$state/brain/state.db" "$1" 2>/dev/null
}

# Nothing is owed any more, and nothing waits.
is_settled() {
	[ "$(query "SELECT (SELECT count(*) FROM calls WHERE state <> 'answered') + (SELECT count(*) FROM proposal_inbox) +
		(SELECT count(*) FROM gate_inbox) + (SELECT count(*) FROM build_inbox) + (SELECT count(*) FROM landing_inbox) +
		(SELECT count(*) FROM report_inbox) + (SELECT count(*) FROM reports WHERE state = 'owed')")" = 0 ]
}

# The state of the newest item of a proposal.
item_state() {
	query "SELECT items.state FROM items JOIN proposals ON proposals.id = items.proposal WHERE name = '$1' ORDER BY items.id DESC LIMIT 1"
}

is_landed() {
	[ "$(item_state "$1")" = landed ] && [ -n "$(repo for-each-ref "refs/proposals/$1/reports/")" ] && is_settled
}

builds_of() {
	query "SELECT count(*) FROM builds JOIN items ON items.id = builds.item JOIN proposals ON proposals.id = items.proposal WHERE name = '$1'"
}

# The newest build of a proposal.
query_build() {
	query "SELECT build FROM builds JOIN items ON items.id = builds.item JOIN proposals ON proposals.id = items.proposal WHERE name = '$1'
		ORDER BY builds.id DESC LIMIT 1"
}

# The process that the brain reads proposals with, which stays as long as that brain does.
is_reader() {
	[ "$(cut -d' ' -f4 "/proc/$1/stat" 2>/dev/null)" = "${crash_pid[brain]:-none}" ] && grep -qz -e '^--serve$' "/proc/$1/cmdline"
}

# A process of the running slave, which waits to have a worker started, and has none.
is_spare() {
	[ "$(cut -d' ' -f4 "/proc/$1/stat" 2>/dev/null)" = "${crash_pid[slave]:-none}" ] && grep -qz -e '^spare$' "/proc/$1/cmdline"
}

# What is left of builds, workers and landings, one a line.
leftovers() {
	local pid
	[ "${crash_options[ready.minimum]:-1}" = 0 ] || return 0 # a worker waits, and cannot be told from one that was left
	for pid in $(find /proc/[0-9]*/exe -maxdepth 0 -lname "$bin/*" 2>/dev/null | cut -d/ -f3); do
		case " ${crash_pid[*]} " in
		*" $pid "*) ;;
		*) is_reader "$pid" || is_spare "$pid" || [ ! -d "/proc/$pid" ] || echo "process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)" ;;
		esac
	done
	ps -eo uid=,pid=,args= | awk -v first="$ids_first" -v count="$ids_count" '$1 >= first && $1 < first + count { print "process of a worker: " $0 }'
	grep "$state/" /proc/self/mountinfo | sed 's/^/mount: /'
	find /sys/fs/cgroup -type d -name "byoci-$namespace-[0-9]*" 2>/dev/null | sed 's/^/cgroup: /'
	find "$state/worker/slots" -name '*.json' | sed 's/^/slot: /'
	for pid in "$state"/worker/slots/*.lock; do flock -n "$pid" true || echo "slot taken: $pid"; done
	find "$state/slave/builds" -mindepth 2 -maxdepth 2 \( -name layer -o -name 'index*' \) | sed 's/^/of a build: /'
	find "$state/slave/trash" -mindepth 1 -maxdepth 1 2>/dev/null | sed 's/^/trash: /'
	find "$state"/{slave,land}/trees/*.git -name '*.lock' 2>/dev/null | sed 's/^/of git: /'
}

nothing_left() {
	[ -z "$(leftovers)" ]
}

# once NAME [BUILDS]: it has landed by one merge, was told once, after that many builds, and nothing is left. The reasons are in $why.
once() {
	local head merges reports builds=${2:-[0-9]+}
	why=
	until_true is_landed "$1" || why="it does not land: $(item_state "$1") $("$bin/byoci" -n "$namespace" why "$1" 2>&1)"
	head=$(repo rev-parse "refs/proposals/$1/head")
	merges=$(repo rev-list --merges --parents refs/heads/main | grep -c " $head\$")
	[ "$merges" = 1 ] || why+="
$merges merges of it on main"
	reports=$(repo for-each-ref "refs/proposals/$1/reports/" | wc -l)
	[ "$reports" = 1 ] || why+="
$reports reports"
	[[ "$(builds_of "$1")" =~ ^($builds)$ ]] || why+="
$(builds_of "$1") builds, not $builds"
	until_true nothing_left || why+="
left: $(leftovers)"
	[ -z "$why" ]
}
