#!/bin/bash
# A master of the namespace's own: setup/byoci --master stands Hudson up from its war file, and the sample lands there. What it would do
# with Jenkins' war is seen with a stand-in, which only starts and answers.
# shellcheck disable=SC2034,SC2154
BYOCI_E2E_NAMESPACE=masterly jenkins_ports=9348 jenkins_ids=1530000000
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip_all "setup/byoci needs root"
# shellcheck source=tests/e2e/master-lib.sh
. "$checkout/tests/e2e/master-lib.sh"
listen=127.0.0.1:$((jenkins_ports + 5))

e2e_remove
war=$("$tool" war 2>"$scratch/war.out") || bail_out "no war of Hudson: $(tail -n 5 "$scratch/war.out")"
e2e_setup "$namespace" "${jenkins_ours[@]}" --master
is "$status" 75 "--master without a war file"
like "$said" 'master.war: not set: .* -O master.war=/FILE' "says what is missing"
e2e_setup "$namespace" "${jenkins_ours[@]}" --master -O "master.war=$scratch/none.war"
like "$said" 'master.war: .*none.war: not there' "also one that is not there"
backings_restore
e2e_setup "$namespace" "${jenkins_ours[@]}" --master -O "master.war=$war"
is "$status" 0 "with Hudson's it stands one up" || bail_out "$(tail -n 40 <<<"$said")"
like "$said" '^landed [0-9a-f]{40} in [0-9]+ ms$' "and the sample lands"
e2e_places
backings_save
service_names_all
is "$service_names" "worker slave land master agent brain git" "it is a process like the others"
pid=$(service_pid master)
is "$(stat -c %U "/proc/${pid:-0}")" "$user_master" "of a user of its own"
is "$(option master.url) $(option master.user)" "http://$listen/ byoci" "which the configuration names"
is "$(ss -Hlntup | grep -F "pid=$pid," | awk '{ sub(/.*ffff:/, "", $5); print $5 }' | tr -d '[]')" "$listen" "it listens there and nowhere else"
is "$(stat -c '%U:%a' "$state/master" "$state/master/home" "$(option master.secret)" "$(option master.key)" | paste -sd ' ')" \
	"$user_master:700 $user_master:700 $user_brain:600 $user_master:600" "its home, its key and our password are nobody else's"
# asked PATH CURL_ARGUMENT…: the status of a POST with a crumb of whom the arguments say, for else that would be missed first.
asked() {
	local path=$1 crumb
	shift
	crumb=$(curl -sS --noproxy '*' --max-time "$wait_limit" "$@" "http://$listen/crumbIssuer/api/json" | jq -r '.crumb // empty' 2>/dev/null)
	curl -sS -o /dev/null -w '%{http_code}' --noproxy '*' --max-time "$wait_limit" -H ".crumb: $crumb" -X POST "$@" "http://$listen/$path"
}
printf 'user = "byoci:%s"\n' "$(cat "$(option master.secret)")" >"$scratch/ours"
is "$(asked quietDown) $(asked 'createItem?name=x')" "403 403" "nobody may do anything there who does not say who they are"
is "$(asked quietDown -K "$scratch/ours") $(asked cancelQuietDown -K "$scratch/ours")" "302 302" "we may"
ok "there is a password" [ -s "$(option master.secret)" ]
is "$(grep -c -F -f "$(option master.secret)" "$log"/*.log "$etc"/*.conf /proc/*/cmdline 2>/dev/null | grep -vc ':0$')" 0 "the password is in no log, no configuration and no command line"
e2e_setup "$namespace" --no-sample
is "$status" 0 "again, without --master" || diag "$said"
like "$said" 'everything is as it should be' "it stays"
e2e_setup --check "$namespace"
is "$status" 0 "--check agrees" || diag "$said"
if service_systemd; then systemctl stop "$(service_unit master)"; else kill -KILL "$pid"; fi # the one would start it again
until_true service_gone "$pid"
e2e_setup --check "$namespace"
like "$said" 'byoci-master does not run: setup/byoci .* starts it' "--check sees that it ended"
e2e_remove
is "$(getent passwd | grep -c "^byoci-$namespace")" 0 "--remove leaves no user of it"
is "$(ls -d "/var/lib/byoci/$namespace" 2>/dev/null)$(ss -Hltn | awk '{ print $4 }' | grep -F ":${listen##*:}")" "" "nor its home, nor anybody who listens"

# Jenkins' war starts by itself.
mkdir -p "$scratch/jenkins"
cat >"$scratch/jenkins/Main.java" <<'END'
import com.sun.net.httpserver.HttpServer;
public class Main {
	public static void main(String[] args) throws Exception {
		int port = 0;
		for (String arg : args) if (arg.startsWith("--httpPort=")) port = Integer.parseInt(arg.substring(11));
		HttpServer server = HttpServer.create(new java.net.InetSocketAddress("127.0.0.1", port), 0);
		server.createContext("/", exchange -> {
			boolean login = exchange.getRequestURI().getPath().equals("/login");
			byte[] text = (System.getenv("JENKINS_HOME") + " " + System.getProperty("jenkins.install.runSetupWizard")).getBytes();
			exchange.sendResponseHeaders(login ? 200 : 404, text.length);
			exchange.getResponseBody().write(text);
			exchange.close();
		});
		server.start();
	}
}
END
printf 'Main-Class: Main\nJenkins-Version: 2.0\n' >"$scratch/jenkins/manifest"
(cd "$scratch/jenkins" && javac -d . Main.java && jar cfm ../jenkins.war manifest ./*.class) >"$scratch/jar.out" 2>&1 || bail_out "$(cat "$scratch/jar.out")"
chmod 644 "$scratch/jenkins.war"
backings_restore
e2e_setup "$namespace" "${jenkins_ours[@]}" --master -O "master.war=$scratch/jenkins.war"
is "$status" 75 "a stand-in for Jenkins, which has no API,"
like "$said" "the master http://$listen/ does not answer us" "is started, and is no master"
home=/var/lib/byoci/$namespace/master/home
is "$(curl -sS --noproxy '*' "http://$listen/login")" "$home false" "it has a home, and asks nobody to set it up"
is "$(stat -c '%U:%a' "$home/init.groovy.d/byoci.groovy" "$home/../first" | paste -sd ' ')" "root:644 byoci-$namespace-master:600" \
	"there is what sets its security up, and the first password"
e2e_remove
done_testing
