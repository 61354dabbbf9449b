#!/usr/bin/perl
# Merge proposals of Launchpad (its double) land: with a real brain, slave and land daemon, through hooks, by the poller without any, and
# whatever Launchpad answers meanwhile.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Test::More;
use Wait;
use Widget;

chdir "$FindBin::Bin/../..";
Widget::begin();
my $hook = hook_on();

# --- through hooks
my ($one, $commit) = proposed('one');
said($one, qr/not approved: .*Needs review|not approved: 0 of 1/, 'a proposal is heard of, and waits for its approval');
approves($one);
landed_once($one, $commit, 'approved');
like((comments($one))[0]{content}, qr{landed on refs/heads/main as [0-9a-f]{40}.*http://127\.0\.0\.1:\d+/builds/[0-9a-f]{32}}s, 'the comment says where');
is($lp->git('log', '-1', '--format=%s', 'refs/remotes/main'), 'Do one', 'with its commit message');
is(scalar($whole->ask('show', $one->{id})->{builds}->@*), 1, 'by one build');

# --- rejected
my ($bad, $bad_commit) = proposed('bad', 'fails');
my $before = main_now();
approves($bad);
comes_to($bad, 'rejected', 'one whose tests fail is rejected');
said($bad, qr/told the proposal: rejected/, 'and told');
is(state_there($bad)->{queue_status}, 'Needs review', 'it is back to Needs review');
like((comments($bad))[0]{content}, qr{failure.*/builds/[0-9a-f]{32}}s, 'with the reason and the address of the build');
is(main_now(), $before, 'and main stays');

# --- a push after the approval
$whole->end('slave');
my ($moved, $moved_commit) = proposed('moved');
approves($moved);
wait_for(sub { $whole->item($moved->{id})->{state} =~ /building|queued/ });
my $pushed = push_to_fork('moved');
has_diff_of($moved, $pushed);
comes_to($moved, 'removed', 'a push after the approval takes it out');
ok(wait_for(sub { comments($moved) }), 'and is refused with a comment');
like((comments($moved))[0]{content}, qr/out of the queue.*approve again/s, 'that asks for a new approval');
not_within(2, sub { comments($moved) > 1 });
is(scalar(comments($moved)), 1, 'once');
$whole->start_slave;
approves($moved);
comes_to($moved, 'landed', 'approved again, it lands');
main_now();
is($lp->git('rev-parse', 'refs/remotes/main^2'), $pushed, 'as it was approved the second time');

# --- an approval that can't be decided: the preview diff comes late
$lp->control('set', diff_delay => -1);
main_now();
$lp->git('checkout', '-q', '-B', 'late', 'refs/remotes/main');
my $late_commit = push_to_fork('late');
my $late = $lp->control('propose', person => 'ann', source => [$fork, 'refs/heads/late'], target => [$name, 'refs/heads/main'], commit_message => 'Do late');
approves($late);
said($late, qr/no preview diff says for which commit/, 'approved without a preview diff: not decidable');
$lp->control('diff', proposal => $late->{id});
said($late, qr/newest preview diff is later.*approve again/, 'nor when it comes later');
unlike(why($late), qr/queued for/, 'it is not queued');
ok(wait_for(sub { comments($late) }), 'but refused with a comment');
like((comments($late))[0]{content}, qr/is not queued: .*approve again/, 'that asks for a new approval');
is(scalar(comments($late)), 1, 'once');
approves($late);
landed_once($late, $late_commit, 'approved with the diff there');
$lp->control('set', diff_delay => 0.05);

# --- a hook that comes twice with the same id
my ($twice, $twice_commit) = proposed('twice');
approves($twice);
landed_once($twice, $twice_commit, 'before its hook comes again');
my @deliveries = @{$lp->control('deliveries', hook => $hook)->{deliveries}};
my ($again) = grep { ($_->{payload}{new}{queue_status} // '') eq 'Approved' && $_->{payload}{merge_proposal} =~ /$twice->{id}\z/ } @deliveries;
ok($again, 'the hook of its approval was sent') or diag(explain(\@deliveries));
settled();
my $heard = $whole->ask('status')->{deliveries};
$lp->control('redeliver', hook => $hook, delivery => $again->{id});
ok(wait_for(sub { $whole->ask('status')->{deliveries} > $heard }), 'it comes again');
settled();
landed_once($twice, $twice_commit, 'after that');
is(scalar($whole->ask('show', $twice->{id})->{builds}->@*), 1, 'and nothing was built again');

# --- Launchpad answers badly
my ($faults, $faults_commit) = proposed('faults');
$lp->control('fault', path => $faults->{path}, method => 'GET', status => 503, times => 2);
$lp->control('fault', path => 'createComment', status => 502, after => JSON::PP::true, times => 1);
approves($faults);
landed_once($faults, $faults_commit, 'read through a 503, told though the answer to that got lost');

my ($conflict, $conflict_commit) = proposed('conflict', 'fails');
$lp->control('fault', path => 'ws.op=setStatus', status => 412, method => 'POST', times => 1, after => JSON::PP::false);
$lp->control('status', proposal => $conflict->{id}, person => 'bob', status => 'Approved');
comes_to($conflict, 'rejected', 'one that is rejected');
ok(wait_for(sub { state_there($conflict)->{queue_status} eq 'Needs review' }), 'is back to Needs review though that was answered with 412 first');
is(scalar(comments($conflict)), 1, 'with one comment');

# --- the token is not taken
my ($nobody, $nobody_commit) = proposed('nobody');
settled(); # a read that runs has the good token, and may see the approval
$whole->token({consumer => 'byoci', token => 'none', secret => 'none'});
approves($nobody);
ok(wait_for(sub { my $reply = $whole->ask('why', $nobody->{id}, '--project', 'widget'); $reply && $Launchpad::json->encode($reply) =~ /401/ }), 'a 401: byoci why says so')
	or diag(why($nobody));
is($whole->item($nobody->{id})->{state}, 'none', 'and nothing is done');
$whole->token($lp->{token}{bot});
landed_once($nobody, $nobody_commit, 'when the token is good again');

# --- the landing's answer got lost
my ($lost, $lost_commit) = proposed('lost');
$whole->end('land');
approves($lost);
ok(wait_for(sub { $whole->item($lost->{id})->{state} eq 'landing' }), 'tested, and nobody there to land it');
$whole->start_land;
wait_for(sub { main_now(); ($lp->git('rev-parse', 'refs/remotes/main^2') // '') eq $lost_commit }) or diag($whole->logs);
$whole->end('land', 'KILL');
$whole->start_land;
landed_once($lost, $lost_commit, 'killed after the push');

# --- without any hook
$whole->stop;
$whole->{poll} = '1s';
$whole->configure;
$lp->api('bob', 'DELETE', "$name/+webhook/$hook");
$lp->control('pause');
$lp->control('set', batch => 1);
ok($whole->start, 'the brain polls') or BAIL_OUT($whole->logs);
$heard = $whole->ask('status')->{deliveries};
my ($silent, $silent_commit) = proposed('silent');
approves($silent);
landed_once($silent, $silent_commit, 'without a hook');
($moved, $moved_commit) = proposed('silent-bad', 'fails');
approves($moved);
comes_to($moved, 'rejected', 'rejected without a hook');
ok(wait_for(sub { state_there($moved)->{queue_status} eq 'Needs review' }), 'and told so');
is($whole->ask('status')->{deliveries}, $heard, 'nothing was heard');

# --- secrets: the slave's user has no token, and asks the landing daemon for its word alone
sub log_of { my ($made) = @_; my ($build) = map { $_->{build} } reverse @{$whole->ask('show', $made->{id})->{builds}}; return ($build, Brain::slurp("$whole->{tmp}/state/brain/logs/$build.log")) }
sub asks {
	my ($socket, $request) = @_;
	my $there = IO::Socket::UNIX->new(Peer => "$whole->{tmp}/run/$socket/socket") or return {};
	print {$there} $Launchpad::json->encode($request), "\n";
	my $line = <$there>;
	return $Launchpad::json->decode($line // '{}');
}
$whole->stop;
$whole->end($_) for qw(slave land worker);
$whole->{project} = 'secrets = token';
$whole->configure;
ok($whole->start_all, 'a project gets secrets') or BAIL_OUT($whole->logs);
my ($secretly, $secretly_commit) = proposed('secretly');
approves($secretly);
landed_once($secretly, $secretly_commit, 'with secrets');
my ($build, $log) = log_of($secretly);
like($log, qr/^byoci: 1 secret of widget is in the worker$/m, 'its tests had them');
my $spec = $Launchpad::json->decode(Brain::slurp("$whole->{tmp}/state/slave/builds/$build/spec.json"));
my $answer = asks('approval', {op => 'entitled', spec => $spec});
is($answer->{entitled}, JSON::PP::false, 'when it is Merged, it has them no more');
$answer = asks('approval', {op => 'report', project => 'widget', proposal => $spec->{proposal}, kind => 'landed', approved => $secretly_commit, text => 'mine'});
like($answer->{error} // '', qr/not asked for here/, 'who asks there can ask for nothing else');
my ($waiting, $waiting_commit) = proposed('waiting');
$spec->{trees}[0]{merges}[0]{source} = $waiting_commit;
$spec->{trees}[0]{merges}[0]{ref} = 'refs/heads/waiting';
$answer = asks('approval', {op => 'entitled', spec => {%$spec, proposal => "$waiting->{id}"}});
is($answer->{entitled}, JSON::PP::false, 'nobody approved it: it may not have them');
like($answer->{why} // '', qr/not approved: 0 of 1 approval/, 'which is said') or diag(explain($answer));
approves($waiting);
landed_once($waiting, $waiting_commit, 'approved, with secrets');
$spec->{trees}[0]{merges}[0]{source} = $secretly_commit;
like(asks('approval', {op => 'entitled', spec => {%$spec, project => 'other'}})->{error} // '', qr/other/, 'nor may another project');
$whole->end('land');
my ($alone, $alone_commit) = proposed('alone');
approves($alone);
said($alone, qr/unreachable: whether the project's secrets may be used: .*nobody is there/, 'without the landing daemon nobody knows: trouble of ours');
$whole->start_land;
landed_once($alone, $alone_commit, 'when it is back');
(undef, $log) = log_of($alone);
like($log, qr/^byoci: 1 secret of widget is in the worker$/m, 'with them');

# --- by somebody else
my ($other) = proposed('other');
$lp->call('eve', $other->{path}, 'createComment', content => '"fine"', vote => 'Approve');
$lp->call('ann', $other->{path}, 'createComment', content => '"fine"', vote => 'Approve');
$lp->call('carol', $other->{path}, 'createComment', content => '"fine"', vote => 'Approve');
said($other, qr/not approved/, 'votes are no approval');
is($whole->item($other->{id})->{state}, 'none', 'and it is not queued');

# What the reader prints, for who asks it directly.
sub read_it {
	my (@arguments) = @_;
	local @ENV{qw(BYOCI_ROOT HOME)} = ($whole->{root}, "$whole->{tmp}/home");
	my $printed = Brain::run('sh', '-c', 'exec "$@" 2>"$0"', "$whole->{tmp}/words", "$whole->{bin}/byoci", '-n', 'brt', 'launchpad-read', @arguments);
	return ($? >> 8, eval { $Launchpad::json->decode($printed) }, Brain::slurp("$whole->{tmp}/words"));
}
my ($status, $read, $words) = read_it($other->{path});
is($status, 0, 'a proposal is read by its place') or diag($words);
my %trusted = map { $_->{vote}{reviewer_link} =~ m{~(\w+)\z}; ($1 => $_->{trusted} ? 1 : 0) } @{$read->{votes}};
is(join(' ', map { "$_ " . ($trusted{$_} // 'none') } qw(ann carol eve)), 'ann 0 carol 1 eve 0', 'a member of the team that reviews is trusted, strangers are not');
is(((read_it($other->{id}))[1] // {})->{version}, $read->{version}, 'and by its number');
($status, undef, $words) = read_it('no/such/place');
is($status, 64, 'what is no place is refused');
my @rows = grep { $_->{name} eq $other->{id} } @{((read_it('--list'))[1] // {})->{proposals}};
is($rows[0]{place}, $other->{path}, 'the list says where it is');

# --- a token by way of a browser
sub log_in {
	my ($decide, @account) = @_;
	local @ENV{qw(BYOCI_ROOT HOME)} = ($whole->{root}, "$whole->{tmp}/home");
	Brain::spew("$whole->{tmp}/login", '');
	open my $login, '-|', 'sh', '-c', 'exec "$@" 2>"$0"', "$whole->{tmp}/login", "$whole->{bin}/byoci", '-n', 'brt', 'login', @account or die $!;
	my $page = qr{^\Q$lp->{root}\E/\+authorize-token\?oauth_token=(\w+)&allow_permission=WRITE_PUBLIC$}m;
	my $key = wait_for(sub { Brain::slurp("$whole->{tmp}/login") =~ $page ? $1 : undef }) // BAIL_OUT(Brain::slurp("$whole->{tmp}/login"));
	$lp->control('authorize', token => $key, %$decide);
	local $/;
	my $line = <$login>;
	close $login;
	return ($? >> 8, $line // '');
}
my ($ended, $line) = log_in({person => 'bot', permission => 'WRITE_PUBLIC'}, 'launchpad');
is($ended, 0, 'byoci login gets a token');
like($line, qr/\Abyoci \w+ \w+\n\z/, 'and prints what a file of it holds');
my ($consumer, $token, $secret) = split ' ', $line;
$lp->{token}{new} = {consumer => $consumer, token => $token, secret => $secret};
ok($lp->call('new', $moved->{path}, 'createComment', content => '"by the new one"')->{success}, 'it is good');
ok((grep { $_->{content} eq 'by the new one' } comments($moved)), 'for our account');
($ended, $line) = log_in({person => 'bot', permission => undef});
is("$ended $line", '77 ', 'declined: there is none');
like(Brain::slurp("$whole->{tmp}/login"), qr/declined/, 'which is said');

# --- deleted
$lp->control('delete', proposal => $other->{id});
said($other, qr/read back without a hook: closed/, 'one that was deleted is closed');

done_testing();
