#!/usr/bin/perl
# A master that answers badly, late or not at all: each attempt is built once, and nothing of it is a failure of the tests. The master is the
# double of Jenkins.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use OnMaster;
use Test::More;
use Time::HiRes qw(sleep);
use Wait;

use constant LIMIT => 5; # seconds that an answer may take: those of a double on a busy machine do not

chdir "$FindBin::Bin/../..";
my $on = OnMaster->new(limit => LIMIT);
my $jn = $on->{jn};
my $gate = $on->job('gate');
ok($on->start, 'it starts') or BAIL_OUT($on->log);

my $number = 0;
sub fresh { return 'p' . ++$number }
# Proposes one, and waits until it is on the target.
sub lands {
	my ($what, $name, %with) = @_;
	$on->proposed($name) if !$with{proposed};
	ok($on->landed($name), "$what: it lands") or diag($on->why($name));
	unlike($on->decisions($name), qr/rejected|tests say no|failure/i, "$what: nothing of it is the proposal's fault");
}
# What was begun of gate builds for one proposal.
sub attempts {
	my ($name) = @_;
	return scalar grep { ($_->{parameters}{SPEC} // '') =~ /"proposal":\s*"\Q$name\E"/ } $on->builds('gate');
}
sub once { my ($what, $name, $times) = @_; is(attempts($name), $times // 1, "$what: built " . ($times // 1 == 1 ? 'once' : 'as often as needed')) or diag($on->why($name)) }
sub triggers { return $jn->asked('POST', qr{buildWithParameters}) }

# --- as it should be
my $name = fresh();
lands('a usual one', $name);
once('a usual one', $name);
my ($asked) = triggers();
is($asked->{query}, 'delay=0sec', 'without delay');
is_deeply($asked->{ignored}, [], 'with declared parameters only');
unlike($on->log, qr/\Q$jn->{token}\E/, 'the token is nowhere in the log');
is(scalar(grep { $_->{parameters}{RESULT} } $on->builds('land')), 1, 'landed by a job');
my ($build) = $on->builds('gate');
my ($log) = glob "$on->{tmp}/state/brain/logs/*/$build->{parameters}{BRAIN_BUILD}* $on->{tmp}/state/brain/*/$build->{parameters}{BRAIN_BUILD}*";
like(Brain::slurp($log // ''), qr/^the tests say success$/m, 'its log is here, too');

$on->agent(outcome => 'failure 2 of 7 tests failed');
$name = fresh();
$on->proposed($name);
ok(wait_for(sub { $on->item($name)->{state} eq 'rejected' }), 'tests that say no are believed') or diag($on->why($name));
once('tests that say no', $name);
$on->agent(outcome => undef);

# --- answers to the trigger that say nothing
my @doubt = (
	['an error after it was taken', status => 502, after => 1],
	['the connection ends after it was taken', close => 1, after => 1],
	['too slow, but taken', delay => LIMIT + 1],
	['an answer without a Location', status => 201, after => 1],
	['a page in place of the answer', status => 200, body => '<html>welcome</html>', after => 1],
	['a Location of another host', status => 201, headers => {Location => 'http://192.0.2.1/queue/item/99999/'}, after => 1],
	['an error before it was taken', status => 503],
	['taken after the answer was an error', status => 504, late => 0.6]);
for (@doubt) {
	my ($what, @fault) = @$_;
	$jn->control('fault', method => 'POST', path => 'gate/buildWithParameters', @fault);
	$name = fresh();
	lands($what, $name);
	once($what, $name);
	$jn->control('clear');
}

# --- answers to what is asked for then
my @follow = (
	['HTML in place of the queue', path => '^/queue/', status => 200, body => '<html>maintenance</html>', times => 3],
	['HTML in place of builds', path => '^/job/[^/]+gate/(api|\d+/api)', status => 200, body => '<html>maintenance</html>', times => 3],
	['ids that are texts', path => '^/queue/', replace => [['"id":(\d+)', '"id":"\1"']], times => 2],
	['numbers that are texts', path => 'api/json', method => 'GET', replace => [['"number":(\d+)', '"number":"x\1"']], times => 2],
	['JSON that ends too soon', path => 'api/json', half => 1, times => 2],
	['a log of errors', path => 'progressiveText', status => 500, times => 3],
	['a log without a size', path => 'progressiveText', status => 200, body => 'x', times => 2],
	['a log that ends too soon', path => 'progressiveText', half => 1, times => 2],
	['a slow master', path => 'gate', method => 'GET', delay => 0.4, times => 6],
	['silence', path => 'api/json', hang => LIMIT + 1, times => 2]);
for (@follow) {
	my ($what, @fault) = @$_;
	$jn->control('fault', @fault);
	$name = fresh();
	lands($what, $name);
	once($what, $name);
	$jn->control('clear');
}
$jn->control('set', gap => 0.7);
$name = fresh();
lands('for a while neither queued nor begun', $name);
once('for a while neither queued nor begun', $name);
$jn->control('set', gap => 0);
$jn->control('crowd', count => 3000, bytes => 300);
$name = fresh();
lands('a queue of 3000 others', $name);
once('a queue of 3000 others', $name);
$jn->control('drop');
$jn->control('history', job => $gate, count => 1500);
$jn->control('fault', method => 'POST', path => 'gate/buildWithParameters', status => 502, after => 1);
$name = fresh();
lands('a history of 1500 builds', $name);
once('a history of 1500 builds', $name);

# What has ended is not asked for any more.
wait_for(sub { $on->sql(q(SELECT count(*) FROM calls WHERE state != 'answered')) eq '0' });
$jn->from_now;
not_within(2, sub { $jn->asked('GET', qr{/job/\Q$gate\E/|/queue/}) });
is(scalar($jn->asked('GET', qr{/job/\Q$gate\E/|/queue/})), 0, 'nothing is asked about what has ended');
$on->stop;
is($jn->errors, '', 'the double made no mistake');
done_testing;
