# shellcheck shell=bash disable=SC2034,SC2154
# The plain git repositories of this machine, their hooks, and the backings that tests run on.

# Projects whose repository lives under git.root: NAME PATH, one a line.
repository_list() {
	local project path
	while read -r project; do
		path=$(option repository.read "project/$project")
		case $path in
		"$git_root"/*.git) printf '%s %s\n' "$project" "$path" ;;
		esac
	done < <(sections project)
}

repository_git() {
	runuser -u "$user_git" -- env -i PATH="$PATH" LC_ALL=C.UTF-8 HOME=/ GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null git "$@"
}

# Whole or not at all: made beside its place, and moved there when it is complete.
repository_make() {
	local project=$1 path=$2 new=$2.new
	rm -rf "$new"
	repository_git init -q --bare --template= --initial-branch=main "$new"
	[ "$project" != sample ] || repository_fill "$new" "$checkout/setup/sample"
	chmod 2750 "$new"
	mv "$new" "$path"
	say_changed "made the repository $path"
}

# repository_fill REPOSITORY FOLDER: a first commit on main with the files of the folder.
repository_fill() {
	local folder=$git_root/.fill tree commit
	rm -rf "$folder"
	mkdir "$folder"
	cp -r "$2/." "$folder"
	chown -R "$user_git:$user_git" "$folder"
	repository_git -C "$folder" --git-dir "$1" --work-tree . add -A
	tree=$(repository_git --git-dir "$1" write-tree)
	commit=$(echo "A project to try byoci with" | repository_git --git-dir "$1" -c user.name=byoci -c user.email=byoci@localhost commit-tree "$tree")
	repository_git --git-dir "$1" update-ref refs/heads/main "$commit" ''
	rm -rf "$folder" "$1/index"
}

# The hooks ask the program of this namespace; nobody but root changes them.
repository_hooks() {
	local name
	place_folder "$1/hooks" root root 755
	for name in pre-receive post-receive; do
		printf '#!/bin/sh\nexec %s/byoci -n %s git-%s\n' "$bin" "$namespace" "$name" | place_file "$1/hooks/$name" root root 755
	done
}

repository_all() {
	local project path
	while read -r project path; do
		[ -d "$path" ] || repository_make "$project" "$path"
		place_mode "$path" "$user_git" "$user_git" 2750
		repository_hooks "$path"
	done < <(repository_list)
}

# Backings that jobs of the projects name, each once.
backing_list() {
	local project job
	while read -r project; do
		for job in $(option jobs "project/$project" | tr ',' ' '); do option backing "job/$job"; done
	done < <(sections project) | sort -u
}

# The worker knows by its digest whether one is there already; then this is over at once.
backing_all() {
	local backing before scope=()
	# It tries the backing in a worker, which takes a control group that is its own to divide.
	if service_systemd; then scope=(systemd-run --quiet --scope -p Delegate=yes --); fi
	while read -r backing; do
		before=$(find "$state/worker/backings" -mindepth 1 -maxdepth 1 | sort)
		say_while "making the backing $backing (a Debian to run tests on)" \
			"${scope[@]}" "$bin/byoci-worker" -n "$namespace" build-backing "$backing" ||
			say_die "the backing $backing could not be made: mend what the lines above say (a mirror out of reach? -O backing/$backing:mirror=URL)," \
				"then run this again"
		[ "$before" = "$(find "$state/worker/backings" -mindepth 1 -maxdepth 1 | sort)" ] || say_changed "made the backing $backing"
	done < <(backing_list)
}
