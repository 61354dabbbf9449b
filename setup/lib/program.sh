# shellcheck shell=bash disable=SC2034,SC2154
# The programs: built in the checkout as its owner, installed for this namespace only, so that another one can run another version.

program_names='byoci byoci-brain byoci-slave byoci-worker byoci-init'

# program_as_owner COMMAND…: as the owner of the checkout, when root works in somebody else's.
program_as_owner() {
	local owner
	owner=$(stat -c %U "$checkout")
	if [ "$(id -u)" -eq 0 ] && [ "$owner" != root ]; then
		runuser -u "$owner" -- env HOME="$(getent passwd "$owner" | cut -d: -f6)" "$@"
	else
		"$@"
	fi
}

# program_build TARGET…
program_build() {
	say_while building program_as_owner make -C "$checkout" -j"$(nproc)" --no-print-directory "$@" ||
		say_die "the build failed: mend what the lines above say, then run this again"
}

program_install() {
	local name from to
	for name in $program_names; do
		from=$checkout/build/bin/$name
		to=$bin/$name
		cmp -s "$from" "$to" || {
			install -o root -g root -m 755 "$from" "$to.new"
			mv -f "$to.new" "$to"
			say_changed "installed $to"
		}
		place_mode "$to" root root 755
	done
	program_templates
	mkdir -p /usr/local/bin
	# The plain command goes to the namespace that was set up first; the others are reached by -n.
	[ -x /usr/local/bin/byoci ] || place_link /usr/local/bin/byoci "$bin/byoci"
}

# What byoci jenkins sync makes the jobs on a master from.
program_templates() {
	local from to
	place_folder "$lib/jobs" root root 755
	for from in "$checkout"/jobs/*.yaml; do
		place_file "$lib/jobs/${from##*/}" root root 644 <"$from"
	done
	for to in "$lib"/jobs/*; do
		[ ! -e "$to" ] || [ -e "$checkout/jobs/${to##*/}" ] || { rm -f "$to" && say_changed "removed $to"; }
	done
}
