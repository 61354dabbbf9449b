#!/bin/bash
# What set-up is made of, without a namespace: files and folders that get an owner where that owner could have put links to what isn't his;
# a master's war that is none; and the drop-ins for units of a namespace that has places of its own (which systemd need not be there for).
# shellcheck disable=SC2034,SC2154
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip_all "owners are root's to give"
mine=$scratch/mine kept=$scratch/kept
mkdir "$mine" "$kept"
chown daemon "$mine"
# tries COMMAND…: in a shell of its own, as set-up does it.
tries() { said=$(set -e; "$@" 2>&1); }
what() { stat -c '%U:%a' "$1"; }

echo theirs >"$scratch/theirs" && mkdir "$scratch/place"
ln -s "$scratch/theirs" "$mine/link" && ln "$scratch/theirs" "$mine/name" && ln -s "$scratch/place" "$mine/folder"
for name in link name; do
	ok "a $name in a user's folder, to what isn't his, is not given to him" not tries place_mode "$mine/$name" daemon daemon 600
	like "$said" "$mine/$name can't be given to daemon \\(.*\\): look what is there" "  which is told"
done
ok "nor is a folder" not tries place_folder "$mine/folder" daemon daemon 700
ok "  however late the link came" not tries place_own "$mine/folder" daemon daemon 700
is "$(what "$scratch/theirs") $(what "$scratch/place")" "root:644 root:755" "they are root's, as they were"
ok "a file of that name takes the link's place" tries place_file "$mine/link" daemon daemon 600 <"$scratch/theirs"
is "$(what "$mine/link") $(what "$scratch/theirs") $(readlink "$mine/link")" "daemon:600 root:644 " "  and is his"
ok "a file is given to him" tries place_mode "$mine/link" daemon daemon 640
is "$(what "$mine/link")" daemon:640 "  with its mode"
ok "a folder is made" tries place_folder "$mine/new/one" daemon daemon 2750
is "$(what "$mine/new/one") $(what "$mine/new")" "daemon:2750 root:755" "  with the folder that it is in, which is root's"
tries place_folder "$mine/new/one" daemon daemon 750
is "$(what "$mine/new/one")" daemon:750 "  and loses a bit again"
# soon COMMAND…: tries() it, but not for ever.
soon() {
	tries "$@" <&0 &
	local pid=$! rc=0
	say_until 20 "waiting" ended "$pid" 2>/dev/null || { pkill -KILL -P "$pid"; kill -KILL "$pid"; }
	wait "$pid" || rc=$?
	return "$rc"
}
ended() { ! kill -0 "$1" 2>/dev/null; }
as_daemon() { setpriv --reuid=daemon --regid=daemon --clear-groups "$@"; }
as_daemon mkfifo "$mine/pipe"
ok "a pipe in a user's folder keeps nobody waiting" soon place_file "$mine/pipe" daemon daemon 600 <"$scratch/theirs"
is "$(what "$mine/pipe") $(timeout 5 cat "$mine/pipe")" "daemon:600 theirs" "  the file takes its place"
as_daemon mkfifo "$mine/key.pub"
soon place_key "$mine/key.pub"
is "$?" 1 "nor does one in place of a key"
(umask 077 && echo secret >"$scratch/hidden")
as_daemon ln -s "$scratch/hidden" "$mine/other.pub"
is "$(place_key "$mine/other.pub")" "" "a key that is a link is none"
tries place_folder "$mine/swapped" daemon daemon 700
as_daemon rmdir "$mine/swapped" && as_daemon ln -s "$scratch/place" "$mine/swapped"
ok "a folder of a user's that has become a link since is not followed" not tries place_file "$mine/swapped/file" daemon daemon 600 <"$scratch/theirs"
like "$said" "$mine/swapped is a link: look what is there" "  which is told"
is "$(ls "$scratch/place")" "" "  and nothing is put there"
is "$(find "$kept" "$mine" -name 'new.*')" "" "nothing is left lying about"

# As a condition, where `set -e` does not hold.
head -c 1000 /dev/zero >"$scratch/cut.war"
unpacks() { hudson_unpack "$scratch/cut.war" "$scratch/unpacked" 2>/dev/null || return 1; }
ok "a war that is none is not unpacked" not unpacks
is "$(find "$scratch" -name 'unpacked*')" "" "  and leaves nothing that looks so"

# What systemd is told about the unit that has the workers' groups (it need not be there).
service_units_folder=$scratch
echo one >"$scratch/byoci-workers@.service"
renews() {
	told=$(
		service_systemd() { :; }
		service_stop() { echo "stop $1"; }
		systemctl() { if [ "$2" = is-active ]; then [ "$active" = yes ]; else echo "$*"; fi; }
		say_changed() { :; }
		service_groups_renew
	)
}
active=no renews
is "$told" "" "workers' groups that are not there yet are left to systemd"
active=yes renews
is "$told" "" "those whose unit is as it was are left alone"
echo two >"$scratch/byoci-workers@.service"
active=yes renews
is "$told" "stop slave
stop byoci-workers@$namespace.service" "those whose unit has changed end, to begin anew"
active=yes renews
is "$told" "" "once"

user_brain=brain user_slave=slave user_land=land user_git=git user_agent=agent user_master=master user_author=author
state=/srv/other run=/run/other secrets=/srv/other/secrets git_root=/srv/other/git

names=$(cd "$checkout/setup/units" && printf '%s\n' byoci-*@.service | sed 's/^byoci-//; s/@.*//' | grep -vx workers)
for name in $names; do
	unit=$checkout/setup/units/byoci-$name@.service
	dropin=$(service_unit_places "$name")
	is "$(head -n 1 <<<"$dropin")" '[Service]' "byoci-$name: the drop-in is of its service"
	is "$(grep -c '/var/lib/byoci\|/run/byoci\|%i' <<<"$dropin")" 0 "byoci-$name: it names no place by convention"
	if grep -q '^ReadWritePaths=' "$unit"; then
		is "$(grep -m 1 '^ReadWritePaths=' <<<"$dropin")" 'ReadWritePaths=' "byoci-$name: the unit's, which may be missing, are forgotten"
		is "$(grep '^ReadWritePaths=/' <<<"$dropin" | wc -w)" "$(grep '^ReadWritePaths=' "$unit" | wc -w)" "byoci-$name: and it has as many"
	fi
	is "$(grep '^InaccessiblePaths=' <<<"$dropin")" "$(grep '^InaccessiblePaths=' "$unit" | sed 's,/var/lib/byoci/%i,/srv/other,g')" \
		"byoci-$name: the secrets that it can't reach are the namespace's own"
done
unlike "$(tr ' ' '\n' <"$checkout/setup/units/byoci-worker@.service")" '/secrets(/worker)?$' "byoci-worker reaches the secrets of tests"
done_testing
