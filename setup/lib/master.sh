# shellcheck shell=bash disable=SC2034,SC2154
# A master of the namespace's own, from a war file that the configuration names (setup/byoci NAMESPACE --master): Jenkins, or Hudson.
# Security on, on loopback unless master.listen says otherwise, no plugin.

# Once stood up, it stays until the namespace goes.
master_ours() {
	[ -n "$(option master.war)" ] && { [ "$with_master" = yes ] || [ -e "$lib/libexec/byoci-master" ]; }
}

# The war's kind: hudson or jenkins.
master_war_kind() {
	local manifest
	manifest=$(unzip -p "$1" META-INF/MANIFEST.MF 2>/dev/null) || return 1
	case $manifest in
	*Jenkins-Version:*) echo jenkins ;;
	*Hudson-Version:*) echo hudson ;;
	*) return 1 ;;
	esac
}

# With --master: the configuration points to the master of our own, unless it points to another one.
master_configure() {
	local war
	[ "$with_master" = yes ] || return 0
	war=$(option master.war)
	[ -n "$war" ] || say_die "master.war: not set: --master stands a master up from a war file, Jenkins' or Hudson's:" \
		"setup/byoci $namespace --master -O master.war=/FILE"
	[ -r "$war" ] || say_die "master.war: $war: not there: bring the war file of Jenkins or Hudson, or name another one"
	overrides+=("master.war=$war")
	[ -n "$(option master.url)" ] || overrides+=("master.url=http://$(option master.listen)/")
	[ -n "$(option master.user)" ] || overrides+=("master.user=byoci")
	config_read
}

master_check() {
	local rest
	master_ours || return 0
	rest=$(option master.url)
	[[ $rest == */"$(option master.listen)"/* || $rest == */"$(option master.listen)" ]] ||
		say "  master.url is $rest: the master that listens on $(option master.listen) is not asked to build anything"
	host_check_port master.listen "$(option master.listen)"
}

master_account() {
	! master_ours || account_user "$user_master" "$state/master" /usr/sbin/nologin "byoci $namespace, master"
}

master_place() {
	master_ours || return 0
	place_folder "$state/master" "$user_master" "$user_master" 700
	place_folder "$lib/master" root root 755
}

# Who we are there: made once.
master_secret() {
	local file
	master_ours || return 0
	file=$(option master.secret)
	if [ ! -s "$file" ]; then
		(umask 077 && hudson_secret >"$work/own.secret")
		place_file "$file" "$user_brain" "$user_brain" 600 <"$work/own.secret"
	fi
}

# The program, in a folder of root's: an unpacked Hudson, or the war of Jenkins.
master_install() {
	local war kind
	master_ours || return 0
	war=$(option master.war)
	kind=$(master_war_kind "$war") || say_die "$war: neither Jenkins' nor Hudson's war file: bring another one and name it in master.war"
	if [ "$kind" = hudson ]; then
		host_install_packages "$checkout/setup/packages-hudson"
		[ -d "$(master_unpacked)" ] || {
			say_while "unpacking and mending $war" hudson_unpack "$war" "$(master_unpacked)" || say_die "$war could not be unpacked and mended: the lines above say why"
			say_changed "unpacked $war"
		}
		master_home hudson_home
	else
		place_file "$lib/master/master.war" root root 644 <"$war"
		place_folder "$state/master/home" "$user_master" "$user_master" 700
		place_folder "$state/master/home/init.groovy.d" root root 755
		master_groovy | place_file "$state/master/home/init.groovy.d/byoci.groovy" root root 644
		place_file "$state/master/first" "$user_master" "$user_master" 600 <"$(option master.secret)"
	fi
	master_script "$kind" | place_file "$lib/libexec/byoci-master" root root 755
}

# By what it was unpacked from and mended with.
master_unpacked() {
	echo "$lib/master/hudson-$(cat "$(option master.war)" "$checkout/setup/lib/hudson.sh" "$checkout"/setup/hudson/*.java | sha256sum | cut -c1-12)"
}

# Its home belongs to its user, so that user makes it; the password goes by a file, no command line has it.
master_home() {
	[ ! -e "$state/master/home/users" ] || return 0
	"$1" "$work/home" "$(option master.user)" "$(cat "$(option master.secret)")"
	chown -R "$user_master:$user_master" "$work/home"
	mv -T "$work/home" "$state/master/home"
	say_changed "made $state/master/home"
}

master_script() {
	local word
	echo '#!/bin/sh'
	echo '# Written by setup/byoci.'
	printf 'cd %q || exit 75\nexec' "$state/master"
	if [ "$1" = hudson ]; then
		hudson_command "$(master_unpacked)" "$state/master/home" "$(option master.listen)"
	else
		master_jenkins_command
	fi
	for word in "${hudson_argv[@]}"; do printf ' %q' "$word"; done
	echo
}

# Jenkins' war starts by itself.
master_jenkins_command() {
	local listen
	listen=$(option master.listen)
	hudson_argv=(/usr/bin/env "JENKINS_HOME=$state/master/home" /usr/bin/java -Djava.awt.headless=true -Djenkins.install.runSetupWizard=false
		-Dhudson.udp=-1 -Dhudson.DNSMultiCast.disabled=true -jar "$lib/master/master.war" "--httpListenAddress=${listen%:*}"
		"--httpPort=${listen##*:}" "--webroot=$state/master/cache")
}

# Run by Jenkins at each start, before it answers anybody: what is not set yet is set. The secret becomes the user's password, and is
# none that a log has seen.
master_groovy() {
	cat <<-END
		// Written by setup/byoci.
		import hudson.security.FullControlOnceLoggedInAuthorizationStrategy
		import hudson.security.HudsonPrivateSecurityRealm
		import hudson.security.csrf.DefaultCrumbIssuer
		import jenkins.model.Jenkins

		def jenkins = Jenkins.get()
		def name = '$(option master.user)'
		def secret = new File('$state/master/first').text.trim()
		def realm = jenkins.securityRealm
		if (!(realm instanceof HudsonPrivateSecurityRealm)) {
			realm = new HudsonPrivateSecurityRealm(false)
			jenkins.securityRealm = realm
			def strategy = new FullControlOnceLoggedInAuthorizationStrategy()
			strategy.allowAnonymousRead = false
			jenkins.authorizationStrategy = strategy
			jenkins.crumbIssuer = new DefaultCrumbIssuer(true)
			jenkins.numExecutors = 0
			jenkins.quietPeriod = 0
			jenkins.slaveAgentPort = -1
		}
		if (realm.getUser(name) == null) realm.createAccount(name, secret)
		jenkins.save()
	END
}

# 0: it answers. Starting, it says 503; with security on, 403 is an answer like any other.
master_answers() {
	local listen status
	listen=$(option master.listen)
	status=$( (exec 3<>"/dev/tcp/${listen%:*}/${listen##*:}" && printf 'GET /login HTTP/1.0\r\n\r\n' >&3 && head -n 1 <&3) 2>/dev/null | cut -d' ' -f2) || status=
	[[ $status =~ ^(200|302|403)$ ]]
}
