#!/bin/bash
# setup/byoci --check: finds everything that setup would mend, says so a line each, and changes nothing.
# shellcheck disable=SC2154,SC2317,SC2016
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip_all "setup/byoci needs root"

check() {
	e2e_setup --check "$namespace" "$@"
}

# finds PATTERN WHAT: in what the check said.
finds() {
	like "$said" "^  $1" "it finds $2"
}

# Everything of the namespace and around it, with owners, modes, times and sizes; what running daemons write is left out.
everything() {
	# Of files that are others' as well, what is ours: a test beside this one may add a user, or ids.
	grep -H "^root:$ids_first:" /etc/subuid /etc/subgid
	grep -H "byoci-$namespace" /etc/passwd /etc/group
	find "/etc/byoci/$namespace" "/usr/local/lib/byoci/$namespace" /usr/local/bin \
		"/var/lib/byoci/$namespace" "/run/byoci/$namespace" \( -path "/var/lib/byoci/$namespace/brain/*" -o -path '*/rootfs/*' \) -prune -o \
		-printf '%p %u:%g:%m %s %T@ %l\n' 2>/dev/null | sort
	ls -d /run/byoci-setup-"$namespace".* 2>/dev/null
	for service in $service_names; do service_pid "$service"; done
}

# unchanged: everything is as it was in $scratch/before.
unchanged() {
	local diff
	diff=$(diff "$scratch/before" <(everything))
	is "$diff" '' "and nothing was changed"
}

# Nothing is there.
e2e_remove
before=$(ls -d /run/byoci-setup-"$namespace".* /etc/byoci/"$namespace" /var/lib/byoci/"$namespace" /tmp/byoci-check.* 2>/dev/null)
check
is "$status" 1 "a namespace that is not there: exit status 1"
finds "there is no byoci $namespace on this machine: setup/byoci $namespace stands it up" "that it is not there"
is "$(ls -d /run/byoci-setup-"$namespace".* /etc/byoci/"$namespace" /var/lib/byoci/"$namespace" /tmp/byoci-check.* 2>/dev/null)" "$before" \
	"and nothing is made"
e2e_setup --check
is "$status" 64 "without a namespace: exit status 64"
e2e_setup --check --remove "$namespace"
is "$status" 64 "with --remove: exit status 64"
like "$said" 'either --check or --remove' "and says so"
check -O nonsense=1
is "$status" 1 "an option that is none: exit status 1"
finds 'the configuration does not hold: .*nonsense' "the option"

# Everything is right.
read -r -a options <<<"${BYOCI_E2E_OPTIONS:-}"
authors=127.0.0.1:$((30100 + $$ % 600))
stands_up --no-sample -O author.listen="$authors" "${options[@]}"
# What the slave has begun with by itself is done: a worker waits.
one_waits() { [ "$(runuser -u "$user_slave" -- "$bin/byoci-slave" -n "$namespace" list | jq -r '.ready[].state')" = ready ]; }
until_true one_waits
everything >"$scratch/before"
check
is "$status" 0 "where setup has just been: exit status 0" || diag "$said"
like "$said" 'everything is as it should be' "and says so"
unchanged
greets() { ssh-keyscan -T 30 -t ed25519 -p "${authors##*:}" "${authors%:*}" 2>/dev/null | grep -qF "$(cut -d' ' -f2 "$secrets/author/ssh_host_ed25519_key.pub")"; }
ok "authors' ssh server answers, with the key that setup has made" until_true greets
check -O landing.fullname=Else
is "$status" 1 "with an option that is not set: exit status 1"
finds "$etc/setup.conf does not hold what it is to hold" "what setup would write"

# Not root.
(cd "$checkout" && cp -r setup jobs byov.conf Makefile "$scratch/") && chmod -R a+rX "$scratch"
status=0
said=$(runuser -u nobody -- "$scratch/setup/byoci" --check "$namespace" 2>&1) || status=$?
is "$status" 0 "not root: exit status 0" || diag "$said"
like "$said" "not seen: the secrets in $secrets" "it says what it could not see"
like "$said" "not seen: what is in $git_root" "also which folders"
like "$said" 'what was seen is as it should be' "and that the rest is right"
unlike "$said" '^setup/byoci: ' "nothing failed"

# Everything is wrong, a bit.
chmod 755 "$secrets/land"
chown root "$run/slave"
gpasswd --delete "$user_slave" "$user_git" >/dev/null
usermod --shell /bin/sh "$user_land"
echo "# a line of somebody's" >>"$etc/gitconfig"
rm -f "$etc/known_hosts" "$secrets/git/hook" "$etc/author_sshd_config"
chmod 644 "$secrets/slave/result.key"
sed -i '/git-serve landing/d' "$etc/authorized_keys"
sed -i '/^reviewer/d' "$(option allowed_signers project/sample)"
echo 'exit 0' >>"$repository/hooks/pre-receive"
cp -p /etc/subgid "$scratch/subgid"
grep -v "^root:$ids_first:" "$scratch/subgid" >/etc/subgid
cp "$bin/byoci-slave" "$scratch/byoci-slave" && echo >>"$scratch/byoci-slave" && install "$scratch/byoci-slave" "$bin/byoci-slave.new"
mv "$bin/byoci-slave.new" "$bin/byoci-slave"
mv "$state/worker/backings" "$state/worker/backings.away"
mkdir -m 700 "$state/worker/backings"
service_stop land >/dev/null 2>&1
echo "# a comment" >>"$etc/sshd_config"
everything >"$scratch/before"
check
is "$status" 1 "where all sorts of things are wrong: exit status 1"
finds "$secrets/land is .*:755, and is to be .*:700: setup/byoci $namespace mends it" "a mode"
finds "$run/slave is root:.*, and is to be $user_slave:" "an owner"
finds "$user_slave is not in the group $user_git" "a membership"
finds "the user $user_land has the home and shell .*:/bin/sh, and is to have" "a shell"
finds "$etc/gitconfig does not hold" "a file with something else in it"
finds "$etc/known_hosts is not there" "a missing file"
finds "$etc/author_sshd_config is not there" "also that of authors' ssh server"
finds "$secrets/git/hook is not there" "a missing secret"
finds "$secrets/slave/result.key: others may read it: chmod 600" "a secret for all to read"
finds "$etc/authorized_keys does not have the line that begins with .*git-serve landing" "a missing key"
finds "$(option allowed_signers project/sample) does not have the line that begins with reviewer" "a missing signer"
finds "$repository/hooks/pre-receive does not hold" "a changed hook"
finds "/etc/subgid has no line root:$ids_first:$ids_count" "missing ids"
finds "$bin/byoci-slave is not the program" "another program"
finds "backing .* is not built" "a missing backing"
finds "byoci-land does not run: .*starts it" "a process that has ended"
finds "byoci-git .* has changed since" "a process that is to be started again"
finds "byoci-slave .* has changed since" "another, whose program has changed"
unchanged
is "$(grep -c '^  ' <<<"$said")" "$(($(sed -n 's/^  to mend: //p' <<<"$said") + 1))" "the last line counts them"
unlike "$said" 'tell who maintains' "and no step of setup wanted to change anything"

# A configuration that does not hold; ids and ports of somebody else's.
echo 'hook.lisen = 127.0.0.1:1' >>"$etc/setup.conf"
printf '[%s]\nhook.lisen = 127.0.0.1:1\n' "$namespace" >"$etc/zz.conf"
check
finds "the configuration does not hold: $etc/zz.conf:2: .*hook.lisen.*hook.listen" "an option that is none, with file and line"
rm -f "$etc/zz.conf"
status=0
cp /etc/subuid "$scratch/subuid"
echo "someone:$ids_first:65536" >>"$scratch/subuid"
said=$(unshare --mount sh -c 'mount --bind "$1" /etc/subuid && exec "$2" --check "$3"' sh "$scratch/subuid" "$checkout/setup/byoci" "$namespace" 2>&1) ||
	status=$?
finds "ids $ids_first to .* overlap with someone:$ids_first:65536 .*worker.ids.first=" "ids that are somebody else's"
service_stop brain >/dev/null 2>&1
exec {port_out}< <(exec perl -MIO::Socket::INET -e '$| = 1; my $s = IO::Socket::INET->new(LocalAddr => $ARGV[0], Listen => 1, ReuseAddr => 1) or die;
	print "$$\n"; select undef, undef, undef, undef' "$(option hook.listen)")
read -r listener <&"$port_out"
check
finds "hook.listen: $(option hook.listen) is taken by .*perl.*pid $listener.*-O hook.listen=" "a port in use"
kill "$listener"
exec {port_out}<&-

# Setup mends all of it, and the check agrees.
rmdir "$state/worker/backings"
mv "$state/worker/backings.away" "$state/worker/backings"
chmod 600 "$secrets/slave/result.key"
e2e_setup "$namespace" --no-sample
is "$status" 0 "setup/byoci mends what was found" || diag "$(tail -n 20 <<<"$said")"
check
is "$status" 0 "and then all is right" || diag "$said"
ok "authors' ssh server answers again" until_true greets
e2e_setup "$namespace" --no-sample -O author.listen=
is "$status" 0 "setup/byoci takes authors' way in away" || diag "$(tail -n 20 <<<"$said")"
ok "nobody answers there then" not greets
ok "and nothing of it is configured" [ ! -e "$etc/author_sshd_config" ]

e2e_remove
done_testing
