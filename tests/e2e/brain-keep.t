#!/usr/bin/perl
# keep, kept and discard through the brain: what the slave is asked, what the person hears and `why` records, and a slave that is not there,
# does not want, says nothing, or talks nonsense.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Brain;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(sleep);
use Wait;

chdir "$FindBin::Bin/../..";
my $brain = Brain->new;
$brain->make_repository;
my $tmp = $brain->{tmp};
$brain->lander;

# Builds until the file $tmp/go is there; $answer->($message) is what it says to the rest, undef: it closes the connection.
sub slave {
	my ($answer) = @_;
	$brain->end_double('slave');
	unlink "$tmp/go", "$tmp/slave.heard";
	$brain->double('slave', sub {
		my ($message, $say) = @_;
		if ($message->{op} eq 'start') {
			Brain::spew("$tmp/spec", $Brain::json->encode($message->{spec}));
			$say->({ok => JSON::PP::true, build => $message->{spec}{build}});
			return 1;
		}
		if ($message->{op} ne 'follow') {
			my $said = $answer->($message) or return 0;
			$say->($said);
			return 1;
		}
		sleep 0.02 until -e "$tmp/go";
		my $spec = $Brain::json->decode(Brain::slurp("$tmp/spec"));
		$say->({result => $brain->result_line($spec), outcome => 'success', offset => 0});
		return 0;
	});
}

# byoci, with all that it says: $status, $said.
my ($status, $said);
sub byoci {
	local $ENV{BYOCI_ROOT} = $brain->{root};
	$said = Brain::run('sh', '-c', 'exec "$@" 2>&1', 'byoci', "$brain->{bin}/byoci", '-n', 'brt', @_);
	$status = $? >> 8;
	return $said;
}
sub build_of { my $show = $brain->ask('show', $_[0]); return $show && $show->{builds}[-1] }

my (%kept, $since);
$since = int(time * 1000);
my $good = sub {
	my ($message) = @_;
	return {ok => JSON::PP::true} if $message->{op} ne 'kept';
	my $spec = $Brain::json->decode(Brain::slurp("$tmp/spec"));
	return {kept => [map { {build => $_, job => 'unit', since => $since, expiry => $since + 60000} } $spec->{build}, '0' x 32]};
};

# --- no build yet, and none of that name
slave($good);
ok($brain->start, 'it starts') or BAIL_OUT($brain->log);
byoci('keep');
is($status, 64, 'keep wants a build');
like($said, qr/needs a name/, 'and says so');
for my $id ('a' x 32, 'nothing', '') {
	byoci('keep', $id);
	is($status, 64, "build \"$id\" is not kept");
	like($said, qr/there is no build \Q$id\E/, 'there is none');
}
byoci('discard', 'a' x 32);
is($status, 64, 'nor discarded');
is(scalar($brain->heard('slave', 'keep')) + scalar($brain->heard('slave', 'discard')), 0, 'the slave heard nothing of it');

# --- a build that waits for its slave
$brain->end_double('slave');
my $commit = $brain->commit('wanted');
$brain->propose('wanted', $commit);
$brain->approve('wanted', $commit);
$brain->tell('refs/proposals/wanted/head');
ok(wait_for(sub { build_of('wanted') }), 'a build waits for its slave');
my $id = build_of('wanted')->{build};
byoci('keep', $id);
is($status, 75, 'its worker can not be kept yet');
like($said, qr/has not begun: ask again when byoci show $id/, 'and what to do is said');
byoci('kept');
is($status, 69, 'without a slave nobody knows what is kept');
like($said, qr/slave is out of reach: ask again when byoci status/, 'and what to do is said');
byoci('discard', $id);
is($status, 69, 'nor is anything discarded');
like($brain->decisions('wanted'), qr/worker of build $id is not discarded, though somebody asked for it: the slave is out of reach/, 'why says so');

# --- a build that runs
slave($good);
ok(wait_for(sub { build_of('wanted')->{state} eq 'running' }), 'the slave comes, it runs');
byoci('keep', $id);
is($status, 0, 'its worker is to be kept');
is($said, "the worker of build $id is kept when its tests have ended, as long as keep.limit allows: somebody asked for it", 'and that is said');
is_deeply([$brain->heard('slave', 'keep')], [{op => 'keep', build => $id}], 'the slave was asked, once');
like($brain->decisions('wanted'), qr/the worker of build $id is kept when its tests have ended/, 'why says so');
is_deeply($brain->ask('keep', "http://127.0.0.1:$brain->{pages}/builds/$id")->{build}, $id, 'a page of it is as good, and so it is for programs');
is(scalar($brain->heard('slave', 'keep')), 2, 'who asks again is answered by the slave again');
my $list = $brain->ask('kept');
is_deeply($list, {kept => [{build => $id, job => 'unit', since => $since, expiry => $since + 60000, project => 'sample', proposal => 'wanted'},
	{build => '0' x 32, job => 'unit', since => $since, expiry => $since + 60000}]}, 'kept ones are listed, with our names for them');
byoci('kept');
like($said, qr/^$id  unit of wanted  since \S+ until \S+$/m, 'and for people');
like($said, qr/byoci-slave shell BUILD/, 'with what can be done with them');
byoci('discard', $id);
is($status, 0, 'one is discarded');
is_deeply([$brain->heard('slave', 'discard')], [{op => 'discard', build => $id}], 'by the slave');
like($brain->decisions('wanted'), qr/the worker of build $id is kept no more/, 'why says so');

# --- it ends
Brain::spew("$tmp/go", '');
ok(wait_for(sub { $brain->item('wanted')->{state} eq 'landed' }), 'it lands');
byoci('keep', $id);
is($status, 64, 'then it is too late');
like($said, qr/has ended; a worker can be kept until then/, 'and that is said');

# --- a slave of another mind
my %minds = (
	'that does not want' => [{error => "no worker of build $id is kept", kind => 'input'}, 64, qr/the slave says: no worker of build $id is kept/],
	'that is not allowed to' => [{error => 'it may not', kind => 'refused'}, 77, qr/the slave says: it may not/],
	'in trouble' => [{error => "byoci-worker:\x{1b}[2J away", kind => 'infrastructure'}, 75, qr/the slave says: byoci-worker:/],
	'that talks nonsense' => [{nonsense => 1}, 75, qr/not understood: is it of another version/],
	'that says nothing' => [undef, 69, qr/closed the connection without an answer/],
);
for my $mind (sort keys %minds) {
	my ($answer, $wanted, $words) = @{$minds{$mind}};
	slave(sub { $answer });
	byoci('discard', $id);
	is($status, $wanted, "a slave $mind: discard ends with $wanted");
	like($said, $words, 'and says why');
	like($brain->decisions('wanted'), $words, 'as does why');
	byoci('kept');
	is($status, $wanted, 'and so does kept');
}
slave(sub { {kept => []} });
is(byoci('kept'), 'no worker is kept', 'none is kept');
slave(sub { {kept => [{build => 'nonsense', expiry => 'soon'}, 7]} });
is_deeply($brain->ask('kept'), {kept => [map { {build => $_, job => '', since => 0, expiry => 0} } 'nonsense', '']}, 'a list that makes no sense harms nobody');

# --- how the slave stands, in status
my $day = 86400000;
my $standing = {running => [{build => $id, job => 'unit', since => $since}], ready => [{job => 'unit', state => 'ready', since => $since}, {job => 'unit', state => 'starting', since => $since}],
	kept => [{build => $id, job => 'unit', since => $since, expiry => $since + $day}, {build => '0' x 32, job => 'unit', since => $since, expiry => $since}],
	backings => [{name => 'base', error => 'smoke.command: exit status 3', failures => 2, tried => $since, made => $since - $day, generation => 'x'},
		{name => 'none', error => 'no mirror', failures => 1, tried => $since, made => undef, generation => undef}], trouble => undef};
slave(sub { $standing });
wait_for(sub { byoci('status') =~ /^workers/m }); # a slave that is too busy to answer at once is out of reach
is($status, 0, 'status');
like($said, qr/^workers     2 ready, 1 running, 2 kept$/m, 'counts the workers of the slave');
like($said, qr/^running     $id unit of wanted, since /m, 'names what runs');
like($said, qr/^kept        $id unit of wanted, until \S+( \S+)?$/m, 'and what is kept, with its expiry');
like($said, qr/^TROUBLE     backing base is not what it should be, tried at \S+: smoke.command: exit status 3$/m, 'a failed refresh is told');
like($said, qr/^            used meanwhile: the one of \d{4}-\d\d-\d\d \S+; byoci-slave backing show base$/m, 'with what is used meanwhile');
like($said, qr/^            there is none to use meanwhile; byoci-slave backing show none$/m, 'or that there is none');
my $slave;
wait_for(sub { $slave = $brain->ask('status')->{slave}; $slave->{answers} });
is_deeply([map { $slave->{$_} } qw(answers running kept backings trouble)], [JSON::PP::true, [{build => $id, job => 'unit', since => $since, project => 'sample', proposal => 'wanted'}],
	[{%{$standing->{kept}[0]}, project => 'sample', proposal => 'wanted'}, $standing->{kept}[1]], $standing->{backings}, undef], 'and so it is as JSON');
is_deeply($slave->{ready}, $standing->{ready}, '(what waits, too)');
slave(sub { +{%$standing, backings => [], trouble => 'byoci-worker: away'} });
ok(wait_for(sub { byoci('status') =~ /^TROUBLE     the slave's backings are not known: byoci-worker: away$/m }), 'byoci-worker out of reach is told');
slave(sub { {error => 'another version', kind => 'input'} });
ok(wait_for(sub { byoci('status') =~ /^TROUBLE     the slave's workers are not known: the slave says: another version$/m }), 'so is a slave that knows nothing of it');
slave(sub { sleep 0.02 until -e "$tmp/go"; undef });
like(byoci('status'), qr/^TROUBLE     the slave's workers are not known: the slave is out of reach.*no answer in time$/m, 'and one that says nothing, and never will');
$brain->end_double('slave');
byoci('status');
is($status, 0, 'without a slave there is a status');
like($said, qr/^slave       does not answer: .*^TROUBLE     the slave's workers are not known: the slave is out of reach/ms, 'that says so');
ok(wait_for(sub { $brain->sql("SELECT count(*) FROM calls WHERE kind = 'slave-status'") eq '0' }), 'nothing of it stays');

# --- while the slave thinks
slave(sub { sleep 0.02 until -e "$tmp/go"; {ok => JSON::PP::true} });
my $path = "$tmp/run/brain/socket";
my @waiting = map { IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $path) } 1 .. 3;
for my $socket (@waiting) {
	print $socket qq({"verb":"discard","args":{"build":"$id"}}\n);
	$socket->flush;
}
ok(wait_for(sub { $brain->heard('slave', 'discard') }), 'three ask for the same');
is($brain->ask('status')->{namespace}, 'brt', 'the brain answers others meanwhile');
print {$waiting[0]} qq({"verb":"kept","args":{}}\n);
$waiting[0]->flush;
like(readline($waiting[0]), qr/waits for an answer already/, 'a connection asks one thing at a time');
close pop @waiting;
Brain::spew("$tmp/go", '');
like(readline($_), qr/"reply": ?\{.*kept no more/, 'one who waits is answered') for @waiting;
is(scalar($brain->heard('slave', 'discard')), 1, 'the slave was asked once for them all');
is(byoci('kept') && $status, 75, 'who went away before is no harm');

# --- killed while the slave thinks
slave(sub { sleep 0.02 until -e "$tmp/go"; {ok => JSON::PP::true} });
my $before = () = $brain->decisions('wanted') =~ /kept no more/g;
my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $path);
print $socket qq({"verb":"discard","args":{"build":"$id"}}\n);
$socket->flush;
ok(wait_for(sub { $brain->heard('slave', 'discard') }), 'somebody asks');
$brain->stop('KILL');
is(readline($socket), undef, 'the brain is killed: the connection ends');
Brain::spew("$tmp/go", '');
ok($brain->start, 'it starts again');
ok(wait_for(sub { my $now = () = $brain->decisions('wanted') =~ /kept no more/g; $now == $before + 1 }), 'and asks for it again: it was said that it would');
ok(wait_for(sub { $brain->sql("SELECT count(*) FROM calls WHERE kind = 'keep'") eq '0' }), 'no call is left');

is($brain->stop('TERM'), 0, 'it ends cleanly');
unlike($brain->log, qr/^error/m, 'and nothing went wrong') or diag($brain->log);

done_testing;
