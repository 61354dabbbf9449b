# shellcheck shell=bash disable=SC2034,SC2154
# This machine: is it one that byoci can live on? Each answer that is no is one line with the remedy.

# "sudo" or "doas", whichever is there and lets us; nothing otherwise.
host_root_helper() {
	local helper
	for helper in sudo doas; do
		if command -v "$helper" >/dev/null; then
			echo "$helper"
			return
		fi
	done
}

host_check_system() {
	local id='' version=''
	if [ -r /etc/os-release ]; then
		id=$(. /etc/os-release && echo "${ID:-}")
		version=$(. /etc/os-release && echo "${VERSION_ID:-}")
	fi
	if [ "$id" != debian ] || [ "$version" != 12 ]; then
		say_die "this is ${id:-an unknown system} ${version}; byoci is set up on Debian 12 (bookworm) only: use such a machine, or a container of it"
	fi
}

host_packages_missing() {
	local -a wanted
	mapfile -t wanted < <(sed '/^#/d;/^$/d' "$@")
	printf '%s\n' "${wanted[@]}" |
		grep -vxF -f <(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/ installed$//p') || true
}

host_apt() {
	DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -q -o DPkg::Lock::Timeout=120 "$@"
}

# What an earlier, broken run of dpkg left half done is finished first.
host_install() {
	if [ -n "$(ls -A /var/lib/dpkg/updates 2>/dev/null)" ]; then dpkg --configure -a; fi
	host_apt update && host_apt install -y --no-install-recommends "$@"
}

# Services that come with packages of ours and that byoci does not use: the machine's ssh, the bridge and the autostart of lxc.
host_services_of() {
	local services=
	case " $* " in *" openssh-server "*) services="ssh.service ssh.socket " ;; esac
	case " $* " in *" lxc "* | *" lxc-dev "*) services="${services}lxc.service lxc-net.service lxc-monitord.service" ;; esac
	echo "$services"
}

# Packages, but none of the services that would come up with them; one that was here before is not touched.
host_install_quietly() {
	local services
	services=$(host_services_of "$@")
	if [ -z "$services" ] || ! service_systemd; then
		say_while "installing $# packages" host_install "$@"
		return
	fi
	# shellcheck disable=SC2086
	systemctl --quiet --runtime mask $services 2>>"$say_log"
	say_while "installing $# packages" host_install "$@" || return
	# shellcheck disable=SC2086
	systemctl --quiet --runtime unmask $services && systemctl --quiet disable $services
	say "  left off what came with packages and byoci does not use: $services"
}

# host_install_packages FILE…: what they list, one name a line, and is missing.
host_install_packages() {
	local missing
	mapfile -t missing < <(host_packages_missing "$@")
	[ "${#missing[@]}" -gt 0 ] || return 0
	host_install_quietly "${missing[@]}" ||
		say_die "apt-get could not install ${missing[*]}: look at the lines above and at /etc/apt/sources.list, then run this again"
	say_changed "installed ${missing[*]}"
}

# A free port, or one that a process of ours holds. host_check_port OPTION ADDRESS
host_check_port() {
	local option=$1 address=$2 inode pid exe
	inode=$(host_listener "$address")
	[ -n "$inode" ] || return 0
	pid=$(host_socket_owner "$inode")
	exe=$(readlink "/proc/${pid:-0}/exe" 2>/dev/null) || exe=
	service_is_ours "${pid:-0}" && return 0
	say_die "$option: $address is taken by ${exe:-another process}${pid:+ (pid $pid)}: stop it, or choose another port:" \
		"setup/byoci $namespace -O $option=${address%:*}:PORT"
}

# The inode of the socket that listens on ADDRESS:PORT, or on the port of any address. Nothing: free.
host_listener() {
	local port=${1##*:} host=${1%:*} hex_port hex_host=
	hex_port=$(printf '%04X' "$port")
	case $host in
	localhost) host=127.0.0.1 ;;
	esac
	case $host in
	*.*.*.*) hex_host=$(printf '%s' "$host" | awk -F. '{ printf "%02X%02X%02X%02X", $4, $3, $2, $1 }') ;;
	esac
	awk -v port="$hex_port" -v host="$hex_host" '
		$4 == "0A" && split($2, at, ":") == 2 && at[2] == port &&
		(host == "" || at[1] == host || at[1] ~ /^0+$/ || host == "00000000") { print $10; exit }
	' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

host_socket_owner() {
	local found
	found=$(find /proc/[0-9]*/fd -lname "socket:\[$1\]" -print -quit 2>/dev/null) || true
	found=${found#/proc/}
	echo "${found%%/*}"
}

host_check_user_namespaces() {
	local most=/proc/sys/user/max_user_namespaces
	if [ ! -r "$most" ] || [ "$(cat "$most")" -eq 0 ] || ! unshare --user --mount true 2>/dev/null; then
		say_die "this kernel gives no user namespaces, and tests run in them: sysctl -w user.max_user_namespaces=10000" \
			"(in a container: let its host allow nesting), then run this again"
	fi
}

# Memory and processes of a worker are limited by cgroups, v1 or v2; a limit that cannot be set would be no limit.
host_check_cgroups() {
	local controller options
	for controller in memory pids; do
		options=$(awk -v wanted="$controller" '$3 == "cgroup" { n = split($4, list, ","); for (i = 1; i <= n; i++) if (list[i] == wanted) print $4 }' \
			/proc/mounts | head -n 1)
		if [ -z "$options" ] && grep -qsw "$controller" /sys/fs/cgroup/cgroup.controllers; then
			options=$(awk '$2 == "/sys/fs/cgroup" { print $4 }' /proc/mounts | tail -n 1)
		fi
		case $options in
		rw,*) ;;
		'') say_die "no $controller cgroup, which limits the tests: boot with cgroup_enable=$controller" \
			"(or mount it: mount -t cgroup2 none /sys/fs/cgroup), then run this again" ;;
		*) say_die "the $controller cgroup, which limits the tests, is read-only in /sys/fs/cgroup: in a container, let its host delegate it;" \
			"then run this again" ;;
		esac
	done
}

# host_check_disk FOLDER MEGABYTES
host_check_disk() {
	local folder=$1 needed=$2 free
	while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
	free=$(($(df --output=avail -k "$folder" | tail -n 1) / 1024))
	[ "$free" -ge "$needed" ] || say_die "$folder has $free MB free and $needed are needed: make room," \
		"or choose another place: setup/byoci $namespace -O state=/FOLDER"
}
