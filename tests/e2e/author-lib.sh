# shellcheck shell=bash disable=SC2034,SC2154
# What the tests of authors share: kept workers, and the way to copies of them, by ssh. To be read after worker.sh.

# The user that authors come in as, and what his sshd runs: it wants a place that only root can change (and not /run, where Debian runs nothing).
guest=byoci-a$$
safe=/var/lib/byoci-author-$$
address=127.0.0.1:$((20000 + $$ % 9000))
background=()
until_true useradd --system --user-group --no-create-home --home-dir "$safe" --shell /bin/sh "$guest" || bail_out "no user for authors"
author_end() {
	[ "${#background[@]}" = 0 ] || kill -KILL "${background[@]}" 2>/dev/null
	pkill -KILL -u "$guest"
	until_true userdel "$guest"
	rm -rf "$safe"
}
trap 'author_end; rm -rf "$scratch"' EXIT
install -d -m 755 "$safe" "$safe/bin"
install -d -o "$slave" -g "$guest" -m 2750 "$scratch/run/author"
ln -s "$build/bin/byoci" "$safe/bin/byoci"
printf '#!/bin/sh\nexport BYOCI_ROOT="%s"\nexec "%s" "$@"\n' "$scratch" "$build/bin/byoci-slave" >"$safe/bin/byoci-slave"
chmod 755 "$safe/bin/byoci-slave"
cat >>"$scratch/etc/byoci/$BYOCI_NAMESPACE/byov.conf" <<-CONF
	[$BYOCI_NAMESPACE]
	author.listen = $address
	author.user = $guest
	[project/sample]
	author.shell = yes
	author.limit = 90s
CONF

# shellcheck source=tests/e2e/keep-lib.sh
. "$checkout/tests/e2e/keep-lib.sh"
trap 'author_end; kept_end; slave_kill KILL; worker_kill KILL; units_end; rm -rf "$scratch"' EXIT
sed -i "s,^libexec = .*,libexec = $safe," "$scratch/conf"
keeps 10m
# Two pipes that stay open: what somebody says who says nothing for now, and where words go that nobody reads.
mkfifo "$scratch/silence" "$scratch/nowhere"
exec {silence}<>"$scratch/silence" {nowhere}<>"$scratch/nowhere"
only_kept() { [ -z "$(processes)$(group_folders)" ] && [ "$(find "$slots" -name '*.json' | wc -l)" = 1 ]; }

# The project has a secret from now on.
has_secret() {
	install -d -m 700 "$scratch/secrets/worker"
	(umask 077 && echo not-for-authors >"$scratch/secrets/worker/token")
	chmod 711 "$scratch/secrets"
	sed -i 's/^author.shell = yes$/&\nsecrets = token/' "$scratch/conf"
	keeps 10m
}
# approved NAME: as tested(), of a proposal that bob has approved.
approved() {
	proposed "$1"
	(cd "$scratch/w" && timeout -k 5 "$wait_limit" "$build/bin/byoci" approve --project sample -k "$scratch/bob" "$1") >/dev/null || bail_out "not approved"
	status=0
	log=$(byoci_slave test --spec "$scratch/spec" 2>&1) || status=$?
}

# shellcheck source=setup/lib/config.sh
. "$checkout/setup/lib/config.sh"
# shellcheck source=setup/lib/author.sh
. "$checkout/setup/lib/author.sh"
listens() { (exec 3<>"/dev/tcp/${address%:*}/${address##*:}") 2>/dev/null; }
# The ssh server, with the configuration that setup writes. Terminals are as Debian has them: their group is tty. Not every container does.
way_in() {
	ssh-keygen -q -t ed25519 -N '' -f "$safe/host" && chown "$guest:$guest" "$safe/host"
	author_sshd "$address" "$safe/host" "$guest" "$safe/bin/byoci-slave -n $BYOCI_NAMESPACE" >"$safe/sshd_config"
	printf '[%s]:%s %s\n' "${address%:*}" "${address##*:}" "$(cut -d' ' -f1,2 "$safe/host.pub")" >"$scratch/known"
	# shellcheck disable=SC2016
	unshare -m sh -c 'mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts && mount --bind /dev/pts/ptmx /dev/ptmx && exec "$@"' sh \
		setpriv --reuid="$guest" --regid="$guest" --clear-groups /usr/sbin/sshd -D -e -f "$safe/sshd_config" >>"$scratch/sshd.log" 2>&1 </dev/null &
	background+=($!)
	disown
	until_true listens
}
ssh=(ssh -F none -p "${address##*:}" -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes -o UserKnownHostsFile="$scratch/known"
	-o StrictHostKeyChecking=yes -o LogLevel=ERROR -l "$guest")
# comes_in KEY [OPTION…] [-- WORD…]: as the owner of this key; standard input is the shell's.
comes_in() {
	timeout -k 5 "$wait_limit" "${ssh[@]}" -i "$scratch/$1" "${address%:*}" "${@:2}"
}
