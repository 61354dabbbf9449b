#!/usr/bin/perl
# The double of Launchpad against what is known of Launchpad: tests/double/launchpad says where each fact is from.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Digest::SHA qw(hmac_sha1_hex);
use Launchpad;
use Test::More;
use Wait;

my $lp = Launchpad->new;
my $name = '~team/widget/+git/widget';
my $fork = '~ann/widget/+git/widget';
$lp->people(qw(ann bob eve bot));
$lp->control('person', name => 'team', members => ['bob', 'bot']);
my $folder = $lp->control('repository', name => $name, owner => 'team')->{folder};
$lp->control('repository', name => $fork, owner => 'ann');

sub status_is { my ($reply, $status, $what) = @_; is($reply->{status}, $status, $what) or diag($reply->{content}) }

# --- git
$lp->work;
my $first = $lp->git('rev-parse', 'main');
ok(!defined $lp->git('push', '-q', "http://127.0.0.1:$lp->{port}/$name", 'main'), 'nobody may not push');
ok(!defined $lp->git('push', '-q', $lp->url('eve', $name), 'main'), 'nor a stranger');
ok(defined $lp->git('push', '-q', $lp->url('bob', $name), 'main'), 'a member of the team that owns it may') or diag($lp->{said});
my $fix = $lp->commit('fix', 'main');
ok(defined $lp->git('push', '-q', $lp->url('ann', $fork), 'main', 'fix'), 'people push to their own') or diag($lp->{said});
like($lp->git('ls-remote', "http://127.0.0.1:$lp->{port}/$fork"), qr{^$fix\trefs/heads/fix$}m, 'everybody reads');
ok(wait_for(sub { $lp->get(undef, "$fork/+ref/fix")->{status} == 200 }), 'the scanner saw it');
is($lp->get(undef, "$fork/+ref/fix")->{json}{commit_sha1}, $fix, 'and where it is');
is($lp->get(undef, $fork, 'ws.op', 'getRefByPath', 'path', '"refs/heads/fix"')->{json}{path}, 'refs/heads/fix', 'getRefByPath');
is($lp->get(undef, $fork, 'ws.op', 'getRefByPath', 'path', 'refs/heads/none')->{json}, undef, 'of none: null');

# --- webhooks: a proposal, its diff
my $url = $lp->listener('one');
my $hook = $lp->control('hook', repository => $name, url => $url, secret => 'sekrit')->{id};
$lp->control('set', diff_delay => -1);
my $made = $lp->control('propose', person => 'ann', source => [$fork, 'refs/heads/fix'], target => [$name, 'refs/heads/main'],
	commit_message => 'Fix it');
my $mp = $made->{path};
is($mp, "$fork/+merge/$made->{id}", 'a proposal is below its source');
is($lp->get(undef, $mp)->{json}{preview_diff_link}, undef, 'its preview diff is late');
$lp->control('diff', proposal => $made->{id});
ok(wait_for(sub { $lp->heard('one') == 2 }), 'two hooks');
my ($created, $diffed) = sort { $a->{headers}{'x-launchpad-delivery'} <=> $b->{headers}{'x-launchpad-delivery'} } $lp->heard('one');
is($created->{headers}{'x-launchpad-event-type'}, 'merge-proposal:0.1', 'the event');
is($created->{headers}{'x-hub-signature'}, 'sha1=' . hmac_sha1_hex($created->{body}, 'sekrit'), 'the signature');
is($created->{headers}{'content-type'}, 'application/json', 'the type');
like($created->{headers}{'x-launchpad-delivery'}, qr/\A\d+\z/, 'its number');
is($created->{json}{action}, 'created', 'created');
ok(!exists $created->{json}{old}, 'without `old`');
is($created->{json}{merge_proposal}, "/$mp", 'by its path');
is($created->{json}{new}{target_git_repository}, "/$name", 'objects are paths');
unlike($created->{body}, qr/\b[0-9a-f]{40}\b/, 'no commit in it');
like($created->{body}, qr/": "/, 'separators are those of json.dumps');
is($diffed->{json}{action}, 'modified', 'the diff is a modification');
is($diffed->{json}{old}{preview_diff}, undef, 'of no diff');
like($diffed->{json}{new}{preview_diff}, qr{\A/\Q$mp\E/\+preview-diff/\d+\z}, 'to one');
my $diff = $lp->get(undef, substr $diffed->{json}{new}{preview_diff}, 1)->{json};
is($diff->{source_revision_id}, $fix, 'of that source');
is($diff->{target_revision_id}, $first, 'and that target');
ok(!$diff->{stale}, 'not stale');
like($diff->{date_created}, qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00\z/, 'a date is ISO 8601 in UTC');

# --- a push: the ref is new at once, the diff later
my $more = $lp->commit('fix');
$lp->git('push', '-q', $lp->url('ann', $fork), 'fix');
ok(wait_for(sub { $lp->get(undef, "$fork/+ref/fix")->{json}{commit_sha1} eq $more }), 'a push moves the ref');
my $entry = $lp->get(undef, $mp)->{json};
$diff = $lp->get(undef, $entry->{preview_diff_link})->{json};
is($diff->{source_revision_id}, $fix, 'the newest diff is still of the source before');
ok($diff->{stale}, 'and stale');
$lp->control('set', diff_delay => 0.05);
status_is($lp->call('eve', $mp, 'scheduleDiffUpdates'), 401, 'a stranger asks for no diff');
status_is($lp->call('ann', $mp, 'scheduleDiffUpdates'), 200, 'who proposed may');
sub newest { return $lp->get(undef, $lp->get(undef, $mp)->{json}{preview_diff_link})->{json} }
ok(wait_for(sub { newest()->{source_revision_id} eq $more }), 'until there is a new one');
my @dates = map { $_->{date_created} } @{$lp->get(undef, $entry->{preview_diffs_collection_link})->{json}{entries}};
is(scalar(@dates), 2, 'both are there');
ok($dates[0] lt $dates[1], 'the oldest first');
$lp->control('set', diffs_kept => 1, diff_delay => 0);
$lp->control('diff', proposal => $made->{id});
is($lp->get(undef, $entry->{preview_diffs_collection_link})->{json}{total_size}, 1, 'older ones are pruned');

# --- who may ask for what
status_is($lp->call(undef, $mp, 'setStatus', status => 'Approved'), 401, 'nobody sets a status');
status_is($lp->call('eve', $mp, 'setStatus', status => 'Needs review'), 401, 'nor a stranger');
status_is($lp->call('ann', $mp, 'setStatus', status => 'Approved'), 500, 'who proposes does not approve: UserNotBranchReviewer');
status_is($lp->call('ann', $mp, 'setStatus', status => 'Superseded'), 500, 'some statuses are not set at all');
status_is($lp->call('bob', $mp, 'setStatus', status => 'Fine'), 400, 'others are none');
status_is($lp->call('bob', $mp, 'setStatus'), 400, 'or missing');
is($lp->call('bob', $mp, 'setStatus')->{content}, 'status: Required input is missing.', 'and it says so');
status_is($lp->call('bob', $mp, 'setStatus', status => 'Approved', revid => '25'), 400, 'a number is no revision');
status_is($lp->call('bob', $mp, 'setStatus', status => 'Approved', revid => "\"$more\""), 200, 'a reviewer approves a revision');
$entry = $lp->get(undef, $mp)->{json};
is($entry->{queue_status}, 'Approved', 'it is approved');
is($entry->{reviewed_revid}, $more, 'that revision');
is($entry->{reviewer_link}, "$lp->{root}/devel/~bob", 'by that person');
ok($entry->{date_reviewed}, 'then');
status_is($lp->call('bob', $mp, 'setStatus', status => '"Approved"'), 200, 'again, with a quoted choice, and without a revision');
is($lp->get(undef, $mp)->{json}{reviewed_revid}, undef, 'which is null then');
status_is($lp->call('ann', $mp, 'setStatus', status => 'Needs review'), 200, 'who proposed takes it back');
is(join(',', map { $_ // 'null' } @{$lp->get(undef, $mp)->{json}}{qw(queue_status reviewer_link date_reviewed reviewed_revid)}),
	'Needs review,null,null,null', 'and nothing of the review is left');
status_is($lp->call('bob', $mp, 'setStatus', status => 'Rejected'), 200, 'a reviewer rejects');
status_is($lp->get(undef, $mp), 200, 'a rejected one is there');
status_is($lp->call('bob', $mp, 'setStatus', status => 'Needs review'), 200, 'and comes back');

# --- OAuth
sub signed { my (%field) = @_; return $lp->api(undef, 'GET', $mp, headers => {Authorization => $lp->oauth($lp->{token}{bob}, %field)}) }
status_is(signed(), 200, 'a signed GET');
status_is(signed(oauth_signature => '&wrong'), 401, 'a wrong secret');
status_is(signed(oauth_signature => $lp->{token}{bob}{secret}), 401, 'a signature without the empty consumer secret and &');
status_is(signed(oauth_token => 'none'), 401, 'a token that is none');
status_is(signed(oauth_consumer_key => 'other'), 401, 'a consumer that is none');
status_is(signed(oauth_signature_method => 'HMAC-SHA1'), 400, 'only PLAINTEXT');
status_is($lp->api(undef, 'GET', $mp, headers => {Authorization => 'OAuth nonsense'}), 401, 'no such header');
status_is($lp->api(undef, 'GET', $mp, headers => {Authorization => 'Token secret-bob'}), 401, 'a personal access token calls nothing');
my $expired = $lp->control('token', person => 'bob');
$lp->control('expire', token => $expired->{token});
status_is($lp->api(undef, 'GET', $mp, headers => {Authorization => $lp->oauth($expired)}), 401, 'an expired one');
my $reader = $lp->control('token', person => 'bob', permission => 'READ_PUBLIC');
status_is($lp->api(undef, 'POST', $mp, content => 'ws.op=setStatus&status=Approved', headers => {Authorization => $lp->oauth($reader),
	'Content-Type' => 'application/x-www-form-urlencoded'}), 401, 'one that may only read');
sub dance { my ($path, @pairs) = @_; return $lp->api(undef, 'POST', "$lp->{root}/$path", content => Launchpad::form(@pairs)) }
my @consumer = (oauth_consumer_key => 'byoci', oauth_signature_method => 'PLAINTEXT');
my %request = dance('+request-token', @consumer, oauth_signature => '&')->{content} =~ /(oauth_\w+)=(\w+)/g;
my @exchange = (@consumer, oauth_token => $request{oauth_token}, oauth_signature => "&$request{oauth_token_secret}");
status_is(dance('+access-token', @exchange), 401, 'a request token that nobody reviewed');
$lp->control('authorize', token => $request{oauth_token}, person => 'bot', permission => 'WRITE_PUBLIC');
my %access = dance('+access-token', @exchange)->{content} =~ /(oauth_\w+)=(\w+)/g;
my $own = {consumer => 'byoci', token => $access{oauth_token}, secret => $access{oauth_token_secret}};
status_is($lp->api(undef, 'GET', $mp, headers => {Authorization => $lp->oauth($own)}), 200, 'and then an access token');
status_is(dance('+access-token', @exchange), 401, 'once');
%request = dance('+request-token', @consumer, oauth_signature => '&')->{content} =~ /(oauth_\w+)=(\w+)/g;
$lp->control('authorize', token => $request{oauth_token}, person => 'bot');
@exchange = (@consumer, oauth_token => $request{oauth_token}, oauth_signature => "&$request{oauth_token_secret}");
status_is(dance('+access-token', @exchange), 403, 'or declined');

# --- comments and votes
my $comment = $lp->call('bob', $mp, 'createComment', content => '"Well done"', vote => 'Approve');
status_is($comment, 201, 'a comment that votes');
$comment = $lp->get(undef, $comment->{headers}{location})->{json};
is($comment->{message_body}, 'Well done', 'its text');
is($comment->{title}, "Re: [Merge] $fork:fix into $name:main", 'its subject, when none is given');
is($comment->{vote}, 'Approve', 'its vote');
my ($vote) = @{$lp->get(undef, "$mp/votes")->{json}{entries}};
is($vote->{reviewer_link}, "$lp->{root}/devel/~bob", 'the vote is theirs');
is($vote->{comment_link}, $comment->{self_link}, 'and has the comment');
ok(!$vote->{is_pending}, 'and is given');
$lp->call('bob', $mp, 'createComment', content => '"No"', vote => 'Disapprove', review_type => '"Code"');
($vote, my $other) = @{$lp->get(undef, "$mp/votes")->{json}{entries}};
ok(!$other && $vote->{review_type} eq 'code', 'one vote a person, the newest');
status_is($lp->call('eve', $mp, 'createComment', content => '"Me too"', vote => 'Approve'), 201, 'a stranger votes as well');
status_is($lp->call('bob', $mp, 'createComment', content => '25'), 400, 'an unquoted number is no text');
status_is($lp->call('bob', $mp, 'createComment', content => 'true'), 400, 'nor is true');
status_is($lp->call('bob', $mp, 'createComment', content => '["a"]'), 400, 'nor a list');
status_is($lp->call('bob', $mp, 'createComment', content => 'plain text'), 201, 'what is not JSON is taken as it is');
status_is($lp->call('bob', $mp, 'createComment', content => '"25"', contents => 'x'), 201, 'unknown parameters are ignored');
is_deeply($lp->control('asked')->{asked}[-1]{ignored}, ['contents'], 'but a test can see it');
status_is($lp->call('bob', $mp, 'createComment', vote => 'Fine', content => '"x"'), 400, 'no such vote');
status_is($lp->call('bob', $mp, 'createComment'), 500, 'no text at all');
status_is($lp->call(undef, $mp, 'createComment', content => '"x"'), 401, 'nobody comments');
status_is($lp->call('bob', $mp, 'createCommentary'), 400, 'no such operation');
is($lp->call('bob', $mp, 'createCommentary')->{content}, 'No such operation: createCommentary', 'it says');
status_is($lp->api('bob', 'POST', $mp, content => '{"ws.op":"createComment"}', headers => {'Content-Type' => 'application/json'}), 400,
	'JSON is no form');
status_is($lp->get('bob', $mp, 'ws.op', 'setStatus'), 400, 'a GET does not write');
my @reviewed;
ok(wait_for(sub { @reviewed = grep { $_->{json}{action} eq 'reviewed' } $lp->heard('one') }), 'a comment is "reviewed"');
is_deeply($reviewed[0]{json}{old}, $reviewed[0]{json}{new}, 'with both alike');
$lp->control('nominate', proposal => $made->{id}, person => 'ann', reviewer => 'team');
my ($pending) = grep { $_->{is_pending} } @{$lp->get(undef, "$mp/votes")->{json}{entries}};
is($pending->{comment_link}, undef, 'a vote that was asked for has no comment');
$lp->call('bot', $mp, 'createComment', content => '"As the team"', vote => 'Approve');
ok(!grep({ $_->{is_pending} } @{$lp->get(undef, "$mp/votes")->{json}{entries}}), "a member's vote is the team's");

# --- entries and ETags
my $reply = $lp->get('ann', $mp);
my $tag = $reply->{headers}{etag};
is($tag, $reply->{json}{http_etag}, 'the ETag is in both places');
status_is($lp->api('ann', 'GET', $mp, headers => {'If-None-Match' => $tag}), 304, 'not modified');
status_is($lp->patch('ann', $mp, {commit_message => 'Fix it well'}, 'If-Match' => $tag), 209, 'PATCH of what was read');
status_is($lp->patch('ann', $mp, {commit_message => 'Other'}, 'If-Match' => $tag), 412, 'not of what has changed since');
is($lp->get(undef, $mp)->{json}{commit_message}, 'Fix it well', 'nothing was written');
$tag = $lp->get('ann', $mp)->{headers}{etag};
$lp->call('ann', $mp, 'createComment', content => '"something that is no field"');
$lp->call('bob', $mp, 'setStatus', status => 'Approved');
status_is($lp->patch('ann', $mp, {description => 'Long'}, 'If-Match' => $tag), 209, 'what nobody can PATCH does not count');
status_is($lp->patch('ann', $mp, {queue_status => 'Merged'}), 400, 'a read-only field');
status_is($lp->patch('ann', $mp, {color => 'red'}), 400, 'one that is none');
status_is($lp->patch('eve', $mp, {description => 'x'}), 401, 'a stranger');
status_is($lp->api('ann', 'PATCH', $mp, content => '{}', headers => {'Content-Type' => 'text/plain'}), 415, 'not JSON');
status_is($lp->api('ann', 'PATCH', $mp, content => '{', headers => {'Content-Type' => 'application/json'}), 400, 'bad JSON');
status_is($lp->api('ann', 'DELETE', $mp), 405, 'another method');
status_is($lp->get(undef, "$name/+merge/$made->{id}"), 404, 'below the target there is no such proposal');
status_is($lp->get(undef, '~nobody'), 404, 'nor such a person');
$lp->control('sshkeys', person => 'ann', keys => ['ssh-ed25519 AAAA ann', 'ssh-rsa BBBB ann']);
is($lp->{http}->get("$lp->{root}/~ann/+sshkeys")->{content}, "ssh-ed25519 AAAA ann\r\n\nssh-rsa BBBB ann", 'her ssh keys are there for anybody');
status_is($lp->{http}->get("$lp->{root}/~nobody/+sshkeys"), 404, 'not those of who is not');

# --- collections
$lp->git('push', '-q', $lp->url('ann', $fork), map { "fix:refs/heads/topic-$_" } 1 .. 7);
ok(wait_for(sub { $lp->get(undef, "$fork/+ref/topic-7")->{status} == 200 }), 'seven more branches');
$lp->control('propose', person => 'ann', source => [$fork, "refs/heads/topic-$_"], target => [$name, 'refs/heads/main']) for 1 .. 7;
my ($next, %seen, $pages) = ("$name?ws.op=getMergeProposals&ws.size=3");
my $page = $lp->get(undef, $next)->{json};
ok(!exists $page->{total_size} && $lp->get(undef, $page->{total_size_link})->{content} == 8, 'the size is behind a link');
while ($next) {
	$page = $lp->get(undef, $next)->{json};
	$seen{$_->{self_link}}++ for @{$page->{entries}};
	$next = $page->{next_collection_link};
	$pages++;
}
is(scalar(keys %seen), 8, 'every one is on a page');
is($pages, 3, 'of three');
is($page->{total_size}, 8, 'the last one says how many');
is($page->{start}, 6, 'and where it starts');
ok($page->{prev_collection_link}, 'and there is a way back');
status_is($lp->get(undef, "$name?ws.op=getMergeProposals&ws.size=301"), 400, 'pages of more than 300');
status_is($lp->get(undef, "$name?ws.op=getMergeProposals&status=Fine"), 400, 'a status that is none');
is($lp->get(undef, "$name?ws.op=getMergeProposals&status=Approved")->{json}{total_size}, 1, 'by status');
is($lp->get(undef, "$name?ws.op=getMergeProposals&status=Approved&status=Needs+review")->{json}{total_size}, 8, 'by two');
is($lp->get(undef, "$name/landing_candidates")->{json}{total_size}, 8, 'landing_candidates');
is($lp->get(undef, "$name/+ref/main/landing_candidates")->{json}{total_size}, 8, 'of a ref');
is($lp->get(undef, "$fork/landing_targets")->{json}{total_size}, 8, 'landing_targets');
status_is($lp->get(undef, "$lp->{root}/1.0/$name?ws.op=getMergeProposals"), 400, 'the operation is in devel only');
status_is($lp->get(undef, "$lp->{root}/1.0/$mp"), 200, 'the entry is in 1.0 too');

# --- faults
$lp->control('fault', path => '+merge', status => 503, times => 2, headers => {'Retry-After' => '1'});
status_is($lp->get(undef, $mp), 503, 'a 503 on demand') for 1, 2;
status_is($lp->get(undef, $mp), 200, 'as often as was asked for');
$lp->control('fault', path => 'createComment', status => 502, after => JSON::PP::true);
my $before = $lp->get(undef, "$mp/all_comments")->{json}{total_size};
status_is($lp->call('bob', $mp, 'createComment', content => '"lost answer"'), 502, 'an answer that is lost');
is($lp->get(undef, "$mp/all_comments")->{json}{total_size}, $before + 1, 'of what was done all the same');
$lp->control('fault', path => 'ws.op=createComment', status => 504, late => 'asked');
status_is($lp->call('ann', $mp, 'createComment', content => '"late"'), 504, 'a time-out');
is($lp->get(undef, "$mp/all_comments")->{json}{total_size}, $before + 1, 'of what is not done yet');
$lp->control('late');
is($lp->get(undef, "$mp/all_comments")->{json}{total_size}, $before + 2, 'and is done later');
$lp->control('fault', path => 'ws.op=createComment', status => 504, late => 'next');
status_is($lp->call('ann', $mp, 'createComment', content => '"after the next"'), 504, 'a time-out');
status_is($lp->call('ann', $mp, 'createComment', content => '"the next"'), 201, 'another one');
is(join(',', map { $_->{content} } @{$lp->get(undef, "$mp/all_comments")->{json}{entries}}[-2, -1]), 'the next,after the next', 'or is done after the next one');
$before += 2;

# --- removing a comment's text
my ($made_late) = grep { $_->{content} eq 'late' } @{$lp->get(undef, "$mp/all_comments")->{json}{entries}};
my ($of_late) = $made_late->{self_link} =~ m{/devel/(.*)};
status_is($lp->call('bob', $of_late, 'deleteContent'), 401, 'another comment is nobody else\'s to delete');
status_is($lp->call(undef, $of_late, 'deleteContent'), 401, 'nor without a token');
status_is($lp->api('ann', 'POST', "$lp->{root}/1.0/$of_late", content => 'ws.op=deleteContent',
	headers => {'Content-Type' => 'application/x-www-form-urlencoded'}), 400, 'and only in devel');
status_is($lp->call('ann', $of_late, 'deleteContent'), 200, 'who wrote it deletes its text');
my $emptied = $lp->get(undef, $of_late)->{json};
is($emptied->{content}, '', 'it is empty then');
ok($emptied->{date_deleted}, 'and says when');
is($lp->get(undef, "$mp/all_comments")->{json}{total_size}, $before + 2, 'and is there still');
$lp->control('fault', method => 'GET', close => JSON::PP::true, times => 9);
status_is($lp->get(undef, $mp), 599, 'a connection that breaks');
$lp->control('clear');
$lp->control('fault', status => 401);
$lp->control('clear');
status_is($lp->get(undef, $mp), 200, 'cleared');

# --- hooks that fail, retries
$lp->control('set', minute => 0.2);
$lp->answer('one', 500);
my $count = $lp->heard('one');
my $delivery = $lp->control('ping', hook => $hook)->{delivery};
ok(wait_for(sub { 3 <= grep { $_->{headers}{'x-launchpad-delivery'} == $delivery } $lp->heard('one') }), 'what is not taken comes again');
my ($ping) = grep { $_->{headers}{'x-launchpad-delivery'} == $delivery } $lp->heard('one');
is($ping->{headers}{'x-launchpad-event-type'}, 'ping', 'with the same number');
is($ping->{body}, '{"ping": true}', 'a ping');
my ($row) = grep { $_->{id} == $delivery } @{$lp->control('deliveries', hook => $hook)->{deliveries}};
is($row->{error_message}, 'Bad HTTP response: 500', 'and why, is written down');
$lp->answer('one', 202);
sub row { my ($row) = grep { $_->{id} == $delivery } @{$lp->control('deliveries', hook => $hook)->{deliveries}}; return $row }
ok(wait_for(sub { row()->{successful} }), 'until it is');
$row = row();
$lp->control('redeliver', hook => $hook, delivery => $delivery);
ok(wait_for(sub { @{row()->{attempts}} > @{$row->{attempts}} && row()->{attempts}[-1] == 202 }), 'and once more on demand');
$lp->answer('one', 401);
$lp->control('set', minute => 0.002);
$delivery = $lp->control('ping', hook => $hook)->{delivery};
ok(wait_for(sub { !row()->{pending} }), 'a 401 is given up after an hour');
is(row()->{successful}, JSON::PP::false, 'without success');
$lp->answer('one', 202);
$lp->control('set', minute => 60);
my $silent = $lp->listener('two');
$lp->control('hook', repository => $name, url => $silent, event_types => ['merge-proposal:0.1::status-change'], pattern => 'refs/heads/main');
$lp->control('hook', repository => $name, url => $silent, pattern => 'refs/heads/other');
$lp->control('hook', repository => $name, url => $silent, active => JSON::PP::false);
$lp->control('edit', proposal => $made->{id}, whiteboard => 'x');
$lp->call('bob', $mp, 'setStatus', status => 'Needs review');
ok(wait_for(sub { $lp->heard('two') }), 'a sub-scope is a filter');
my ($only, @rest) = $lp->heard('two');
is($only->{headers}{'x-launchpad-event-type'}, 'merge-proposal:0.1', 'which the header does not name');
ok(!@rest && !$only->{headers}{'x-hub-signature'}, 'no other hook came; without a secret nothing is signed');
wait_for(sub { !grep { $_->{pending} } @{$lp->control('deliveries', hook => $hook)->{deliveries}} });
$lp->control('pause');
$count = $lp->heard('one');
$lp->control('ping', hook => $hook) for 1, 2;
$lp->control('resume', backwards => JSON::PP::true);
ok(wait_for(sub { $lp->heard('one') == $count + 2 }), 'held back');
my ($late, $early) = map { $_->{headers}{'x-launchpad-delivery'} } ($lp->heard('one'))[-2, -1];
cmp_ok($late, '>', $early, 'and sent in another order');
my $new = $lp->call('bob', $name, 'newWebhook', delivery_url => "\"$silent\"", event_types => '["git:push:0.1"]', active => 'true',
	secret => '"s"');
status_is($new, 201, 'newWebhook');
status_is($lp->call('eve', $name, 'newWebhook', delivery_url => "\"$silent\"", event_types => '["git:push:0.1"]'), 401, 'not by strangers');
status_is($lp->call('bob', $name, 'newWebhook', delivery_url => "\"$silent\"",
	event_types => '["merge-proposal:0.1","merge-proposal:0.1::edit"]'), 400,
	'a parent and its sub-scope');
status_is($lp->call('bob', $new->{headers}{location}, 'ping'), 201, 'its ping');
ok(wait_for(sub { ($lp->get('bob', "$new->{headers}{location}/deliveries")->{json}{entries}[0] // {})->{successful} }),
	'and its deliveries');

# --- landing
$count = $lp->heard('one');
$lp->git('checkout', '-q', 'main');
$lp->git('merge', '-q', '--no-ff', '-m', 'Merge fix', $more);
my $merge = $lp->git('rev-parse', 'HEAD');
ok(defined $lp->git('push', '-q', $lp->url('bot', $name), 'main'), 'the merge is pushed') or diag($lp->{said});
ok(wait_for(sub { $lp->get(undef, $mp)->{json}{queue_status} eq 'Merged' }), 'and Launchpad sees that it is merged');
$entry = $lp->get(undef, $mp)->{json};
is($entry->{merged_revision_id}, $merge, 'by that commit');
ok($entry->{date_merged} && !$entry->{merge_reporter_link}, 'then, by nobody');
sub pushes { my @heard = $lp->heard('one'); return grep { $_->{json}{ref_changes} } @heard[$count .. $#heard] }
ok(wait_for(sub { pushes() }), 'the push is told');
my ($push) = pushes();
is($push->{headers}{'x-launchpad-event-type'}, 'git:push:0.1', 'as such');
is_deeply($push->{json}, {git_repository => "/$name", git_repository_path => $name, ref_changes => {'refs/heads/main' =>
	{old => {commit_sha1 => $first}, new => {commit_sha1 => $merge}}}}, 'from where to where');
is($lp->get(undef, "$name?ws.op=getMergeProposals")->{json}{total_size}, 0, 'everything that it had is merged too');
$lp->git('push', '-q', $lp->url('bob', $name), 'main:refs/heads/old');
wait_for(sub { $lp->get(undef, "$name/+ref/old")->{status} == 200 });
$lp->git('push', '-q', $lp->url('bob', $name), ':refs/heads/old');
ok(wait_for(sub { grep { exists $_->{json}{ref_changes}{'refs/heads/old'} && !$_->{json}{ref_changes}{'refs/heads/old'}{new} }
	grep { $_->{json}{ref_changes} } $lp->heard('one') }), 'a ref that is gone has no `new`');
my $squash = $lp->commit('squash', 'main');
$lp->git('push', '-q', $lp->url('ann', $fork), 'squash');
my $second = $lp->control('propose', person => 'ann', source => [$fork, 'refs/heads/squash'], target => [$name, 'refs/heads/main'],
	prerequisite => [$fork, 'refs/heads/fix']);
is($lp->get(undef, $second->{path})->{json}{prerequisite_git_path}, 'refs/heads/fix', 'a proposal with a prerequisite');
my $other_commit = $lp->commit('main');
$lp->git('push', '-q', $folder, 'main');
ok(wait_for(sub { $lp->get(undef, "$name/+ref/main")->{json}{commit_sha1} eq $other_commit }), 'a push into the folder is seen as well');
is($lp->get(undef, $second->{path})->{json}{queue_status}, 'Needs review', 'other commits do not merge it');
status_is($lp->call('bot', $second->{path}, 'setStatus', status => 'Merged', revid => "\"$other_commit\""), 200, 'it can be said');
is($lp->get(undef, $second->{path})->{json}{merged_revision_id}, $other_commit, 'and by which commit');
$lp->control('delete', proposal => $second->{id});
ok(wait_for(sub { grep { ($_->{json}{action} // '') eq 'deleted' && !exists $_->{json}{new} } $lp->heard('one') }),
	'a deleted one is told without `new`');
status_is($lp->get(undef, $second->{path}), 404, 'and is gone');

# --- the process
is(scalar(() = $lp->errors =~ /Traceback/g), 0, 'it had no trouble') or diag($lp->errors);
is($lp->stop, 0, 'SIGTERM ends it');
ok(!-e $folder, 'and nothing is left');
my $double = "$FindBin::Bin/../double/launchpad";
chomp(my $orphan = `sh -c '"$double" </dev/null >"$lp->{tmp}/port" & echo \$!; until [ -s "$lp->{tmp}/port" ]; do sleep 0.05; done'`);
ok(wait_for(sub { !kill 0, $orphan }), 'it ends with its parent');

done_testing;
