# shellcheck shell=bash disable=SC2034,SC2154
# The way in for authors of approved proposals: an ssh server of a user's who may ask the slave for a copy of a kept worker, and nothing else.

author_wanted() {
	[ -n "$(option author.listen)" ]
}

author_check() {
	author_wanted || return 0
	host_check_port author.listen "$(option author.listen)"
}

author_account() {
	author_wanted || return 0
	account_user "$user_author" "$state/author" /bin/sh "byoci $namespace, authors who look at kept workers"
}

author_place() {
	author_wanted || return 0
	place_folder "$state/author" root root 755
	place_folder "$secrets/author" "$user_author" "$user_author" 700
	place_folder "$run/author" "$user_slave" "$user_author" 2750
}

author_files() {
	author_wanted || return 0
	agent_key "$secrets/author/ssh_host_ed25519_key" "$user_author" "byoci $namespace, authors"
	author_sshd "$(option author.listen)" "$secrets/author/ssh_host_ed25519_key" "$user_author" "$bin/byoci-slave -n $namespace" |
		place_file "$etc/author_sshd_config" root root 644
}

# author_sshd ADDRESS:PORT HOST_KEY USER PROGRAM: which key is let in is for the slave to say; no key is in a file.
author_sshd() {
	config_sshd_of "$1" "$2" "$3" none | sed 's/^PermitTTY no$/PermitTTY yes/'
	cat <<-END
		AuthorizedKeysCommand $4 author-key %t %k
		AuthorizedKeysCommandUser $3
		MaxSessions 1
		MaxStartups 16:30:32
		RequiredRSASize 2048
	END
}

# What is not wanted any more ends.
author_stop() {
	author_wanted || [ ! -e "$etc/author_sshd_config" ] || {
		service_stop author
		rm -f "$etc/author_sshd_config"
	}
}
