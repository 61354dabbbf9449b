#!/usr/bin/perl
# From an approval to a landing, with a real brain, a real repository with signed records, and doubles of the slave and landing
# daemons that fail in every way they may.
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
$brain->lander;
ok($brain->start, 'it starts') or BAIL_OUT($brain->log);

sub state_is {
	my ($name, $wanted, $what) = @_;
	my $state = wait_for(sub { $brain->item($name)->{state} eq $wanted });
	ok($state, $what) or diag($brain->item($name)->{state} . "\n" . $brain->decisions($name) . "\n" . $brain->log);
}

sub restart_double {
	my ($which, $talk, $report) = @_;
	$brain->end_double($which);
	unlink "$brain->{tmp}/$which.heard";
	$which eq 'slave' ? $brain->slave($talk // sub { () }) : $brain->lander($talk, $report);
}

sub proposed {
	my ($name, $commit) = @_;
	$brain->propose($name, $commit);
	$brain->approve($name, $commit);
	$brain->tell("refs/proposals/$name/head");
}

# --- the way of a good one
my $commit = $brain->commit('one');
$brain->propose('one', $commit);
$brain->tell('refs/proposals/one/head');
ok(wait_for(sub { $brain->decisions('one') =~ /not approved: 0 of 1 approval/ }), 'a proposal that nobody approved is not queued, and why says so')
	or BAIL_OUT($brain->decisions('one') . $brain->log);
$brain->approve('one', $commit);
$brain->tell('refs/proposals/one/records/0');
state_is('one', 'landed', 'approved: it is tested and landed');
my ($landing) = $brain->heard('land', 'land');
is($landing->{spec}{trees}[0]{merges}[0]{source}, $commit, 'what was asked for is the approved commit');
like($landing->{result}, qr/\Abyoci-result-1 /, 'with the signed result');
ok(wait_for(sub { $brain->decisions('one') =~ /told the proposal: landed/ }), 'the proposal is told');
my ($report) = $brain->heard('land', 'report');
is($report->{kind}, 'landed', 'what it is told');
my $show = $brain->ask('show', 'one');
my %step = map { $_->{step} => $_ } @{$show->{timeline}};
ok($step{$_}, "the time line has: $_") for 'push heard', 'stored', 'read back', 'queued', 'build started', 'merged', 'worker ready', 'tests ended',
	'worker gone', 'landing asked', 'landed', 'reported';
is(join(',', sort { $a <=> $b } map { $_->{at} } @{$show->{timeline}}), join(',', map { $_->{at} } @{$show->{timeline}}), 'in the order of time');
my $id = $show->{builds}[0]{build};
my ($status, $log) = $brain->get("/builds/$id/log");
is($status, 200, 'the log has a page');
is($log, "one line\nsecond <line>\n", 'that is what the slave said');
is(($brain->get("/builds/$id/log", '-r', '4-7'))[1], 'line', 'a range of it');
is(Brain::run('sh', '-c', "BYOCI_ROOT=$brain->{root} $brain->{bin}/byoci -n brt log $id"), "one line\nsecond <line>", 'byoci log');
like(($brain->get("/builds/$id"))[1], qr/success/, 'the build has a page');
like(($brain->get('/proposals/sample/one'))[1], qr/landed on refs\/heads\/main/, 'the proposal has one, that says why');
$brain->tell('refs/proposals/one/head') for 1 .. 3;
is(scalar($brain->heard('slave', 'start')), 1, 'the same hook again does nothing again');

# --- what the tests refuse
restart_double('slave', sub { $_[0]{proposal} eq 'bad' ? (outcome => 'failure', reason => 'unit: exit 1 <b>') : () });
$commit = $brain->commit('bad');
proposed('bad', $commit);
state_is('bad', 'rejected', 'a failed test rejects it');
ok(wait_for(sub { $brain->decisions('bad') =~ /told the proposal: rejected/ }), 'and tells it');
unlike(($brain->get('/proposals/sample/bad'))[1], qr/<b>/, 'its reason is escaped on the page');
my $tested = () = $brain->heard('slave', 'start');
$brain->tell('refs/proposals/bad/head');
ok(wait_for(sub { $brain->decisions('bad') =~ /was rejected: push a new commit/ }), 'the same commit is not tried again');
is(scalar(() = $brain->heard('slave', 'start')), $tested, 'nor tested');

# --- what the tests left: counts of their reports, and artefacts
restart_double('slave', sub {
	my ($spec) = @_;
	return (jobs => [{name => 'unit', digest => $spec->{jobs}[0]{digest}, backing => 'd' x 64, outcome => 'success', exit => 0, started => 1, ended => 2,
		reports => {run => 412, failed => 3, skipped => 5, reports => 2, broken => 0, slowest => [{name => 'slow <i> [byoci 0123]', ms => 12345}]},
		artefacts => {count => 2, bytes => 70, list => [{path => 'out/<b>.txt', size => 70, sha256 => 'e' x 64}]}}]);
});
$commit = $brain->commit('counted');
proposed('counted', $commit);
state_is('counted', 'landed', 'a job that succeeded lands, whatever its reports say');
my $left = $brain->ask('show', 'counted')->{builds}[0];
is($left->{tests}, '412 tests, 3 failed, 5 skipped, slowest slow <i> [byoci 0123] (12.345 s)', 'show has the counts');
is($left->{artefacts}{list}[0]{path}, 'out/<b>.txt', 'and the artefacts');
my $said = Brain::run('sh', '-c', "BYOCI_ROOT=$brain->{root} $brain->{bin}/byoci -n brt show $left->{build}");
like($said, qr/^  412 tests, 3 failed/m, 'for people too');
like($said, qr/^artefacts: 2, 70 bytes\n  e{64} +70 out\/<b>\.txt\n  … and more/m, 'with each artefact');
like($brain->decisions('counted'), qr/succeeded: landing .*; 412 tests, 3 failed, 5 skipped, slowest 12\.345 s/, 'why has them');
ok(wait_for(sub { $brain->decisions('counted') =~ /told the proposal: landed/ }), 'the proposal is told');
my ($told) = grep { $_->{proposal} eq 'counted' } $brain->heard('land', 'report');
like($told->{text}, qr/412 tests, 3 failed, 5 skipped, slowest 12\.345 s\./, 'how many tests failed');
unlike($told->{text}, qr/\[byoci/, 'but no name that a test made up');
my $page = ($brain->get("/builds/$left->{build}"))[1];
like($page, qr/412 tests, 3 failed.*slow &lt;i&gt;.*out\/&lt;b&gt;\.txt/s, 'the page of the build has all of it, escaped');

# --- a push after the approval
$brain->end_double('slave');
$commit = $brain->commit('late');
proposed('late', $commit);
state_is('late', 'building', 'with no slave there it waits');
ok(wait_for(sub { my $why = $brain->ask('why', 'late'); @{$why->{waiting}} && $why->{waiting}[0]{why} }), 'and why says for what');
my $pushed = $brain->commit('later', $commit);
$brain->git('update-ref', 'refs/proposals/late/head', $pushed);
$brain->tell('refs/proposals/late/head');
state_is('late', 'removed', 'a push after the approval takes it out');
like($brain->decisions('late'), qr/out of the queue: not approved: .*approve again/, 'and says so');
ok(wait_for(sub { $brain->decisions('late') =~ /told the proposal: removed/ }), 'on the proposal too');
restart_double('slave');
$brain->propose('late', $pushed);
$brain->approve('late', $pushed);
$brain->tell('refs/proposals/late/records/0');
state_is('late', 'landed', 'proposed and approved again it lands');

# --- results that do not hold
my $other_key = "$brain->{tmp}/other.key";
Brain::run('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', $other_key);
my $lie = 0;
restart_double('slave', sub { $_[0]{attempt} == 1 ? (line => 'byoci-result-1 e30= ' . 'A' x 86 . '==') : () });
$commit = $brain->commit('forged');
proposed('forged', $commit);
state_is('forged', 'landed', 'a result whose signature is wrong is no result: it is tested again');
like($brain->decisions('forged'), qr/no result that holds/, 'and why says so');
restart_double('slave', sub { $_[0]{attempt} == 1 ? (source => 'a' x 40) : () });
$commit = $brain->commit('swapped');
proposed('swapped', $commit);
state_is('swapped', 'landed', 'a signed result about another commit is none either');
like($brain->decisions('swapped'), qr/about something else than this build/, 'and why says so');

# --- a proposal that can not be read now
my $signers = "$brain->{etc}/allowed_signers/sample";
rename $signers, "$signers.away";
$commit = $brain->commit('unread');
proposed('unread', $commit);
my $error = "BYOCI_ROOT=$brain->{root} $brain->{bin}/byoci -n brt why unread 2>&1";
ok(wait_for(sub { Brain::run('sh', '-c', $error) =~ /the last attempt failed: .*allowed_signers/ }), 'one that can not be read says why')
	or diag(Brain::run('sh', '-c', $error));
rename "$signers.away", $signers;
state_is('unread', 'landed', 'and lands when it can');

# --- trouble
my $tries = "$brain->{tmp}/tries";
restart_double('slave', sub { $_[0]{attempt} < 3 ? (outcome => 'infrastructure', reason => 'no worker') : () });
$commit = $brain->commit('trouble');
proposed('trouble', $commit);
state_is('trouble', 'landed', 'infrastructure trouble is no test failure: tried again until it works');
like($brain->decisions('trouble'), qr/not the proposal's fault/, 'and said so');
restart_double('land', sub { Brain::spew_append($tries, 'x'); length Brain::slurp($tries) == 1 ? {outcome => 'moved', reason => 'the target moved'} : undef });
restart_double('slave');
$commit = $brain->commit('moved');
proposed('moved', $commit);
state_is('moved', 'landed', 'a target that moved: merged and tested again');
like($brain->decisions('moved'), qr/merged and tested again: the target moved/, 'and said so');
is(scalar(@{$brain->ask('show', 'moved')->{builds}}), 2, 'by a second build');
unlink $tries;
restart_double('land', sub { Brain::spew_append($tries, 'x'); length Brain::slurp($tries) == 1 ? {close => 1} : undef });
$commit = $brain->commit('closed');
proposed('closed', $commit);
state_is('closed', 'landed', 'a landing daemon that says nothing is asked again');
restart_double('land', sub { {outcome => 'refused', reason => 'not approved, I say'} });
$commit = $brain->commit('refused');
proposed('refused', $commit);
state_is('refused', 'rejected', 'what the landing daemon refuses is rejected');
like($brain->decisions('refused'), qr/not approved, I say/, 'with its reason');

# --- too much trouble
SKIP: {
	skip 'there is no sqlite3', 4 if system('which sqlite3 >/dev/null') != 0;
	restart_double('land');
	restart_double('slave', sub { (outcome => 'infrastructure', reason => 'no worker') });
	$commit = $brain->commit('held');
	proposed('held', $commit);
	ok(wait_for(sub { $brain->decisions('held') =~ /not the proposal's fault/ }), 'trouble');
	$brain->stop('TERM');
	system('sqlite3', "$brain->{tmp}/state/brain/state.db", "UPDATE items SET troubles = 6 WHERE state IN ('queued', 'rereading', 'building')");
	$brain->start;
	state_is('held', 'held', 'too much of it: it is held');
	ok(wait_for(sub { $brain->decisions('held') =~ /told the proposal: held/ }), 'and the proposal is told');
	restart_double('slave');
	$brain->approve('held', $commit);
	$brain->tell('refs/proposals/held/records/0');
	state_is('held', 'landed', 'approved once more it is tried again');
}

# --- the forge asks for time, as often as it is asked: an hour at once and a day in all
SKIP: {
	skip 'there is no sqlite3', 7 if system('which sqlite3 >/dev/null') != 0;
	my @later = ("$brain->{tmp}/state/brain/state.db");
	my $asks = sub { {outcome => 'unreachable', wait => 7200, reason => 'the forge asked us to wait'} };
	restart_double('land', $asks);
	$commit = $brain->commit('asks');
	proposed('asks', $commit);
	ok(wait_for(sub { $brain->decisions('asks') =~ /landed again in 3600 s, not in 7200: its forge asks for time, and has an hour at once/ }),
		'a forge that asks for time gets an hour, and people are told') or diag($brain->decisions('asks') . $brain->log);
	$brain->stop('TERM');
	system('sqlite3', @later, "UPDATE items SET since = since - 86400000 WHERE state = 'landing'; UPDATE landing_inbox SET due = 0");
	$brain->start;
	ok(wait_for(sub { $brain->decisions('asks') =~ /landed again in 2 s: the forge asked us to wait/ }), 'after a day it gets no more');
	restart_double('land', undef, $asks);
	state_is('asks', 'landed', 'and lands when it can');
	ok(wait_for(sub { $brain->decisions('asks') =~ /told "landed" later, in 3600 s: its forge asks for 7200, and has an hour at once/ }),
		'so it is with what is told') or diag($brain->decisions('asks'));
	$brain->stop('TERM');
	system('sqlite3', @later, "UPDATE reports SET made = made - 86400000 WHERE state = 'owed'; UPDATE calls SET due = 0 WHERE kind = 'report'");
	$brain->start;
	my $again = sub { scalar grep { $_->{proposal} eq 'asks' } $brain->heard('land', 'report') };
	ok(wait_for(sub { $again->() >= 3 }), 'which is tried as what is out of reach after a day');
	my $told = () = $brain->decisions('asks') =~ /told "landed" later/g;
	is($told, 1, 'no more time is given');
	restart_double('land');
	ok(wait_for(sub { $brain->decisions('asks') =~ /told the proposal: landed/ }, 600), 'and it is told when that can be');
}

# --- restarts
restart_double('land');
$brain->end_double('slave');
$commit = $brain->commit('restart');
proposed('restart', $commit);
state_is('restart', 'building', 'building');
$id = $brain->ask('show', 'restart')->{builds}[0]{build};
$brain->stop('KILL');
restart_double('slave');
ok($brain->start, 'killed and started again');
state_is('restart', 'landed', 'the build goes on');
is($brain->ask('show', 'restart')->{builds}[0]{build}, $id, 'as the same build');
is(scalar(@{$brain->ask('show', 'restart')->{builds}}), 1, 'and only that one');

# --- events that never came
$brain->stop('TERM');
$commit = $brain->commit('unheard');
$brain->propose('unheard', $commit);
$brain->approve('unheard', $commit);
ok($brain->start, 'a proposal is pushed while the brain is down, and nobody tells it');
state_is('unheard', 'landed', 'it is found at the start');
like($brain->decisions('unheard'), qr/without a hook/, 'and why says so');

$brain->end_double('slave');
proposed('gone', $brain->commit('gone'));
state_is('gone', 'building', 'another one waits');
$brain->stop('TERM');
$brain->git('update-ref', '-d', 'refs/proposals/gone/head');
$brain->start;
state_is('gone', 'removed', 'what was withdrawn while the brain was down is taken out');
like($brain->decisions('gone'), qr/out of the queue: it is closed/, 'and why says so');
restart_double('slave');

# --- two at once
my @names = map { "many-$_" } 1 .. 4;
my $base = $brain->tip;
for my $name (@names) {
	$commit = $brain->commit($name, $base);
	$brain->propose($name, $commit);
	$brain->approve($name, $commit);
}
$brain->tell(map { "refs/proposals/$_/head" } @names);
state_is($_, 'landed', "$_ of four approved at once") for @names;
my %base = map { $_->{spec}{proposal} => $_->{spec}{trees}[0]{base} } $brain->heard('slave', 'start');
my %different = map { $base{$_} => 1 } @names;
is(scalar(keys %different), 4, 'each is tested on what landed before it');
is($brain->stop('TERM'), 0, 'it ends cleanly');
unlike($brain->log, qr/^error/m, 'and nothing went wrong') or diag($brain->log);

done_testing;
