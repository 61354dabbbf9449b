#!/bin/bash
# Nothing of a build outlives it, whoever is killed at whatever moment: 200 short builds with the real daemons and real workers, whose
# tests leave behind what they can, while slave daemon, leader, worker process and byoci-worker are killed at random; then one pass
# of the reaper, and nothing is left.
# BYOCI_TEARDOWN_BUILDS and BYOCI_TEARDOWN_SEED are other numbers than 200 and the time.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/worker.sh"
# What such tests do not want to end with them.
propose_it() {
	git -C "$scratch/w" checkout -q -b clinging
	cat >"$scratch/w/test.sh" <<-'SH'
		trap '' TERM HUP INT
		setsid sh -c 'trap "" TERM HUP; while :; do sleep 1000; done' &
		(cd / && setsid sleep 1000 >/dev/null 2>&1 &)
		head -c 1m /dev/zero >/tmp/full
		echo begun
		case $(od -An -N1 -tu1 /dev/urandom) in
			*[0-2]) sleep 0.1 ;;
			*3) while :; do sh -c 'sleep 1000 & sleep 1000 &' & done 2>/dev/null ;;
		esac
		exit 3
	SH
	git -C "$scratch/w" commit -q -a -m Cling
	(cd "$scratch/w" && "$build/bin/byoci" propose --project sample --name clinging -k "$scratch/ann") >/dev/null &&
		"$build/bin/byoci-slave" spec --project sample clinging >"$scratch/spec"
}

slave_ready
ok "a proposal whose tests cling to life" propose_it || bail_out "no spec"

cat >"$scratch/chaos" <<'PERL'
use strict;
use warnings;
use IO::Socket::UNIX;
use JSON::PP;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

my ($bin, $scratch, $slave, $builds, $seed) = @ARGV;
srand $seed;
my $spec = decode_json(do { local (@ARGV, $/) = "$scratch/spec"; <> });
my $state = "$scratch/state";
my %pid;
my (%killed, %outcome);
$SIG{PIPE} = 'IGNORE';

sub start {
	my ($name) = @_;
	my @as = $name eq 'slave' ? ('setpriv', "--reuid=$slave", "--regid=$slave", '--clear-groups', "$bin/byoci-slave") : "$bin/byoci-worker";
	$pid{$name} = fork // die;
	if (!$pid{$name}) {
		open STDERR, '>>', "$scratch/$name.log";
		open STDOUT, '>&', \*STDERR;
		exec @as, '-n', $ENV{BYOCI_NAMESPACE}, 'serve' or die;
	}
	open my $fh, '>', "$scratch/$name.pid";
	print {$fh} "$pid{$name}\n";
}

sub talk {
	my ($message, $lines) = @_;
	my $until = time + 10;
	while (time < $until) {
		my $socket = IO::Socket::UNIX->new(Peer => "$scratch/run/slave/socket");
		if ($socket) {
			print {$socket} encode_json($message), "\n";
			$socket->flush;
			my $line = <$socket>;
			return decode_json($line) if defined $line;
		}
		sleep 0.005;
	}
	die "the slave does not answer\n";
}

sub children { return split ' ', (do { local @ARGV = ("/proc/$_[0]/task/$_[0]/children"); <> } // '') }
sub leader {
	my ($build) = @_;
	open my $fh, '<', "$state/slave/builds/$build/leader.pid" or return ();
	return (<$fh> // '') =~ /"pid":(\d+)/;
}
my %victims = (
	slave => sub { $pid{slave} },
	worker => sub { $pid{worker} },
	handler => sub { children($pid{worker}) },
	leader => \&leader,
);

sub strike {
	my ($build) = @_;
	my @names = sort keys %victims;
	@names = rand() < 0.15 ? @names : $names[rand @names];
	for my $name (@names) {
		my @pids = $victims{$name}->($build);
		$killed{$name} += kill 'KILL', @pids if @pids;
	}
	for my $name (qw(worker slave)) { # as an init would
		next if !(grep { $_ eq $name } @names);
		waitpid $pid{$name}, 0;
		start($name);
	}
}

start($_) for qw(worker slave);
for my $number (1 .. $builds) {
	my $build = sprintf '%032x', $number;
	my $message = {op => 'start', spec => {%$spec, build => $build}};
	my $reply = talk($message);
	sleep rand 0.25;
	strike($build);
	my $until = time + 20;
	until (-s "$state/slave/builds/$build/result") {
		die "build $build does not end: ", encode_json($reply), "\n" if time > $until;
		$reply = talk($message) if !-e "$state/slave/builds/$build/spec.json";
		sleep 0.004;
	}
	my ($payload) = do { local (@ARGV, $/) = "$state/slave/builds/$build/result"; <> } =~ /^\S+ (\S+)/;
	$payload = `printf %s '$payload' | base64 -d`;
	$outcome{decode_json($payload)->{outcome}}++;
}
print 'killed: ', join(', ', map { "$_ $killed{$_}" } sort keys %killed), "\n";
print 'ended: ', join(', ', map { "$_ $outcome{$_}" } sort keys %outcome), "\n";
PERL

trap 'kill $(cat "$scratch"/{worker,slave}.pid) 2>/dev/null; rm -rf "$scratch"' EXIT
seed=${BYOCI_TEARDOWN_SEED:-$(date +%s)}
builds=${BYOCI_TEARDOWN_BUILDS:-200}
began=$SECONDS
status=0
said=$(timeout 240 perl "$scratch/chaos" "$build/bin" "$scratch" "$slave" "$builds" "$seed" 2>&1) || status=$?
is "$status" 0 "$builds builds while processes are killed at random: each ends with a result (seed $seed)" ||
	diag "$(tail -n 5 "$scratch"/{slave,worker}.log)"
diag "$said in $((SECONDS - began)) s"
worker_pid=$(cat "$scratch/worker.pid") slave_pid=$(cat "$scratch/slave.pid") || bail_out "who runs is not known"
for who in slave worker handler leader; do
	like "$said" "$who [1-9]" "a $who was killed"
done
status=0
reaped=$("$build/bin/byoci-slave" reap 2>&1) || status=$?
is "$status:$(jq -c .left <<<"$reaped")" '0:[]' "the reaper removes all that it finds"
diag "$reaped"
is "$(find "$state/slave/builds" -name layer)" "" "and no tree"
is "$(find "$state/slave/builds" -mindepth 1 -maxdepth 1 | wc -l)" "$builds" "of any build"

# What can't be removed is told.
echo '{"kind":"lxc","traces":["/sys/fs/cgroup/../../etc"]}' >"$slots/1.json"
status=0
reaped=$("$build/bin/byoci-slave" reap 2>&1) || status=$?
is "$status" 75 "what the reaper can't remove ends it with 75"
like "$(jq -r '.left[]' <<<"$reaped")" '^byoci-worker: reap: slot 1: /sys/fs/cgroup/\.\./\.\./etc: is not inside' "and is named"
rm "$slots/1.json"
slave_kill
clean "with the daemon go the workers that wait: no process, control group, mount, slot or record is left"
worker_kill
done_testing
