# shellcheck shell=bash disable=SC2034,SC2154
# For tests of a whole namespace on a real master: Hudson, begun by the test, and the namespace that is set up for it. The test says
# BYOCI_E2E_NAMESPACE and sources lib.sh before this; jenkins_ports is the first of six ports that nobody else uses.

tool=$checkout/tests/tool/hudson
hudson=$scratch/hudson
crumb=
jenkins_ours=(-O "hook.listen=127.0.0.1:$((jenkins_ports + 1))" -O "pages.listen=127.0.0.1:$((jenkins_ports + 2))"
	-O "git.listen=127.0.0.1:$((jenkins_ports + 3))" -O "agent.listen=127.0.0.1:$((jenkins_ports + 4))"
	-O "master.listen=127.0.0.1:$((jenkins_ports + 5))" -O "worker.ids.first=$jenkins_ids" -O "poll=2s")

# Whatever becomes of the test, its Hudson and its namespace go.
jenkins_end() {
	local rc=$?
	"$tool" kill "$hudson" 2>/dev/null
	[ -n "${BYOCI_E2E_STAYS:-}" ] || "$checkout/setup/byoci" --remove "$namespace" >/dev/null 2>&1 </dev/null
	rm -rf "$scratch"
	exit "$rc"
}
trap jenkins_end EXIT

hudson_start() {
	"$tool" start "$hudson" "$jenkins_ports" >"$scratch/hudson.out" 2>&1 || bail_out "Hudson does not start: $(tail -n 20 "$scratch/hudson.out")"
	printf '%s:%s\n' "$(cat "$hudson/user")" "$(cat "$hudson/password")" >"$scratch/credentials"
	chmod 600 "$scratch/credentials"
}

# hudson_get PATH
hudson_get() {
	curl -fsSg --noproxy '*' --max-time "$wait_limit" -u "$(cat "$scratch/credentials")" "$(cat "$hudson/url")$1"
}

# hudson_post PATH CURL_ARGUMENT…: prints the status.
hudson_post() {
	local path=$1
	shift
	curl -sg --noproxy '*' --max-time "$wait_limit" -u "$(cat "$scratch/credentials")" -o /dev/null -w '%{http_code}' -X POST \
		-H ".crumb: $(hudson_get crumbIssuer/api/json | jq -r .crumb)" "$@" "$(cat "$hudson/url")$path"
}

# The builds of a job in the master's history, a line of JSON for each: number, result, id (BRAIN_BUILD).
hudson_builds() {
	hudson_get "job/$1/api/json?tree=builds[number,result,building,builtOn,actions[parameters[name,value]]]" |
		jq -c '.builds[] | {number, result, builtOn, id: ([.actions[]?.parameters[]? | select(.name == "BRAIN_BUILD") | .value][0] // "")}'
}

# A namespace that has Hudson for its master, and the sample landed there.
jenkins_setup() {
	backings_restore
	e2e_setup "$namespace" "${jenkins_ours[@]}" -O "$namespace.master.url=$(cat "$hudson/url")" --credentials "$scratch/credentials" "$@"
	[ "$status" -eq 0 ] || bail_out "$(tail -n 40 <<<"$said")"
	e2e_places
	backings_save
}

# The state of a proposal as the brain has it, and the builds that it asked for: an id each.
builds_of() {
	show "$1" | jq -r '.builds[] | .build // .id'
}
