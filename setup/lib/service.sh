# shellcheck shell=bash disable=SC2034,SC2154
# The processes: started, found again, restarted when what they run or read has changed, stopped. Under systemd where it is
# process 1, else by start-stop-daemon with pid files.

service_names='worker slave land brain git'
service_units_folder=/etc/systemd/system

# Those that there are by the configuration. The master is up before anybody asks it.
service_names_all() {
	if agent_role_slave; then
		service_names="worker slave land$(! author_wanted || echo ' author') $(agent_service_names | paste -sd ' ')"
		return
	fi
	service_names="worker slave land$(! author_wanted || echo ' author')$(! master_ours || echo ' master') $(agent_service_names | paste -sd ' ') brain git"
	service_names=${service_names//  / }
}

service_systemd() {
	[ -d /run/systemd/system ]
}

service_unit() {
	echo "byoci-$1@$namespace.service"
}

# The command line of a service.
service_command() {
	case $1 in
	worker) echo "$bin/byoci-worker -n $namespace" ;;
	slave) echo "$bin/byoci-slave -n $namespace serve" ;;
	land) echo "$bin/byoci-slave -n $namespace serve --land" ;;
	brain) echo "$bin/byoci-brain -n $namespace" ;;
	git) echo "/usr/sbin/sshd -D -e -f $etc/sshd_config" ;;
	agent) echo "/usr/sbin/sshd -D -e -f $etc/agent_sshd_config" ;;
	author) echo "/usr/sbin/sshd -D -e -f $etc/author_sshd_config" ;;
	inbound) echo "$lib/libexec/byoci-inbound" ;;
	inbound-land) echo "$lib/libexec/byoci-inbound-land" ;;
	master) echo "$lib/libexec/byoci-master" ;;
	esac
}

service_user() {
	case $1 in
	worker) echo root ;;
	slave) echo "$user_slave" ;;
	land) echo "$user_land" ;;
	brain) echo "$user_brain" ;;
	git) echo "$user_git" ;;
	agent | inbound | inbound-land) echo "$user_agent" ;;
	author) echo "$user_author" ;;
	master) echo "$user_master" ;;
	esac
}

# The program that its process runs in the end.
service_program() {
	local program
	case $1 in
	inbound | inbound-land | master) readlink -f /usr/bin/java ;;
	*) program=$(service_command "$1") && readlink -f "${program%% *}" ;;
	esac
}

# Files of which each makes what runs another one.
service_files() {
	case $1 in
	git) echo "$etc/sshd_config" "$secrets/git/ssh_host_ed25519_key" ;;
	agent) echo "$etc/agent_sshd_config" "$secrets/agent/ssh_host_ed25519_key" ;;
	author) echo "$etc/author_sshd_config" "$secrets/author/ssh_host_ed25519_key" ;;
	inbound) echo "$lib/libexec/agent.jar" "$secrets/agent/$(agent_slave)" ;;
	inbound-land) echo "$lib/libexec/agent.jar" "$secrets/agent/$(agent_slave)-land" ;;
	esac
}

# What, when it changes, makes a restart necessary.
service_digest() {
	local program file
	program=$(service_command "$1")
	{
		echo "$program"
		id -G "$(service_user "$1")"
		cat "${program%% *}"
		case $1 in
		git | agent | author | inbound*) for file in $(service_files "$1"); do place_read "$file" || true; done ;;
		master) ;;
		*)
			cat "$etc"/*.conf "$etc/gitconfig"
			cat /etc/byoci/*.conf 2>/dev/null || true
			;;
		esac
		! service_systemd || cat "/etc/systemd/system/byoci-$1@.service" "/etc/systemd/system/byoci-$1@$namespace.service.d"/*.conf 2>/dev/null || true
	} | sha256sum | cut -d' ' -f1
}

# The pid of one that lives although its file tells of none, or of another: what an interrupted set-up had begun to start. A copy of it
# has it as its parent.
service_stray() {
	local program pid
	local -a command found
	program=$(service_program "$1")
	read -r -a command < <(service_command "$1")
	mapfile -t found < <(find /proc/[0-9]*/exe -maxdepth 0 \( -lname "$program" -o -lname "$program (deleted)" \) 2>/dev/null | cut -d/ -f3)
	for pid in "${found[@]}"; do
		[ "$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")" = "${command[*]} " ] || continue
		[[ " ${found[*]} " != *" $(awk '/^PPid:/ { print $2 }' "/proc/$pid/status" 2>/dev/null) "* ]] || continue
		echo "$pid"
		return 0
	done
}

# The pid of a service that lives; nothing otherwise, also when the pid file's process is another one by now.
service_pid() {
	local pid exe
	if service_systemd; then
		pid=$(systemctl show -P MainPID "$(service_unit "$1")" 2>/dev/null) || pid=0
		[ "$pid" = 0 ] || echo "$pid"
		return 0
	fi
	pid=$(cat "$run/byoci-$1.pid" 2>/dev/null) || pid=
	exe=$(readlink "/proc/${pid:-0}/exe" 2>/dev/null) || exe=
	if [ "${exe% (deleted)}" = "$(service_program "$1")" ]; then echo "$pid"; else service_stray "$1"; fi
}

# service_is_ours PID: one of this namespace's processes, or a child of one.
service_is_ours() {
	local name exe
	exe=$(readlink "/proc/$1/exe" 2>/dev/null) || return 1
	[ "${exe#"$bin"/}" = "$exe" ] || return 0
	for name in $service_names; do
		[ "$(service_pid "$name")" != "$1" ] || return 0
	done
	return 1
}

service_socket() {
	case $1 in
	worker | slave | land | brain) option "$1.socket" ;;
	esac
}

# Whether it has ended since it was started. Between its start and its exec it has a pid file, or none yet, and another program.
service_died() {
	local pid
	if service_systemd; then
		systemctl --quiet is-failed "$(service_unit "$1")"
	else
		pid=$(cat "$run/byoci-$1.pid" 2>/dev/null) && [ -n "$pid" ] && service_gone "$pid" && [ -z "$(service_stray "$1")" ]
	fi
}

# Whether somebody listens where it is to.
service_listens() {
	local socket
	socket=$(service_socket "$1")
	if [ -n "$socket" ]; then
		awk -v path="$socket" '$8 == path && $4 == "00010000" { found = 1 } END { exit !found }' /proc/net/unix || return 1
	fi
	case $1 in
	git) [ -n "$(host_listener "$(option git.listen)")" ] ;;
	brain) [ -n "$(host_listener "$(option hook.listen)")" ] ;;
	agent) [ -n "$(host_listener "$(option agent.listen)")" ] ;;
	author) [ -n "$(host_listener "$(option author.listen)")" ] ;;
	master) master_answers ;;
	esac
}

# 0: it answers; 1: not yet; 2: it has died.
service_ready() {
	! service_died "$1" || return 2
	[ -n "$(service_pid "$1")" ] && service_listens "$1" || return 1
	[ "$1" != brain ] || "$bin/byoci" -n "$namespace" status >/dev/null 2>&1 || return 1
}

service_start_daemon() {
	local name=$1 user
	local -a command proxies=()
	user=$(service_user "$name")
	read -r -a command < <(service_command "$name")
	[ "$name" != worker ] || mapfile -t proxies < <(env | grep -E '^(http|https|no)_proxy=' || true)
	: >>"$log/byoci-$name.log"
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/ "${proxies[@]}" \
		start-stop-daemon --start --quiet --background --make-pidfile --pidfile "$run/byoci-$name.pid" --umask 022 \
		--chdir / --chuid "$user:$user" --output "$log/byoci-$name.log" --startas "${command[0]}" -- "${command[@]:1}"
}

service_start() {
	if service_systemd; then
		systemctl enable --quiet "$(service_unit "$1")"
		systemctl start "$(service_unit "$1")"
	else
		rm -f "$run/byoci-$1.pid"
		service_start_daemon "$1"
	fi 9>&-
}

service_log_tail() {
	if service_systemd; then
		journalctl -q -n 5 -o cat -u "$(service_unit "$1")"
	else
		tail -n 5 "$log/byoci-$1.log"
	fi | sed 's/^/  | /' >&2
}

service_log_name() {
	if service_systemd; then echo "journalctl -u $(service_unit "$1")"; else echo "$log/byoci-$1.log"; fi
}

service_gone() {
	[ ! -d "/proc/$1" ] || [ "$(awk '{ sub(/.*\) /, ""); print $1 }' "/proc/$1/stat" 2>/dev/null)" = Z ]
}

service_stop() {
	local pid
	pid=$(service_pid "$1")
	if service_systemd; then
		systemctl --quiet disable --now "$(service_unit "$1")" 2>/dev/null || true
	elif [ -n "$pid" ]; then
		kill "$pid" 2>/dev/null || true
		say_until 20 "stopping byoci-$1" service_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
		say_until 5 "stopping byoci-$1" service_gone "$pid" || true
	fi
	rm -f "$run/byoci-$1.pid"
	[ -z "$pid" ] || say_changed "stopped byoci-$1"
}

service_no_groups() {
	[ -z "$(find "$1" -mindepth 1 -type d -print -quit 2>/dev/null)" ]
}

# Older versions had workers' control groups below byoci-worker's own, in which systemd starts nothing as long as there is one. Those
# that wait for a build end with the slave; a build that has one is tried again.
service_make_way() {
	local group
	service_systemd && group=$(systemctl show -P ControlGroup "$(service_unit worker)") && [ -n "$group" ] || return 0
	group=/sys/fs/cgroup$group
	! service_no_groups "$group" || return 0
	service_stop slave
	say_until 10 "ending workers of an older byoci" service_no_groups "$group" || {
		{ echo 1 >"$group/cgroup.kill"; } 2>>"$say_log" || true
		say_until 20 "ending workers of an older byoci" service_no_groups "$group" || true
	}
	say_changed "ended workers of an older byoci"
}

# The unit that has the workers' control groups is nobody's to restart but ours: it ends with byoci-worker and all workers, and so do
# builds, which are tried again. It starts with byoci-worker.
service_groups_renew() {
	local unit=byoci-workers@$namespace.service record=$kept/workers.digest digest
	service_systemd || return 0
	digest=$(sha256sum <"$service_units_folder/byoci-workers@.service" | cut -d' ' -f1)
	[ "$(cat "$record" 2>/dev/null)" != "$digest" ] || return 0
	if systemctl --quiet is-active "$unit"; then
		service_stop slave
		systemctl stop "$unit"
		say_changed "ended $unit, which has changed, and the workers in it"
	fi
	echo "$digest" >"$record"
}

# Seconds until it answers: Java takes its time.
service_patience() {
	case $1 in
	master) echo 180 ;;
	*) echo 30 ;;
	esac
}

# What turns logs over, and people, look into the file.
service_find() {
	local pid file=$run/byoci-$1.pid
	! service_systemd && pid=$(service_pid "$1") && [ -n "$pid" ] && [ "$(cat "$file" 2>/dev/null)" != "$pid" ] || return 0
	echo "$pid" >"$file"
	say_changed "found byoci-$1 (pid $pid), which was not in $file"
}

# Runs as it should: alive, and with the programs and the configuration of now.
service_ensure() {
	local name=$1 digest rc=0
	[ "$name" != worker ] || service_groups_renew
	local kept=$kept/$1.digest
	service_find "$name"
	digest=$(service_digest "$name")
	if [ -n "$(service_pid "$name")" ]; then
		[ "$(cat "$kept" 2>/dev/null)" != "$digest" ] || ! service_ready "$name" || return 0
		service_stop "$name"
	fi
	[ "$name" != worker ] || service_make_way
	service_start "$name"
	say_until "$(service_patience "$name")" "starting byoci-$name" service_ready "$name" || rc=$?
	if [ "$rc" -ne 0 ]; then
		service_log_tail "$name"
		[ "$name" != brain ] || "$bin/byoci" -n "$namespace" status 2>&1 >/dev/null | sed 's/^/  | /' >&2 || true
		say_die "byoci-$name did not come up: the lines above are the end of $(service_log_name "$name"); mend it, then run this again"
	fi
	echo "$digest" >"$kept"
	say_changed "started byoci-$name (pid $(service_pid "$name"))"
}

service_ensure_all() {
	local name
	for name in $service_names; do service_ensure "$name"; done
}

# The units know the places by convention; where the configuration has others, a drop-in says so.
service_unit_places() {
	local name=$1 folder=$state/$1
	case $name in
	git) folder=$git_root ;;
	inbound*) folder=$state/agent ;;
	brain) folder="$folder $run/brain" ;;
	slave) folder="$folder $run/slave -$run/author" ;;
	land) folder="$folder $run/land $run/approval" ;;
	author) folder= ;;
	esac
	printf '[Service]\n'
	[ "$name" = worker ] || printf 'User=%s\nGroup=%s\n' "$(service_user "$name")" "$(service_user "$name")"
	# Nothing is first: the folders by convention need not be there, and then the unit would not start.
	[ "$name" = worker ] || printf 'ReadWritePaths=\nReadWritePaths=%s\n' "$folder"
	sed -n "/^InaccessiblePaths=/s#/var/lib/byoci/%i/secrets#$secrets#gp" "$checkout/setup/units/byoci-$name@.service"
}

service_unit_dropin() {
	local folder=/etc/systemd/system/byoci-$1@$namespace.service.d
	if [ "$state $run $secrets $git_root $user_brain" = "/var/lib/byoci/$namespace /run/byoci/$namespace /var/lib/byoci/$namespace/secrets \
/var/lib/byoci/$namespace/git byoci-$namespace" ]; then
		rm -rf "$folder"
	else
		place_folder "$folder" root root 755
		service_unit_places "$1" | place_file "$folder/places.conf" root root 644
	fi
}

# Without a journal the programs' logs are files, which somebody must turn over.
service_logs_rotate() {
	[ -d /etc/logrotate.d ] || return 0
	place_file "/etc/logrotate.d/byoci-$namespace" root root 644 <<-CONF
		$log/byoci-*.log {
			weekly
			maxsize 100M
			rotate 8
			compress
			copytruncate
			missingok
			notifempty
		}
	CONF
}

# Where AppArmor is on: Debian's profiles for containers keep services and containers in a worker from the mounts they need.
service_apparmor_install() {
	[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] && command -v apparmor_parser >/dev/null || return 0
	place_file /etc/apparmor.d/byoci-worker root root 644 <"$checkout/setup/apparmor/byoci-worker"
	apparmor_parser -r /etc/apparmor.d/byoci-worker 2>>"$say_log" ||
		say "  AppArmor does not take /etc/apparmor.d/byoci-worker: jobs with init = systemd or nested have Debian's, which allows less"
}

service_units_install() {
	local unit name
	service_apparmor_install
	if ! service_systemd; then
		service_logs_rotate
		return
	fi
	for unit in "$checkout"/setup/units/*.service; do
		place_file "/etc/systemd/system/${unit##*/}" root root 644 <"$unit"
	done
	for name in $service_names; do service_unit_dropin "$name"; done
	sed "s,@RUN@,$run,g; s,@BRAIN@,$user_brain,g; s,@SLAVE@,$user_slave,g; s,@LAND@,$user_land,g; s,@AGENT@,$(agent_group),g" \
		"$checkout/setup/units/byoci.tmpfiles" | { cat && { ! author_wanted || echo "d $run/author 2750 $user_slave $user_author -"; }; } | place_file "/etc/tmpfiles.d/byoci-$namespace.conf" root root 644
	systemctl daemon-reload
}
