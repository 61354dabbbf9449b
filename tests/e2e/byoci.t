#!/bin/bash
# The byoci command: options, help, configuration and secrets. Needs no set-up: everything is in a temporary folder, and every user
# of the namespace is the one who runs it.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$(realpath "${O:-build}")
byoci=${BYOCI:-$build/bin/byoci}
tmp=$(mktemp -d /tmp/byoci-command.XXXXXX) || exit 1
trap 'rm -rf "$tmp"' EXIT
export BYOCI_ROOT=$tmp/root HOME=$tmp
unset BYOCI_NAMESPACE
cd "$tmp" || exit 1
count=0 failed=0

report() { # GOOD WHAT [FILE with why]
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		failed=$((failed + 1))
		echo "not ok $count - $2"
		if [ -n "${3:-}" ]; then sed 's/^/# /' "$3"; fi
	fi
}

exits() { # STATUS WORDS WHAT COMMAND…: both of its outputs are looked at
	local status=$1 words=$2 what=$3 got
	shift 3
	"$@" >"$tmp/out" 2>&1
	got=$?
	[ "$got" = "$status" ] && { [ -z "$words" ] || grep -qF -- "$words" "$tmp/out"; }
	report $? "$what" "$tmp/out"
}

is() { # GOT WANTED WHAT
	printf 'got:    %s\nwanted: %s\n' "$1" "$2" >"$tmp/is"
	[ "$1" = "$2" ]
	report $? "$3" "$tmp/is"
}

user=$(id -un)
etc=$tmp/root/etc/byoci/trial
mkdir -p "$etc"
cat >"$etc/byov.conf" <<END
[trial]
state = $tmp/state
user = $user
slave.user = $user
land.user = $user
git.user = $user
[project/sample]
repository = ssh://{git.user}@{git.listen}/{name}.git
jobs = unit
[project/other]
repository = ssh://{git.user}@{git.listen}/{name}.git
jobs = unit
landing.key = $tmp/own-key
[job/unit]
backing = base
tests.command = make check
[backing/base]
[account/hub]
dialect = github
END

# ---- the command line ----

exits 0 'usage: byoci' 'help' "$byoci" --help
exits 0 'usage: byoci propose' 'help about a verb' "$byoci" help propose
exits 0 'usage: byoci approve' 'the other way round' "$byoci" approve --help
exits 0 'byoci ' 'the version' "$byoci" --version
exits 64 'usage: byoci' 'no verb' "$byoci"
exits 64 'no such verb' 'a verb that is none' "$byoci" comit
exits 64 'no such verb' 'help about none' "$byoci" help comit
exits 64 'no such option' 'an option that is none' "$byoci" --yes config
exits 64 'no such option' 'an option that the verb does not have' "$byoci" -n trial config --yes
exits 64 'needs a value' 'a namespace without its name' "$byoci" -n
exits 64 'one argument too many' 'too much' "$byoci" -n trial config a b
exits 64 'needs a value' 'an option of a verb without its value' "$byoci" -n trial approve --commit
exits 64 'say which project' 'several projects' "$byoci" -n trial git-read one

# ---- config ----

exits 0 'hook.listen = 127.0.0.1:8810  # default' 'every option and where it came from' "$byoci" -n trial config
exits 0 "state = $tmp/state  # $etc/byov.conf:2" 'with file and line' "$byoci" config -n trial
is "$("$byoci" -n trial config project/sample:repository)" "ssh://$user@127.0.0.1:8812/sample.git" 'one option, expanded'
is "$("$byoci" config hook.listen -n trial -O hook.listen=127.0.0.1:1)" 127.0.0.1:1 'an override, wherever it stands'
is "$("$byoci" -ntrial -Ohook.listen=127.0.0.1:1 config hook.listen)" 127.0.0.1:1 'or together with its letter'
is "$("$byoci" --namespace=trial config project/other --json | jq -r '.[] | select(.option == "landing.key") | [.section,.value] | join(" ")')" \
	"project/other $tmp/own-key" 'as JSON'
is "$("$byoci" -n trial config --json | jq -r '[.[] | .section | split("/")[0]] | unique | join(" ")')" ' account backing job project' 'all of it'
exits 64 'no such option' 'an option that is none' "$byoci" -n trial config hook.lisen
exits 64 'job/unti' 'a section that is none' "$byoci" -n trial config job/unti
exits 64 'hook.listen' 'a mistyped override names the nearest' "$byoci" -n trial -O hook.lisen=1 config
exits 64 'backing/gone' 'a backing that is not there' "$byoci" -n trial -O job/unit:backing=gone config

# ---- secrets ----

secrets=$tmp/state/secrets
exits 77 "missing $secrets/brain" 'a check says what is missing' "$byoci" -n trial secrets --check
[ ! -e "$secrets" ]
report $? 'and makes nothing'
ssh-keygen -q -t ed25519 -N '' -f "$tmp/own-key"
exits 0 "made $secrets/slave/result.key" 'what is missing is made' "$byoci" -n trial secrets
is "$(cd "$secrets" && find . -type f | sort | tr '\n' ' ')" \
	"$(printf './%s ' brain/hook-git brain/hook-hub brain/id_ed25519 brain/id_ed25519.pub git/hook git/ssh_host_ed25519_key \
		git/ssh_host_ed25519_key.pub land/id_ed25519 land/id_ed25519.pub land/result.key slave/id_ed25519 slave/id_ed25519.pub slave/result.key)" \
	'these'
is "$(find "$secrets"/* -type d ! -perm 700 -o -type f ! -name '*.pub' ! -perm 600)" '' 'for their user only'
is "$(cat "$secrets/git/hook")" "$(cat "$secrets/brain/hook-git")" 'both sides of the git forge have the same secret'
[ "$(cat "$secrets/brain/hook-git")" != "$(cat "$secrets/brain/hook-hub")" ] && [ "$(wc -c <"$secrets/brain/hook-hub")" = 65 ]
report $? 'every account has its own'
ssh-keygen -y -f "$secrets/land/id_ed25519" | cut -d' ' -f1,2 >"$tmp/public"
is "$(cut -d' ' -f1,2 "$secrets/land/id_ed25519.pub")" "$(cat "$tmp/public")" 'the public half fits'
openssl pkey -in "$secrets/slave/result.key" -pubout 2>/dev/null | cmp -s - "$etc/result-keys/local.pub"
report $? 'also of the result key'
digest() { find "$secrets" "$etc" -type f -exec sha256sum {} + | sort; }
digest >"$tmp/before"
exits 0 '' 'again' "$byoci" -n trial secrets
is "$(digest)" "$(cat "$tmp/before")" 'changes nothing'
is "$(cat "$tmp/out")" '' 'and says nothing'
is "$("$byoci" -n trial secrets --check --json | jq -r '[.[].state] | unique | join(" ")')" good 'all is good'
rm "$secrets/git/hook" "$secrets/land/id_ed25519"
exits 0 "made $secrets/git/hook" 'what was lost is made again' "$byoci" -n trial secrets
is "$(cat "$secrets/git/hook")" "$(cat "$secrets/brain/hook-git")" 'as a copy'
is "$(cut -d' ' -f1,2 "$secrets/land/id_ed25519.pub")" "$(ssh-keygen -y -f "$secrets/land/id_ed25519" | cut -d' ' -f1,2)" 'with a public half that fits'
is "$(find "$secrets" -name '.new*')" '' 'nothing is left over'

wrong() { # WORDS WHAT: both the check and the making say so, and change nothing
	digest >"$tmp/before"
	exits 77 "$1" "$2" "$byoci" -n trial secrets --check
	exits 77 "$1" "$2, and it is not mended behind one's back" "$byoci" -n trial secrets
	is "$(digest)" "$(cat "$tmp/before")" 'nothing was changed'
}
chmod 640 "$secrets/brain/hook-hub"
wrong "chmod 600 $secrets/brain/hook-hub" 'a secret that others may read'
chmod 600 "$secrets/brain/hook-hub"
chmod 750 "$secrets/land"
wrong "chmod 700 $secrets/land" 'a folder that others may enter'
chmod 700 "$secrets/land"
echo other >"$secrets/git/hook"
wrong 'it differs from' 'two sides that do not fit'
cp "$secrets/brain/hook-git" "$secrets/git/hook"
mv "$etc/result-keys/local.pub" "$tmp/local.pub"
wrong 'its public half' 'a result key without its public half'
mv "$tmp/local.pub" "$etc/result-keys/local.pub"
mv "$secrets/brain/hook-hub" "$tmp/moved"
ln -s "$tmp/moved" "$secrets/brain/hook-hub"
wrong 'it is not a file' 'a link'
rm "$secrets/brain/hook-hub"
: >"$secrets/brain/hook-hub"
chmod 600 "$secrets/brain/hook-hub"
wrong 'it is empty' 'an empty secret'
mv -f "$tmp/moved" "$secrets/brain/hook-hub"
mv "$tmp/own-key" "$tmp/away"
wrong "$tmp/own-key: it is missing, and only you can bring it" 'a key of one'\''s own that is missing'
mv "$tmp/away" "$tmp/own-key"
exits 0 '' 'all is good again' "$byoci" -n trial secrets --check
exits 64 'there is no user' 'a user that is not there' "$byoci" -n trial -O user=nobody-at-all secrets

echo "1..$count"
[ "$failed" = 0 ]
