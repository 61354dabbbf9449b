#!/usr/bin/perl
# The brain and the health jobs of slaves: a slave that says that it is unwell gets no tests, with a reason, and comes back by itself;
# what a person took offline stays so. And what byoci status says of a master.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Hudson;
use OnMaster;
use Test::More;
use Wait;

my $brain = OnMaster->new(options => "master.health = 200ms\n");
my $jn = $brain->{jn};
my $job = 'brt-health-local';
$jn->control('job', name => $job, command => 'true', parameters => {}, label => 'local-land');

# Lets the health job say that.
sub health {
	my ($line) = @_;
	$jn->control('plan', job => "^$job\$", result => $line =~ /unwell/ ? 'FAILURE' : 'SUCCESS', log => "Started\n$line\n", seconds => 0);
	my $number = 1 + $jn->builds($job);
	$jn->post("job/$job/build?delay=0sec"); # else a quiet period of 5 s
	$jn->ended($job, $number) or die 'the health job does not end';
}

sub node { return $jn->get("computer/$_[0]/api/json")->{json} }
sub offline { my ($name) = @_; return wait_for(sub { node($name)->{temporarilyOffline} }) }
sub online { my ($name) = @_; return wait_for(sub { !node($name)->{temporarilyOffline} }) }


$brain->start;
ok(!node('local')->{offline}, 'a slave without a word about it is online');
health('byoci-health-1 local unwell disk: 2 % free');
ok(offline('local'), 'an unwell one is taken offline');
is(node('local')->{offlineCauseReason}, 'byoci: disk: 2 % free', 'with the reason');
ok(!node('local-land')->{offline}, 'its landing node is not: that is where the next health check runs');
ok(wait_for(sub { $brain->log =~ /slave is unwell: taken offline/ }), 'the log says so') or diag($brain->log);
my $status;
wait_for(sub {
	local $ENV{BYOCI_ROOT} = $brain->{root};
	$status = Brain::run("$brain->{bin}/byoci", '-n', 'brt', '-O', 'user=root', 'status');
	return $status =~ /^  node .*offline/m;
});
like($status, qr{^master      \Q$jn->{root}\E Jenkins [0-9.]+$}m, 'byoci status says which master');
like($status, qr/^  node      local offline: byoci: disk: 2 % free$/m, 'which node is offline, and why');
health('byoci-health-1 local well');
ok(online('local'), 'a well one comes back');
$jn->post('computer/local/changeOfflineCause', form => {offlineMessage => 'new memory'});
health('byoci-health-1 local well');
ok(not_within(1.5, sub { !node('local')->{temporarilyOffline} }), 'what a person took offline stays so');
$jn->post('computer/local/toggleOffline');
health('nothing of the kind');
ok(not_within(1, sub { node('local')->{temporarilyOffline} }), 'a job that says nothing changes nothing');
$brain->stop;

# A real Hudson says all that in other places.
SKIP: {
	skip 'no Java, and no Hudson', 3 if !grep { -x "$_/java" } split /:/, $ENV{PATH};
	my $hudson = Hudson->new(1);
	my $node = '{"name":"local","nodeDescription":"","numExecutors":"1","remoteFS":"/nonexistent","labelString":"","mode":"EXCLUSIVE",'
		. '"launcher":{"stapler-class":"hudson.slaves.CommandLauncher","command":"false"},'
		. '"retentionStrategy":{"stapler-class":"hudson.slaves.RetentionStrategy$Always"},"nodeProperties":{"stapler-class-bag":"true"}}';
	$hudson->post('computer/doCreateItem', 'application/x-www-form-urlencoded',
		Jenkins::form(name => 'local', type => 'hudson.slaves.DumbSlave$DescriptorImpl', json => $node));
	my $on = OnMaster->new(url => $hudson->{url}, user => $hudson->{user}, secret => $hudson->{password}, options => "master.health = 200ms\n");
	my $word = "$on->{tmp}/health";
	$hudson->make_job($job, "cat $word");
	my $state = sub { return $hudson->get('computer/local/api/json?tree=temporarilyOffline,offlineCause[description]') };
	my $say = sub {
		Brain::spew($word, "$_[0]\n");
		my $status = $hudson->post("job/$job/buildWithParameters?delay=0sec", 'application/x-www-form-urlencoded', '');
		die "the job does not start: $status" if $status != 302;
	};
	$on->start;
	$say->('byoci-health-1 local unwell clock: 90 s <behind>');
	my $seen = sub { return map { $Brain::json->encode($hudson->get($_)) } "job/$job/api/json?tree=builds[number,building,result]", 'queue/api/json' };
	ok(wait_for(sub { $state->()->{temporarilyOffline} }), 'Hudson: an unwell one is taken offline') or diag($on->log, $seen->());
	like($state->()->{offlineCause}{description}, qr/byoci: clock: 90 s  behind/, 'with the reason');
	$say->('byoci-health-1 local well');
	ok(wait_for(sub { !$state->()->{temporarilyOffline} }), 'and comes back') or diag($on->log, $seen->());
	$on->stop;
}
done_testing();
