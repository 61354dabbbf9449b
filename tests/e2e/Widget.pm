# A project `widget` on a Launchpad (its double), with people, a fork and a whole byoci: what tests do with its merge proposals.
package Widget;
use strict;
use warnings;
use Brain;
use Exporter 'import';
use Launchpad;
use Test::More;
use Wait;
use Whole;

our @EXPORT = qw($lp $whole $name $fork main_now push_to_fork has_diff_of proposed approves state_there comments why said comes_to landed_once
	hook_on settled);
our ($lp, $whole);
my $hook;
our ($name, $fork) = ('~team/widget/+git/widget', '~ann/widget/+git/widget');

# Skips all where it can't work; else the double, the repositories and the daemons, which are started when `start` is not 0.
sub begin {
	my (%with) = @_;
	plan skip_all => 'daemons read files that root owns' if $<;
	my $out = $ENV{O} // 'build';
	for my $program (qw(bin/byoci bin/byoci-brain bin/byoci-slave tool/worker-fake)) {
		-x "$out/$program" or plan skip_all => "$out/$program is not built: make all tools";
	}
	$lp = Launchpad->new;
	$lp->people(qw(ann bob carol eve bot));
	$lp->control('person', name => 'team', members => [qw(bob carol bot)]);
	$lp->{folder}{$name} = $lp->control('repository', name => $name, owner => 'team')->{folder};
	$lp->control('repository', name => $fork, owner => 'ann');
	$lp->work;
	Brain::spew("$lp->{tmp}/work/run-tests", "#!/bin/sh\n! test -e fails\n", 0755);
	$lp->commit('main');
	$lp->git('push', '-q', $lp->url('bob', $name), 'main') // BAIL_OUT($lp->{said});
	$lp->control('scan', repository => $name);
	$whole = Whole->new($lp, $name, %with);
	return if exists $with{start} && !$with{start};
	$whole->start_all or diag($whole->logs), BAIL_OUT('the daemons do not start');
}

sub hook_on {
	return $hook = $lp->control('hook', repository => $name, url => "http://127.0.0.1:$whole->{hook}/hook/launchpad", secret => 'sekrit')->{id};
}

# What happened there so far was told, and the brain has read and decided all of it.
sub settled {
	return wait_for(sub { !grep { $_->{pending} } @{$lp->control('deliveries', hook => $hook)->{deliveries}} }) && $whole->settled;
}

sub main_now {
	$lp->git('fetch', '-q', $lp->url('bob', $name), '+main:refs/remotes/main') // diag($lp->{said});
	return $lp->git('rev-parse', 'refs/remotes/main');
}

sub push_to_fork {
	my ($branch, $from) = @_;
	my $commit = $lp->commit($branch, $from);
	$lp->git('push', '-q', '-f', $lp->url('ann', $fork), $branch) // BAIL_OUT($lp->{said});
	$lp->control('scan', repository => $fork);
	return $commit;
}

sub has_diff_of {
	my ($made, $commit) = @_;
	return wait_for(sub { my $state = state_there($made); @{$state->{diffs}} && $state->{diffs}[-1]{source} eq $commit });
}

# A proposal with its preview diff: the proposal, and its commit.
sub proposed {
	my ($branch, $file) = @_;
	main_now();
	$lp->git('checkout', '-q', '-B', $branch, 'refs/remotes/main');
	Brain::spew("$lp->{tmp}/work/$file", "$branch\n") if defined $file;
	my $commit = push_to_fork($branch);
	my $made = $lp->control('propose', person => 'ann', source => [$fork, "refs/heads/$branch"], target => [$name, 'refs/heads/main'],
		commit_message => "Do $branch");
	has_diff_of($made, $commit) or diag('no preview diff');
	return ($made, $commit);
}

sub approves {
	my ($made, @revid) = @_;
	my $reply = $lp->call('bob', $made->{path}, 'setStatus', status => 'Approved', @revid);
	return $reply->{success} || diag($reply->{content});
}

sub state_there { return $lp->control('state', proposal => $_[0]{id}) }
sub comments { return grep { $_->{author} eq 'bot' } @{state_there($_[0])->{comments}} }
sub why { return $whole->decisions($_[0]{id}, '--project', 'widget') }

sub said {
	my ($made, $pattern, $what) = @_;
	ok(wait_for(sub { why($made) =~ $pattern }), $what) or diag(why($made));
}

sub comes_to {
	my ($made, $state, $what) = @_;
	ok(wait_for(sub { $whole->item($made->{id})->{state} eq $state }), $what) or diag(why($made), $whole->logs);
}

# It is on main as the second parent of the newest merge, told once, and Merged there.
sub landed_once {
	my ($made, $commit, $what) = @_;
	comes_to($made, 'landed', "$what: it lands");
	main_now();
	my $merges = $lp->git('log', '--format=%P', '--merges', 'refs/remotes/main');
	is(scalar(() = $merges =~ / \Q$commit\E$/mg), 1, "$what: what was approved is merged, once");
	said($made, qr/told the proposal: landed/, "$what: which is told");
	is(scalar(grep { $_->{content} =~ /landed on/ } comments($made)), 1, "$what: with one comment") or diag(explain([comments($made)]));
	is(state_there($made)->{queue_status}, 'Merged', "$what: and it is Merged there");
}

1;
