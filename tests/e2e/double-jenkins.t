#!/usr/bin/perl
# The double of Jenkins against what is known of Jenkins: tests/double/jenkins says where each fact is from.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Jenkins;
use Test::More;
use Time::HiRes qw(time);
use Wait;

my $jn = Jenkins->new;
my $tmp = $jn->{tmp};
sub status_is { my ($reply, $status, $what) = @_; is($reply->{status}, $status, $what) or diag($reply->{content}) }
sub page { my ($reply) = @_; return ($reply->{headers}{'content-type'} // '') =~ /html/ && defined $reply->{headers}{'x-jenkins'} }
sub bare { my ($reply) = @_; return !defined $reply->{headers}{'x-jenkins'} }

# --- who may ask
status_is($jn->get('api/json', as => undef), 403, 'nobody reads nothing');
like($jn->get('api/json', as => undef)->{content}, qr/Authentication required/, 'but is led to the login');
my $wrong = $jn->get('api/json', as => 'admin:wrong');
status_is($wrong, 401, 'a wrong password');
like($wrong->{headers}{'www-authenticate'}, qr/^Basic/, 'says how');
status_is($jn->get('api/json', as => 'nobody:wrong'), 401, 'a user that is none');
my $api = $jn->get('api/json');
is($api->{json}{_class}, 'hudson.model.Hudson', 'a token reads');
is($api->{headers}{'x-hudson'}, '1.395', 'X-Hudson is there');
like($api->{headers}{'x-jenkins'}, qr/^2\.\d/, 'beside X-Jenkins');
ok(page($jn->get('nothing/here')), 'an unknown path is a page');
status_is($jn->get('nothing/here'), 404, 'of status 404');
status_is($jn->get('job/none/api/json'), 404, 'a job that is none');
my $reader = $jn->control('user', name => 'reader', password => 'r', role => 'read')->{token};
is($jn->get('whoAmI/api/json', as => 'reader:r')->{json}{name}, 'reader', 'a password reads');

# --- crumbs
my @password = (as => 'admin:pass word');
my $xml = '<project><builders/></project>';
my @create = ('createItem?name=crumbed', content => $xml, type => 'application/xml');
my $without = $jn->post(@create, @password);
status_is($without, 403, 'a POST by password without crumb');
ok(bare($without) && $without->{content} =~ /No valid crumb/, 'is refused by the container');
my $issued = $jn->get('crumbIssuer/api/json', @password);
my ($cookie) = $issued->{headers}{'set-cookie'} =~ /^(JSESSIONID\.[^;]+)/;
my $crumb = $issued->{json}{crumb};
is($issued->{json}{crumbRequestField}, 'Jenkins-Crumb', 'a crumb says its field');
sub crumbed { my ($crumb, @with) = @_; return $jn->post(@create, headers => {'Jenkins-Crumb' => $crumb}, @with) }
status_is(crumbed($crumb, @password), 403, 'the crumb without its session');
status_is(crumbed('0' x 64, @password, cookie => $cookie), 403, 'the session with another crumb');
$jn->control('user', name => 'other', password => 'o');
status_is(crumbed($crumb, as => 'other:o', cookie => $cookie), 403, 'both, of another user');
status_is(crumbed($crumb, @password, cookie => $cookie), 200, 'both');
$jn->control('expire');
status_is(crumbed($crumb, @password, cookie => $cookie), 403, 'both, when the session is over');
status_is($jn->post('job/crumbed/doDelete'), 302, 'a token needs none');

# --- jobs and folders
my $folder = '<com.cloudbees.hudson.plugins.folder.Folder/>';
my @xml = (type => 'text/xml');
status_is($jn->post('createItem?name=A', content => $folder, @xml), 200, 'a folder is made');
status_is($jn->post('createItem?name=A', content => $folder, @xml), 400, 'once');
status_is($jn->post('job/A/createItem?name=B', content => $folder, @xml), 200, 'and one in it');
status_is($jn->post('createItem?name=a/b', content => $folder, @xml), 400, 'a bad name');
status_is($jn->post('createItem?name=x', content => '<project', @xml), 500, 'no XML');
status_is($jn->post('createItem?name=x', content => '<flow-definition/>', @xml), 500, 'a class that is not known');
status_is($jn->post('createItem?name=x', content => $xml, type => 'text/plain'), 400, 'no XML by its type');
status_is($jn->get('createItem?name=x'), 405, 'nothing is made by GET');
status_is($jn->post('createItem?name=x', as => "reader:$reader", content => $xml, @xml), 403, 'nor by who may only read');
my $job = <<'END';
<?xml version="1.0"?><project><description>It &amp; more</description><properties><hudson.model.ParametersDefinitionProperty>
<parameterDefinitions><hudson.model.StringParameterDefinition><name>BRAIN_BUILD</name><defaultValue></defaultValue>
</hudson.model.StringParameterDefinition><hudson.model.StringParameterDefinition><name>SPEC</name><defaultValue>none</defaultValue>
</hudson.model.StringParameterDefinition></parameterDefinitions></hudson.model.ParametersDefinitionProperty></properties>
<concurrentBuild>true</concurrentBuild><builders><hudson.tasks.Shell><command>echo "nonce $BRAIN_BUILD spec $SPEC other $OTHER"
test "$BRAIN_BUILD" != fails</command></hudson.tasks.Shell></builders></project>
END
status_is($jn->post('job/A/job/B/createItem?name=gate', content => $job, @xml), 200, 'a job');
my $gate = 'job/A/job/B/job/gate';
my $config = $jn->get("$gate/config.xml");
like($config->{content}, qr/^<\?xml version='1\.1'/, 'its configuration is XML 1.1');
like($config->{content}, qr/It &amp; more/, 'and what was given');
status_is($jn->post("$gate/config.xml", content => $config->{content}, @xml), 200, 'which is taken back');
is($jn->get($gate)->{headers}{location}, "$jn->{root}$gate/", 'without the last slash it is a redirect');
is($jn->get("$gate/api/json?tree=fullName")->{json}{fullName}, 'A/B/gate', 'its name');

# --- builds
my $made = $jn->trigger('A/B/gate', BRAIN_BUILD => 'one', OTHER => 'dropped');
status_is($made, 201, 'a build is asked for');
like($made->{headers}{location}, qr{^http://127\.0\.0\.1:$jn->{port}/queue/item/\d+/$}, 'and where it waits');
ok(bare($made), 'which does not say who answers');
my $number = $jn->number($made->{item});
is($number, 1, 'it began');
my $done = $jn->ended('A/B/gate', $number);
is($done->{result}, 'SUCCESS', 'and ended well');
is($done->{queueId}, $made->{item}, 'with its queue id');
my %value = map { $_->{name} => $_->{value} } @{$done->{actions}[0]{parameters}};
is_deeply(\%value, {BRAIN_BUILD => 'one', SPEC => 'none'}, 'declared parameters only, with defaults');
like($jn->get("$gate/1/consoleText")->{content}, qr/^nonce one spec none other $/m, 'they were its environment');
$jn->number($jn->trigger('A/B/gate', BRAIN_BUILD => 'fails')->{item});
is($jn->ended('A/B/gate', 2)->{result}, 'FAILURE', 'another failed');
my $builds = $jn->get("$gate/api/json?tree=builds[number,result,actions[parameters[name,value]]]{0,1}")->{json}{builds};
is(join(',', map { $_->{number} } @$builds), '2', 'a range of builds, the newest first');
status_is($jn->get("$gate/api/json?tree=builds[number"), 500, 'a malformed tree');
is(scalar(@{$jn->get("$gate/api/json")->{json}{builds}}), 2, 'without a tree it is everything');
ok(!exists $jn->get("$gate/api/json")->{json}{builds}[0]{result}, 'but not deep');

my @two = ("$gate/buildWithParameters?delay=0sec", content => 'SPEC=1&SPEC=2');
status_is($jn->post(@two), 500, 'two values for one parameter');
status_is($jn->get("$gate/buildWithParameters"), 405, 'GET builds nothing');
status_is($jn->post("$gate/buildWithParameters", as => "reader:$reader"), 403, 'nor does who may only read');
status_is($jn->post("$gate/build"), 400, 'build with neither parameters nor form');
status_is($jn->post("$gate/build?delay=0sec", form => {json => '{"parameter":[{"name":"SPEC","value":"form"}]}'}), 201, 'with a form');
status_is($jn->post("$gate/build", form => {json => '{"parameter":[{"name":"NONE","value":""}]}'}), 500, 'with one that is not declared');
status_is($jn->post("$gate/buildWithParameters", form => {SPEC => 'x' x 200_001}), 400, 'a form that is too large');
status_is($jn->post("$gate/buildWithParameters?SPEC=" . 'x' x 9000), 414, 'a line that is too long');
$jn->ended('A/B/gate', $jn->number($jn->trigger('A/B/gate', SPEC => 'x' x 140_000)->{item}));
like($jn->get("$gate/lastBuild/consoleText")->{content}, qr/error=7/, 'a parameter that no environment holds');
$jn->control('job', name => 'plain', command => 'true');
status_is($jn->post('job/plain/buildWithParameters'), 400, 'a job without parameters');
status_is($jn->post('job/plain/build?delay=0sec'), 201, 'is built without');
status_is($jn->post('job/plain/build?delay=soon'), 500, 'a delay that is none');

# --- the queue
$jn->control('set', quiet_period => 500);
my $quiet = $jn->post("$gate/buildWithParameters", form => {BRAIN_BUILD => 'quiet'});
my ($item) = $quiet->{headers}{location} =~ m{(\d+)/$};
my $waits = $jn->get("queue/item/$item/api/json")->{json};
is($waits->{_class}, 'hudson.model.Queue$WaitingItem', 'without delay it is quiet for a while');
like($waits->{why}, qr/^In the quiet period/, 'and says so');
cmp_ok($waits->{timestamp} - $waits->{inQueueSince}, '>=', 499_000, 'for as long as is set');
my $same = $jn->post("$gate/buildWithParameters", form => {BRAIN_BUILD => 'quiet'});
status_is($same, 303, 'the same once more');
is($same->{headers}{location}, $quiet->{headers}{location}, 'is the same item');
is(scalar(@{$jn->get("queue/item/$item/api/json")->{json}{actions}[1]{causes}}), 2, 'with two causes');
my $thousand = $jn->post("$gate/buildWithParameters?delay=1000000", form => {BRAIN_BUILD => 'ms'});
sub path_of { my ($reply) = @_; return $reply->{headers}{location} =~ s{^https?://[^/]+/}{}r }
cmp_ok($jn->get(path_of($thousand) . 'api/json')->{json}{timestamp}, '<', (time + 1010) * 1000, 'a bare delay is milliseconds');
is(join(',', sort map { $_->{actions}[0]{parameters}[0]{value} } @{$jn->get('queue/api/json')->{json}{items}}), 'ms,quiet', 'the queue');
status_is($jn->post("queue/cancelItem?id=$item", as => "reader:$reader"), 422, 'who may not does not cancel');
status_is($jn->post("queue/cancelItem?id=$item"), 204, 'who may does');
$waits = $jn->get("queue/item/$item/api/json")->{json};
ok($waits->{cancelled} && $waits->{_class} =~ /LeftItem/, 'a cancelled item is told of');
status_is($jn->post("queue/cancelItem?id=$item"), 500, 'and not cancelled again');
status_is($jn->post('queue/cancelItem?id=4711'), 404, 'one that is none');
$jn->control('left');
status_is($jn->get("queue/item/$item/api/json"), 404, 'later nothing is known of it');
$jn->control('set', gap => 1000);
my $between = $jn->trigger('A/B/gate', BRAIN_BUILD => 'between')->{item};
ok(wait_for(sub { $jn->get("queue/item/$between/api/json")->{json}{_class} =~ /LeftItem/ }), 'an item leaves the queue');
is($jn->get("queue/item/$between/api/json")->{json}{executable}, undef, 'before there is a build');
ok(!(grep { $_->{queueId} == $between } @{$jn->get("$gate/api/json?tree=builds[queueId]")->{json}{builds}}), 'or one in the list');
$jn->control('set', gap => 0);
ok($jn->number($between), 'and then there is');

# --- disabled, renamed, deleted
my $waiting = $jn->post("$gate/buildWithParameters", form => {BRAIN_BUILD => 'waits'});
status_is($jn->post("$gate/disable"), 302, 'a job is disabled');
ok($jn->get(path_of($waiting) . 'api/json')->{json}{cancelled}, 'what waited is cancelled');
my $disabled = $jn->trigger('A/B/gate');
status_is($disabled, 409, 'and it is not built');
ok(page($disabled), 'which a page says');
status_is($jn->post("$gate/enable"), 302, 'until it is enabled');
status_is($jn->post("$gate/confirmRename?newName=door"), 302, 'it is renamed');
status_is($jn->get("$gate/api/json"), 404, 'its old name is none');
is($jn->get('job/A/job/B/job/door/1/api/json')->{json}{result}, 'SUCCESS', 'its builds went with it');
status_is($jn->ask('DELETE', 'job/A/job/B/job/door/'), 204, 'it is deleted');
status_is($jn->get('job/A/job/B/job/door/api/json'), 404, 'and gone');

# --- the log
$jn->control('job', name => 'log', command => "#!/bin/sh\nprintf 'a\\033[8mha:////hidden\\033[0mb\\nwait\\n'\nuntil [ -e $tmp/go ]; do sleep 0.05; done\necho end",
	parameters => {BRAIN_BUILD => ''});
my $log = 'job/log/1/logText/progressiveText';
$jn->number($jn->trigger('log')->{item});
my $part;
ok(wait_for(sub { $part = $jn->get("$log?start=0"); $part->{content} =~ /^wait$/m }), 'a log is read while it grows');
is($part->{headers}{'x-more-data'}, 'true', 'there is more to come');
like($part->{content}, qr/^ab$/m, 'the notes are not in it');
my $size = $part->{headers}{'x-text-size'};
cmp_ok($size, '>', length $part->{content}, 'but in its size');
is($jn->get("$log?start=$size")->{content}, '', 'from there on there is nothing yet');
open my $go, '>', "$tmp/go";
ok($jn->ended('log', 1), 'it ends');
my $rest = $jn->get("$log?start=$size");
is($rest->{content}, "end\nFinished: SUCCESS\n", 'the rest ends with the result');
ok(!defined $rest->{headers}{'x-more-data'}, 'no more to come');
like($jn->get("$log?start=999999")->{content}, qr/^Started by user admin/, 'beyond its end it begins anew');
status_is($jn->get("$log?start=x"), 500, 'a start that is none');

# --- stop, and what it leaves
$jn->control('job', name => 'long', command => "echo \$\$ >$tmp/pid\nexec sleep 10000", parameters => {BRAIN_BUILD => ''});
$jn->number($jn->trigger('long')->{item});
sub pid { open my $in, '<', "$tmp/pid" or return; my $pid = <$in> // return; chomp $pid; return $pid }
my $pid = wait_for(sub { pid() });
is($jn->get('job/long/1/api/json')->{json}{building}, JSON::PP::true, 'one runs');
status_is($jn->get('job/long/1/stop'), 405, 'GET stops nothing');
status_is($jn->post('job/long/1/stop'), 302, 'it is stopped');
is($jn->ended('long', 1)->{result}, 'ABORTED', 'and aborted');
ok(kill(0, $pid), 'its process was left alone');
kill 'KILL', $pid;
$jn->control('set', stop_kills => 1);
unlink "$tmp/pid";
$jn->number($jn->trigger('long')->{item});
$pid = wait_for(sub { pid() });
$jn->post('job/long/2/stop');
ok(wait_for(sub { !kill 0, $pid }), 'or ended, when the double is told so');
$jn->control('set', stop_kills => 0);

# --- nodes
my %form = (numExecutors => 1, remoteFS => '/srv', labelString => 'test', mode => 'NORMAL', launcher => {'stapler-class' => 'hudson.slaves.JNLPLauncher'},
	retentionStrategy => {'stapler-class' => 'hudson.slaves.RetentionStrategy$Always'});
sub make_node {
	my ($name, %other) = @_;
	return $jn->post('computer/doCreateItem', form => {name => $name, type => 'hudson.slaves.DumbSlave', json => $Jenkins::json->encode({%form, %other})});
}
status_is(make_node('n1'), 302, 'a node by its form');
status_is(make_node('n1'), 400, 'once');
my %launcher = (launcher => {'stapler-class' => 'hudson.slaves.CommandLauncher', command => 'x'});
status_is(make_node('n2', %launcher), 500, 'a launcher of a plugin that is missing');
$jn->control('plugins', plugins => {'command-launcher' => '123', 'cloudbees-folder' => '1'});
is(join(',', sort map { $_->{shortName} } @{$jn->get('pluginManager/api/json?depth=1')->{json}{plugins}}), 'cloudbees-folder,command-launcher', 'plugins');
status_is(make_node('n2', %launcher), 302, 'of one that is there');
sub node { my ($name) = @_; return (grep { $_->{displayName} eq $name } @{$jn->get('computer/api/json')->{json}{computer}})[0] }
ok(node('n1')->{offline} && node('n1')->{jnlpAgent}, 'its agent is awaited');
like($jn->get('computer/n1/jenkins-agent.jnlp')->{content}, qr{<argument>[0-9a-f]{64}</argument>}, 'with a secret');
like($jn->get('computer/n1/config.xml')->{content}, qr{<label>test</label>}, 'its configuration');
$jn->control('job', name => 'there', label => 'test', command => 'echo on $NODE_NAME', parameters => {BRAIN_BUILD => ''});
my $there = $jn->trigger('there')->{item};
sub why { return $jn->get("queue/item/$_[0]/api/json")->{json}{why} // '' }
ok(wait_for(sub { why($there) =~ /offline$/ }), 'a job for it waits') or diag(why($there));
$jn->control('connect', name => $_) for qw(n1 n2);
is($jn->number($there), 1, 'until it is there');
like($jn->ended('there', 1)->{builtOn}, qr/^n[12]$/, 'and is built on it');
$jn->post("computer/$_/changeOfflineCause", form => {offlineMessage => 'disk is full'}) for qw(n1 n2);
is(node('n1')->{offlineCauseReason}, 'disk is full', 'a node is offline with a reason');
$there = $jn->trigger('there')->{item};
ok(wait_for(sub { why($there) =~ /^All nodes of label/ }), 'nothing goes there') or diag(why($there));
$jn->post('computer/n1/toggleOffline');
is($jn->ended('there', $jn->number($there))->{builtOn}, 'n1', 'but to the one that is back');
$jn->control('plan', job => 'there', hold => 1, log => "by plan\n");
my @planned = map { $jn->trigger('there', BRAIN_BUILD => "p$_")->{item} } 1, 2;
$jn->number($planned[0]);
ok(wait_for(sub { why($planned[1]) =~ /^Waiting for next available executor/ }), 'one executor is one build');
$jn->control('finish', job => 'there', build => 3, result => 'UNSTABLE');
is($jn->ended('there', 3)->{result}, 'UNSTABLE', 'a planned end');
$jn->number($planned[1]);
$jn->control('disconnect', name => 'n1');
is($jn->ended('there', 4)->{result}, 'FAILURE', 'a node that is lost is a failure');
like($jn->get('job/there/4/consoleText')->{content}, qr/ChannelClosedException/, 'by its words not of the tests');
status_is($jn->post('computer/n2/doDelete'), 302, 'a node is deleted');

# --- views
my $view = '<hudson.model.ListView><jobNames><string>there</string></jobNames></hudson.model.ListView>';
status_is($jn->post('createView?name=mine', content => $view, @xml), 200, 'a view');
status_is($jn->post('createView?name=mine', content => $view, @xml), 400, 'once');
is(join(',', map { $_->{name} } @{$jn->get('view/mine/api/json')->{json}{jobs}}), 'there', 'with its jobs');
status_is($jn->post('view/mine/config.xml', content => $view, @xml), 200, 'is changed');
status_is($jn->post('view/mine/doDelete'), 302, 'and deleted');

# --- quiet down, restarts
status_is($jn->post('quietDown'), 302, 'the master takes no new work');
ok($jn->get('api/json')->{json}{quietingDown}, 'and says so');
my ($held) = path_of($jn->post('job/plain/build?delay=0sec')) =~ m{(\d+)/$};
ok(wait_for(sub { why($held) eq 'Jenkins is about to shut down' }), 'but what is queued waits') or diag(why($held));
unlink "$tmp/pid";
$jn->post('cancelQuietDown');
$jn->number($jn->trigger('long')->{item});
$pid = wait_for(sub { pid() });
$jn->control('save');
my $lost = $jn->post('job/long/buildWithParameters?delay=10000sec', form => {BRAIN_BUILD => 'lost'});
$jn->control('set', startup => 1000);
$jn->control('restart', mode => 'crash');
status_is($jn->get('api/json'), 503, 'after a crash it starts');
$jn->control('set', startup => 0);
ok(wait_for(sub { $jn->get('api/json')->{status} == 200 }), 'and is back');
is($jn->get('job/long/3/api/json')->{json}{result}, 'ABORTED', 'what ran is aborted');
ok(kill(0, $pid), 'its process is left alone');
kill 'KILL', $pid;
status_is($jn->get(path_of($lost) . 'api/json'), 404, 'what was not saved is lost');
my $again = $jn->post('job/long/buildWithParameters?delay=10000sec', form => {BRAIN_BUILD => 'again'});
is(path_of($again), path_of($lost), 'and its number is given again');
my $session = $jn->get('api/json')->{headers}{'x-jenkins-session'};
status_is($jn->post('restart'), 302, 'a restart');
ok(wait_for(sub { ($jn->get('api/json')->{headers}{'x-jenkins-session'} // $session) ne $session }), 'comes a little later');
ok(wait_for(sub { my $found = $jn->get('queue/api/json')->{json}; $found && $found->{items}[0]{actions}[0]{parameters}[0]{value} eq 'again' }),
	'keeps the queue');

# --- faults
$jn->control('fault', path => '^/api/json', status => 500, body => '<html>oops</html>');
status_is($jn->get('api/json'), 500, 'an answer of a test');
status_is($jn->get('api/json'), 200, 'once');
$jn->control('fault', method => 'POST', path => '(?s)buildWithParameters.*after', status => 502, after => 1);
$jn->from_now;
status_is($jn->post('job/long/buildWithParameters?delay=10000sec', form => {BRAIN_BUILD => 'after'}), 502, 'an error after all was done');
is(scalar(grep { ($_->{parameters}{BRAIN_BUILD} // '') eq 'after' } @{$jn->control('state')->{queue}}), 1, 'and it was done');
is(scalar($jn->asked('POST', qr{buildWithParameters})), 1, 'it was asked once');
$jn->control('fault', path => '^/api/json', half => 1, times => 9);
is($jn->get('api/json')->{status}, 599, 'half an answer');
$jn->control('fault', path => '^/api/json', close => 1, times => 9);
is($jn->get('api/json')->{status}, 599, 'none');
$jn->control('clear');
$jn->control('fault', path => '^/api/json', delay => 0.3);
my $began = time;
$jn->get('api/json');
cmp_ok(time - $began, '>=', 0.3, 'a slow one');
$jn->control('fault', path => '^/queue/api', replace => [['"id":(\d+)', '"id":"x\1"']]);
like($jn->get('queue/api/json')->{json}{items}[0]{id}, qr/^x\d+$/, 'a wrong type');
$jn->control('crowd', count => 1000, bytes => 100);
my $crowd = $jn->get('queue/api/json');
is(scalar(@{$crowd->{json}{items}}), 1002, 'a huge queue');
is($crowd->{headers}{'transfer-encoding'}, 'chunked', 'is sent in pieces');
$jn->control('drop');
is(scalar(@{$jn->get('queue/api/json')->{json}{items}}), 0, 'and dropped');

# --- behind a proxy, with a path of its own
my $proxied = Jenkins->new('--prefix', '/ci');
$proxied->control('job', name => 'x', parameters => {BRAIN_BUILD => ''});
my $far = $proxied->post('job/x/buildWithParameters', headers => {'X-Forwarded-Host' => 'jenkins.example', 'X-Forwarded-Proto' => 'https'});
like($far->{headers}{location}, qr{^https://jenkins\.example/ci/queue/item/1/$}, 'a Location is as the client called it');
is($proxied->get('job/x/api/json')->{json}{url}, "http://127.0.0.1:$proxied->{port}/ci/job/x/", 'links are as the master is configured');
is($proxied->ask('GET', "http://127.0.0.1:$proxied->{port}/job/x/")->{status}, 404, 'nothing is outside of it');
is($jn->errors . $proxied->errors, '', 'the double made no mistake');
done_testing;
