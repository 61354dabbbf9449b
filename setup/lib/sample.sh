# shellcheck shell=bash disable=SC2034,SC2154
# A proposal of the sample project, landed the way every proposal is: pushed over ssh, proposed by one person, approved by another.

sample_limit=${BYOCI_SAMPLE_LIMIT:-120} # seconds for one landing
sample_shown=                           # the last `byoci show --json` of the proposal

sample_configured() {
	sections project | grep -qx sample
}

# The two people of the sample, with keys that only root reads.
sample_people() {
	local person
	sample_configured || return 0
	place_folder "$state/sample" root root 700
	for person in author reviewer; do
		if [ ! -s "$state/sample/$person.pub" ]; then
			rm -f "$state/sample/$person"
			ssh-keygen -q -t ed25519 -N '' -C "$person of the sample" -f "$state/sample/$person"
			say_changed "made the key of $person in $state/sample"
		fi
		place_mode "$state/sample/$person" root root 600
		config_person "$person" "$state/sample/$person.pub"
		config_signer sample "$person" "$state/sample/$person.pub"
	done
}

# sample_git PERSON ARGUMENT…: git as that person, with nothing of root's own configuration.
sample_git() {
	local person=$1
	shift
	env -i PATH="$PATH" LC_ALL=C.UTF-8 HOME=/ GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0 \
		GIT_SSH_COMMAND="ssh -F none -i $state/sample/$person -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes \
			-o UserKnownHostsFile=$etc/known_hosts -o GlobalKnownHostsFile=/dev/null -o ConnectTimeout=10" \
		GIT_AUTHOR_NAME="$person" GIT_AUTHOR_EMAIL="$person@localhost" GIT_COMMITTER_NAME="$person" GIT_COMMITTER_EMAIL="$person@localhost" \
		git "$@"
}

# sample_branch FOLDER NAME: a clone with one commit to propose.
sample_branch() {
	sample_git author clone -q "$(option repository project/sample)" "$1"
	printf '%s\n' "$2" >>"$1/landed"
	sample_git author -C "$1" checkout -q -b "$2" --no-track "origin/$sample_target"
	sample_git author -C "$1" add landed
	sample_git author -C "$1" commit -q -m "Land $2"
}

sample_byoci() {
	env -i PATH="$PATH" LC_ALL=C.UTF-8 HOME=/ "$bin/byoci" -n "$namespace" "$@"
}

# sample_propose FOLDER NAME, sample_approve NAME
sample_propose() {
	sample_byoci propose --project sample --name "$2" -k "$state/sample/author" --repository "$1" HEAD
}

sample_approve() {
	sample_byoci approve --project sample -k "$state/sample/reviewer" "$1"
}

# 0: landed; 1: not yet; 2: it never will.
sample_over() {
	local state_now
	sample_shown=$("$bin/byoci" -n "$namespace" show "$1" --json 2>/dev/null) || return 1
	state_now=$(jq -r '.item.state // "" | ascii_downcase' <<<"$sample_shown")
	case $state_now in
	landed) jq -e 'any(.timeline[]?; .step == "reported")' <<<"$sample_shown" >/dev/null || return 1 ;;
	rejected | refused | removed | out) return 2 ;;
	*) return 1 ;;
	esac
}

sample_failed() {
	local name=$1 service
	say "  $name was not landed; why:"
	"$bin/byoci" -n "$namespace" why "$name" 2>&1 | sed 's/^/  | /' || true
	for service in brain slave land worker; do
		say "  the end of $(service_log_name "$service"):"
		service_log_tail "$service" 2>&1
	done
	say_die "$2: look at the lines above; then run this again"
}

sample_timeline() {
	jq -r '"  ms after the push   took", (.timeline | (.[0].at) as $began | .[] |
		"\(.at - $began | tostring | (" " * ([0, 19 - length] | max)) + .)\(.took // 0 | tostring | (" " * ([0, 7 - length] | max)) + .)  \(.step)")' \
		<<<"$sample_shown"
}

sample_land() {
	local folder name rc=0
	sample_configured || return 0
	sample_target=$(option target project/sample)
	sample_target=${sample_target%%,*}
	name=sample-$(date -u +%Y%m%d-%H%M%S)-$(od -An -N2 -tx1 /dev/urandom | tr -d ' ')
	folder=$work/sample
	say "  landing a sample proposal: $name"
	{
		sample_branch "$folder" "$name" && sample_propose "$folder" "$name" && sample_approve "$name"
	} >>"$say_log" 2>&1 || {
		tail -n 12 "$say_log" | sed 's/^/  | /' >&2
		say_die "the sample proposal could not be made: the lines above say why ($(service_log_name git) is the repositories' side)"
	}
	say_until "$sample_limit" "waiting for $name to land" sample_over "$name" || rc=$?
	case $rc in
	0) sample_landed ;;
	2) sample_failed "$name" "the sample proposal was refused" ;;
	*) sample_failed "$name" "the sample proposal was not landed in $sample_limit s" ;;
	esac
}

sample_landed() {
	local merge
	merge=$(repository_git --git-dir "$(option repository.read project/sample)" rev-parse "refs/heads/${sample_target#refs/heads/}")
	sample_timeline
	say "landed $merge in $(jq -r '.timeline | (map(select(.step == "landed")) | last | .at) - .[0].at' <<<"$sample_shown") ms"
	say "  byoci -n $namespace status     what is going on"
	say "  byoci -n $namespace why NAME   why a proposal was landed, or was not"
	say "  $(option public.url)      the pages"
}
