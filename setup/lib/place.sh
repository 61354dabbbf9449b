# shellcheck shell=bash disable=SC2034,SC2154
# Folders and files with their owner and mode. Right ones are left alone.

# place_own PATH OWNER GROUP MODE: of what has this name alone. Whoever owns the folder could have put a link there, to what isn't his.
place_own() {
	local why
	why=$(perl -MFcntl=:DEFAULT,:mode -e '
		my ($path, $owner, $group, $mode) = @ARGV;
		my ($user, $of) = (scalar getpwnam $owner, scalar getgrnam $group);
		defined $user && defined $of or die "there is no user $owner or no group $group\n";
		sysopen my $file, $path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK or die "$!\n";
		my ($kind, $names) = (stat $file)[2, 3];
		S_ISDIR($kind) || S_ISREG($kind) && $names == 1 or die "it has other names\n";
		chown $user, $of, $file or die "$!\n";
		chmod oct $mode, $file or die "$!\n"' "$@" 2>&1) ||
		say_die "$1 can't be given to $2 (${why##*$'\n'}): look what is there, move it away, then run this again"
}

# place_folder PATH OWNER GROUP MODE
place_folder() {
	local path=$1 want="$2:$3:$4" have
	if [ -L "$path" ] || { [ -e "$path" ] && [ ! -d "$path" ]; }; then
		say_die "$path is there and is not a folder: move it away, then run this again"
	fi
	if [ ! -d "$path" ]; then
		mkdir -p "$(dirname "$path")" && mkdir -m 700 "$path"
		place_own "$@"
		say_changed "made $path"
		return
	fi
	have=$(stat -c '%U:%G:%a' "$path")
	[ "$have" != "$want" ] || return 0
	place_own "$@"
	say_changed "mended $path: was $have, is $want"
}

# place_mode PATH OWNER GROUP MODE: of a file that is there.
place_mode() {
	local path=$1 want="$2:$3:$4" have
	have=$(stat -c '%U:%G:%a' "$path")
	[ "$have" != "$want" ] || return 0
	place_own "$@"
	say_changed "mended $path: was $have, is $want"
}

# place_read PATH: what is in a file that somebody else could have put there: no end of a link, unless root made it, nothing that has no
# end, and no pipe, which would keep us waiting.
place_read() {
	perl -MFcntl=:DEFAULT,:mode -e '
		my @link = lstat $ARGV[0];
		sysopen my $file, $ARGV[0], O_RDONLY | O_NONBLOCK | (@link && $link[4] == 0 ? 0 : O_NOFOLLOW) or exit 1;
		S_ISREG((stat $file)[2]) or exit 1;
		my $left = 1 << 26;
		while ($left > 0 && sysread $file, my $bytes, 1 << 16) { print $bytes; $left -= length $bytes }' "$1"
}

# place_key PATH: type and key, of a public key's file.
place_key() {
	place_read "$1" | head -n 1 | cut -d' ' -f1,2
}

# place_file PATH OWNER GROUP MODE: its content is standard input; whole or not at all. It is written where nobody but root can take it
# away, and comes into that very folder, although who owns it could put a link in its place at any time.
place_file() {
	local path=$1 at=$1 new=$1.XXXXXX same=yes folder inside=
	folder=$(dirname "$path")
	if [ "$(stat -c %u "$folder")" != 0 ]; then
		new=$kept/new.XXXXXX
		exec {inside}<"$folder/."
		[ "$(stat -Lc %d:%i "/proc/self/fd/$inside")" = "$(stat -c %d:%i "$folder")" ] ||
			say_die "$folder is a link: look what is there, move it away, then run this again"
		at=/proc/self/fd/$inside/${path##*/}
	fi
	new=$(mktemp "$new")
	cat >"$new"
	place_read "$at" | cmp -s "$new" - || same=no
	[ -z "$inside" ] || [ "$(stat -c '%U:%G:%a' "$at" 2>/dev/null)" = "$2:$3:$4" ] || same=no
	if [ "$same" = no ]; then
		place_own "$new" "${@:2}"
		mv -fT "$new" "$at"
		say_changed "wrote $path"
	else
		rm -f "$new"
		[ -n "$inside" ] || place_mode "$@"
	fi
	[ -z "$inside" ] || exec {inside}<&-
}

# place_line PATH PATTERN LINE: exactly this line, once, in place of others that match the (fixed) beginning PATTERN; the rest is not ours.
place_line() {
	local path=$1 pattern=$2 line=$3 new
	if [ -e "$path" ] && grep -qxF -- "$line" "$path"; then return 0; fi
	new=$(mktemp "$path.XXXXXX")
	if [ -e "$path" ]; then
		awk -v pattern="$pattern" 'index($0, pattern) != 1' "$path" >"$new"
	fi
	printf '%s\n' "$line" >>"$new"
	chmod 644 "$new"
	mv -f "$new" "$path"
	say_changed "wrote $pattern… in $path"
}

# place_line_remove PATH LINE
place_line_remove() {
	local path=$1 new
	if [ ! -e "$path" ] || ! grep -qxF -- "$2" "$path"; then return 0; fi
	new=$(mktemp "$path.XXXXXX")
	grep -vxF -- "$2" "$path" >"$new" || true
	chmod --reference="$path" "$new"
	mv -f "$new" "$path"
	say_changed "removed $2 from $path"
}

# place_link PATH TARGET
place_link() {
	[ "$(readlink "$1" 2>/dev/null)" != "$2" ] || return 0
	if [ -e "$1" ] && [ ! -L "$1" ]; then
		say_die "$1 is there and is not a link: move it away, then run this again"
	fi
	ln -sfn "$2" "$1"
	say_changed "linked $1 to $2"
}

# All folders of a namespace. The mapped root of a worker must be able to pass through the worker's.
place_all() {
	local folder
	for folder in /usr/local/lib/byoci "/usr/local/lib/byoci/$namespace" "/usr/local/lib/byoci/$namespace/bin" \
		"/usr/local/lib/byoci/$namespace/libexec" /etc/byoci "$etc" "$etc/result-keys" "$etc/allowed_signers" \
		"$(dirname "$run")" "$run" "$(dirname "$state")" "$state" /var/log/byoci "$log" "$secrets"; do
		place_folder "$folder" root root 755
	done
	place_folder "$run/brain" "$user_brain" "$user_brain" 2750
	place_folder "$run/slave" "$user_slave" "$(agent_group)" 2750
	place_folder "$run/land" "$user_land" "$(agent_group)" 2750
	place_folder "$run/approval" "$user_land" "$user_slave" 2750
	place_folder "$run/worker" root "$user_slave" 2750
	for folder in brain brain/logs brain/trees; do place_folder "$state/$folder" "$user_brain" "$user_brain" 750; done
	for folder in slave slave/trees slave/builds; do place_folder "$state/$folder" "$user_slave" "$user_slave" 750; done
	for folder in land land/trees land/reads; do place_folder "$state/$folder" "$user_land" "$user_land" 750; done
	for folder in worker worker/slots; do place_folder "$state/$folder" root root 711; done
	place_folder "$state/worker/backings" root root 700
	place_folder "$(dirname "$kept")" root root 755
	place_folder "$kept" root root 700
	place_folder "$git_root" "$user_git" "$user_git" 2750
	place_folder "$secrets/brain" "$user_brain" "$user_brain" 700
	place_folder "$secrets/slave" "$user_slave" "$user_slave" 700
	place_folder "$secrets/land" "$user_land" "$user_land" 700
	place_folder "$secrets/worker" root root 700
	place_folder "$secrets/git" "$user_git" "$user_git" 700
	master_place
	agent_place
	author_place
}
