# shellcheck shell=bash disable=SC2034,SC2154
# What a master needs of this machine: a user for its agent, a way in, nodes and jobs on the master. And what we need of a master: who
# we are there.

# Whether this machine only runs what a master gives it: no brain, no repositories.
agent_role_slave() {
	[ "$with_slave" = yes ] || [ -e "$lib/slave-only" ]
}

agent_wanted() {
	agent_role_slave || [ -n "$(option master.url)" ] || [ -n "$(sections master)" ]
}

# The master's dialect as it was when setup reached it last: hudson, jenkins or nothing.
agent_dialect() {
	cat "$etc/master.dialect" 2>/dev/null || true
}

# The name of this machine's [slave/NAME], when masters run builds on it.
agent_slave() {
	local slave
	slave=$(option slave.name)
	! sections slave | grep -qxF -- "$slave" || echo "$slave"
}

# Whether masters come by our own ssh server. Modern Jenkins can't: there the agent goes to the master.
agent_by_ssh() {
	local slave
	agent_wanted && slave=$(agent_slave) && [ -n "$slave" ] || return 1
	[ "$(option address "slave/$slave")" = "$(option agent.listen)" ] && [ "$(agent_dialect)" != jenkins ]
}

agent_inbound() {
	agent_wanted && [ -n "$(agent_slave)" ] && [ "$(agent_dialect)" = jenkins ]
}

agent_service_names() {
	if agent_by_ssh; then echo agent; fi
	if agent_inbound; then echo inbound inbound-land; fi
}

# What nobody but a person can say, before anything of it is needed.
agent_check() {
	local slave file
	agent_wanted || return 0
	[ -n "$(agent_slave)" ] || say_die "there is no [slave/$(option slave.name)] in the configuration, and the master is to run builds on this machine:" \
		"add such a section, or set slave.name to one that is there: $(sections slave | paste -sd ' ')"
	if agent_by_ssh; then host_check_port agent.listen "$(option agent.listen)"; fi
	if agent_role_slave; then
		agent_role_check
		return
	fi
	while read -r slave; do
		file=$(option host.key "slave/$slave")
		[ "$(option address "slave/$slave")" != "$(option agent.listen)" ] || continue
		[ -n "$file" ] || say_die "[slave/$slave] host.key: not set, and the master will trust no host without it: bring" \
			"/etc/ssh/ssh_host_ed25519_key.pub of that host here and name the file"
		[ -r "$file" ] || say_die "[slave/$slave] host.key: $file: not there: bring the public ssh key of that host"
	done < <(sections slave)
}

agent_role_check() {
	local key
	key=$(option master.key).pub
	[ -n "$(option master.url)" ] || say_die "master.url: not set: the agent's program comes from the master: setup/byoci $namespace --slave -O master.url=URL"
	[ -r "$key" ] || say_die "$key: not there: bring that file from the brain's machine, where setup/byoci has made it"
}

# What a slave's machine and the brain's must have of each other. Keys of results count when the brain has them.
agent_role_bring() {
	local slave
	slave=$(agent_slave)
	say "  bring to the brain's machine, each to the same place:"
	say "    $etc/result-keys/$slave.pub and $etc/result-keys/$slave-land.pub"
	if agent_by_ssh; then say "    $secrets/agent/ssh_host_ed25519_key.pub, as the file that [slave/$slave] host.key names there"; fi
	say "  give who lands here the right to: $(cut -d' ' -f1,2 "$secrets/land/id_ed25519.pub")"
	say "  then, there: byoci -n $namespace jenkins update-slave $slave"
}

# --credentials FILE: USER:SECRET, the user into the configuration, the secret for the brain alone.
agent_credentials_read() {
	local line user
	[ -n "$credentials" ] || return 0
	IFS= read -r line <"$credentials" || [ -n "$line" ] || say_die "$credentials: can't be read: one line, USER:TOKEN, is to be in it"
	user=${line%%:*}
	[[ $line == *:?* && $user =~ ^[A-Za-z0-9._@-]+$ ]] || say_die "$credentials: one line, USER:TOKEN (or USER:PASSWORD), is to be in it"
	overrides+=("master.user=$user")
	(umask 077 && printf '%s\n' "${line#*:}" >"$work/master.secret")
}

agent_credentials() {
	local file
	agent_wanted || return 0
	file=$(option master.secret)
	if [ -s "$work/master.secret" ]; then place_file "$file" "$user_brain" "$user_brain" 600 <"$work/master.secret"; fi
	if [ -e "$file" ] && [[ $file == "$secrets"/* ]]; then place_mode "$file" "$user_brain" "$user_brain" 600; fi
}

agent_account() {
	agent_wanted || return 0
	account_user "$user_agent" "$state/agent" /bin/sh "byoci $namespace, what a master starts"
	account_member "$user_brain" "$user_agent"
}

# Who may come to the slave's and the landing daemon's sockets is this group.
agent_group() {
	if agent_wanted; then echo "$user_agent"; else echo "$user_brain"; fi
}

agent_place() {
	agent_wanted || return 0
	if agent_role_slave; then echo "no brain here" | place_file "$lib/slave-only" root root 644; fi
	place_folder "$state/agent" "$user_agent" "$user_agent" 700
	# For a machine's own ssh server, where [slave/NAME] address is not agent.listen.
	place_folder "$state/agent/.ssh" "$user_agent" "$user_agent" 700
	place_folder "$secrets/agent" "$user_agent" "$user_agent" 700
	place_folder "$secrets/master" "$(agent_key_owner)" "$(id -gn "$(agent_key_owner)")" 700
}

# Whom the master runs as, where it is on this machine: its ssh key must be readable for nobody else.
agent_key_owner() {
	local owner address inode pid
	owner=$(stat -c %U "$secrets/master" 2>/dev/null) || owner=
	if master_ours; then
		echo "$user_master"
	elif check_root && address=$(agent_local_master) && inode=$(host_listener "$address") && [ -n "$inode" ]; then
		pid=$(host_socket_owner "$inode")
		stat -c %U "/proc/${pid:-self}"
	else
		echo "${owner:-root}"
	fi
}

# HOST:PORT of a master on loopback; 1: it is elsewhere.
agent_local_master() {
	local rest
	rest=$(option master.url)
	rest=${rest#*://}
	rest=${rest%%/*}
	case $rest in
	127.*:* | localhost:* | \[::1\]:*) echo "$rest" ;;
	*) return 1 ;;
	esac
}

# agent_key PATH OWNER WHAT
agent_key() {
	local new group
	group=$(id -gn "$2")
	if [ -s "$1.pub" ] && [ -s "$1" ]; then
		place_mode "$1" "$2" "$group" 600
		place_mode "$1.pub" "$2" "$group" 644
		return 0
	fi
	new=$(mktemp -d "$kept/key.XXXXXX") # the key's own folder may be its user's, who could have root write elsewhere
	ssh-keygen -q -t ed25519 -N '' -C "$3" -f "$new/key"
	place_file "$1" "$2" "$group" 600 <"$new/key"
	place_file "$1.pub" "$2" "$group" 644 <"$new/key.pub"
	rm -rf "$new"
}

# The master's key, which starts the agent and nothing else; the host's, which the master knows.
agent_keys() {
	local key
	agent_wanted || return 0
	key=$(option master.key)
	agent_key "$secrets/agent/ssh_host_ed25519_key" "$user_agent" "byoci $namespace, agent"
	[[ $key != "$secrets"/* ]] || agent_role_slave || agent_key "$key" "$(agent_key_owner)" "byoci $namespace, master"
	agent_files
}

agent_files() {
	local key
	agent_wanted || return 0
	key=$(option master.key)
	agent_sshd | place_file "$etc/agent_sshd_config" root root 644
	agent_script | place_file "$lib/libexec/byoci-agent" root root 755
	if [ -r "$key.pub" ]; then
		printf 'command="%s",restrict %s master\n' "$lib/libexec/byoci-agent" "$(place_key "$key.pub")"
	else
		echo "# $key.pub is to be here"
	fi | place_file "$etc/agent_authorized_keys" root root 644
	place_file "$state/agent/.ssh/authorized_keys" "$user_agent" "$user_agent" 600 <"$etc/agent_authorized_keys"
	[[ $(option master.known.hosts) != "$etc"/* ]] || agent_known_hosts | place_file "$(option master.known.hosts)" root root 644
	if agent_inbound; then
		agent_inbound_script "$(agent_slave)" | place_file "$lib/libexec/byoci-inbound" root root 755
		agent_inbound_script "$(agent_slave)-land" | place_file "$lib/libexec/byoci-inbound-land" root root 755
	fi
}

agent_known_hosts() {
	local slave file address
	while read -r slave; do
		address=$(option address "slave/$slave")
		file=$(option host.key "slave/$slave")
		[ -n "$file" ] || file=$secrets/agent/ssh_host_ed25519_key.pub
		[ -r "$file" ] || continue
		printf '%s %s\n' "$(forge_host "ssh://$address/")" "$(place_read "$file" | grep -oE '(ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/=]+' | head -n 1)"
	done < <(sections slave) | sort -u
}

# One user, one key, one command.
agent_sshd() {
	config_sshd_of "$(option agent.listen)" "$secrets/agent/ssh_host_ed25519_key" "$user_agent" "$etc/agent_authorized_keys"
}

agent_script() {
	cat <<-END
		#!/bin/sh
		# Written by setup/byoci: what a master that comes by ssh is given, whatever it asks for.
		cd "$(agent_work)" || exit 75
		exec env -i PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C.UTF-8 HOME="$(agent_work)" /usr/bin/java -Xmx128m -XX:+UseSerialGC \\
			-Djava.awt.headless=true --add-opens java.base/java.lang=ALL-UNNAMED -jar "$lib/libexec/agent.jar"
	END
}

agent_work() {
	option work "slave/$(agent_slave)"
}

# agent_inbound_script NODE: modern Jenkins has no way to start an agent in its core but this one.
agent_inbound_script() {
	cat <<-END
		#!/bin/sh
		# Written by setup/byoci: the agent of the node $1, which goes to the master.
		cd "$(agent_work)" || exit 75
		exec env -i PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C.UTF-8 HOME="$(agent_work)" /usr/bin/java -Xmx128m -XX:+UseSerialGC \\
			-Djava.awt.headless=true -jar "$lib/libexec/agent.jar" -url "$(option master.url)" -webSocket \\
			-name "$1" -secret "@$secrets/agent/$1" -workDir "$(agent_work)/$1"
	END
}

# agent_byoci VERB…: of `byoci jenkins`.
agent_byoci() {
	env -i PATH="$PATH" LC_ALL=C.UTF-8 HOME=/ "$bin/byoci" -n "$namespace" jenkins "$@"
}

# Whether the master answers us, and what it is.
agent_master() {
	local answer dialect trouble
	agent_wanted || return 0
	answer=$(agent_byoci status --json 2>"$work/master") || true
	trouble=$(jq -r '.masters[].error // empty' <<<"${answer:-{\}}" 2>/dev/null) || trouble=
	if [ -z "$answer" ] || [ -n "$trouble" ]; then
		printf '%s\n' "${trouble:-$(cat "$work/master")}" | sed 's/^/  | /' >&2
		say_die "the master $(option master.url) does not answer us: mend what the line above says; who we are there is said by" \
			"setup/byoci $namespace --credentials FILE, with USER:TOKEN in the file"
	fi
	dialect=$(jq -r '.masters[0].dialect // ""' <<<"$answer")
	[ -n "$dialect" ] || say_die "the master $(option master.url) is neither Jenkins nor Hudson: mend master.url"
	echo "$dialect" | place_file "$etc/master.dialect" root root 644
}

# The agent's program, which is the master's.
agent_jar() {
	local ca file=$lib/libexec/agent.jar
	agent_wanted || return 0
	ca=$(option master.ca)
	say_while "getting the agent from the master" curl -fsS --max-time 120 --noproxy '*' ${ca:+--cacert "$ca"} -o "$work/agent.jar" "$(option master.url | sed 's,/*$,,')/jnlpJars/$1" ||
		say_die "$(option master.url) gives no agent (jnlpJars/$1): the lines above say why; mend master.url or the master, then run this again"
	place_file "$file" root root 644 <"$work/agent.jar"
}

agent_begin() {
	agent_wanted || return 0
	if agent_role_slave; then agent_role_dialect; else agent_master; fi
	case $(agent_dialect) in
	hudson) agent_jar slave.jar ;;
	jenkins) agent_jar agent.jar ;;
	esac
	service_names_all
	agent_files
}

# By which program the master has for agents, which it gives to anybody.
agent_role_dialect() {
	local dialect=hudson ca
	ca=$(option master.ca)
	if curl -fsS --max-time 60 --noproxy '*' ${ca:+--cacert "$ca"} -o /dev/null -I "$(option master.url | sed 's,/*$,,')/jnlpJars/agent.jar" 2>>"$say_log"; then
		dialect=jenkins
	fi
	echo "$dialect" | place_file "$etc/master.dialect" root root 644
}

# Nodes and jobs, as the configuration says.
agent_jobs() {
	local slave
	agent_wanted || return 0
	while read -r slave; do agent_told "making the nodes of $slave on the master" update-slave "$slave"; done < <(sections slave)
	agent_told "making the jobs on the master" sync
}

# agent_told TEXT VERB…: each line that says what it changed is one of ours.
agent_told() {
	local text=$1 line
	shift
	say_while "$text" agent_byoci_to "$work/told" "$@" || say_die "byoci -n $namespace jenkins $* failed: mend what the lines above say, then run this again"
	while IFS= read -r line; do say_changed "on the master: $line"; done < <(grep -E '^(made|changed|deleted|removed|wrote) ' "$work/told" || true)
}

agent_byoci_to() {
	local file=$1
	shift
	agent_byoci "$@" >"$file"
}

# The secrets of the agents that go to a modern Jenkins, which only it can say.
agent_inbound_secrets() {
	local node
	agent_inbound || return 0
	for node in "$(agent_slave)" "$(agent_slave)-land"; do
		if agent_role_slave; then
			[ -s "$secrets/agent/$node" ] || say_die "$secrets/agent/$node: not there: it holds the secret of the agent of the node $node," \
				"which byoci -n $namespace jenkins slave-secret $node says on the brain's machine"
			place_mode "$secrets/agent/$node" "$user_agent" "$user_agent" 600
			continue
		fi
		agent_byoci slave-secret "$node" >"$work/node.secret" || say_die "the master says no secret for the agent of $node: mend what the line above says"
		place_file "$secrets/agent/$node" "$user_agent" "$user_agent" 600 <"$work/node.secret"
	done
}

# The master is up and knows this machine before a brain asks it for anything.
agent_all() {
	agent_wanted || return 0
	if master_ours; then service_ensure master; fi
	agent_begin
	service_units_install
	if agent_by_ssh; then service_ensure agent; fi
	agent_role_slave || agent_jobs
	agent_inbound_secrets
}
