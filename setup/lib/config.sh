# shellcheck shell=bash disable=SC2034,SC2154
# The configuration of the namespace in /etc/byoci/NAMESPACE, and what is derived from it.

config_json=                # `byoci config --json` of this run
declare -A config_values=() # what it says, by "SECTION OPTION": one reading for hundreds of questions

# The overrides of this run over those of earlier ones, one NAME=VALUE a line; NAME= alone forgets an earlier one.
config_overrides() {
	local override
	{
		[ ! -r "$kept/overrides" ] || cat "$kept/overrides"
		for override in "${overrides[@]}"; do printf '%s\n' "$override"; done
	} | awk '{ name = $0; sub(/=.*/, "", name); if (!(name in value)) order[++n] = name; value[name] = $0 }
		END { for (i = 1; i <= n; i++) if (value[order[i]] !~ /=$/) print value[order[i]] }'
}

# Reads NAME=VALUE lines and makes sections of them that win over byov.conf.
config_overrides_file() {
	local line name value section
	echo "# Written by setup/byoci from its -O options; a later -O NAME=VALUE replaces a line, -O NAME= takes it out."
	while IFS= read -r line; do
		name=${line%%=*}
		value=${line#*=}
		section=$namespace
		case $name in
		*:*) section=${name%%:*} name=${name#*:} ;;
		esac
		printf '[%s]\n%s.%s = %s\n' "$section" "$namespace" "${name#"$namespace".}" "$value"
	done
}

# Checks the configuration that is to be, as the daemons will read it, before anything of it is installed, and keeps all of its
# values in config_json.
config_read() {
	local folder=$work/config
	mkdir -p "$etc"
	rm -rf "$folder"
	mkdir -m 755 "$folder"
	config_source >"$folder/byov.conf"
	config_overrides | config_overrides_file >"$folder/setup.conf"
	if ! config_json=$(config_try "$folder" 2>"$folder/errors"); then
		sed "s#$etc/setup.conf#-O#g; s#$etc/byov.conf#$(config_source_name)#g" "$folder/errors" >&2
		say_die "the configuration does not hold: mend what the line above says, then run this again"
	fi
	config_take "$config_json"
}

# config_try FOLDER: `byoci config` where FOLDER is /etc/byoci/NAMESPACE, for this one process.
config_try() {
	# shellcheck disable=SC2016
	unshare --mount sh -c 'mount --bind "$1" "$2" && cd / && HOME=/nonexistent exec "$3" -n "$4" config --json' \
		sh "$1" "$etc" "$checkout/build/bin/byoci" "$namespace"
}

# Whether the administrator has changed byov.conf: it is none of those that were installed here.
config_edited() {
	[ -e "$etc/byov.conf" ] && ! grep -qsxF "$(config_digest "$etc/byov.conf")" "$kept/byov.conf.sha256"
}

config_source_name() {
	if config_edited; then echo "$etc/byov.conf"; else echo "$checkout/byov.conf"; fi
}

# What byov.conf is to hold: that of /etc when its administrator has changed it, else the checkout's.
config_source() {
	cat "$(config_source_name)"
}

config_digest() {
	sha256sum <"$1" | cut -d' ' -f1
}

# config_take JSON: that is the configuration from now on; empty: there is none.
config_take() {
	local key value
	config_json=$1
	config_values=()
	[ -n "$1" ] || return 0
	while IFS= read -r -d '' key && IFS= read -r -d '' value; do
		config_values[$key]=${config_values[$key]-$value}
	done < <(jq -j '.[] | "\(.section) \(.option)\u0000\(.value // "")\u0000"' <<<"$1")
}

# option NAME [SECTION]: its expanded value; nothing when it is unset.
option() {
	[ -z "$config_json" ] || printf '%s\n' "${config_values[${2:-} $1]-}"
}

# Names of the sections of a kind.
sections() {
	printf '%s\n' "${!config_values[@]}" | sed -n "s,^$1/\(.*\) [^ ]*\$,\1,p" | sort -u
}

config_install() {
	config_edited || grep -qsxF "$(config_digest "$checkout/byov.conf")" "$kept/byov.conf.sha256" ||
		config_digest "$checkout/byov.conf" >>"$kept/byov.conf.sha256"
	config_overrides >"$kept/overrides.new"
	mv -f "$kept/overrides.new" "$kept/overrides"
	config_files
	printf '%s\n' "$config_json" >"$kept/config.json.new"
	mv -f "$kept/config.json.new" "$kept/config.json"
}

config_files() {
	if config_edited; then
		cmp -s "$etc/byov.conf" "$checkout/byov.conf" ||
			say "  left $etc/byov.conf, which was edited here, alone: diff -u $checkout/byov.conf $etc/byov.conf"
	else
		place_file "$etc/byov.conf" root root 644 <"$checkout/byov.conf"
	fi
	config_overrides | config_overrides_file | place_file "$etc/setup.conf" root root 644
	config_git | place_file "$etc/gitconfig" root root 644
	config_sshd | place_file "$etc/sshd_config" root root 644
}

# What git may do for the brain, the slave and the landing daemon: no hook, no helper, no protocol but these, no repository but these.
config_git() {
	local project repository
	cat <<-'END'
		# Written by setup/byoci. No hook, helper or filter of anybody runs on this host.
		[core]
		hooksPath = /dev/null
		attributesFile = /dev/null
		excludesFile = /dev/null
		fsmonitor = false
		askPass = /bin/false
		[credential]
		helper =
		[protocol]
		allow = never
		[protocol "ssh"]
		allow = always
		[protocol "file"]
		allow = always
		[transfer]
		fsckObjects = true
		[fetch]
		recurseSubmodules = false
		[submodule]
		recurse = false
		[gc]
		auto = 0
		[maintenance]
		auto = false
		[user]
		useConfigOnly = true
		[safe]
	END
	while read -r project; do
		repository=$(option repository.read "project/$project")
		case $repository in
		/*) printf 'directory = %s\n' "$repository" ;;
		esac
	done < <(sections project)
}

# The ssh daemon of the plain git repositories: one user, keys only, one forced command for each.
config_sshd() {
	config_sshd_of "$(option git.listen)" "$secrets/git/ssh_host_ed25519_key" "$user_git" "$etc/authorized_keys"
}

# config_sshd_of ADDRESS:PORT HOST_KEY USER AUTHORIZED_KEYS
config_sshd_of() {
	local listen=$1
	cat <<-END
		# Written by setup/byoci.
		ListenAddress ${listen%:*}
		Port ${listen##*:}
		HostKey $2
		PidFile none
		AllowUsers $3
		AuthorizedKeysFile $4
		AuthenticationMethods publickey
		PubkeyAuthentication yes
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		UsePAM no
		PermitTTY no
		PermitUserRC no
		PermitUserEnvironment no
		DisableForwarding yes
		PrintMotd no
		PrintLastLog no
		LoginGraceTime $((20 * ${say_patience:-1}))
		MaxAuthTries 3
		ClientAliveInterval 60
	END
	# What never leaves the machine needs no hybrid key exchange, which takes a tenth of a second of each connection.
	case $listen in
	127.* | localhost:* | \[::1\]:*) echo "KexAlgorithms -sntrup761x25519-sha512@openssh.com" ;;
	esac
}

# Secrets that are missing; those that are there stay.
config_secrets() {
	local before path
	before=$(find "$secrets" -type f | sort)
	say_while "making secrets" "$bin/byoci" -n "$namespace" secrets ||
		say_die "the secrets could not be made: mend what the lines above say, then run this again"
	while read -r path; do say_changed "made $path"; done < <(comm -13 <(printf '%s\n' "$before") <(find "$secrets" -type f | sort))
}

# Keys that are there once the secrets are: who is `landing` on the git server, which host key it has, whose results count.
config_keys() {
	local listen
	listen=$(option git.listen)
	if agent_role_slave; then
		config_forge_hosts | place_file "$etc/known_hosts" root root 644
		return
	fi
	[ -e "$etc/authorized_keys" ] || place_file "$etc/authorized_keys" root root 644 </dev/null
	config_person landing "$secrets/land/id_ed25519.pub"
	{
		printf '[%s]:%s %s\n' "${listen%:*}" "${listen##*:}" "$(place_key "$secrets/git/ssh_host_ed25519_key.pub")"
		config_forge_hosts
	} | place_file "$etc/known_hosts" root root 644
}

# The host keys of the forges that projects are on, as their accounts' known.hosts has them.
config_forge_hosts() {
	local file
	while read -r file; do
		if [ -r "$file" ]; then grep -vE '^[[:space:]]*(#|$)' "$file" || true; fi
	done < <(sections project | while read -r project; do option known.hosts "account/$(option account "project/$project")"; done | sort -u)
}

# config_person NAME PUBLIC_KEY_FILE: may reach the repositories by ssh, as NAME.
config_person() {
	place_line "$etc/authorized_keys" "command=\"$bin/byoci -n $namespace git-serve $1\"" \
		"command=\"$bin/byoci -n $namespace git-serve $1\",restrict $(place_key "$2") $1"
}

# config_signer PROJECT NAME PUBLIC_KEY_FILE: NAME's proposals and approvals count.
config_signer() {
	place_line "$(option allowed_signers "project/$1")" "$2 " "$2 namespaces=\"byoci-record@v1\" $(place_key "$3")"
}
