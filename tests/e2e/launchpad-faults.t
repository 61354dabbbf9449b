#!/usr/bin/perl
# Launchpad answers badly, or not at all: what did not change costs little, what passes is waited for as it asks, and byoci why says so.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use IO::Socket::INET;
use Port;
use Test::More;
use Wait;
use Widget;

use constant {WAIT_SECONDS => 9, UNTIL_CLEARED => 1_000_000}; # that it asks for; what is only said meanwhile must be seen

chdir "$FindBin::Bin/../..";
Widget::begin();
my $hook = hook_on();

# What was asked of the API since, but by the test.
my $seen = 0;
sub asked { return grep { ($_->{person} // '') eq 'bot' || !defined $_->{person} } @{$lp->control('asked', after => $seen)->{asked}} }
sub from_now { $seen = @{$lp->control('asked')->{asked}} }
sub rest { return grep { $_->{path} =~ m{^/devel/} } asked() }

# All that byoci says of one: decisions, what waits, or why it knows nothing.
sub words {
	my ($made) = @_;
	local $ENV{BYOCI_ROOT} = $whole->{root};
	return join "\n", map { Brain::run('sh', '-c', 'exec "$@" 2>&1', 'words', "$whole->{bin}/byoci", '-n', 'brt', @$_) }
		['why', $made->{id}, '--project', 'widget'], ['status'];
}
sub says {
	my ($made, $pattern, $what) = @_;
	ok(wait_for(sub { words($made) =~ $pattern }), $what) or diag(words($made));
}

# Not a hook: a hint that is signed, for what is read back because of it.
sub hint {
	my ($made) = @_;
	my $body = $Launchpad::json->encode({action => 'modified', merge_proposal => "/$made->{path}", map { ($_ => {
		target_git_repository => "/$name", target_git_path => 'refs/heads/main', source_git_repository => "/$fork"}) } qw(old new)});
	local $whole->{secret} = {launchpad => 'sekrit'};
	my ($status, $reply) = $whole->hook('launchpad', $body, event => 'merge-proposal:0.1');
	return $status == 202 || diag("$status $reply");
}
sub reads { my ($made) = @_; return scalar grep { $_->{method} eq 'GET' && $_->{path} eq "/devel/$made->{path}" } rest() }

# --- what did not change
my ($one, $commit) = proposed('one');
$lp->call('carol', $one->{path}, 'createComment', content => '"fine"', vote => 'Approve');
said($one, qr/not approved/, 'a proposal is read');
settled();
from_now();
hint($one);
ok(wait_for(sub { reads($one) }), 'it is read again');
wait_for(sub { grep { $_->{status} == 304 && $_->{path} =~ m{/comments/} } rest() });
settled();
my %by = map { $_->{path} => $_ } rest();
is($by{"/devel/$one->{path}"}{status}, 304, 'the entry is not sent again: 304');
ok($by{"/devel/$one->{path}"}{headers}{'if-none-match'}, 'since its ETag was shown');
is(scalar(grep { $_->{path} =~ m{/comments/\d+$} && $_->{status} != 304 } rest()), 0, 'nor are comments');
my ($folder) = glob "$whole->{tmp}/state/brain/launchpad-*";
ok(-d $folder && ((stat $folder)[2] & 077) == 0, 'what is remembered is our own user\'s alone');

# Cut short, of another, and lost: it is read in full, and right.
for my $harm (['cut short', sub { truncate $_[0], 300 }], ['that of another', sub { Brain::spew($_[0], Brain::slurp($_[1])) }],
	['with another state in it', sub { Brain::spew($_[0], Brain::slurp($_[0]) =~ s/"Needs review"/"Approved"/r) }], ['lost', sub { unlink $_[0] }]) {
	my ($what, $act) = @$harm;
	my @files = grep { -f && !/wait$/ } glob "$folder/*";
	my ($file) = grep { Brain::slurp($_) =~ m{"self_link": "[^"]*/\Q$one->{path}\E"} } @files;
	$file ||= $files[0];
	$act->($file, grep { $_ ne $file } @files);
	my $harmed = (stat $file)[1] // 0;
	from_now();
	hint($one);
	wait_for(sub { grep { $_->{path} eq "/devel/$one->{path}" } rest() });
	my ($answer) = grep { $_->{path} eq "/devel/$one->{path}" } rest();
	is($answer->{status}, 200, "$what: read in full");
	wait_for(sub { ((stat $file)[1] // $harmed) != $harmed }); # written anew: the next harm is to that one
	settled();
}
unlike(why($one), qr/queued|approved by/, 'and nothing of it was believed');

# A change is seen at once, and the landing daemon asks for all of it again.
from_now();
approves($one);
landed_once($one, $commit, 'remembered or not');
my @whole = grep { $_->{path} eq "/devel/$one->{path}" && $_->{method} eq 'GET' && !$_->{headers}{'if-none-match'} } rest();
cmp_ok(scalar(@whole), '>=', 2, 'who lands and who tells takes no remembered answer');

# --- polls of what stays: one page and one look at the branches each
my ($two, $two_commit) = proposed('two');
my @quiet = map { (proposed("quiet-$_"))[0] } 1 .. 3;
said($quiet[-1], qr/not approved/, 'three more are open');
settled();
$whole->stop;
$lp->control('pause');
$whole->{poll} = '1s';
$whole->configure;
ok($whole->start, 'the brain polls') or BAIL_OUT($whole->logs);
sub lists { return grep { $_->{query} =~ /getMergeProposals/ } rest() }
wait_for(sub { lists() >= 2 });
$whole->settled;
from_now();
my $before = join '', map { why($_) } @quiet;
wait_for(sub { lists() >= 4 });
my @polled = rest();
my @lists = grep { $_->{query} =~ /getMergeProposals/ } @polled;
is(scalar(@polled), scalar(@lists), 'for the list, and nothing else of the API') or diag(explain([map { $_->{path} } @polled]));
is(join('', map { why($_) } @quiet), $before, 'and nothing changes');
$whole->stop;
$lp->control('resume');
$whole->{poll} = '1h';
$whole->configure;
$whole->start or BAIL_OUT($whole->logs);

# --- 429
sub after_a_refusal { my (@asked) = @_; shift @asked while @asked && $asked[0]{status} != 429; return @asked }
sub refused {
	my ($made, $what, %after) = @_;
	settled();
	from_now();
	$lp->control('fault', path => $made->{path}, method => 'GET', status => 429, times => UNTIL_CLEARED, %after);
	approves($made);
	says($made, qr/Launchpad asked us to wait until \d\d:\d\d UTC/, "429, $what: byoci why and status say until when");
	$lp->control('clear');
	my ($refusal, $next);
	wait_for(sub { ($refusal, $next) = after_a_refusal(rest()); $next });
	cmp_ok($next->{time} - $refusal->{time}, '>=', WAIT_SECONDS - 1, "$what: meanwhile nothing is asked of it"); # a date is of a second
	return;
}
refused($two, 'in seconds', headers => {'Retry-After' => WAIT_SECONDS});
landed_once($two, $two_commit, 'after that');
my ($dated, $dated_commit) = proposed('dated');
said($dated, qr/not approved/, 'one more');
refused($dated, 'as a date', date => WAIT_SECONDS);
landed_once($dated, $dated_commit, 'after that as well');
is($whole->item($dated->{id})->{troubles}, 0, 'and no trouble was counted');

# --- while it is told: the landing daemon's own reading and telling wait, too
my ($told, $told_commit) = proposed('told');
$lp->control('fault', path => 'createComment', status => 429, headers => {'Retry-After' => 5}, times => 1);
approves($told);
says($told, qr{told "landed" later, in \d+ s: its forge asks for \d+, and has an hour at once and a day in all: .*asked us to wait}, '429 for the comment: byoci why says that it waits');
landed_once($told, $told_commit, 'told after that');

# --- a 503 and a page of somebody between us
my ($page, $page_commit) = proposed('page');
$lp->control('fault', path => $page->{path}, method => 'GET', status => 200, body => '<html>Please log in to the wireless network</html>',
	headers => {'Content-Type' => 'text/html'}, times => UNTIL_CLEARED);
approves($page);
says($page, qr/is not Launchpad's API: it sent no JSON: <html>/, 'a page in place of an answer: byoci why says so');
$lp->control('clear');
landed_once($page, $page_commit, 'and it passes');
my ($away, $away_commit) = proposed('away');
$lp->control('fault', path => $away->{path}, method => 'GET', status => 503, body => 'Offline for an upgrade', times => UNTIL_CLEARED);
approves($away);
says($away, qr/answered 503.*Offline for an upgrade/, 'a 503: byoci why says so');
$lp->control('clear');
landed_once($away, $away_commit, 'and it passes');

# --- nobody there
my ($dead, $dead_commit) = proposed('dead');
said($dead, qr/not approved/, 'the last one');
my $root = $lp->{root};
{
	local $lp->{root} = 'http://127.0.0.1:' . Port::free();
	$whole->configure;
	$whole->reload;
	hint($dead);
	says($dead, qr/waiting: read.*connect/i, 'a port where nobody listens: byoci why says so');
}
$whole->configure;
$whole->reload;
approves($dead);
landed_once($dead, $dead_commit, 'when it is back');

done_testing();
