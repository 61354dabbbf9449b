# shellcheck shell=bash disable=SC2034,SC2154
# Hudson's war (3.3.2 is the last one) under today's Java: unpacked and mended, a home with security on, the command that runs it.

hudson_opened=(java.base/java.lang java.base/java.lang.ref java.base/java.lang.reflect java.base/java.util java.base/java.util.concurrent
	java.base/java.util.concurrent.atomic java.base/java.util.regex java.base/java.text java.base/java.io java.base/java.net
	java.desktop/java.awt.font java.desktop/java.beans)

# Each step says whether it went well: who asks for it may be a condition, where bash goes on.
hudson_make() {
	# Without a crumb no other page may make a person's browser build things here: the filter for that is there, in a comment.
	rm -rf "$2" && mkdir -p "$2/war" "$2/launcher" && unzip -q -d "$2/war" "$1" &&
		sed -i -e 's/<!-- filter>/<filter>/; s,</filter -->,</filter>,; s/<!-- filter-mapping>/<filter-mapping>/; s,</filter-mapping -->,</filter-mapping>,' \
			"$2/war/WEB-INF/web.xml" &&
		javac -nowarn -d "$2/launcher" -cp "$2/war/libs/*" "$checkout/setup/hudson/Launch.java" &&
		javac -nowarn -d "$2/war/WEB-INF/classes" -cp "$2/war/WEB-INF/lib/*:$2/war/libs/*" \
			"$checkout/setup/hudson/UnixReflection.java" "$checkout/setup/hudson/UDPBroadcastThread.java" &&
		chmod -R a+rX "$2"
}

# hudson_unpack WAR FOLDER: whole or not at all; below the folder are war/ and launcher/.
hudson_unpack() {
	local new=$2.new.$BASHPID
	[ ! -d "$2" ] || return 0
	hudson_make "$1" "$new" || { rm -rf "$new" && return 1; }
	mv -T "$new" "$2" 2>/dev/null || { rm -rf "$new" && [ -d "$2" ]; }
}

# hudson_secret: what people and programs say who they are with.
hudson_secret() {
	od -An -N20 -tx1 /dev/urandom | tr -d ' \n'
	echo
}

# hudson_hash PASSWORD: as Hudson keeps it.
hudson_hash() {
	local salt
	salt=$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
	printf '%s:%s\n' "$salt" "$(printf '%s{%s}' "$1" "$salt" | sha256sum | cut -d' ' -f1)"
}

# hudson_home FOLDER USER PASSWORD: what is there stays. Nobody but that user may do anything, and it listens for no agents.
hudson_home() {
	mkdir -p "$1/users/$2"
	chmod 700 "$1"
	[ -e "$1/hudson-security.xml" ] || cat >"$1/hudson-security.xml" <<-'END'
		<?xml version='1.0' encoding='UTF-8'?>
		<org.eclipse.hudson.security.HudsonSecurityManager>
		  <authorizationStrategy class="hudson.security.FullControlOnceLoggedInAuthorizationStrategy"/>
		  <securityRealm class="hudson.security.HudsonPrivateSecurityRealm">
		    <disableSignup>true</disableSignup>
		  </securityRealm>
		  <useSecurity>true</useSecurity>
		  <slaveAgentPort>-1</slaveAgentPort>
		</org.eclipse.hudson.security.HudsonSecurityManager>
	END
	[ -e "$1/config.xml" ] || cat >"$1/config.xml" <<-'END'
		<?xml version='1.0' encoding='UTF-8'?>
		<hudson>
		  <numExecutors>0</numExecutors>
		  <quietPeriod>0</quietPeriod>
		  <crumbIssuer class="hudson.security.csrf.DefaultCrumbIssuer">
		    <excludeClientIPFromCrumb>true</excludeClientIPFromCrumb>
		  </crumbIssuer>
		</hudson>
	END
	[ -e "$1/users/$2/config.xml" ] || cat >"$1/users/$2/config.xml" <<-END
		<?xml version='1.0' encoding='UTF-8'?>
		<user>
		  <fullName>$2</fullName>
		  <properties>
		    <hudson.security.HudsonPrivateSecurityRealm_-Details>
		      <passwordHash>$(hudson_hash "$3")</passwordHash>
		    </hudson.security.HudsonPrivateSecurityRealm_-Details>
		  </properties>
		</user>
	END
}

# hudson_command UNPACKED HOME ADDRESS:PORT: fills the array hudson_argv.
hudson_command() {
	hudson_argv=(/usr/bin/java "${hudson_opened[@]/#/--add-opens=}")
	hudson_argv=("${hudson_argv[@]/%/=ALL-UNNAMED}")
	hudson_argv[0]=/usr/bin/java
	# Nothing of it is announced to the network.
	hudson_argv+=(-Djava.awt.headless=true -Dhudson.DNSMultiCast.disabled=true "-DHUDSON_HOME=$2"
		-cp "$1/launcher:$1/war/libs/*" Launch "--httpListenAddress=${3%:*}" "--httpPort=${3##*:}" --skipInitSetup
		--updateServer=http://127.0.0.1:9/ --disableUpdateCenterSwitch "$1/war")
}
