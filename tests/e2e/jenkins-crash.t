#!/usr/bin/perl
# The brain is killed at each point that matters while a master runs its builds and landings (brain/base/crash.h), and started again: the
# proposal lands once, and the master has one build of each attempt. BYOCI_CRASH_ONLY=REGEX takes only the points that match.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use OnMaster;
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(sleep);
use Wait;

chdir "$FindBin::Bin/../..";

# Who dies, after how many builds it has landed, and where; NAME:2 is the landing's turn.
my $points = <<'END';
brain itself 1 jenkins.intended
brain itself 1 jenkins.asked
brain itself 1 jenkins.triggered
brain itself 1 jenkins.queued
brain itself 1 jenkins.started
brain itself 1 jenkins.logged
brain itself 1 jenkins.ended
brain itself 1 jenkins.asked:2
brain itself 1 jenkins.triggered:2
brain itself 1 jenkins.ended:2
END

# Who dies with a build that nobody wants any more.
my $unwanted = <<'END';
brain itself 0 jenkins.unwanted
brain itself 0 build.unwanted
END

my $folder = ($ENV{O} // 'build') . '/crash';
my $made = Brain::run('sh', '-c', 'unset O; mkdir -p "$1"; exec flock "$1.lock" make -j2 CRASH=1 O="$1" "$1/bin/byoci-brain" "$1/bin/byoci" 2>&1', 'make', $folder);
-x "$folder/bin/byoci-brain" or BAIL_OUT("make CRASH=1: $made");
local $ENV{BYOCI_BIN} = $folder =~ m{^/} ? "$folder/bin" : "$FindBin::Bin/../../$folder/bin";

my $on = OnMaster->new;
my $jn = $on->{jn};
my $number = 0;
my $only = $ENV{BYOCI_CRASH_ONLY} // '.';

sub toggle { $jn->post('computer/local/' . ($_[0] ? 'changeOfflineCause' : 'toggleOffline'), form => {offlineMessage => 'disk'}) }
sub ended { return waitpid($on->{pid}, WNOHANG) == $on->{pid} && delete $on->{pid} }

for (grep { /$only/ } split /\n/, $points) {
	my ($builds, $point) = (split)[2, 3];
	my $name = 'p' . ++$number;
	local $ENV{BYOCI_CRASH_POINT} = $point;
	local $ENV{BYOCI_CRASH_MARK} = "$on->{tmp}/mark-$number";
	$on->start or BAIL_OUT($on->log);
	my $waits = $point eq 'jenkins.queued';
	toggle(1) if $waits;
	$on->proposed($name);
	ok(wait_for(\&ended), "$point: the brain is killed there") or diag($on->why($name));
	toggle(0) if $waits;
	$on->stop('KILL');
	delete @ENV{qw(BYOCI_CRASH_POINT BYOCI_CRASH_MARK)};
	$on->start or BAIL_OUT($on->log);
	ok($on->landed($name), "$point: and lands the proposal when it is back") or diag($on->why($name));
	is($on->item($name)->{builds}, $builds, "$point: after so many attempts");
	is($on->twice, '', "$point: each of them, and the landing, was begun once");
	my @of = grep { ($_->{parameters}{SPEC} // '') =~ /"proposal":\s*"\Q$name\E"/ } $on->builds('gate');
	is(scalar(@of), $builds, "$point: and the master has as many builds");
	my $log = ($on->get("/builds/$of[0]{parameters}{BRAIN_BUILD}/log"))[1] // '';
	is(scalar(() = $log =~ /^byoci-result-1 /mg), 1, "$point: their log is there once");
	$on->stop;
}

# Starts $_[0] with that point, lets it have a build that runs, and take it back; kills it there, and starts it again.
sub taken_back {
	my ($brain, $point, $name, $runs) = @_;
	local $ENV{BYOCI_CRASH_POINT} = $point;
	local $ENV{BYOCI_CRASH_MARK} = "$brain->{tmp}/mark-$name";
	$brain->start or BAIL_OUT($brain->log);
	my $commit = $brain->commit($name);
	$brain->propose($name, $commit);
	$brain->approve($name, $commit);
	$brain->tell("refs/proposals/$name/head");
	ok(wait_for($runs), "$point: a build runs");
	ok(wait_for(sub { ($brain->ask('show', $name)->{builds} // [{}])->[0]{state} eq 'running' }), "$point: as the brain knows");
	my $next = $brain->commit("$name-next");
	$brain->propose($name, $next);
	$brain->tell("refs/proposals/$name/head");
	ok(wait_for(sub { waitpid($brain->{pid}, WNOHANG) == $brain->{pid} && delete $brain->{pid} }), "$point: the brain is killed there");
	delete @ENV{qw(BYOCI_CRASH_POINT BYOCI_CRASH_MARK)};
	$brain->start or BAIL_OUT($brain->log);
	return $next;
}

for my $point (grep { /$only/ } $unwanted =~ /(jenkins\.\S+)/g) {
	$on->agent(hold => '');
	my $name = 'back';
	my $of = sub { return grep { ($_->{parameters}{SPEC} // '') =~ /"proposal":\s*"\Q$name\E"/ } $on->builds('gate') };
	my $next = taken_back($on, $point, $name, sub { grep { $_->{building} } $of->() });
	ok(wait_for(sub { !grep { $_->{building} } $of->() }), "$point: back up, it ends the master's build") or diag($on->why($name));
	is(join(' ', map { $_->{result} } $of->()), 'ABORTED', "$point: there was that one");
	$on->agent(hold => undef);
	$on->approve($name, $next);
	$on->tell("refs/proposals/$name/head");
	ok($on->landed($name), "$point: and what took its place lands") or diag($on->why($name));
	$on->stop;
}

# The same with a slave of this machine's own, whose builds have no end but that.
sub held { my ($file) = @_; sleep 0.05 until -e $file; return 0 }
for my $point (grep { /$only/ } $unwanted =~ /(build\.\S+)/g) {
	my $brain = Brain->new;
	$brain->make_repository;
	$brain->lander;
	my $tmp = $brain->{tmp};
	$brain->double('slave', sub {
		my ($message, $say) = @_;
		$say->({ok => JSON::PP::true}) if $message->{op} =~ /^(?:start|cancel)$/;
		return $message->{op} eq 'start' || ($message->{op} eq 'follow' && held("$tmp/end"));
	});
	taken_back($brain, $point, 'back', sub { $brain->heard('slave', 'follow') });
	my ($build) = map { $_->{build} } $brain->heard('slave', 'follow');
	ok(wait_for(sub { grep { $_->{build} eq $build } $brain->heard('slave', 'cancel') }), "$point: back up, it ends the slave's build");
	ok(wait_for(sub { ($brain->ask('show', 'back')->{builds} // [{}])->[0]{state} eq 'done' }), "$point: which is over");
	is(scalar(grep { $_->{spec}{build} eq $build } $brain->heard('slave', 'start')), 1, "$point: and was not begun again for that");
	$brain->stop;
	Brain::spew("$tmp/end", '');
}
done_testing;
