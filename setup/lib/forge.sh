# shellcheck shell=bash disable=SC2034,SC2154
# Projects on a forge elsewhere: what must be brought from there, and whether they can be read.

# Projects whose repository is not on this machine: NAME ACCOUNT, one a line.
forge_projects() {
	local project
	while read -r project; do
		[[ $(option repository.read "project/$project") == /* ]] || printf '%s %s\n' "$project" "$(option account "project/$project")"
	done < <(sections project)
}

# forge_host ADDRESS: as known_hosts has it.
forge_host() {
	local rest=${1#*://} host
	host=${rest%%/*}
	host=${host#*@}
	case $host in
	*:*) printf '[%s]:%s\n' "${host%:*}" "${host##*:}" ;;
	*) printf '%s\n' "$host" ;;
	esac
}

# What nobody but a person can bring, said before anything of it is needed.
forge_check() {
	local project account address host file
	while read -r project account; do
		address=$(option repository.read "project/$project")
		file=$(option known.hosts "account/$account")
		if [[ $address == ssh://* ]]; then
			host=$(forge_host "$address")
			[ -n "$file" ] || say_die "[account/$account] known.hosts: not set, and git will trust no host of the project $project without it:" \
				"write the host's key to a file with ssh-keyscan, compare its fingerprint with what the forge has published, and name the file there"
			[ -r "$file" ] || say_die "$file: not there; [account/$account] known.hosts names it: ssh-keyscan ${host//[\[\]]/} >$file writes it," \
				"then compare: ssh-keygen -lf $file"
			ssh-keygen -F "$host" -f "$file" >/dev/null || say_die "$file: no key of $host, where the project $project is:" \
				"ssh-keyscan >>$file adds it; compare its fingerprint with what the forge has published"
		fi
		[ "$(option dialect "account/$account")" != launchpad ] || [ -n "$(option own.names "account/$account")" ] ||
			say_die "[account/$account] own.names: not set: say under which name byoci comments on Launchpad"
	done < <(forge_projects)
}

# forge_try USER COMMAND…: as that user, with nothing of ours in the environment. What it said is in $work/forge.
forge_try() {
	local user=$1
	shift
	runuser -u "$user" -- env -i PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C.UTF-8 HOME=/ "$@" >"$work/forge.out" 2>"$work/forge"
}

# The slave's way to a repository, which has no verb of its own.
forge_try_slave() {
	forge_try "$user_slave" GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL="$etc/gitconfig" \
		GIT_SSH_COMMAND="ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=yes \
-o UserKnownHostsFile=$etc/known_hosts -o ConnectTimeout=10 -i $secrets/slave/id_ed25519" git ls-remote -q -- "$1" HEAD
}

# Whether brain, slave and landing daemon can read each project; when not, what to do. The daemons try again by themselves.
forge_all() {
	local project account trouble
	while read -r project account; do
		trouble=
		if [ "$(option dialect "account/$account")" = launchpad ]; then
			forge_try "$user_brain" "$bin/byoci" -n "$namespace" launchpad-read --project "$project" --list || trouble="as $user_brain: $(tail -n 1 "$work/forge")"
			[ -n "$trouble" ] || forge_try "$user_land" "$bin/byoci" -n "$namespace" launchpad-read --project "$project" --list ||
				trouble="as $user_land: $(tail -n 1 "$work/forge")"
		fi
		[ -n "$trouble" ] || forge_try_slave "$(option repository.read "project/$project")" || trouble="as $user_slave: $(tail -n 1 "$work/forge")"
		[ -z "$trouble" ] || forge_say "$project" "$account" "$trouble"
	done < <(forge_projects)
}

# forge_say PROJECT ACCOUNT TROUBLE
forge_say() {
	local user
	user=$(option own.names "account/$2")
	printf '  the project %s can not be read yet, %s\n' "$1" "$3"
	printf '  its account there (%s) must know these ssh keys, and the token must be its: they are for reading, for testing and for landing\n' "${user:-?}"
	sed 's/^/    /' "$secrets"/{brain,slave,land}/id_ed25519.pub
	[ "$(option dialect "account/$2")" != launchpad ] || printf '  at Launchpad: https://launchpad.net/~%s/+editsshkeys\n' "${user%%,*}"
}
