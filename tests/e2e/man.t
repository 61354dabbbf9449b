#!/bin/bash
# The manual against the programs: each verb and option of their help is in the page and the other way round, every option of the
# configuration has its entry, what an example shows is understood, and completion offers what there is. Needs no set-up.
set -u
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.." || exit 1
checkout=$PWD
build=$(realpath "${O:-build}")
tmp=$(mktemp -d /tmp/byoci-man.XXXXXX) || exit 1
trap 'rm -rf "$tmp"' EXIT
export BYOCI_ROOT=$tmp/root HOME=$tmp PATH=$build/bin:$PATH
unset BYOCI_NAMESPACE
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

same() { # WHAT FILE FILE: the same lines, and some
	diff -u "$2" "$3" >"$tmp/diff" && [ -s "$2" ]
	report $? "$1" "$tmp/diff"
}

# The pages, without the mark-up of mdoc's `Fl`: -n, --json.
page() {
	case $1 in
	byov.conf.5) cat "$build/man/$1" ;;
	*) cat "doc/man/$1" ;;
	esac
}

# Options at a page's `Fl`, each once.
page_options() {
	page "$1" | sed -n '/^\.Sh DESCRIPTION/,/^\.Sh \(ENVIRONMENT\|FILES\|SIGNALS\)/p' | grep -E '^\.' |
		grep -oE '\bFl -?[a-zA-Z][a-z-]*' | sed 's/^Fl /-/' | sort -u
}

page_verbs() {
	page "$1" | sed -n 's/^\.It Cm \([a-z][a-z-]*\).*/\1/p' | sort -u
}

# Options in the text of a help.
text_options() {
	grep -oE -- "(^|[][ |\`('])--?[a-zA-Z][a-z-]*" | sed 's/^[^-]*//' | sort -u
}

# ---- byoci ----

verbs_shown() {
	byoci --help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p'
}
hidden=(git-read launchpad-read launchpad-tell git-serve git-pre-receive git-post-receive)

{ verbs_shown; printf '%s\n' "${hidden[@]}"; } | sort -u >"$tmp/help"
page_verbs byoci.1 >"$tmp/page"
same 'byoci: the verbs of the help are those of the page' "$tmp/help" "$tmp/page"
for verb in "${hidden[@]}"; do
	byoci help "$verb" >"$tmp/out" 2>&1
	report $? "byoci $verb is there" "$tmp/out"
done
# Each option has a long form which only the page has.
{
	byoci --help | text_options
	for verb in $(verbs_shown) "${hidden[@]}"; do byoci help "$verb" | text_options; done
	printf '%s\n' --namespace --option -h --help --follow --message --key
} | sort -u >"$tmp/help"
page_options byoci.1 >"$tmp/page"
same 'byoci: the options of the help are those of the page' "$tmp/help" "$tmp/page"
sed -n 's/.*{\.name = "\(-[^"]*\)".*/\1/p; s/.*\.other = "\(-[^"]*\)".*/\1/p' brain/{verb,git,launchpad,jobs,ctl}/*.c | sort -u | comm -23 - "$tmp/page" >"$tmp/missing"
[ ! -s "$tmp/missing" ]
report $? 'byoci: no verb takes an option that the page does not have' "$tmp/missing"

# ---- the other programs ----

byoci-slave --help | sed -n 's/^  \([a-z][a-z-]*\)\( .*\)\?$/\1/p' | sort -u >"$tmp/help"
page_verbs byoci-slave.8 >"$tmp/page"
same 'byoci-slave: the verbs of the help are those of the page' "$tmp/help" "$tmp/page"
byoci-worker --help | sed -n 's/^  \([a-z][a-z-]*\)\( .*\)\?$/\1/p' | sort -u >"$tmp/help"
page_verbs byoci-worker.8 >"$tmp/page"
same 'byoci-worker: the verbs of the help are those of the page' "$tmp/help" "$tmp/page"

others() { # PROGRAM OPTION…: what its help has, and those that every program has
	local program=$1
	shift
	{ "$program" --help | text_options; printf '%s\n' "$@"; } | sort -u >"$tmp/help"
	page_options "${program##*/}.8" >"$tmp/page"
	same "$program: the options of the help are those of the page" "$tmp/help" "$tmp/page"
}
others byoci-slave -h --help --version
others byoci-brain -h --help
others byoci-worker --help --version
setup/byoci --help | text_options >"$tmp/help"
echo -h >>"$tmp/help"
sort -u -o "$tmp/help" "$tmp/help"
page_options byoci-setup.8 >"$tmp/page"
same 'setup/byoci: the options of the help are those of the page' "$tmp/help" "$tmp/page"

# ---- byov.conf ----

etc=$tmp/root/etc/byoci/testing
mkdir -p "$etc"
cp byov.conf "$etc/"
# Nothing of a namespace that this machine may have.
printf '[testing]\nrun = %s/run\nstate = %s/state\npages.listen = 127.0.0.1:1\nhook.listen = 127.0.0.1:1\n' "$tmp" "$tmp" >"$etc/test.conf"
printf '[master/second]\nurl = http://127.0.0.1:1/\n' >>"$etc/test.conf"
byoci -n testing config >"$tmp/out" 2>&1
report $? 'the sample configuration is read' "$tmp/out"
sed -n 's/^\([a-z][a-z._]*\) = .*/\1/p' "$tmp/out" | sort -u >"$tmp/help"
page byov.conf.5 | sed -n 's/^\.It Cm \([a-z][a-z._]*\)$/\1/p' | sort -u >"$tmp/page"
same 'every option of `byoci config` is in byov.conf(5), and no other' "$tmp/help" "$tmp/page"

mkdir -p "$tmp/example/etc/byoci/testing"
sed -n '/^\.Sh EXAMPLES/,$p' "$build/man/byov.conf.5" | sed -n '/^\.Bd/,/^\.Ed/p' | grep -v '^\.' >"$tmp/example/etc/byoci/testing/byov.conf"
BYOCI_ROOT=$tmp/example byoci -n testing config >"$tmp/out" 2>&1 && grep -q '^approvals = 2 ' "$tmp/out"
report $? 'the example of byov.conf(5) holds' "$tmp/out"

# ---- what the examples show ----

# What only reads is done; against nothing but a configuration, which is enough for some, and must not be a usage error for the rest.
examples() {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' doc/man/*.[18] | sed -n 's/^\.Dl [$#] //p' | sed 's/\\(dq/"/g; s/\\e/\\/g'
}
example() { # COMMAND
	local status
	(cd "$tmp" && eval "timeout $((120 * ${BYOCI_TEST_PATIENCE:-1})) $1") >"$tmp/out" 2>&1 </dev/null
	status=$?
	case $1 in
	byoci\ *\ config* | byoci\ help* | *--version) [ "$status" -eq 0 ] && [ -s "$tmp/out" ] ;;
	*) [ "$status" -ne 64 ] && [ "$status" -lt 124 ] ;;
	esac
	report $? "example: $1 (exits with $status)" "$tmp/out"
}
while read -r command; do
	case $command in
	byoci\ *\ propose* | byoci\ *\ approve\ * | byoci-slave\ *\ test* | byoci-slave\ *\ land* | runuser* | *build-backing* | setup/byoci*) ;;
	*) example "$command" ;;
	esac
done < <(examples)
examples | grep '^setup/byoci' | grep -vE '^setup/byoci (--(check|remove) )?testing( --(master|slave)|( -O [^ ]+=[^ ]*)+| --credentials [^ ]+)*$' >"$tmp/out"
[ ! -s "$tmp/out" ]
report $? 'the examples of byoci-setup(8) fit its usage' "$tmp/out"

# ---- completion ----

complete_line() { # WORD…: what is offered for the last one, each on a line
	bash -c 'source "$0/setup/completions/byoci"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
		case $1 in byoci) _byoci ;; *) _byoci_slave ;; esac
		printf "%s\n" "${COMPREPLY[@]}"' "$checkout" "$@" 2>&1 | sort -u
}
offers() { # WHAT WANTED WORD…
	local what=$1
	tr ' ' '\n' <<<"$2" | sort -u >"$tmp/help"
	shift 2
	complete_line "$@" >"$tmp/page"
	same "completion: $what" "$tmp/help" "$tmp/page"
}
offers 'every verb of byoci' "$(verbs_shown) -n -O --json --help --version" byoci ''
offers 'every verb of byoci-slave' "$(byoci-slave --help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p') -n -O --help --version" byoci-slave ''
offers 'a verb that was begun' 'secrets show status' byoci s
offers 'after -n the namespaces' testing byoci -n ''
offers 'after -n NAMESPACE a verb' 'propose' byoci -n testing prop
offers 'options of a verb' '--project --target --name -m -k --repository --help' byoci -n testing propose -
offers 'options of a verb of byoci-slave' '--project --force' byoci-slave land-approved -
offers 'projects' sample byoci -n testing propose --project ''
offers 'options of the configuration' 'hook.body.limit hook.deadline hook.listen' byoci -n testing config hook
offers 'sections' 'job/unit' byoci -n testing config job/
offers 'options to override' 'git.config= git.listen= git.root= git.user=' byoci -n testing -O git.

# ---- make install ----

make -s O="$build" install DESTDIR="$tmp/installed" PREFIX=/usr >"$tmp/out" 2>&1
report $? 'make install' "$tmp/out"
(cd "$tmp/installed/usr/share/man" && find . -type f | sort) >"$tmp/page"
printf './man%s\n' 1/byoci.1 5/byov.conf.5 8/byoci-brain.8 8/byoci-setup.8 8/byoci-slave.8 8/byoci-worker.8 >"$tmp/help"
same 'make install puts every page into its place' "$tmp/help" "$tmp/page"

echo "1..$count"
[ "$failed" -eq 0 ]
