# shellcheck shell=bash disable=SC2034,SC2154
# setup/byoci --check: the steps of setup, with primitives that look and tell instead of making. Nothing is changed.

# check_wrong WHAT REMEDY: one line.
check_wrong() {
	printf '  %s: %s\n' "$1" "${2:-setup/byoci $namespace mends it}"
	echo >>"$work/wrong"
}

# check_unseen WHAT: each once.
check_unseen() {
	! grep -qsxF -- "$1" "$work/unseen" || return 0
	printf '  not seen: %s\n' "$1"
	printf '%s\n' "$1" >>"$work/unseen"
}

check_root() {
	[ "$(id -u)" -eq 0 ]
}

# The folder on the way to a path that does not let us in; 1: there is none.
check_wall() {
	local folder=$1
	while [ "$folder" != / ]; do
		folder=$(dirname "$folder")
		[ -d "$folder" ] || continue
		[ ! -x "$folder" ] || return 1
		echo "$folder"
		return
	done
	return 1
}

# Whether there is such a thing; when it is not, or nobody could say, it was said. check_there PATH [REMEDY]
check_there() {
	local wall
	[ ! -e "$1" ] || return 0
	if wall=$(check_wall "$1"); then
		check_unseen "what is in $wall"
	else
		check_wrong "$1 is not there" "${2:-}"
	fi
	return 1
}

check_readable() {
	check_there "$1" || return 1
	[ ! -r "$1" ] || return 0
	check_unseen "what is in $1"
	return 1
}

# In a subshell: what setup's steps are made of, as it looks instead of makes. Commands that change something are out of reach.
check_primitives() {
	local command
	say() { :; }
	say_changed() { :; }
	say_die() {
		local text="$*"
		check_wrong "${text%%: *}" "${text#*: }"
		exit 75
	}
	for command in mv cp chown chmod install mkdir ln useradd usermod groupadd gpasswd; do
		eval "$command() { say_die \"--check came upon $command, which changes things: tell who maintains byoci\"; }"
	done
	rm() { check_gone "$@"; }
	systemctl() { [ "$1" = daemon-reload ] || command systemctl "$@"; }
	apparmor_parser() { :; }
	place_folder() { check_folder "$@"; }
	place_mode() { check_mode "$@"; }
	place_file() { check_file "$@"; }
	place_line() { check_line "$@"; }
	place_link() { check_link "$@"; }
	account_user() { check_user "$@"; }
	account_member() { check_member "$@"; }
	account_subids() { check_subids "$@"; }
	agent_key() { check_there "$1" && check_mode "$1" "$2" "$(id -gn "$2")" 600; }
	master_home() { check_there "$state/master/home"; }
	hudson_unpack() { check_there "$2"; }
	host_install_packages() { check_packages "$@"; }
	repository_make() { check_there "$2" || true; }
}

# check_part STEP…: what is wrong with it was said, and is no reason to stop.
check_part() {
	(check_primitives && "$@") 2>>"$say_log" || true
}

check_gone() {
	local path
	for path; do
		if [[ $path == /* ]] && [ -e "$path" ]; then check_wrong "$path is to be gone"; fi
	done
}

check_folder() {
	if [ -L "$1" ] || { [ -e "$1" ] && [ ! -d "$1" ]; }; then
		check_wrong "$1 is there and is not a folder" "move it away, then setup/byoci $namespace"
	elif check_there "$1"; then
		check_mode "$@"
	fi
}

# Of what is there.
check_mode() {
	local have
	have=$(stat -c '%U:%G:%a' "$1" 2>/dev/null) || return 0
	[ "$have" = "$2:$3:$4" ] || check_wrong "$1 is $have, and is to be $2:$3:$4"
}

# check_file PATH OWNER GROUP MODE: its content is standard input.
check_file() {
	local want
	want=$(cat && echo .)
	check_readable "$1" || return 0
	[ "$want" = "$(place_read "$1" && echo .)" ] || check_wrong "$1 does not hold what it is to hold"
	check_mode "$@"
}

check_line() {
	check_readable "$1" || return 0
	grep -qxF -- "$3" "$1" || check_wrong "$1 does not have the line that begins with $2"
}

check_link() {
	[ "$(readlink "$1")" = "$2" ] || check_wrong "$1 does not lead to $2"
}

# check_user NAME HOME SHELL WHAT
check_user() {
	local have
	getent group "$1" >/dev/null || check_wrong "there is no group $1"
	if ! have=$(getent passwd "$1"); then
		check_wrong "there is no user $1"
		return
	fi
	have=$(cut -d: -f6,7 <<<"$have")
	[ "$have" = "$2:$3" ] || check_wrong "the user $1 has the home and shell $have, and is to have $2:$3"
	have=$(id -gn "$1")
	[ "$have" = "$1" ] || check_wrong "the user $1 has the group $have, and is to have $1"
}

check_member() {
	! getent passwd "$1" >/dev/null || id -nG "$1" | tr ' ' '\n' | grep -qxF "$2" || check_wrong "$1 is not in the group $2"
}

check_subids() {
	local file
	for file in /etc/subuid /etc/subgid; do grep -qsxF "root:$1:$2" "$file" || check_wrong "$file has no line root:$1:$2"; done
}

check_packages() {
	local package
	while read -r package; do
		check_wrong "the package $package is not installed" "setup/byoci $namespace or apt-get install $package"
	done < <(host_packages_missing "$@")
}

# check_program NAME: the one of the checkout, else the installed one; 1: there is none.
check_program() {
	local path
	for path in "$checkout/build/bin/$1" "$bin/$1"; do
		[ ! -x "$path" ] || { echo "$path" && return; }
	done
	return 1
}

check_programs() {
	local name from to
	if [ ! -x "$checkout/build/bin/byoci" ]; then
		check_unseen "whether the programs are those of $checkout, which are not built: make"
	elif ! program_as_owner make -q -C "$checkout" --no-print-directory all; then
		check_wrong "the programs in $checkout/build are older than their sources" "make, or setup/byoci $namespace"
	fi
	for name in $program_names; do
		from=$checkout/build/bin/$name to=$bin/$name
		check_there "$to" || continue
		[ ! -e "$from" ] || cmp -s "$from" "$to" || check_wrong "$to is not the program that $checkout has built"
		check_mode "$to" root root 755
	done
	[ -x /usr/local/bin/byoci ] || check_wrong "/usr/local/bin/byoci is not there"
}

# The configuration as setup would have it, below $work/root, and all its values in config_json. 1: it does not hold.
check_config() {
	local byoci folder=$work/root$etc
	if ! command -v jq >/dev/null || ! byoci=$(check_program byoci); then
		check_unseen "the configuration and all that follows from it, for which there must be jq and a built byoci: make"
		return 1
	fi
	mkdir -p "$folder"
	cp /etc/byoci/*.conf "$work/root/etc/byoci/" 2>/dev/null || true
	cp "$etc"/*.conf "$folder/" 2>/dev/null || true
	config_source >"$folder/byov.conf"
	check_overrides >"$folder/setup.conf"
	if ! config_json=$(cd / && BYOCI_ROOT=$work/root HOME=/nonexistent "$byoci" -n "$namespace" config --json 2>"$work/errors"); then
		config_json=
		check_wrong "the configuration does not hold" "$(sed "s#$work/root##g; s#^byoci config: ##" "$work/errors" | tail -n 1)"
		return 1
	fi
	config_take "$config_json"
	(check_primitives && places_configured) || return 1
	places_configured
}

# The setup.conf that is to be. What setup keeps is for root only: then it is taken for right, with the options of now.
check_overrides() {
	if check_wall "$kept/overrides" >/dev/null && [ -r "$etc/setup.conf" ]; then
		cat "$etc/setup.conf"
		[ "${#overrides[@]}" -eq 0 ] || printf '%s\n' "${overrides[@]}" | config_overrides_file | sed 1d
	else
		config_overrides | config_overrides_file
	fi
}

check_config_files() {
	config_overrides_file() { cat "$work/root$etc/setup.conf"; }
	config_files
}

check_port() {
	if [ -z "$(host_listener "$2")" ]; then return; fi
	if check_root; then host_check_port "$1" "$2"; else check_unseen "who listens on $2 ($1)"; fi
}

check_secrets() {
	local line
	if ! check_root; then
		check_unseen "the secrets in $secrets"
	elif [ -x "$bin/byoci" ]; then
		while read -r line; do
			case $line in
			missing\ *) check_wrong "${line#missing } is not there" ;;
			*:*) line=${line#byoci secrets: } && check_wrong "${line%%: *}" "${line#*: }" ;;
			esac
		done < <("$bin/byoci" -n "$namespace" secrets --check 2>&1)
	fi
}

# Which keys may do what, as far as the keys are there.
check_keys() {
	local person
	if agent_role_slave; then
		config_keys
		return
	fi
	if [ -r "$secrets/land/id_ed25519.pub" ] && [ -r "$secrets/git/ssh_host_ed25519_key.pub" ]; then config_keys; fi
	sample_configured || return 0
	check_folder "$state/sample" root root 700
	for person in author reviewer; do
		check_there "$state/sample/$person.pub" || continue
		check_mode "$state/sample/$person" root root 600
		config_person "$person" "$state/sample/$person.pub"
		config_signer sample "$person" "$state/sample/$person.pub"
	done
}

check_backings() {
	local backing worker rc
	worker=$(check_program byoci-worker) || return 0
	while read -r backing; do
		rc=0
		BYOCI_ROOT=$work/root "$worker" -n "$namespace" check-backing "$backing" >"$work/said" 2>&1 || rc=$?
		case $rc in
		0) ;;
		1) check_wrong "$(sed -n 's/^byoci-worker: //p' "$work/said"); an older one is in use" \
			"byoci-slave -n $namespace backing build --refresh $backing" ;;
		75) check_wrong "$(sed 's/^byoci-worker: //; s/: byoci-slave -n.*//' "$work/said")" "setup/byoci $namespace makes it" ;;
		*) check_unseen "the backing $backing, which the installed byoci-worker can't look for" ;;
		esac
	done < <(backing_list)
}

# Without root and systemd nobody tells us whose process it is: then that somebody listens where it is to must do.
check_service() {
	local pid start="setup/byoci $namespace starts it"
	if service_systemd || check_root; then
		pid=$(service_pid "$1")
		[ -n "$pid" ] || { check_wrong "byoci-$1 does not run" "$start; $(service_log_name "$1") may say why"; return; }
	fi
	service_listens "$1" || { check_wrong "byoci-$1 ${pid:+(pid $pid) }does not listen" "$start; $(service_log_name "$1") may say why"; return; }
	if ! check_root; then
		check_unseen "whether the processes run with the programs and the configuration of now"
	elif ! service_ready "$1"; then
		check_wrong "byoci-$1 (pid $pid) does not answer" "setup/byoci $namespace starts it again; $(service_log_name "$1") may say why"
	elif [ "$(service_digest "$1")" != "$(cat "$kept/$1.digest" 2>/dev/null)" ]; then
		check_wrong "byoci-$1 (pid $pid) runs with a program or a configuration that has changed since" \
			"setup/byoci $namespace starts it again"
	fi
}

check_services() {
	local name
	for name in $service_names; do check_service "$name"; done
}

check_begin() {
	work=$(mktemp -d "${TMPDIR:-/tmp}/byoci-check.XXXXXX")
	say_log=$work/log
	trap 'rm -rf "$work"' EXIT
	: >"$work/wrong"
	: >"$work/unseen"
}

check_machine() {
	check_part host_check_system
	check_part host_check_user_namespaces
	check_part host_check_cgroups
	check_part host_check_disk /var/lib 2000
	check_part check_packages "$checkout/setup/packages"
}

check_master_answers() {
	local answer trouble
	answer=$(agent_byoci status --json 2>"$work/said") || true
	trouble=$(jq -r '.masters[].error // empty' <<<"$answer" 2>/dev/null | head -n 1) || trouble=
	if [ -z "$answer" ] || [ -n "$trouble" ]; then
		check_wrong "the master $(option master.url) does not answer us" "${trouble:-$(tail -n 1 "$work/said")}"
	fi
}

# What there is for a master, and whether it answers. What belongs to others is seen by root only.
check_master() {
	agent_wanted || return 0
	check_packages "$checkout/setup/packages-jenkins"
	check_there "$lib/libexec/agent.jar" || true
	if ! check_root; then
		check_unseen "the keys and files of the master"
		return
	fi
	master_install
	agent_keys
	if agent_role_slave; then return; fi
	if [ ! -e "$(option master.secret)" ]; then
		check_unseen "what the master lets us do: there is no $(option master.secret)"
	else
		check_master_answers
	fi
}

# What there is for authors; root sees it.
check_author() {
	if author_wanted && check_root; then author_files; fi
}

check_complete() {
	! check_root || [ -e "$kept/complete" ] || check_wrong "setup/byoci $namespace was cut short" "run it again"
}

check_namespace() {
	check_part check_complete
	check_part account_all
	check_part place_all
	check_part account_subids "$ids_first" "$ids_count"
	check_part check_programs
	check_part check_config_files
	check_part program_templates
	check_part check_secrets
	check_part check_keys
	check_part check_master
	check_part check_author
	agent_role_slave || check_part repository_all
	check_part service_units_install
	check_part check_backings
	check_part check_services
}

check() {
	local lock=/run/byoci-setup-$namespace.lock name configured=no
	say "byoci $namespace: looking"
	if [ -r "$lock" ] && ! flock -n "$lock" true; then check_unseen "what another setup/byoci $namespace is making just now"; fi
	check_machine
	if check_config; then
		configured=yes
		check_part host_check_disk "$state" 1000
		service_names_all
		agent_role_slave || for name in hook.listen pages.listen git.listen; do check_part check_port "$name" "$(option "$name")"; done
		check_part account_subids_check "$ids_first" "$ids_count"
		check_part forge_check
		check_root || host_check_port() { check_port "$@"; } # whose a listener is only root sees
		check_part agent_check
		check_part author_check
	fi
	if [ ! -e "$etc" ] && [ ! -e "$lib" ] && [ ! -e "/var/lib/byoci/$namespace" ]; then
		check_wrong "there is no byoci $namespace on this machine" "setup/byoci $namespace stands it up"
	elif [ "$configured" = yes ]; then
		check_namespace
	else
		check_part check_programs
	fi
	check_end
}

check_end() {
	local wrong unseen
	wrong=$(wc -l <"$work/wrong")
	unseen=$(wc -l <"$work/unseen")
	[ "$unseen" -eq 0 ] || check_root || say "  what was not seen: root can, by the same command"
	if [ "$wrong" -gt 0 ]; then
		say "  to mend: $wrong"
		exit 1
	fi
	if [ "$unseen" -eq 0 ]; then say "  everything is as it should be"; else say "  what was seen is as it should be"; fi
}
