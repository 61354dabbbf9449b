#!/bin/bash
# Our jobs, views and nodes on a real Hudson, by the real jenkins-job-builder: what is wanted is made, shown first, and once; what other
# people have there stays as it is, also when a run is killed. Then the same on a strict double of modern Jenkins.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/jenkins-lib.sh
. "$checkout/tests/e2e/jenkins-lib.sh"
namespace=jsync
user=daemon # somebody without rights, for whom root steps back
[ "$(id -u)" -eq 0 ] || skip_all "this needs root"
command -v jenkins-jobs >/dev/null || skip_all "there is no jenkins-jobs (Debian's package jenkins-job-builder)"
trap jenkins_end EXIT

jenkins_place "$user"
jenkins_hudson 9341
jenkins_secret master "$user" <"$scratch/hudson/password"

# config PROJECT…
config() {
	local project
	cat <<-END
		[$namespace]
		user = $user
		state = $state
		libexec = $scratch/it's \$HOME "<&>\{x\}
		master.url = $url
		master.user = byoci
		master.secret = $scratch/secrets/master
		master.jobs = $scratch/jobs
		master.builder = $scratch/builder
		[job/unit]
		backing = b
		tests.command = true
		[job/away]
		backing = b
		tests.command = true
		master = second
		[backing/b]
		[slave/one]
		address = 127.0.0.1:9342
		[slave/two]
		address = 127.0.0.1:9343
		labels = big
		${three:-}
		${master_second:-}
	END
	for project; do
		printf '[project/%s]\nrepository = ssh://x@127.0.0.1:1/%s.git\njobs = %s\n' "${project%=*}" "${project%=*}" "${project#*=}"
	done
}

# configure PROJECT=JOB…
configure() {
	config "$@" >"$BYOCI_ROOT/etc/byoci/test.conf"
}
# Nothing in it is a job's master until there is one of that name.
config_away() { sed -i '/^master = second$/d' "$BYOCI_ROOT/etc/byoci/test.conf"; }

# The builder as it is, and what can be seen of it meanwhile.
cat >"$scratch/builder" <<-END
	#!/bin/sh
	{ tr '\0' ' ' <"/proc/\$\$/cmdline"; tr '\0' ' ' <"/proc/\$\$/environ"; echo; id -un; stat -c '%a %U' "\$2"; } >>"$scratch/seen"
	exec jenkins-jobs "\$@"
END
chmod 755 "$scratch/builder"
install -m 666 /dev/null "$scratch/seen"

# Other people's: two with no name of ours, one of them made by their own jenkins-jobs; and one whose name begins like ours.
theirs='<project><description>Theirs.&lt;!-- Managed by Jenkins Job Builder --&gt;</description><builders/></project>'
for job in theirs zebra jsync-theirs; do
	jenkins_post "createItem?name=$job" -H 'Content-Type: application/xml' --data-binary "$theirs" || bail_out "job $job could not be made"
done
others() {
	local job
	for job in theirs zebra jsync-theirs; do jenkins_get "job/$job/config.xml" || echo gone; done | sha256sum
}
before=$(others)
stays() { [ "$(others)" = "$before" ]; }

# --- made once

configure one=unit two=unit
config_away
jenkins_run sync --dry-run
is "$status" 0 "a dry run"
like "$said" '^create job jsync-one-gate$' "it says what it would make"
like "$said" '^\+\+\+ wanted/job/jsync-one-gate$' "and shows it"
is "$(jenkins_jobs | grep -c one)" 0 "it makes nothing"
jenkins_run sync
is "$status" 0 "a sync" || diag "$said"
kinds='away check gate land periodic post'
wanted=$(for project in one two; do for kind in $kinds; do echo "jsync-$project-$kind"; done; done
	for slave in one two; do for kind in health reap refresh; do echo "jsync-$kind-$slave"; done; done)
is "$(jenkins_jobs | grep -v theirs)" "$(printf '%s\nzebra' "$wanted" | sort)" "the jobs of each project and slave are there"
is "$(jenkins_views | tr '\n' ' ')" "All jsync-all jsync-one jsync-two " "and the views"
is "$(jenkins_get 'view/jsync-one/api/json' | jq -r '.jobs[].name' | tr '\n' ' ')" \
	"$(for kind in $kinds; do echo -n "jsync-one-$kind "; done)" "a view has its project's jobs"
is "$(jenkins_get job/jsync-one-gate/api/json | jq -c '[.property[0].parameterDefinitions[]?.name]')" '["BRAIN_BUILD","SPEC","FORCE"]' \
	"a gate has the parameters of the brain and of people"
is "$(jenkins_get job/jsync-one-land/api/json | jq -c '[.concurrentBuild, [.property[0].parameterDefinitions[]?.name]]')" \
	'[false,["BRAIN_BUILD","SPEC","RESULT"]]' "landings are one at a time"
jenkins_run sync
is "$status $said" "0 $url/, Hudson 3.3.2: 21 as wanted, 0 to create, 0 to change, 0 to delete" "run again, it changes nothing"
password=$(cat "$scratch/hudson/password")
ok "the builder ran, and not as root" grep -qx "$user" "$scratch/seen"
ok "its configuration is its own" grep -qx "600 $user" "$scratch/seen"
ok "the secret is on no command line, in no environment" not grep -qF -- "$password" "$scratch/seen"
ok "and not in what was said" not grep -qF -- "$password" <<<"$said"
ok "nothing with it is left behind" not grep -rqF -- "$password" "$state"
ok "other people's jobs are as they were" stays

agent_of() { jenkins_get "job/jsync-one-$1/config.xml" | grep -o 'agent [a-z]*' | cut -d' ' -f2; }
is "$(for kind in $kinds; do agent_of "$kind"; done | tr '\n' ' ')" "away check test land check check " "only a gate and what does its work by the clock tests and lands by hand"

# --- what a job runs, with odd names all over

job_command=$(jenkins_get job/jsync-one-gate/config.xml | python3 -c 'import sys, xml.etree.ElementTree as e
print(e.parse(sys.stdin).find("builders/hudson.tasks.Shell/command").text)')
mkdir -p "$scratch/it's \$HOME \"<&>{x}/bin"
cat >"$scratch/it's \$HOME \"<&>{x}/bin/byoci-slave" <<-'END'
	#!/bin/sh
	printf '%s|' "$@" "$BRAIN_BUILD"
END
chmod 755 "$scratch/it's \$HOME \"<&>{x}/bin/byoci-slave"
echo "$job_command" >"$scratch/script"
is "$(BRAIN_BUILD="\$(id)';\`id\`" sh -xe "$scratch/script" 2>/dev/null)" \
	"-n|jsync|agent|test|--project|one|--script|$scratch/script|\$(id)';\`id\`|" "its line runs the agent; what is in parameters and names stays that"

# --- changed by hand, and by the configuration

jenkins_get job/jsync-two-gate/config.xml | sed 's/exec /sleep 1; exec /' >"$scratch/changed.xml"
jenkins_post job/jsync-two-gate/config.xml -H 'Content-Type: application/xml' --data-binary "@$scratch/changed.xml"
jenkins_run sync
like "$said" '^change job jsync-two-gate$' "what a person changed is seen"
like "$said" '^-.*<command>sleep 1; exec' "and shown"
is "$(jenkins_get job/jsync-two-gate/config.xml | grep -c 'sleep 1')" 0 "and undone"
jenkins_options=(-O master.builds=20)
jenkins_run sync
like "$said" '^\+ .*<numToKeep>20</numToKeep>$' "a change of the configuration is shown"
is "$(jenkins_get job/jsync-one-land/config.xml | grep -c '<numToKeep>20<')" 1 "and made"
jenkins_options=()

# --- somebody else's name

jenkins_post createItem?name=jsync-three-gate -H 'Content-Type: application/xml' --data-binary "$theirs"
configure one=unit two=unit three=unit
config_away
jenkins_run sync
is "$status" 77 "a name that is somebody else's is refused"
like "$said" '^refuse job jsync-three-gate$' "it says which"
is "$(jenkins_jobs | grep -c jsync-three)" 1 "nothing is done then"
is "$(jenkins_get job/jsync-three-gate/api/json | jq -r .description | cut -c1-7)" Theirs. "and that one is as it was"
jenkins_post job/jsync-three-gate/doDelete

# --- what can't be done is said

jenkins_options=(-O master.builder=no-such-builder)
jenkins_run sync
is "$status" 64 "no builder"
like "$said" "option master.builder .of Debian's package jenkins-job-builder.: no-such-builder: no such program" "and what to do about it"
cp -r "$scratch/jobs" "$scratch/wrong"
sed -i 's/agent reap/agent reap {nope}/' "$scratch/wrong/job.yaml"
jenkins_options=(-O "master.jobs=$scratch/wrong")
jenkins_run sync
like "$said" 'jenkins_jobs.errors.JenkinsJobsException: nope parameter missing' "a template that does not hold"
sed -i 's/ {nope}//; s/{prefix}reap/reap/' "$scratch/wrong/"*.yaml
jenkins_run sync
like "$said" 'the templates make reap-(one|two): it has not our prefix, jsync-$' "one that makes jobs of another name"
jenkins_options=()

# --- killed anywhere

killed=0
for after in 0.3 0.6 0.9 1.2 1.6; do
	"$byoci" -n "$namespace" jenkins sync >/dev/null 2>&1 &
	runner=$!
	sleep "$after"
	kill -KILL "$runner" 2>/dev/null
	wait "$runner" 2>/dev/null
	[ $? -ne 137 ] || killed=$((killed + 1))
	configure one=unit two=unit "k${after#*.}=unit"
	config_away
done
ok "runs were killed ($killed of 5)" [ "$killed" -ge 2 ]
configure one=unit
config_away
jenkins_run sync
is "$status" 0 "the next run" || diag "$said"
is "$(jenkins_jobs | grep jsync- | grep -v theirs | grep -vE '^jsync-(one-|(health|reap|refresh)-(one|two)$)' | tr '\n' ' ')" "" "deletes what is no longer wanted, killed runs' too"
is "$(jenkins_views | tr '\n' ' ')" "All jsync-all jsync-one " "views, too"
ok "other people's jobs are as they were" stays
jenkins_run sync
like "$said" ': 14 as wanted, 0 to create, 0 to change, 0 to delete$' "and the one after that has nothing to do"

# --- the list of the last run is what counts

find "$state/brain/jenkins" -name 'list-*' -delete
configure four=unit
config_away
jenkins_run sync
is "$(jenkins_jobs | grep -c jsync-one-)" 6 "without the list of its last run nothing is deleted"
flock "$state/brain/jenkins/lock" sleep "$wait_limit" &
holder=$!
jenkins_pids+=("$holder")
until_true not flock -n "$state/brain/jenkins/lock" true
jenkins_run sync
is "$status" 75 "two runs at a time: the second ends"
like "$said" 'another byoci jenkins sync is at work' "and says why"
pkill -P "$holder" 2>/dev/null
wait "$holder" 2>/dev/null

# --- jobs that a person starts, nodes, status

nodes() { jenkins_get 'computer/api/json?tree=computer[displayName]' | jq -r '.computer[].displayName' | grep -v '^master$' | tr '\n' ' '; }

jenkins_run run-job --dry-run 'four-(gate|land)'
is "$said" "jsync-four-gate: would be started
jsync-four-land: would be started" "run-job says what it would start"
jenkins_run run-job .
ok "it starts ours only" not grep -q theirs <<<"$said"
jenkins_run run-job 'four-gate$'
is "$status $said" "0 jsync-four-gate: started" "with default parameters"
is "$(jenkins_get 'queue/api/json' | jq -r '.items[].task.name' | grep -c four-gate)" 1 "it is in the master's queue, once"
jenkins_run run-job 'nothing-like-it'
is "$status" 64 "nothing that matches"
jenkins_run run-job '('
like "$said" 'no regular expression' "no regular expression"
jenkins_run update-slave two
is "$status $said" "0 made node two: started over ssh, label byoci-jsync-test big
made node two-land: started over ssh, label byoci-jsync-land big" "a slave has two nodes"
jenkins_run update-slave two
is "$said" "as wanted: node two
as wanted: node two-land" "they are made once"
jenkins_options=(-O slave/two:labels=small)
jenkins_run update-slave two
like "$said" '^changed node two-land: started over ssh, label byoci-jsync-land small$' "and changed when they are not as wanted"
jenkins_options=()
is "$(jenkins_get computer/two/api/json | jq -c '[.numExecutors, .displayName]')" '[1,"two"]' "one executor each"
like "$(tr -d '\n' <"$scratch/hudson/home/config.xml")" 'agentCommand>ssh -F none [^<]*StrictHostKeyChecking=yes [^<]*-p 9343 byoci-jsync-agent@127.0.0.1 agent<' \
	"started over ssh, by a key of the host that is known"
jenkins_post computer/doCreateItem -d 'name=one&type=hudson.slaves.DumbSlave$DescriptorImpl' --data-urlencode 'json={"name":"one","nodeDescription":"theirs","numExecutors":"1","remoteFS":"/x","labelString":"","mode":"NORMAL","launcher":{"stapler-class":"hudson.slaves.CommandLauncher","command":"true"},"retentionStrategy":{"stapler-class":"hudson.slaves.RetentionStrategy$Always"},"nodeProperties":{"stapler-class-bag":"true"}}'
jenkins_run update-slave one
is "$status" 77 "a node that is somebody else's stays"
jenkins_run update-slave none
is "$status" 64 "a slave that is not configured"

# --- a slave whose section is gone

jenkins_run update-slave three
is "$status" 64 "a section that is not there yet"
three="[slave/three]
address = 127.0.0.1:9344"
configure four=unit
config_away
jenkins_run sync
jenkins_run update-slave three
is "$status" 0 "a third slave" || diag "$said"
three=
configure four=unit
config_away
jenkins_run sync --dry-run
like "$said" '^delete node three-land$' "its section is gone: a dry run says that its nodes go"
like "$said" ', 5 to delete$' "and counts them"
is "$(nodes)" "one three three-land two two-land " "and does nothing"
jenkins_run sync
is "$status" 0 "a sync deletes them" || diag "$said"
like "$said" '^deleted node three$' "and says so"
is "$(nodes)" "one two two-land " "others stay: other people's, and those of slaves that are configured"
jenkins_run sync
ok "the one after that has nothing to say of them" not grep -qE ' node (one|three)|[^0] to delete' <<<"$said"

jenkins_run status
like "$said" "^master      $url/ Hudson 3.3.2\$" "status: which master"
like "$said" '^  node      two-land offline' "its nodes"
like "$said" '^  waiting   jsync-four-gate: ' "what waits"
is "$("$byoci" -n "$namespace" jenkins status --json | jq -r '.masters[0] | .dialect + " " + .version')" "hudson 3.3.2" "the same for programs"
# --- taken away: what we made, and nothing else

made=$(jenkins_jobs | grep '^jsync-' | grep -vE '^jsync-(theirs|one-)') # the list knows nothing of the latter any more
jenkins_run remove --dry-run
is "$(grep -c '^delete job ' <<<"$said")" "$(wc -l <<<"$made")" "a dry run of removing says which jobs"
like "$said" '^delete node two-land$' "and nodes"
like "$said" '^leave node one: it is not ours$' "and what stays"
is "$(jenkins_jobs | grep '^jsync-' | grep -vE '^jsync-(theirs|one-)')" "$made" "and removes nothing"
jenkins_run remove
is "$status" 0 "removing" || diag "$said"
is "$(jenkins_jobs | grep -v '^jsync-one-' | tr '\n' ' ')$(jenkins_views | tr '\n' ' ')" "jsync-theirs theirs zebra All jsync-one " "jobs and views of its list are gone"
is "$(jenkins_jobs | grep -c '^jsync-one-')" 6 "what the list does not know stays"
ok "other people's jobs are as they were, still" stays
is "$(jenkins_get 'computer/api/json?tree=computer[displayName]' | jq -r '.computer[].displayName' | tr '\n' ' ')" "one " "nodes of ours are gone"
jenkins_run remove
is "$status $said" "0 leave node one: it is not ours" "run again, it finds nothing of ours"

"$checkout/tests/tool/hudson" stop "$scratch/hudson" >/dev/null 2>&1
jenkins_run remove
is "$status" 69 "removing needs the master"
jenkins_run status
is "$status" 69 "a master that is down"
like "$said" "^master      $url/ does not answer as it should:" "is said"
jenkins_run sync
is "$status" 69 "sync needs it"

# --- modern Jenkins, by its double: in a folder, beside the first one

"$checkout/tests/double/jenkins" --port 9345 --control 9346 --user 'admin:pa%s$ "w' >"$scratch/double" 2>"$scratch/double.errors" &
jenkins_pids+=($!)
started() { [ -s "$scratch/double" ]; }
until_true started || bail_out "no double: $(cat "$scratch/double.errors")"
url=http://127.0.0.1:9345 who='admin:pa%s$ "w'
printf 'pa%%s$ "w' | jenkins_secret second "$user"
control() { curl -sgf --noproxy '*' -d "$2" "http://127.0.0.1:9346/control/$1"; }
control plugins '{"plugins":{"cloudbees-folder":"6.1"}}' >/dev/null
control job '{"name":"A/B/theirs","command":"true"}' >/dev/null || bail_out "the double makes no folder"
master_second="[master/second]
url = $url
user = admin
secret = $scratch/secrets/second
folder = A/B"
configure two=away
sed -i 's,^master.url = .*,,' "$BYOCI_ROOT/etc/byoci/test.conf"
jenkins_run sync
is "$status" 0 "a Jenkins, in a folder" || diag "$said"
like "$said" "^$url/, Jenkins [0-9.]+: 0 as wanted, 14 to create" "which one, and what is made"
is "$(jenkins_get 'job/A/job/B/api/json?tree=jobs[name]' | jq -r '.jobs[].name' | grep -c jsync-two)" 6 "its jobs are in the folder"
is "$(jenkins_get 'job/A/job/B/view/jsync-two/api/json?tree=jobs[name]' | jq -r '.jobs[].name' | wc -l)" 6 "and so are its views"
jenkins_run sync
like "$said" ': 14 as wanted, 0 to create, 0 to change, 0 to delete$' "run again, it changes nothing"
to_login='"status":302,"headers":{"Location":"/login?from=x"}'
control fault "{\"path\":\"jsync-two-gate/build\",$to_login}" >/dev/null
jenkins_run run-job two-gate
is "$status" 77 "one that sends us to a page to log in at has started nothing"
like "$said" '^jsync-two-gate: not started: .*log in' "and this is said"
jenkins_run run-job two-gate
jenkins_run run-job two-gate
is "$said" "jsync-two-gate: waits already" "what waits is not started twice"
jenkins_run update-slave two
jenkins_run update-slave two
is "$said" "as wanted: node two
as wanted: node two-land" "nodes of agents that connect by themselves, made once"
control set '{"crumbs":false}' >/dev/null
jenkins_post computer/two/toggleOffline --data-urlencode $'offlineMessage=a\e[2Jb\tc'
jenkins_run status
like "$said" '^  node      two offline: a \[2Jb c$' "what somebody wrote there does nothing to a terminal"
jenkins_post computer/two/toggleOffline -d offlineMessage=
control set '{"crumbs":true}' >/dev/null
control fault '{"path":"computer/api/json","status":200,"body":"{}"}' >/dev/null
jenkins_run status
is "$status" 69 "a list of nodes that is none"
like "$said" '^  computer: missing' "is not an empty one"
jenkins_run slave-secret --master second two-land
like "$said" '^[0-9a-f]{64}$' "their secret"
jenkins_run update-slave --command two
is "$status" 77 "what Jenkins has no plugin for is refused"
control plan '{"job":"long","hold":true}' >/dev/null
control job '{"name":"long","label":"big"}' >/dev/null
control connect '{"name":"two"}' >/dev/null
control timer '{"job":"long"}' >/dev/null
busy() { [ "$(jenkins_get 'computer/two/api/json?tree=idle' | jq .idle)" = false ]; }
until_true busy || bail_out "no build runs on node two"
configure
jenkins_run sync
like "$said" ', 0 to create, 0 to change, 16 to delete$' "when no project runs there any more, all of ours goes"
like "$said" '^offline node two: a build is on it' "but a node on which a build runs"
is "$(jenkins_get 'computer/two/api/json' | jq -c '[.temporarilyOffline, .idle]')" '[true,false]' "it takes no other"
is "$(nodes)" "Built-In Node two " "the idle one is gone"
control fault '{"path":"computer/two/api/json","status":200,"body":"{}"}' >/dev/null
jenkins_run sync
like "$said" 'does not say whether it is idle' "a node that does not say whether a build is on it"
is "$(nodes)" "Built-In Node two " "is not deleted"
control finish '{"job":"long","number":1,"result":"SUCCESS"}' >/dev/null
until_true not busy
control fault "{\"path\":\"computer/two/doDelete\",$to_login}" >/dev/null
jenkins_run sync
is "$status" 77 "nor is one by a page to log in at"
jenkins_run sync
like "$said" '^deleted node two$' "it goes when that has ended"
is "$(jenkins_get 'job/A/job/B/api/json?tree=jobs[name],views[name]' | jq -c '[.jobs[].name]')" '["theirs"]' "and nothing else"

# --- behind TLS with a CA of its own, below a path

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
	-keyout "$scratch/tls.key" -out "$scratch/tls.pem" 2>/dev/null
"$checkout/tests/double/jenkins" --port 9347 --control 9348 --prefix /ci --tls "$scratch/tls.pem" "$scratch/tls.key" --user admin:secret >"$scratch/tls" 2>"$scratch/double.errors" &
jenkins_pids+=($!)
started() { [ -s "$scratch/tls" ]; }
until_true started || bail_out "no double: $(cat "$scratch/double.errors")"
echo secret | jenkins_secret second "$user"
master_second="[master/second]
url = https://127.0.0.1:9347/ci/
user = admin
secret = $scratch/secrets/second"
configure two=away
sed -i 's,^master.url = .*,,' "$BYOCI_ROOT/etc/byoci/test.conf"
jenkins_run sync
is "$status" 69 "a certificate that nobody vouches for"
jenkins_options=(-O "master/second:ca=$scratch/tls.pem")
jenkins_run sync
is "$status" 0 "one that the configured CA does" || diag "$said"
jenkins_run sync
like "$said" '^https://127.0.0.1:9347/ci/, Jenkins [0-9.]+: 14 as wanted, 0 to create' "the builder got through, too"
jenkins_run update-slave two
jenkins_run remove
is "$status $(grep -c '^deleted \(job\|view\) ' <<<"$said") $(grep -c '^deleted node two' <<<"$said")" "0 14 2" "removing all that, on a Jenkins" || diag "$said"
jenkins_run remove
is "$status $said" "0 " "it is gone"
done_testing
