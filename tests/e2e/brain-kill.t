#!/usr/bin/perl
# The brain is killed (SIGKILL) at any moment, again and again, while proposals are tested and landed: nothing is lost, nothing is done
# twice. BYOCI_KILLS says how often (12).
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Brain;
use Test::More;
use Time::HiRes qw(sleep);
use Wait;

chdir "$FindBin::Bin/../..";
my $kills = $ENV{BYOCI_KILLS} // 12;
my $brain = Brain->new;
$brain->make_repository;
my $landed = "$brain->{tmp}/landed";

# The real daemon's rule: what is on the target is "landed"; the double counts what it really put there.
$brain->slave(sub { sleep 0.05; () });
$brain->lander(sub {
	my ($request) = @_;
	my $tree = $request->{spec}{trees}[0];
	my $source = $tree->{merges}[0]{source};
	my $tip = $brain->tip;
	sleep 0.05;
	return {outcome => 'landed', reason => '', merge => $tip, target_tip => $tip}
		if system('git', '--git-dir', "$brain->{tmp}/state/git/sample.git", 'merge-base', '--is-ancestor', $source, $tip) == 0;
	return {outcome => 'moved', reason => 'the target moved'} if $tip ne $tree->{base};
	my $merge = $brain->git('commit-tree', '-p', $tip, '-p', $source, '-m', 'Merge', "$source^{tree}");
	$brain->git('update-ref', 'refs/heads/main', $merge, $tip);
	Brain::spew_append($landed, "$source\n") if $brain->tip eq $merge;
	return {outcome => 'success', reason => '', merge => $merge, target_tip => $merge};
});

ok($brain->start, 'it starts') or BAIL_OUT($brain->log);
my $main = $brain->tip;
my (%commit, %said);
for my $number (1 .. 6) {
	my $name = "kill-$number";
	my $commit = $brain->commit($name, $main);
	$commit{$name} = $commit;
	$brain->propose($name, $commit);
	$brain->approve($name, $commit);
}
srand($ENV{BYOCI_SEED} // time);
my $round = 0;
for my $name (sort keys %commit) {
	for (1 .. $kills / 6) {
		my ($status) = $brain->tell("refs/proposals/$name/head");
		$said{$status}++;
		sleep rand 0.2;
		$brain->stop('KILL');
		$brain->start or BAIL_OUT('it does not start again: ' . $brain->log);
		$round++;
	}
}
is($round, $kills, "killed $round times");
for my $name (sort keys %commit) {
	my $done = wait_for(sub { $brain->item($name)->{state} eq 'landed' });
	ok($done, "$name landed") or diag($brain->item($name)->{state}, $brain->decisions($name));
}
my %times;
$times{$_}++ for split /\n/, Brain::slurp($landed);
is_deeply([sort values %times], [(1) x 6], 'each once');
ok(wait_for(sub { 6 == grep { $brain->decisions($_) =~ /told the proposal: landed/ } keys %commit }), 'and each was told');
my %reports;
$reports{"$_->{proposal} $_->{approved} $_->{merge}"}++ for $brain->heard('land', 'report');
is(scalar(keys %reports), 6, 'with one marker each, however often it was sent');
is($brain->ask('status')->{deliveries}, $said{202} // 0, 'every delivery that was answered with 202 is there') if !grep { $_ ne '202' } keys %said;
is(Brain::run('sqlite3', "$brain->{tmp}/state/brain/state.db", 'PRAGMA integrity_check'), 'ok', 'the state is whole') if `which sqlite3`;
$brain->stop('TERM');
unlike($brain->log, qr/^error/m, 'and nothing went wrong') or diag($brain->log);

done_testing;
