# shellcheck shell=bash disable=SC2034,SC2154
# Users, groups and the ids that workers are mapped to.

# account_user NAME HOME SHELL WHAT
account_user() {
	local have
	if ! getent group "$1" >/dev/null; then
		groupadd --system "$1"
		say_changed "made group $1"
	fi
	if ! have=$(getent passwd "$1"); then
		useradd --system --gid "$1" --home-dir "$2" --no-create-home --shell "$3" --comment "$4" "$1"
		say_changed "made user $1"
		return
	fi
	if [ "$(echo "$have" | cut -d: -f6,7)" != "$2:$3" ]; then
		usermod --home "$2" --shell "$3" "$1"
		say_changed "mended user $1: home $2, shell $3"
	fi
	if [ "$(id -gn "$1")" != "$1" ]; then
		usermod --gid "$1" "$1"
		say_changed "mended user $1: group $1"
	fi
}

# account_member USER GROUP
account_member() {
	! id -nG "$1" | tr ' ' '\n' | grep -qxF "$2" || return 0
	gpasswd --add "$1" "$2" >/dev/null
	say_changed "put $1 into group $2"
}

# Brain, slave and landing daemon read the plain git repositories of this machine; only git's own user writes them.
account_all() {
	local user
	account_user "$user_brain" "$state/brain" /usr/sbin/nologin "byoci $namespace, brain"
	account_user "$user_slave" "$state/slave" /usr/sbin/nologin "byoci $namespace, clones and tests"
	account_user "$user_land" "$state/land" /usr/sbin/nologin "byoci $namespace, landing key"
	account_user "$user_git" "$git_root" /bin/sh "byoci $namespace, git repositories"
	for user in "$user_brain" "$user_slave" "$user_land"; do account_member "$user" "$user_git"; done
	agent_account
	author_account
	master_account
}

# account_subids_check FIRST COUNT: nobody else's ids, neither other namespaces' nor users'.
account_subids_check() {
	local first=$1 count=$2 file line="root:$1:$2" ours other
	ours=$(cat "$kept/subids" 2>/dev/null) || ours=$line
	for file in /etc/subuid /etc/subgid; do
		[ -e "$file" ] || continue
		other=$(awk -F: -v first="$first" -v count="$count" -v line="$line" -v ours="$ours" '
			$0 != line && $0 != ours && NF == 3 && $2 < first + count && first < $2 + $3 { print $0 " (line " NR ")"; exit }' "$file")
		[ -z "$other" ] || say_die "ids $first to $((first + count - 1)) for workers overlap with $other of $file: choose others:" \
			"setup/byoci $namespace -O worker.ids.first=$(account_subids_free)"
	done
	other=$(getent passwd | awk -F: -v first="$first" -v count="$count" '$3 >= first && $3 < first + count { print $1; exit }')
	[ -z "$other" ] || say_die "user $other has an id that is meant for workers ($first to $((first + count - 1))): choose others:" \
		"setup/byoci $namespace -O worker.ids.first=$(account_subids_free)"
}

# account_subids FIRST COUNT: "root:FIRST:COUNT" in both files, where newuidmap looks for it.
account_subids() {
	local file line="root:$1:$2"
	for file in /etc/subuid /etc/subgid; do
		[ -e "$file" ] || : >"$file"
		account_subids_forget "$file" "$line"
		if ! grep -qxF "$line" "$file"; then
			printf '%s\n' "$line" >>"$file"
			say_changed "wrote $line in $file"
		fi
	done
	printf '%s\n' "$line" >"$kept/subids"
}

# What an earlier run of ours wrote and is no longer wanted.
account_subids_forget() {
	local ours
	ours=$(cat "$kept/subids" 2>/dev/null) || return 0
	[ "$ours" = "$2" ] || place_line_remove "$1" "$ours"
}

# The first free id above all that are given away.
account_subids_free() {
	cat /etc/subuid /etc/subgid 2>/dev/null | awk -F: '
		BEGIN { free = 1000000000 } $2 + $3 > free { free = $2 + $3 } END { printf "%d", int((free + 65535) / 65536) * 65536 }'
}
