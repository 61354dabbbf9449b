# shellcheck shell=bash disable=SC2034,SC2154
# What the e2e tests share: TAP, and the namespace `selftest`, set up by setup/byoci from this checkout. They run one after the other.
# BYOCI_E2E_NAMESPACE is another namespace, for those that name it nowhere; BYOCI_E2E_SETUP what its set-up wants besides (-O …).

set -uo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
checkout=$PWD
namespace=${BYOCI_E2E_NAMESPACE:-selftest}
scratch=$(mktemp -d /tmp/byoci-e2e.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
waits_in=$scratch
# shellcheck source=tests/e2e/wait.sh
. tests/e2e/wait.sh
export BYOCI_SETUP_PATIENCE=$((4 * patience)) # its limits are for people who look on

for library in say host account place config program service repository hudson master agent author sample remove; do
	# shellcheck source=/dev/null
	. "setup/lib/$library.sh"
done
with_master=no with_slave=no # of setup/byoci's options
cd / # where there is no ./byov.conf, which would count
say_log=$scratch/log

tap_count=0
tap_failed=0

diag() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

# ok WHAT COMMAND…: the command is the truth of it.
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
		return 1
	fi
}

# is GOT WANTED WHAT
is() {
	ok "$3" [ "$1" = "$2" ] && return
	diag "got:    $1
wanted: $2"
	return 1
}

# like TEXT PATTERN WHAT (an extended regular expression, which matches a line); unlike: matches none
like() {
	ok "$3" grep -qE -- "$2" <<<"$1" && return
	diag "no line matches $2 in:
$(tail -n 40 <<<"$1")"
	return 1
}

unlike() {
	ok "$3" not grep -qE -- "$2" <<<"$1" && return
	diag "a line matches $2 in:
$(grep -E -- "$2" <<<"$1")"
	return 1
}

not() {
	! "$@"
}

done_testing() {
	echo "1..$tap_count"
	[ "$tap_failed" -eq 0 ] && ! wait_failed
	exit
}

skip_all() {
	echo "1..0 # SKIP $*"
	exit 0
}

# What ends all tests is a line; the rest of it comes before, as comments.
bail_out() {
	diag "$*"
	echo "Bail out! $(basename "$0"): $(tail -n 1 <<<"$*")"
	exit 1
}

# e2e_setup ARGUMENT…: setup/byoci selftest; what it said is in $said, its exit status in $status.
e2e_setup() {
	status=0
	"$checkout/setup/byoci" "$@" >"$scratch/said" 2>&1 </dev/null || status=$?
	said=$(cat "$scratch/said")
}

e2e_remove() {
	e2e_setup --remove "$namespace"
	[ "$status" -eq 0 ] || bail_out "the namespace $namespace could not be removed: $said"
}

# The backings of earlier tests: making one takes half a minute and a mirror. What it is made from is part of the name. Tests of
# setup itself make theirs.
backings_cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/byoci-tests
backings_tar() {
	echo "$backings_cache/backings-$(sed -n '/^\[backing/,/^$/p' "$checkout/byov.conf" | sha256sum | cut -c1-16).tar"
}
backings_restore() {
	[ -f "$(backings_tar)" ] || return 0
	mkdir -p "/var/lib/byoci/$namespace/worker/backings"
	tar -C "/var/lib/byoci/$namespace/worker/backings" -xf "$(backings_tar)"
}
backings_save() {
	local tar
	tar=$(backings_tar)
	[ ! -f "$tar" ] || return 0
	mkdir -p "$backings_cache" && tar -C "$state/worker/backings" -cf "$tar.$$" . && mv "$tar.$$" "$tar"
}

# stands_up ARGUMENT…: the namespace, from nothing but the backings; everything else makes no sense without it.
stands_up() {
	e2e_remove
	backings_restore
	e2e_setup "$namespace" "$@"
	is "$status" 0 "setup/byoci stands a namespace up" || bail_out "$(tail -n 30 <<<"$said")"
	e2e_places
	backings_save
}

# The values of the namespace that is set up, under the names that setup/lib uses.
e2e_places() {
	kept=/var/lib/byoci/$namespace/setup
	lib=/usr/local/lib/byoci/$namespace
	bin=$lib/bin
	etc=/etc/byoci/$namespace
	log=/var/log/byoci/$namespace
	config_json=$(cat "$kept/config.json") || bail_out "setup/byoci left no configuration: $said"
	config_take "$config_json"
	state=$(option state) run=$(option run) secrets=$(option secrets) git_root=$(option git.root)
	user_brain=$(option user) user_slave=$(option slave.user) user_land=$(option land.user) user_git=$(option git.user)
	user_agent=$(option agent.user) user_master=$user_brain-master user_author=$(option author.user)
	ids_first=$(option worker.ids.first) ids_count=$((($(option worker.slots) + 1 + $(option worker.kept)) * 65536))
	repository=$(option repository.read project/sample)
	sample_target=main
}

repo() {
	git -c safe.directory='*' --git-dir "$repository" "$@"
}

main_now() {
	repo rev-parse refs/heads/main
}

# branch NAME: a clone of main on a new branch, in $scratch/NAME.
branch() {
	rm -rf "${scratch:?}/$1"
	sample_git author clone -q "$(option repository project/sample)" "$scratch/$1" &&
		sample_git author -C "$scratch/$1" checkout -q -b "$1"
}

# change NAME FILE TEXT: a commit on the branch that makes the file hold TEXT.
change() {
	printf '%s\n' "$3" >"$scratch/$1/$2"
	sample_git author -C "$scratch/$1" add -- "$2" && sample_git author -C "$scratch/$1" commit -q -m "Change $2 for $1"
}

propose() {
	sample_propose "$scratch/$1" "$1"
}

approve() {
	sample_approve "$1"
}

# proposed NAME FILE TEXT: a branch with a change, proposed and approved.
proposed() {
	branch "$1" && change "$@" && propose "$1" && approve "$1"
}

show() {
	"$bin/byoci" -n "$namespace" show "$1" --json
}

state_of() {
	show "$1" 2>/dev/null | jq -r '.item.state // "none"'
}

state_is() {
	state_now=$(state_of "$1")
	grep -qxE -- "$2" <<<"$state_now"
}

# comes_to NAME PATTERN: its item's state matches in the end.
comes_to() {
	until_true state_is "$1" "$2"
}

# The newest report that the landing account left on a proposal, as one line of JSON.
report_of() {
	local ref
	ref=$(repo for-each-ref --format='%(refname)' "refs/proposals/$1/reports/" | tail -n 1)
	[ -n "$ref" ] && repo cat-file blob "$ref" | tr '\n' ' '
}

has_report() {
	[ -n "$(report_of "$1")" ]
}
