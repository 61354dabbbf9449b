#!/usr/bin/perl
# What tells Launchpad is killed around each of its acts (brain/base/crash.h): the proposal is told once all the same. And a comment that
# a time-out doubled is removed. BYOCI_CRASH_ONLY=REGEX takes only the points that match.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Test::More;
use Wait;
BEGIN { $ENV{O} = ($ENV{O} // 'build') . '/crash' }
use Widget;

# Who is started with the point, that it is its child that dies, in how many builds the proposal lands, and the point; NAME:N is its N-th
# passing.
my $points = <<'END';
land child 1 tell.looked
land child 1 tell.commented
land child 1 tell.looked:2
land child 1 tell.status-set
land child 1 tell.told
land child 1 tell.twin-removed
END

chdir "$FindBin::Bin/../..";
my $made = system('bash', '-c', 'checkout=$PWD && . setup/lib/say.sh && . setup/lib/program.sh && program_as_owner "$@" >/dev/null', 'make',
	'flock', "$ENV{O}.lock", 'make', '-s', '-j2', 'CRASH=1', "O=$ENV{O}", 'all', 'tools');
BAIL_OUT('make CRASH=1 failed') if $made;
Widget::begin();
hook_on();
my $only = $ENV{BYOCI_CRASH_ONLY} // '.';
my $number = 0;
my $marks = "$whole->{tmp}/marks";
mkdir $marks;

# The landing daemon, with that point in its children; none: without.
sub land {
	my ($point) = @_;
	local $ENV{BYOCI_CRASH_POINT} = $point if $point;
	local $ENV{BYOCI_CRASH_MARK} = "$marks/$point" if $point;
	$whole->end('land');
	$whole->start_land or BAIL_OUT($whole->logs);
}

# Our comments with the word in them, and those of ours that are empty.
sub ours { my ($made, $word) = @_; return scalar grep { $_->{content} =~ $word } comments($made) }
sub emptied { my ($made) = @_; return scalar grep { $_->{deleted} && $_->{content} eq '' } comments($made) }

# Its first comment is answered with a time-out, and made all the same later: there will be two. When: fault of the double.
sub doubled { return $lp->control('fault', path => 'ws.op=createComment', method => 'POST', status => 504, late => $_[0], times => 1) }

for my $case (grep { length } split /\n/, $points) {
	my (undef, undef, undef, $point) = split ' ', $case;
	next if $point !~ $only;
	land($point);
	# Launchpad calls what is on its target Merged by itself: a status is only set on what is rejected.
	my @fails = $point =~ /status/ ? 'fails' : ();
	my ($made, $commit) = proposed('at-' . ++$number, @fails);
	doubled('next') if $point =~ /twin/;
	approves($made);
	ok(wait_for(sub { -e "$marks/$point" }), "killed at $point") or diag($whole->logs);
	if (@fails) {
		said($made, qr/told the proposal: rejected/, "$point: told that it is rejected");
		is(ours($made, qr/failure/), 1, "$point: with one comment");
		is(state_there($made)->{queue_status}, 'Needs review', "$point: and back to Needs review");
	} else {
		landed_once($made, $commit, $point);
	}
	is(emptied($made), $point =~ /twin/ ? 1 : 0, "$point: and what was double is gone");
}
land();

if ('twins' =~ $only) {
	my ($twin, $commit) = proposed('twin');
	doubled('next');
	approves($twin);
	landed_once($twin, $commit, 'a comment that a time-out doubled');
	is(emptied($twin), 1, 'the later one is gone');
	my ($first) = sort { $a->{id} <=> $b->{id} } comments($twin);
	like($first->{content}, qr/landed on/, 'and the first one stays');

	# Later than anybody waits: the next telling finds it.
	my ($later) = proposed('later', 'fails');
	doubled('asked');
	approves($later);
	comes_to($later, 'rejected', 'one that is rejected');
	said($later, qr/told the proposal: rejected/, 'and told');
	$lp->control('late');
	is(ours($later, qr/failure/), 2, 'its comment comes twice, late');
	$lp->call('eve', $later->{path}, 'createComment', content => $Launchpad::json->encode((comments($later))[0]{content}));
	$lp->call('bot', $later->{path}, 'createComment', content => '"[byoci 0123456789abcdef0123456789abcdef]: what does that mean?"');
	approves($later);
	ok(wait_for(sub { emptied($later) == 1 }), 'it is removed with the next thing that is told') or diag(why($later));
	ok(wait_for(sub { state_there($later)->{queue_status} eq 'Needs review' }), 'which is told');
	is(scalar(grep { $_->{author} eq 'eve' && $_->{content} =~ /byoci/ } @{state_there($later)->{comments}}), 1, 'what somebody else wrote stays');
	is(ours($later, qr/what does that mean/), 1, 'and what we wrote otherwise');

	# Who may not: it stays, and all else goes on.
	my ($kept, $kept_commit) = proposed('kept');
	doubled('next');
	$lp->control('fault', path => 'ws.op=deleteContent', method => 'POST', status => 401, times => 100);
	approves($kept);
	comes_to($kept, 'landed', 'one whose double can not be removed: it lands');
	said($kept, qr/told the proposal: landed/, 'and is told');
	is(state_there($kept)->{queue_status}, 'Merged', 'in full');
	is(ours($kept, qr/landed on/), 2, 'in two comments');
	$lp->control('clear');
}

done_testing();
