# shellcheck shell=bash disable=SC2034,SC2154
# What tests of masters share: a configuration of their own in $scratch/root, and requests to a master as a person makes them.

jenkins_pids=()

# jenkins_end: what was started ends with the test, however that ends.
jenkins_end() {
	local pid
	[ ! -e "$scratch/hudson/pid" ] || "$checkout/tests/tool/hudson" stop "$scratch/hudson" >/dev/null 2>&1
	for pid in "${jenkins_pids[@]}"; do
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	rm -rf "$scratch"
}

# jenkins_place USER: folders of the namespace as setup makes them; `$state` and `$byoci`.
jenkins_place() {
	export BYOCI_ROOT=$scratch/root
	state=$scratch/state
	byoci="${O:-$checkout/build}/bin/byoci"
	mkdir -p "$BYOCI_ROOT/etc/byoci" "$state"
	cp -r "$checkout/jobs" "$scratch/jobs"
	install -d -o "$1" -m 700 "$state/brain" "$scratch/secrets"
}

# jenkins_secret NAME USER: standard input becomes a secret.
jenkins_secret() {
	install -o "$2" -m 600 /dev/stdin "$scratch/secrets/$1"
}

# jenkins_hudson PORT: a Hudson; $url, $who.
jenkins_hudson() {
	"$checkout/tests/tool/hudson" start "$scratch/hudson" "$1" >"$scratch/hudson.said" 2>&1 || bail_out "no Hudson: $(tail -n 5 "$scratch/hudson.said")"
	url=http://127.0.0.1:$1
	who=$(cat "$scratch/hudson/user"):$(cat "$scratch/hudson/password")
	crumb=".crumb: $(curl -s --noproxy '*' -u "$who" "$url/crumbIssuer/api/json" | jq -r .crumb)"
}

# jenkins_get PATH
jenkins_get() {
	curl -sgf --noproxy '*' -u "$who" "$url/$1"
}

# jenkins_post PATH CURL-ARGUMENT…: as a person, with a crumb.
jenkins_post() {
	local path=$1
	shift
	curl -sgf --noproxy '*' -o /dev/null -u "$who" -H "$crumb" -X POST "$@" "$url/$path"
}

jenkins_jobs() {
	jenkins_get 'api/json?tree=jobs[name]' | jq -r '.jobs[].name' | sort
}

jenkins_views() {
	jenkins_get 'api/json?tree=views[name]' | jq -r '.views[].name' | sort
}

# jenkins_run ARGUMENT…: byoci jenkins; what it said is in $said, its exit status in $status.
jenkins_run() {
	status=0
	"$byoci" -n "$namespace" "${jenkins_options[@]}" jenkins "$@" >"$scratch/said" 2>&1 </dev/null || status=$?
	said=$(cat "$scratch/said")
}
jenkins_options=()
