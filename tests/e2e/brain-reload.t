#!/usr/bin/perl
# SIGHUP: the brain reads its configuration again, all of it or nothing, in the middle of its work.
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
$brain->slave(sub { () });
$brain->lander(sub {
	my ($request) = @_;
	my $tree = $request->{spec}{trees}[0];
	my $tip = $brain->tip;
	my $merge = $brain->git('commit-tree', '-p', $tip, '-p', $tree->{merges}[0]{source}, '-m', 'Merge', "$tree->{merges}[0]{source}^{tree}");
	return {outcome => 'moved', reason => 'the target moved'} if $tip ne $tree->{base};
	$brain->git('update-ref', 'refs/heads/main', $merge, $tip);
	return {outcome => 'success', reason => '', merge => $merge, target_tip => $merge};
});
ok($brain->start, 'it starts') or BAIL_OUT($brain->log);
my $file = "$brain->{etc}/more.conf";

sub with { Brain::spew($file, $_[0]) }

with("[brt]\npublic.url = http://one.test\nnonsense = 1\n");
ok($brain->reload(qr/the old one stays in force/), 'an unknown option: it says so');
like($brain->log, qr{more\.conf:3: \[brt\] nonsense: no such option}, '  and where');
unlink $file; # which the byoci command would not take either
unlike($brain->ask('status')->{pages}, qr/one\.test/, '  and nothing of it is in force');
with("[project/sample]\napprovals = many\n");
ok($brain->reload(qr/the old one stays in force/), 'a value that is none');
with("[project/other]\n");
ok($brain->reload(qr/the old one stays in force/), 'a project without a repository');
unlink $file;

with("[brt]\npublic.url = http://one.test\nhook.body.limit = 2M\n[account/third]\ndialect = gitea\n[project/sample]\napprovals = 2\n");
ok($brain->reload(qr/was read again/), 'one that holds');
is($brain->ask('status')->{pages}, 'http://one.test', '  is in force');
like($brain->log, qr/takes a restart to change option=hook\.body\.limit/, '  what takes a restart is said: an option');
like($brain->log, qr/take a restart to change kind=account/, '  and accounts');

my $main = $brain->tip;
my $commit = $brain->commit('two', $main);
$brain->propose('two', $commit);
$brain->approve('two', $commit);
is(($brain->tell('refs/proposals/two/head'))[0], 202, 'a proposal with one approval');
ok(wait_for(sub { $brain->decisions('two') =~ /not approved: 1 of 2/ }), '  waits for the second one that is wanted now') or diag($brain->decisions('two'));
unlink $file;
ok($brain->reload(qr/was read again/), 'the configuration as it was');

# In the middle of its work, again and again.
my %commit;
for my $name (map { "busy-$_" } 1 .. 5) {
	$commit{$name} = $brain->commit($name, $main);
	$brain->propose($name, $commit{$name});
	$brain->approve($name, $commit{$name});
	for my $turn (1 .. 10) {
		with($turn % 2 ? "[brt]\npublic.url = http://$name.test\n" : "[brt]\nnonsense = $turn\n");
		kill HUP => $brain->{pid};
		$brain->tell("refs/proposals/$name/head") if $turn == 5;
	}
	unlink $file;
	kill HUP => $brain->{pid};
}
for my $name (sort keys %commit) {
	ok(wait_for(sub { ($brain->item($name) // {state => ''})->{state} eq 'landed' }), "$name lands meanwhile") or diag($brain->decisions($name));
}
is($brain->stop('TERM'), 0, 'and it ends well');
unlike($brain->log, qr/Sanitizer|runtime error/, 'without a word of a sanitizer') or diag($brain->log);

done_testing;
