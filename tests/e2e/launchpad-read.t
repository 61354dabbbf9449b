#!/usr/bin/perl
# Launchpad's bytes, as its double makes them, read by byoci: events, and which commit of a proposal was approved.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Launchpad;
use Test::More;
use Wait;

my $tool = ($ENV{O} // "$FindBin::Bin/../../build") . '/tool/launchpad-read';
if (!-x $tool) {
	system("make -s -C '$FindBin::Bin/../..' tools >&2") == 0 or BAIL_OUT("$tool can not be built");
}

my $lp = Launchpad->new;
my ($name, $fork) = ('~team/widget/+git/widget', '~ann/widget/+git/widget');
my %trusted = (bob => 1, carol => 1);
$lp->people(qw(ann bob carol eve bot));
$lp->control('person', name => 'team', members => [qw(bob carol bot)]);
$lp->control('repository', name => $name, owner => 'team');
$lp->control('repository', name => $fork, owner => 'ann');
$lp->control('hook', repository => $name, url => $lp->listener('hook'), secret => 'sekrit');
$lp->control('set', diff_delay => -1);
$lp->work;
$lp->git('push', '-q', $lp->url('bob', $name), 'main');

sub read_bytes {
	my ($bytes, @arguments) = @_;
	open my $file, '>', "$lp->{tmp}/bytes" or die $!;
	print $file $bytes;
	close $file;
	open my $pipe, '-|', 'sh', '-c', '"$@" <"$0"', "$lp->{tmp}/bytes", $tool, @arguments or die $!;
	local $/;
	return $Launchpad::json->decode(<$pipe>);
}

sub read_back { return read_bytes($lp->compose('bot', $_[0]{path}, $name, \%trusted), 'proposal') }

sub push_fix {
	my ($branch, @from) = @_;
	my $commit = $lp->commit($branch, @from);
	$lp->git('push', '-q', '-f', $lp->url('ann', $fork), $branch) // BAIL_OUT($lp->{said});
	$lp->control('scan', repository => $fork);
	return $commit;
}

sub proposed {
	my ($branch, %more) = @_;
	my $commit = push_fix($branch, 'main');
	my $made = $lp->control('propose', person => 'ann', source => [$fork, "refs/heads/$branch"], target => [$name, 'refs/heads/main'],
		commit_message => "Do $branch", %more);
	return ($made, $commit);
}

sub approves {
	my ($made, $who, @revid) = @_;
	my $reply = $lp->call($who, $made->{path}, 'setStatus', status => 'Approved', @revid);
	return $reply->{success} || diag($reply->{content});
}

sub diff { $lp->control('diff', proposal => $_[0]{id}) }

sub approved_is {
	my ($made, $commit, $why, $what) = @_;
	my $read = read_back($made);
	is($read->{approved}, $commit, $what) or diag($read->{why} // $read->{error});
	like($read->{why} // '', $why, 'and says why');
}

# --- a proposal
my ($made, $commit) = proposed('one');
my $read = read_back($made);
is($read->{name}, $made->{id}, 'its number') or diag($read->{error});
is($read->{head}, $commit, 'its head');
is(join(' ', @$read{qw(state proposer message target)}), 'open ann Do one refs/heads/main', 'and the rest');
is($read->{approved}, undef, 'nobody approved it');

# --- events
my ($hook, $push);
ok(wait_for(sub { ($hook) = grep { ($_->{json}{action} // '') eq 'created' } $lp->heard('hook') }), 'a hook');
is_deeply(read_bytes($hook->{body}, 'event', $hook->{headers}{'x-launchpad-event-type'}),
	{repository => $name, proposals => ["$made->{id}"], targets => [], place => $made->{path}}, 'names the proposal');
is_deeply(read_bytes($push->{body}, 'event', 'git:push:0.1'), {repository => $name, proposals => [], targets => ['refs/heads/main'], place => undef},
	'a push names the branch') if ok(wait_for(sub { ($push) = grep { $_->{headers}{'x-launchpad-event-type'} eq 'git:push:0.1' } $lp->heard('hook') }), 'a push was heard');

# --- which commit was approved
approves($made, 'bob');
approved_is($made, undef, qr/no preview diff/, 'approved before there is a diff: not decidable');
diff($made);
approved_is($made, undef, qr/later than it.*approve again/, 'nor by a diff that came later');
approves($made, 'bob');
approved_is($made, $commit, qr/approved by bob/, 'approved again, with the diff there');
my $second = push_fix('one');
approved_is($made, undef, qr/not of the source now/, 'a push after the approval, its diff not there yet');
diff($made);
approved_is($made, undef, qr/later than it/, 'nor when it is');
approves($made, 'bob', revid => "\"$commit\"");
approved_is($made, undef, qr/pushed over since/, 'approval of the revision before');
approves($made, 'bob', revid => "\"$second\"");
approved_is($made, $second, qr/bob/, 'and of this one');
my $third = push_fix('one');
approved_is($made, undef, qr/pushed over since/, 'another push');
$lp->git('branch', '-f', 'one-back', $second);
$lp->git('push', '-q', '-f', $lp->url('ann', $fork), "$second:refs/heads/one");
$lp->control('scan', repository => $fork);
approved_is($made, $second, qr/bob/, 'pushed back to what was approved');

# --- votes
$lp->call('ann', $made->{path}, 'setStatus', status => 'Needs review');
$lp->call('eve', $made->{path}, 'createComment', content => '"fine"', vote => 'Approve');
$lp->call('carol', $made->{path}, 'createComment', content => '"fine"', vote => 'Approve');
approved_is($made, undef, qr/status is Needs review/, 'votes alone are no approval');
approves($made, 'bob', revid => "\"$second\"");
$lp->call('carol', $made->{path}, 'createComment', content => '"wait"', vote => 'Disapprove');
approved_is($made, undef, qr/carol's vote is Disapprove/, 'a reviewer disapproves');
$lp->call('carol', $made->{path}, 'createComment', content => '"now"', vote => 'Abstain');
$lp->call('eve', $made->{path}, 'createComment', content => '"no!"', vote => 'Disapprove');
approved_is($made, $second, qr/bob/, 'a stranger does not count');

# --- a prerequisite
my ($after) = proposed('two', prerequisite => [$fork, 'refs/heads/one']);
diff($after);
approves($after, 'bob');
approved_is($after, undef, qr{prerequisite refs/heads/one has not landed}, 'it waits for its prerequisite');

# --- landed
$lp->git('checkout', '-q', 'main');
$lp->git('merge', '-q', '--no-ff', '-m', 'Merge one', $second) // BAIL_OUT($lp->{said});
$lp->git('push', '-q', $lp->url('bot', $name), 'main') // BAIL_OUT($lp->{said});
ok(wait_for(sub { read_back($made)->{state} eq 'merged' }), 'landed: merged');
ok(wait_for(sub { read_back($after)->{approved} }), 'and what waited is approved') or diag(read_back($after)->{why});
$lp->call('ann', $after->{path}, 'setStatus', status => 'Merged');
is(read_back($after)->{state}, 'closed', 'what was only called Merged is closed');
my ($rejected) = proposed('three');
$lp->call('bob', $rejected->{path}, 'setStatus', status => 'Rejected');
is(read_back($rejected)->{state}, 'closed', 'rejected');
my ($gone) = proposed('four');
diff($gone);
approves($gone, 'bob');
$lp->git('push', '-q', $lp->url('ann', $fork), ':four');
$lp->control('scan', repository => $fork);
is(read_back($gone)->{state}, 'closed', 'its source is gone');
my $composed = $lp->compose('bot', $gone->{path}, $fork, \%trusted);
like(read_bytes($composed, 'proposal')->{error}, qr/for another repository/, 'a proposal for another repository is refused');

done_testing;
