#!/usr/bin/perl
# The clock is set while a proposal is on its way: a day forward, an hour back, and while the brain is not there. Nothing is lost, nothing
# is done twice, and nothing waits for the old time: for an hour or a day, which no wait here lasts. The daemons see another time than the machine by tests/preload/clock.c.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Brain;
use Test::More;
use Time::HiRes qw(sleep);
use Wait;
use Widget;

chdir "$FindBin::Bin/../..";
Widget::begin(start => 0, poll => '1s');
system('cc', '-shared', '-fPIC', '-O1', '-o', "$whole->{tmp}/clock.so", 'tests/preload/clock.c') == 0 or BAIL_OUT('no compiler');

# What the daemons take for now: so many seconds after the real time. The clocks that nobody sets go on as they are.
sub set_clock {
	my ($offset) = @_;
	open my $file, -e "$whole->{tmp}/clock" ? '+<' : '>', "$whole->{tmp}/clock" or die $!;
	syswrite $file, pack 'q', $offset * 1_000_000_000;
}
set_clock(0);
my %time = (LD_PRELOAD => "$whole->{tmp}/clock.so", BYOCI_CLOCK => "$whole->{tmp}/clock");
sub faked {
	my ($start) = @_;
	local @ENV{keys %time} = values %time;
	return $start->() || BAIL_OUT($whole->logs);
}
$whole->start_worker;
faked(sub { $whole->start_slave && $whole->start_land && $whole->start });

my ($calm, $commit) = proposed('calm');
approves($calm);
landed_once($calm, $commit, 'at the right time');

# How often what it waits for was tried.
sub attempts {
	my ($made) = @_;
	my $reply = $whole->ask('why', $made->{id}, '--project', 'widget') // {};
	my ($most) = sort { $b <=> $a } 0, map { $_->{attempts} } @{$reply->{waiting} // []};
	return $most;
}

# It is tested, and waits for the landing daemon, which is away; the clock is set, and it comes back.
sub set_while_landing_waits {
	my ($branch, $offset, $what) = @_;
	$whole->end('land');
	my ($made, $one) = proposed($branch);
	approves($made);
	ok(wait_for(sub { attempts($made) >= 3 }),
		"$what: a landing waits") or diag(why($made));
	set_clock($offset);
	faked(sub { $whole->start_land });
	landed_once($made, $one, $what);
	is(scalar($whole->ask('show', $made->{id})->{builds}->@*), 1, "$what: by one build");
}
set_while_landing_waits('forward', 86400, 'a day forward');
set_while_landing_waits('back', 0, 'a day back');
set_while_landing_waits('hour', -3600, 'an hour back');
like($whole->log, qr/the clock was set back.*by_ms=(?:86|36)\d+/, 'which the log says');

# While its tests run.
set_clock(0);
my ($running, $running_commit) = proposed('running');
Brain::spew("$lp->{tmp}/work/run-tests", "#!/bin/sh\nsleep 3\n", 0755);
$running_commit = push_to_fork('running');
has_diff_of($running, $running_commit);
approves($running);
ok(wait_for(sub { $whole->item($running->{id})->{state} eq 'building' }), 'a build runs');
set_clock(-7200);
sleep 1; # by then somebody has asked it; who has not sees the next
set_clock(86400);
landed_once($running, $running_commit, 'the clock was set back and forth while it was tested');
is(scalar($whole->ask('show', $running->{id})->{builds}->@*), 1, 'which it was once');

# While the brain is away, with a call that waits.
set_clock(0);
$whole->end('slave');
my ($down, $down_commit) = proposed('down');
approves($down);
ok(wait_for(sub { attempts($down) >= 2 }), 'a build waits')
	or diag(why($down));
$whole->stop;
set_clock(-3600);
faked(sub { $whole->start_slave && $whole->start });
landed_once($down, $down_commit, 'an hour back while the brain was away');

# The target moves while the clock is behind what was seen of it; and an approval is dated ahead.
set_clock(86400);
my ($behind) = proposed('behind');
said($behind, qr/not approved/, 'one that waits');
$whole->settled;
set_clock(-300);
$lp->git('checkout', '-q', 'refs/remotes/main');
$lp->git('commit', '-q', '--allow-empty', '-m', 'by hand');
$lp->git('push', '-q', $lp->url('bob', $name), 'HEAD:main') // diag($lp->{said});
my $by_hand = $lp->git('rev-parse', 'HEAD');
approves($behind);
comes_to($behind, 'landed', 'it lands on what somebody else pushed');
main_now();
is($lp->git('rev-parse', 'refs/remotes/main^1'), $by_hand, 'on that very commit');
is(scalar($whole->ask('show', $behind->{id})->{builds}->@*), 1, 'by one build');
set_clock(-1200);
my ($ahead, $ahead_commit) = proposed('ahead');
approves($ahead);
said($ahead, qr/dated in the future: it is looked at again when that has come/, 'an approval dated ahead of our clock does not count yet');
set_clock(0);
landed_once($ahead, $ahead_commit, 'when the clock is right');

done_testing();
