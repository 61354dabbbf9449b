#!/usr/bin/perl
# With hooks switched off everything still lands, within one poll: a brain that hears of nothing, and asks.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Brain;
use Test::More;
use Wait;

chdir "$FindBin::Bin/../..";
my $brain = Brain->new;
$brain->make_repository;
$brain->slave(sub { $_[0]{proposal} eq 'bad' ? (outcome => 'failure', reason => 'the tests said no') : () });
$brain->lander;
ok($brain->start(options => ['-O', 'poll=1s']), 'it starts') or BAIL_OUT($brain->log);

sub state_is {
	my ($name, $wanted, $what) = @_;
	ok(wait_for(sub { $brain->item($name)->{state} eq $wanted }), $what) or diag($brain->decisions($name), $brain->log);
}

my $commit = $brain->commit('one');
$brain->propose('one', $commit);
ok(wait_for(sub { $brain->decisions('one') =~ /read back without a hook.*not approved: 0 of 1 approval/s }), 'a proposal is found')
	or diag($brain->decisions('one'));
$brain->approve('one', $commit);
state_is('one', 'landed', 'and its approval: it lands');
ok(wait_for(sub { $brain->decisions('one') =~ /told the proposal: landed/ }), 'and is told');
is(scalar($brain->ask('show', 'one')->{builds}->@*), 1, 'by one build');

my $bad = $brain->commit('bad');
$brain->propose('bad', $bad);
$brain->approve('bad', $bad);
state_is('bad', 'rejected', 'one whose tests fail is rejected');
$brain->approve('bad', $bad);
$brain->git('update-ref', 'refs/proposals/bad/head', $brain->commit('worse'));
ok(wait_for(sub { $brain->decisions('bad') =~ /not approved: nobody who may has proposed this commit/ }), 'a push is found')
	or diag($brain->decisions('bad'));
is($brain->ask('status')->{deliveries}, 0, 'and nothing was heard');
done_testing();
