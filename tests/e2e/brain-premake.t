#!/usr/bin/perl
# The brain has merges made beforehand: of what it sees and does not build at once, once for each merge, and never waits for it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Brain;
use Test::More;
use Time::HiRes qw(sleep);
use Wait;

chdir "$FindBin::Bin/../..";
my $brain = Brain->new;
$brain->make_repository;
$brain->lander;

# A slave that ends every build with success.
my $slave = sub {
	my ($spec) = @_;
	return ();
};
$brain->{deaf} = 1;
$brain->slave($slave);
$brain->start or BAIL_OUT($brain->log);

sub premakes { return grep { $_->{spec}{proposal} eq $_[0] } $brain->heard('slave', 'premake') }
sub starts { return grep { $_->{spec}{proposal} eq $_[0] } $brain->heard('slave', 'start') }
sub told { my ($name) = @_; my ($status) = $brain->tell("refs/proposals/$name/head"); $status == 202 or diag("hook: $status") }

my $one = $brain->commit('one');
$brain->propose('one', $one);
told('one');
ok(wait_for(sub { premakes('one') }), 'a proposal that is not approved is merged beforehand');
my ($asked) = premakes('one');
my @ahead;
wait_for(sub { @ahead = $brain->heard('slave', 'ahead') });
is(scalar(@ahead), 1, 'and its slave heard of it when the hook came, once');
is_deeply([@{$ahead[0]}{qw(project proposal)}], [qw(sample one)], 'with its name');
is($asked->{spec}{trees}[0]{merges}[0]{source}, $one, 'its head');
is($asked->{spec}{trees}[0]{base}, $brain->tip, 'into its target');
like($asked->{spec}{build}, qr/\A[0-9a-f]{32}\z/, 'by a spec that a slave takes');
is(scalar(starts('one')), 0, 'and not built');

told('one');
ok(wait_for(sub { $brain->decisions('one') =~ /read back.*read back/s }), 'a hook that brings nothing new');
is(scalar(premakes('one')), 1, 'asks for nothing');
my $again = $brain->commit('again');
$brain->propose('one', $again);
told('one');
ok(wait_for(sub { premakes('one') == 2 }), 'another head is another merge');
is((premakes('one'))[1]{spec}{trees}[0]{merges}[0]{source}, $again, 'that of the new head');
ok((premakes('one'))[1]{spec}{build} ne $asked->{spec}{build}, 'with another id');

# The slave closed the connection of each premake without an answer. Nothing waits for it.
wait_for(sub { @ahead = $brain->heard('slave', 'ahead'); @ahead == 3 }); # one for each hook of a head
$brain->approve('one', $again);
$brain->tell('refs/proposals/one/records/' . 'a' x 32);
ok(wait_for(sub { $brain->item('one')->{state} eq 'landed' }), 'it lands though the slave gave no answer') or diag($brain->log);
is(scalar($brain->heard('slave', 'ahead')), scalar(@ahead), 'an approval alone has nothing fetched');
is_deeply((starts('one'))[0]{spec}{trees}, (premakes('one'))[1]{spec}{trees}, 'the build asks for the very merge that was asked for beforehand');

my $two = $brain->commit('two');
$brain->propose('two', $two);
$brain->approve('two', $two);
told('two');
ok(wait_for(sub { $brain->item('two')->{state} eq 'landed' }), 'one that is approved when it is seen lands');
is(scalar(premakes('two')), 0, 'its build makes the merge, and nobody else');

# No slave at all.
$brain->end_double('slave');
my $three = $brain->commit('three');
$brain->propose('three', $three);
told('three');
ok(wait_for(sub { $brain->decisions('three') =~ /read back/ }), 'without a slave a proposal is seen');
ok(wait_for(sub { Brain::run('sqlite3', "$brain->{tmp}/state/brain/state.db", "SELECT count(*) FROM calls WHERE kind = 'premake'") eq '0' }),
	'and no wish for a merge is kept');
delete $brain->{deaf};
$brain->slave($slave);
$brain->approve('three', $three);
told('three');
ok(wait_for(sub { $brain->item('three')->{state} eq 'landed' }), 'and it lands all the same');
# The target moves while they wait: the next one's merge is made again, while the one before it is tested.
$brain->end_double('slave');
unlink "$brain->{tmp}/slave.heard";
my $hold = "$brain->{tmp}/hold";
Brain::spew("$hold-$_", '') for qw(first second);
$brain->slave(sub {
	my ($spec) = @_;
	sleep 0.05 while -e "$hold-$spec->{proposal}";
	return $spec->{proposal} eq 'second' ? (outcome => 'failure') : ();
});
my $before = $brain->tip;
for my $name (qw(first second third)) {
	my $commit = $brain->commit($name, $before);
	$brain->propose($name, $commit);
	$brain->approve($name, $commit);
	told($name);
	ok(wait_for(sub { $brain->item($name)->{state} =~ /queued|building/ }), "$name waits");
}
wait_for(sub { premakes('third') == 1 });
is_deeply([map { $_->{spec}{trees}[0]{base} } premakes('third')], [$before], 'the third was merged beforehand with the target as it was');
unlink "$hold-first";
ok(wait_for(sub { $brain->item('first')->{state} eq 'landed' && $brain->item('second')->{state} eq 'building' }), 'the first lands, the second is tested');
ok(wait_for(sub { premakes('third') == 2 }), 'and the merge of the third is made again') or diag($brain->decisions('third'));
is((premakes('third'))[-1]{spec}{trees}[0]{base}, $brain->tip, 'with the target as it is now');
is($brain->item('third')->{state}, 'queued', 'while it waits');
unlink "$hold-second";
ok(wait_for(sub { $brain->item('third')->{state} eq 'landed' }), 'the second fails, the third lands');
is_deeply((starts('third'))[0]{spec}{trees}, (premakes('third'))[1]{spec}{trees}, 'by that very merge');
unlike($brain->decisions('third'), qr/its turn: read back again/, 'without being read once more before');

$brain->stop;
is($?, 0, 'the brain ends well');

done_testing;
