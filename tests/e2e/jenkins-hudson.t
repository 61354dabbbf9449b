#!/usr/bin/perl
# Builds and landings by a real master, Hudson, with security and crumbs on: its own dialect (no queue ids, merged triggers, CRLF in
# logs), a killed brain, a restarted and a killed master, a disabled job, and what nobody wants any more.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Hudson;
use OnMaster;
use Test::More;
use Wait;

chdir "$FindBin::Bin/../..";
my $who = join " ", map { ("GIT_${_}_NAME=Ann", "GIT_${_}_EMAIL=ann\@localhost") } qw(AUTHOR COMMITTER); # its jobs have an environment of their own
my $hudson = eval { Hudson->new(3) };
if (!$hudson) {
	die "Hudson does not start: $@" if ($ENV{CI} // '') eq 'true';
	plan skip_all => "Hudson does not start: $@";
}
my $on = OnMaster->new(url => $hudson->{url}, user => $hudson->{user}, secret => $hudson->{password});
my @declared = (gate => ['BRAIN_BUILD', 'SPEC'], land => ['BRAIN_BUILD', 'SPEC', 'RESULT']);
while (my ($kind, $names) = splice @declared, 0, 2) {
	$hudson->make_job($on->job($kind), "export $who\n" . $on->command($kind), @$names);
}
ok($on->start, 'it starts') or BAIL_OUT($on->log);

my $number = 0;
sub fresh { return 'p' . ++$number }
sub history { return @{($hudson->get('job/' . $on->job($_[0]) . '/api/json?tree=builds[number,result,actions[parameters[name,value]]]') // {})->{builds} // []} }
sub nonce { my ($build) = @_; return (map { $_->{value} } grep { $_->{name} eq 'BRAIN_BUILD' } map { @{$_->{parameters} // []} } @{$build->{actions}})[0] }
sub twice {
	my ($kind) = @_;
	my %times;
	$times{$_}++ for grep { defined } map { nonce($_) } history($kind); # a killed master forgets parameters of what ran
	return join ', ', grep { $times{$_} > 1 } sort keys %times;
}
sub lands {
	my ($what, $name) = @_;
	ok($on->landed($name), "$what: it lands") or diag($on->why($name));
	is($on->twice, '', "$what: nothing was begun twice");
	is(twice('gate') . twice('land'), '', "$what: and the master has one build of each attempt");
}
sub begun_for { my ($name) = @_; return wait_for(sub { my $id = ($on->ask('show', $name) // {})->{builds}[0]{build}; $id && grep { $_ eq "gate $id" } $on->begun }) }

# --- the way of a good one
my $name = fresh();
$on->proposed($name);
lands('a good one', $name);
BAIL_OUT($hudson->{url}) if $on->item($name)->{state} ne 'landed';
my $id = $on->ask('show', $name)->{builds}[0]{build};
my $log = ($on->get("/builds/$id/log"))[1];
like($log, qr/^gate $id begins$/m, 'the log is the job\'s');
unlike($log, qr/\r|\\x0d/, 'with ends of lines as they were');
is(scalar(() = $log =~ /^byoci-result-1 /mg), 1, 'all of it once');

# --- what the tests say no to
$on->agent(outcome => 'failure unit: exit 1');
$name = fresh();
$on->proposed($name);
ok(wait_for(sub { $on->item($name)->{state} eq 'rejected' }), 'what fails is rejected') or diag($on->why($name));
$on->agent(outcome => undef);

# --- the brain is killed in the middle
$on->agent(hold => 1);
$name = fresh();
$on->proposed($name);
ok(begun_for($name), 'one is built');
$on->stop('KILL');
$on->start or BAIL_OUT($on->log);
$on->agent(hold => undef);
lands('a brain that was killed', $name);
is($on->item($name)->{builds}, 1, 'by the build that ran meanwhile');

# --- the master restarts in the middle: it ends its builds, without a result
$on->agent(hold => 1);
$name = fresh();
$on->proposed($name);
ok(begun_for($name), 'one is built');
Brain::run('sh', '-c', 'exec "$@" 2>&1', 'hudson', $hudson->{tool}, 'restart', $hudson->{folder});
$on->agent(hold => undef);
lands('a master that restarted', $name);
unlike($on->decisions($name), qr/rejected/, 'and the proposal was not to blame');

# --- and it is killed
$on->agent(hold => 1);
$name = fresh();
$on->proposed($name);
ok(begun_for($name), 'one is built');
Brain::run('sh', '-c', 'exec "$@" 2>&1', 'hudson', $hudson->{tool}, 'kill', $hudson->{folder});
$on->agent(hold => undef);
Brain::run('sh', '-c', 'exec "$@" 2>&1', 'hudson', $hudson->{tool}, 'resume', $hudson->{folder});
lands('a master that was killed', $name);

# --- a disabled job: Hudson takes what is asked for, and forgets it
$hudson->post('job/' . $on->job('gate') . '/disable', 'application/x-www-form-urlencoded', '');
$name = fresh();
$on->proposed($name);
ok($on->said($name, qr/has it neither in its queue nor among the builds of its job: is the job disabled/), 'a disabled job is found out')
	or diag($on->why($name));
ok($on->item($name)->{state} ne 'rejected', 'and is not its fault');
$hudson->post('job/' . $on->job('gate') . '/enable', 'application/x-www-form-urlencoded', '');
lands('a job that was disabled', $name);

# --- nobody wants it any more
$on->agent(hold => 1);
$name = fresh();
$on->proposed($name);
ok(begun_for($name), 'one is built');
$on->proposed($name, $on->commit('other'));
ok(wait_for(sub { grep { ($_->{result} // '') eq 'ABORTED' } history('gate') }), 'a replaced one is stopped on the master') or diag($on->why($name));
$on->agent(hold => undef);
lands('what replaced it', $name);
done_testing;
