#!/usr/bin/perl
# A master that loses its queue, its builds or its agents, restarts in the middle of them, or is there while the brain is killed: each
# attempt is built once, what got lost is found out and tried again, and what nobody wants any more is ended there.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use OnMaster;
use Test::More;
use Time::HiRes qw(sleep);
use Wait;

chdir "$FindBin::Bin/../..";
my $on = OnMaster->new;
my $jn = $on->{jn};
my $gate = $on->job('gate');
ok($on->start, 'it starts') or BAIL_OUT($on->log);

my $number = 0;
sub fresh { return 'p' . ++$number }
sub lands {
	my ($what, $name) = @_;
	ok($on->landed($name), "$what: it lands") or diag($on->why($name));
	unlike($on->decisions($name), qr/rejected|tests say no/i, "$what: nothing of it is the proposal's fault");
	is($on->twice, '', "$what: nothing was begun twice");
}
# The builds of one proposal, as the master has them.
sub builds { my ($name) = @_; return grep { ($_->{parameters}{SPEC} // '') =~ /"proposal":\s*"\Q$name\E"/ } $on->builds('gate') }
sub queued { my ($name) = @_; return grep { ($_->{parameters}{SPEC} // '') =~ /"proposal":\s*"\Q$name\E"/ } @{$jn->control('state')->{queue}} }
sub runs { my ($name) = @_; return wait_for(sub { grep { $_->{building} } builds($name) }) || diag($on->why($name)) }
sub triggers { return $jn->asked('POST', qr{gate/buildWithParameters}) }

# --- the queue is lost
$jn->post("computer/local/changeOfflineCause", form => {offlineMessage => 'disk'});
my $name = fresh();
$on->proposed($name);
ok(wait_for(sub { queued($name) }), 'one waits for a node');
ok($on->said($name, qr/offline/), 'byoci says what for') or diag($on->words($name));
$jn->control('restart', mode => 'crash', down => 0.5);
ok(wait_for(sub { queued($name) }), 'after a crash that lost the queue it is asked for again') or diag($on->why($name));
$jn->post("computer/local/toggleOffline");
lands('a lost queue', $name);
is(scalar(builds($name)), 1, 'and built once');

# The number of its item is another's after a crash.
$jn->post("computer/local/changeOfflineCause", form => {offlineMessage => 'disk'});
$jn->control('save');
$name = fresh();
$on->proposed($name);
my ($item) = wait_for(sub { (queued($name))[0] });
kill 'STOP', $on->{pid}; # it would ask for its own again
$jn->control('restart', mode => 'crash', down => 0.2);
$jn->control('crowd', count => 5);
kill 'CONT', $on->{pid};
ok((grep { $_->{id} == $item->{id} && $_->{job} eq 'theirs' } @{$jn->control('state')->{queue}}) == 1, 'its number is given to another');
ok(wait_for(sub { queued($name) }), 'an item that vanished is asked for again') or diag($on->why($name));
$jn->post("computer/local/toggleOffline");
lands('a vanished item', $name);
is(scalar(builds($name)), 1, 'and built once');
$jn->control('drop');

# --- an orderly restart keeps it
$jn->post("computer/local/changeOfflineCause", form => {offlineMessage => 'disk'});
$name = fresh();
$on->proposed($name);
wait_for(sub { queued($name) });
$jn->from_now;
$jn->control('set', startup => 0.5);
$jn->control('restart', mode => 'graceful', down => 0.5);
$jn->control('set', startup => 0);
$jn->post("computer/local/toggleOffline");
wait_for(sub { $jn->get('api/json')->{status} == 200 });
$jn->post("computer/local/toggleOffline") if $jn->get('computer/local/api/json')->{json}{offline};
lands('a kept queue', $name);
is(scalar(triggers()), 0, 'and is not asked for again');

# --- in the middle of builds
for (['a restart', sub { $jn->control('restart', mode => 'graceful') }], ['a crash', sub { $jn->control('restart', mode => 'crash', down => 0.5) }],
	['a crash that forgets the build', sub { $jn->control('restart', mode => 'crash', lose => 1) }],
	['an agent that is lost', sub { $jn->control('disconnect', name => 'local'); $jn->control('connect', name => 'local') }],
	['a build that is deleted', sub { $jn->control('forget', job => $gate) }],
	['somebody stops it there', sub { my ($build) = grep { $_->{building} } $on->builds('gate'); $jn->post("job/$gate/$build->{number}/stop") }]) {
	my ($what, $act) = @$_;
	$on->agent(hold => '');
	$name = fresh();
	$jn->from_now;
	$on->proposed($name);
	runs($name);
	wait_for(sub { $jn->asked('GET', qr{gate/\d+/logText}) }); # byoci has seen that it runs: what it never saw is asked for again
	$act->();
	$on->agent(hold => undef);
	lands($what, $name);
}

# --- results that are none
for (['no signed line', 0], ['a line that is not signed right', 'bad']) {
	my ($what, $lines) = @$_;
	$on->agent(lines => $lines);
	$name = fresh();
	my $tip = $on->tip;
	$on->proposed($name);
	ok(wait_for(sub { $on->words($name) =~ /sign|result/i && grep { !$_->{building} } builds($name) }), "$what: byoci says so") or diag($on->why($name));
	is($on->tip, $tip, "$what: nothing lands");
	$on->agent(lines => undef);
	lands($what, $name);
}
$on->agent(lines => 2);
$name = fresh();
$on->proposed($name);
lands('another build\'s line before it', $name);
$on->agent(lines => undef);

# --- the forge asks for time
for my $seconds (3) {
	$on->agent(wait => $seconds);
	$name = fresh();
	$on->proposed($name);
	lands("the forge asks for $seconds s", $name);
	like($on->decisions($name), qr/landed again in $seconds s, as its forge asks for time, which it has for a day in all: the forge asked us to wait/, 'after that time');
	my @asked = map { $jn->get('job/' . $on->job('land') . "/$_->{number}/api/json")->{json}{timestamp} }
		sort { $a->{number} <=> $b->{number} } grep { ($_->{parameters}{SPEC} // '') =~ /"proposal":\s*"\Q$name\E"/ } $on->builds('land');
	is(scalar(@asked), 2, 'by a second landing');
	cmp_ok($asked[1] - $asked[0], '>=', $seconds * 1000, 'and not before');
	is(scalar(builds($name)), 1, 'which is not tested again');
}

# --- nobody wants it any more
$on->agent(hold => '');
$name = fresh();
$on->proposed($name);
runs($name);
my $second = $on->commit("$name-again");
$jn->from_now;
$on->propose($name, $second);
$on->tell("refs/proposals/$name/head");
ok(wait_for(sub { $jn->asked('POST', qr{/stop$}) }), 'a build of what changed is stopped') or diag($on->why($name));
$on->agent(hold => undef);
$jn->post("computer/local/changeOfflineCause", form => {offlineMessage => 'disk'});
$on->approve($name, $second);
$on->tell("refs/proposals/$name/head");
ok(wait_for(sub { queued($name) }), 'the next waits') or diag($on->why($name));
my $third = $on->commit("$name-third");
$jn->from_now;
$on->propose($name, $third);
$on->tell("refs/proposals/$name/head");
ok(wait_for(sub { !queued($name) }), 'and is taken out of the queue') or diag($on->why($name));
ok(wait_for(sub { grep { $_->{status} == 204 } $jn->asked('POST', qr{cancelItem}) }), 'by its number');
$jn->post("computer/local/toggleOffline");
$on->approve($name, $third);
$on->tell("refs/proposals/$name/head");
lands('the last of them', $name);

# --- the brain is killed
for my $round (1 .. 6) {
	$name = fresh();
	my $commit = $on->{commit}{$name} = $on->commit($name);
	$on->propose($name, $commit);
	$on->approve($name, $commit);
	$jn->control('fault', method => 'POST', path => 'gate/buildWithParameters', delay => 0.3) if $round % 2;
	$on->tell("refs/proposals/$name/head");
	sleep rand 0.4;
	$on->stop('KILL');
	$on->start or BAIL_OUT('it does not start again: ' . $on->log);
	lands("killed, $round", $name);
}

# --- the forge asks for more time than a target can give
my $db = "$on->{tmp}/state/brain/state.db";
$on->agent(wait => 7200);
$name = fresh();
$on->proposed($name);
ok(wait_for(sub { $on->decisions($name) =~ /landed again in 3600 s, not in 7200: its forge asks for time/ }), 'it gets an hour, and people are told')
	or diag($on->why($name));
$on->stop;
Brain::run('sqlite3', $db, "UPDATE items SET since = since - 86400000 WHERE state = 'landing'; UPDATE landing_inbox SET due = 0");
$on->agent(wait => 7200);
$on->start or BAIL_OUT('it does not start again: ' . $on->log);
lands('after a day', $name);
like($on->decisions($name), qr/landed again in 2 s: the forge asked us to wait/, 'it gets no more');

my %count;
$count{$_->{parameters}{BRAIN_BUILD}}++ for $on->builds('gate'), $on->builds('land');
is(join(' ', grep { $count{$_} > 1 } sort keys %count), '', 'the master has one build of each attempt');
my %landed;
$landed{$_}++ for split /\n/, Brain::slurp("$on->{tmp}/landed");
is(join(' ', grep { $landed{$_} > 1 } sort keys %landed), '', 'each landed once');
$on->stop;
is($jn->errors, '', 'the double made no mistake');
done_testing;
