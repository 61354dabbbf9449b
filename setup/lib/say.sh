# shellcheck shell=bash disable=SC2034,SC2154
# What setup tells people: one line for each thing it changed, what is going on when something takes longer than a second, and
# one line with the remedy when something is wrong.

say_name=setup/byoci
say_log=/dev/null # where the output of quiet commands goes, for the case that one fails
say_brief=no      # yes: a first run, in which each part is one line
say_changes=0     # how many things were not right and are now
say_patience=${BYOCI_SETUP_PATIENCE:-1} # how many times slower than others this machine may be
say_ticker_in=
say_ticker_pid=

say() {
	printf '%s\n' "$*"
}

say_changed() {
	say_changes=$((say_changes + 1))
	[ "$say_brief" = yes ] || say "  $*"
}

# say_part TEXT COMMAND…: in a first run one line for all that the command makes.
say_part() {
	local text=$1 before=$say_changes
	shift
	"$@"
	if [ "$say_brief" = yes ] && [ "$say_changes" -gt "$before" ]; then say "  made $text"; fi
}

# One line: what went wrong, to what, what to do next.
say_die() {
	printf '%s: %s\n' "$say_name" "$*" >&2
	exit 75
}

# say_interruptible COMMAND…: becomes another process, which starts the command and ends as it does, or tells when it was interrupted
# (Ctrl-C): what was made stays. A trap of bash's is no use: one that is due while a command substitution begins is lost, and the script
# ends without a word, or with a wrong one. A kill -9 is for both.
# shellcheck disable=SC2016
say_interruptible() {
	exec perl -e '
		my $words = shift;
		my ($pid, $signal);
		$SIG{$_} = sub { $signal = shift; kill TERM => $pid if $pid } for qw(INT TERM);
		defined($pid = fork) or die "setup/byoci: no process: $!\n";
		if (!$pid) {
			$SIG{$_} = "DEFAULT" for qw(INT TERM);
			exec qw(setpriv --pdeathsig KILL), @ARGV or die "setpriv: $!\n";
		}
		kill TERM => $pid if $signal;
		1 while waitpid($pid, 0) != $pid;
		exit $? >> 8 if !($? & 127) && (!$signal || !$?);
		print STDERR "\n$words\n";
		exit 130' "setup/byoci: interrupted; run setup/byoci $namespace again to go on from here, or setup/byoci --remove $namespace to take it away" "$@"
}

say_usage() {
	printf '%s: %s\n' "$say_name" "$*" >&2
	exit 64
}

# Until its input ends, which is when the work has: what is going on, each second on a terminal, else after the first and each 30.
say_tick() {
	local text=$1 began=$SECONDS line tick=0 rc
	while true; do
		rc=0
		read -r -t 1 _ || rc=$?
		[ "$rc" -gt 128 ] || break
		tick=$((tick + 1))
		if [ -t 2 ]; then
			line=$(tail -c 300 "$say_log" 2>/dev/null | tr '\r' '\n' | tr -cd '[:print:]\n' | grep -v '^ *$' | tail -n 1 | cut -c1-60) || line=
			printf '\r\033[K  %s … %d s  %s' "$text" $((SECONDS - began)) "$line" >&2
		elif [ "$tick" -eq 1 ] || [ $((tick % 30)) -eq 0 ]; then
			printf '  %s … %d s\n' "$text" $((SECONDS - began)) >&2
		fi
	done
	[ ! -t 2 ] || [ "$tick" -eq 0 ] || printf '\r\033[K' >&2
}

say_tick_begin() {
	exec {say_ticker_in}> >(say_tick "$1" 9>&-)
	say_ticker_pid=$!
}

say_tick_end() {
	exec {say_ticker_in}>&-
	wait "$say_ticker_pid" || true
}

# say_end_of LINES: of what a command said that failed, the first lines that look like a cause, and the end.
say_end_of() {
	{
		head -n -12 <<<"$1" | grep -E '(^|[^[:alpha:]])([Ee]rror|ERROR|E|[Cc]annot|[Ff]ailed|[Uu]nable)( |:)' | head -n 8
		tail -n 12 <<<"$1"
	} | sed 's/^/  | /' >&2
}

# say_while TEXT COMMAND…: runs it quietly; its status, and what tells of the cause when that is not 0.
say_while() {
	local text=$1 rc=0 before
	shift
	{ before=$(wc -c <"$say_log"); } 2>/dev/null || before=0
	say_tick_begin "$text"
	"$@" >>"$say_log" 2>&1 </dev/null {say_ticker_in}>&- 9>&- || rc=$?
	say_tick_end
	if [ "$rc" -ne 0 ]; then
		say_end_of "$(tail -c "+$((before + 1))" "$say_log")"
	fi
	return "$rc"
}

# say_until SECONDS TEXT TEST…: repeats a quick test until it holds; 1 when the time is over (longer where this machine is said to be
# slow), 2 when the test says 2: it never will.
say_until() {
	local limit=$1 text=$2 deadline rc
	shift 2
	deadline=$((SECONDS + limit * say_patience))
	say_tick_begin "$text"
	while true; do
		rc=0
		"$@" {say_ticker_in}>&- || rc=$?
		if [ "$rc" -ne 1 ] || [ "$SECONDS" -ge "$deadline" ]; then break; fi
		sleep 0.05 {say_ticker_in}>&-
	done
	say_tick_end
	return "$rc"
}
