# shellcheck shell=bash disable=SC2034,SC2154
# Takes all of a namespace away, and nothing of another one. What is gone already is no trouble.

# The configuration as the last run of setup left it; by convention where there is none.
remove_configured() {
	if [ -s "$kept/config.json" ] && command -v jq >/dev/null; then
		config_json=$(cat "$kept/config.json")
		places_configured
	fi
}

remove_users() {
	printf '%s\n' "$user_brain" "$user_slave" "$user_land" "$user_git"
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
	for name in git brain land slave worker; do service_stop "$name"; done
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
	while read -r cgroup; do
		! rmdir "$cgroup" 2>/dev/null || say_changed "removed the cgroup $cgroup"
	done < <(find /sys/fs/cgroup -depth -type d \( -name "byoci-$namespace-[0-9]*" -o -path "*/byoci-$namespace-[0-9]*/*" \) 2>/dev/null)
}

# What workers with network = nat had on the host: slaves/worker/nat.h.
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
	for name in brain slave land worker setup sample; do remove_folder "$state/$name"; done
	for name in brain slave land git worker; do remove_folder "$secrets/$name"; done
	for name in brain slave land worker; do remove_folder "$run/$name"; done
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
	service_systemd || return 0
	rm -rf "/etc/tmpfiles.d/byoci-$namespace.conf" "/etc/systemd/system/byoci-"*"@$namespace.service.d"
	if [ -z "$(ls -A /usr/local/lib/byoci 2>/dev/null)" ]; then
		for unit in "$checkout"/setup/units/*.service; do rm -f "/etc/systemd/system/${unit##*/}"; done
	fi
	systemctl daemon-reload
}

remove() {
	local folder
	say "byoci $namespace: removing"
	remove_configured
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
