# shellcheck shell=bash disable=SC2034,SC2154
# Takes all of a namespace away, and nothing of another one. What is gone already is no trouble.

# The configuration as the last run of setup left it; by convention where there is none.
remove_configured() {
	if [ -s "$kept/config.json" ] && command -v jq >/dev/null; then
		config_take "$(cat "$kept/config.json")"
		places_configured
	fi
}

remove_users() {
	printf '%s\n' "$user_brain" "$user_slave" "$user_land" "$user_git" "$user_agent" "$user_author" "$user_master"
}

# Everything that runs as one of the namespace's users, or with an id of its workers, or is one of its programs.
remove_pids() {
	local uids
	uids=$(remove_users | while read -r user; do id -u "$user" 2>/dev/null || true; done | tr '\n' ' ')
	awk -v uids="$uids" -v first="${ids_first:--1}" -v count="${ids_count:-0}" '
		BEGIN { n = split(uids, list, " "); for (i = 1; i <= n; i++) ours[list[i]] = 1 }
		FNR == 1 { done = 0 }
		/^State:\tZ/ { done = 1 }
		!done && /^Uid:/ { done = 1; if ($2 in ours || (first >= 0 && $2 >= first && $2 < first + count)) { split(FILENAME, part, "/"); print part[3] } }
	' /proc/[0-9]*/status 2>/dev/null || true
	find /proc/[0-9]*/exe -maxdepth 0 \( -lname "$bin/*" \) 2>/dev/null | cut -d/ -f3 || true
}

remove_pids_none() {
	[ -z "$(remove_pids)" ]
}

remove_processes() {
	local name pids
	for name in git brain inbound inbound-land agent author land slave worker master; do service_stop "$name"; done
	pids=$(remove_pids | sort -un)
	[ -n "$pids" ] || return 0
	# shellcheck disable=SC2086
	kill -TERM $pids 2>/dev/null || true
	say_until 5 "stopping what still runs" remove_pids_none || {
		# shellcheck disable=SC2046
		kill -KILL $(remove_pids) 2>/dev/null || true
		say_until 10 "stopping what still runs" remove_pids_none ||
			say_die "processes that do not end: $(remove_pids | tr '\n' ' '): end them, then run this again"
	}
	say_changed "stopped what still ran: $(echo "$pids" | wc -l) processes"
}

# The deepest first.
remove_mounts() {
	local mount
	while read -r mount; do
		mount=$(printf '%b' "$mount")
		umount "$mount" 2>/dev/null || umount -l "$mount" || continue
		say_changed "unmounted $mount"
	done < <(cut -d' ' -f5 /proc/self/mountinfo | grep -E "^($state|$run)/" | sort -r)
}

remove_cgroups() {
	local cgroup
	! service_systemd || systemctl --quiet stop "byoci-workers@$namespace.service" 2>/dev/null || true
	while read -r cgroup; do
		! rmdir "$cgroup" 2>/dev/null || say_changed "removed the cgroup $cgroup"
	done < <(find /sys/fs/cgroup -depth -type d \( -name "byoci-$namespace-[0-9]*" -o -path "*/byoci-$namespace-[0-9]*/*" \
		-o -path "*/byoci-workers@$namespace.service*" \) 2>/dev/null)
}

# What workers with network = nat had on the host: slaves/confine/nat.h.
remove_network() {
	local bridge family
	bridge=byo$(printf %s "$namespace" | sha256sum | cut -c1-8)
	if ip link show "$bridge" >/dev/null 2>&1; then
		ip link delete "$bridge"
		say_changed "removed the bridge $bridge"
	fi
	for family in inet bridge; do
		! nft delete table "$family" "byoci_$namespace" 2>/dev/null || say_changed "removed the rules of nftables ($family)"
	done
}

# remove_folder PATH: never through a mount.
remove_folder() {
	[ -e "$1" ] || return 0
	rm -rf --one-file-system -- "$1"
	say_changed "removed $1"
}

# A folder that the configuration names may hold other things as well: only what is ours goes, then the folder if it is empty.
remove_state() {
	local name path project
	while read -r project path; do remove_folder "$path"; done < <(repository_list)
	for name in brain slave land worker setup sample agent author master; do remove_folder "$state/$name"; done
	for name in brain slave land git worker agent author master; do remove_folder "$secrets/$name"; done
	for name in brain slave land approval author worker; do remove_folder "$run/$name"; done
	rm -f "$run"/byoci-*.pid
	for path in "$git_root" "$secrets" "$state" "$run"; do
		[ ! -d "$path" ] || rmdir "$path" 2>/dev/null || say "  left $path: it holds things that are not byoci's"
	done
}

remove_accounts() {
	local user
	for user in $(remove_users); do
		if getent passwd "$user" >/dev/null; then
			userdel "$user" 2>>"$say_log" # it says that a group with members stays, which is removed next
			say_changed "removed the user $user"
		fi
		if getent group "$user" >/dev/null; then
			groupdel "$user"
			say_changed "removed the group $user"
		fi
	done
}

remove_subids() {
	local line
	line=$(cat "$kept/subids" 2>/dev/null) || return 0
	place_line_remove /etc/subuid "$line"
	place_line_remove /etc/subgid "$line"
}

# The plain command goes over to a namespace that is still there.
remove_link() {
	local other
	[ "$(readlink /usr/local/bin/byoci 2>/dev/null)" = "$bin/byoci" ] || return 0
	rm -f /usr/local/bin/byoci
	for other in /usr/local/lib/byoci/*/bin/byoci; do
		[ -x "$other" ] || continue
		place_link /usr/local/bin/byoci "$other"
		return
	done
	say_changed "removed /usr/local/bin/byoci"
}

# Units are shared by the namespaces; the last one takes them along.
remove_units() {
	local unit
	rm -f "/etc/logrotate.d/byoci-$namespace"
	if [ -e /etc/apparmor.d/byoci-worker ] && [ -z "$(ls -A /usr/local/lib/byoci 2>/dev/null)" ]; then
		apparmor_parser -R /etc/apparmor.d/byoci-worker 2>>"$say_log" || true
		rm -f /etc/apparmor.d/byoci-worker
	fi
	service_systemd || return 0
	rm -rf "/etc/tmpfiles.d/byoci-$namespace.conf" "/etc/systemd/system/byoci-"*"@$namespace.service.d"
	if [ -z "$(ls -A /usr/local/lib/byoci 2>/dev/null)" ]; then
		for unit in "$checkout"/setup/units/*.service; do rm -f "/etc/systemd/system/${unit##*/}"; done
		systemctl --quiet stop byoci.slice 2>/dev/null || true
	fi
	systemctl daemon-reload
}

# Somebody else's masters, as far as this machine has brought anything there. One of our own goes as a whole.
remove_masters() {
	if agent_role_slave; then return 0; fi
	if [ -n "$(option master.url)" ] && ! master_ours; then option master.url; fi
	sections master | while read -r master; do option url "master/$master"; done
}

# What sync and update-slave made there is deleted, and nothing else; a master that is away keeps it, and does not keep us.
remove_on_masters() {
	local masters why line
	masters=$(remove_masters | paste -sd ' ')
	[ -n "$masters" ] || return 0
	service_stop brain
	if [ ! -x "$bin/byoci" ] || [ ! -e "$etc/byov.conf" ]; then
		why="byoci or its configuration is gone already"
	elif ! say_while "deleting our jobs, views and nodes on $masters" agent_byoci_to "$work/told" remove; then
		why="the lines above say why; byoci is no more to delete them"
	fi
	while IFS= read -r line; do
		case $line in
		"deleted "*) say_changed "on the master: $line" ;;
		"leave "*) say "  left on the master: ${line#leave }" ;;
		esac
	done < <(cat "$work/told" 2>/dev/null)
	[ -z "${why:-}" ] || say "  left on $masters: jobs and views whose names begin with $(option master.prefix), and the nodes of $(sections slave | paste -sd ' '): $why"
}

remove() {
	local folder
	say "byoci $namespace: removing"
	remove_configured
	remove_on_masters
	remove_processes
	remove_mounts
	remove_cgroups
	remove_network
	remove_subids
	remove_accounts
	remove_state
	for folder in "/var/lib/byoci/$namespace" "/run/byoci/$namespace" "$log" "$etc" "$lib"; do remove_folder "$folder"; done
	remove_link
	remove_units
	rmdir /usr/local/lib/byoci /etc/byoci /var/lib/byoci /var/log/byoci /run/byoci 2>/dev/null || true
	rm -f "/run/byoci-setup-$namespace.lock"
	if [ "$say_changes" -gt 0 ]; then say "byoci $namespace is gone"; else say "  there was nothing of byoci $namespace here"; fi
}
