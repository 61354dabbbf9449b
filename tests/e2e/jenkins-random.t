#!/usr/bin/perl
# Everything that can go wrong with a master, at random and at once: faults in its answers, restarts and crashes, lost agents, deleted builds,
# and the brain killed. Every proposal lands once, no attempt is built twice, and nothing is the proposals' fault. BYOCI_ROUNDS says how many
# proposals (3), BYOCI_SEED repeats a run.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use OnMaster;
use Test::More;
use Time::HiRes qw(sleep time);

chdir "$FindBin::Bin/../..";
my $rounds = $ENV{BYOCI_ROUNDS} // 3;
my $seed = $ENV{BYOCI_SEED} // int time;
srand $seed;
my $on = OnMaster->new(limit => 4);
my $jn = $on->{jn};
my $gate = $on->job('gate');
$jn->control('set', save_delay => 1, gap => 0.1);
ok($on->start, 'it starts') or BAIL_OUT($on->log);

# Builds whose every trace the master lost: when byoci had not seen them yet, they never were.
my %forgotten;
sub ids { return map { $_->{parameters}{BRAIN_BUILD} // '' } $on->builds('gate'), $on->builds('land') }
sub forgets {
	my ($act) = @_;
	my %before = map { $_ => 1 } ids();
	$act->();
	delete @before{ids()};
	@forgotten{keys %before} = values %before;
	return join ' ', keys %before;
}

my @paths = ('buildWithParameters', '^/queue/', 'api/json', 'progressiveText', '.');
my @harms = ([status => 500], [status => 502, after => 1], [close => 1], [close => 1, after => 1], [half => 1], [delay => 0.7], [delay => 4.3],
	[status => 200, body => '<html>x</html>'], [status => 404, body => '<html>x</html>'], [status => 504, late => 0.5], [hang => 4.2],
	[replace => [['"number":(\d+)', '"number":"\1"']]], [replace => [['"id":(\d+)', '"id":-\1']]], [status => 429]);
my @acts = (
	[fault => sub { my @harm = @{$harms[rand @harms]}; my $path = $paths[rand @paths]; $jn->control('fault', path => $path, times => 1 + int rand 3, @harm); "$path @harm" }],
	[restart => sub { $jn->control('restart', mode => 'graceful', down => rand 0.5) }],
	[crash => sub { forgets(sub { $jn->control('restart', mode => 'crash', down => rand 0.5, lose => int rand 2) }) }],
	[agent => sub { $jn->control($_, name => 'local') for qw(disconnect connect) }],
	[delete => sub { forgets(sub { eval { $jn->control('forget', job => $gate) } }) }],
	[kill => sub { $on->stop('KILL'); $on->start or BAIL_OUT('it does not start again: ' . $on->log) }],
	[expire => sub { $jn->control('expire') }]);
# Faults come often, what ends builds seldom: an item is held after a number of troubles.
my @wheel = ((0) x 8, 1 .. $#acts);
my @done;
sub act {
	my ($name, $which) = @_;
	my ($what, $act) = @{$acts[$which]};
	my $said = $act->();
	push @done, "$name: $what" . (ref $said || !defined $said ? '' : " $said");
}

for my $number (1 .. $rounds) {
	my $name = "p$number";
	$on->agent(hold => '') if $number % 2;
	act($name, 0);
	$on->proposed($name);
	for (1 .. 2) {
		sleep rand 0.6;
		act($name, $wheel[rand @wheel]);
	}
	$on->agent(hold => undef);
	ok($on->landed($name), "$name landed") or diag($on->why($name));
	unlike($on->decisions($name), qr/rejected|tests say no/i, 'nothing was its fault');
	$jn->control('clear');
	$jn->get('api/json');
}
my @twice = grep { /^\w+ ([^:]+): (\d+)/ && ($2 > 2 || !$forgotten{$1}) } split /, /, $on->twice;
is(join(', ', @twice), '', 'nothing was begun twice that the master knew of');
my %landed;
$landed{$_}++ for split /\n/, Brain::slurp("$on->{tmp}/landed");
is_deeply([sort values %landed], [(1) x $rounds], 'each landed once');
is(scalar(grep { !$landed{$_} } values %{$on->{commit}}), 0, 'and all of them');
$on->stop;
is($jn->errors, '', 'the double made no mistake');
diag(join "\n", "BYOCI_SEED=$seed", @done) if !Test::More->builder->is_passing;
done_testing;
