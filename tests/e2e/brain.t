#!/usr/bin/perl
# The brain's edges with real HTTP and a real kill: what is refused, what is kept, and what it says of itself.
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
my $body = '{"hello":"world"}';

ok($brain->start, 'it starts') or BAIL_OUT($brain->log);
is(($brain->get('/healthz'))[0], 200, 'healthz');
is(($brain->get('/readyz'))[0], 200, 'readyz');

# --- what is not let in
is(($brain->hook('git', $body, signature => undef))[0], 401, 'no signature: 401');
is(($brain->hook('git', $body, signature => 'X-Byoci-Signature;'))[0], 401, 'empty signature: 401');
is(($brain->hook('git', $body, signature => 'X-Byoci-Signature: sha256='))[0], 401, 'a signature of no digits: 401');
is(($brain->hook('git', $body, secret => 'wrong'))[0], 401, 'signed with another secret: 401');
is(($brain->hook('gitlab', $body, signature => 'X-Gitlab-Token: wrong'))[0], 401, 'a wrong token: 401');
is(($brain->hook('github', $body, path => '/hook/github/bare'))[0], 401, 'an account without a secret refuses everything');
my ($status, $answer) = $brain->hook('git', $body, secret => 'wrong');
like($answer, qr/\A\{"error":".+"\}/, 'a refusal says why, in JSON');
is(($brain->hook('git', $body, path => '/hook/gerrit'))[0], 404, 'a forge that is not configured: 404');
is(($brain->hook('git', $body, path => '/hook/git/github'))[0], 404, 'an account under another dialect: 404');
is(($brain->hook('git', $body, path => '/elsewhere'))[0], 404, 'another path: 404');
is(($brain->curl("http://127.0.0.1:$brain->{hook}/hook/git"))[0], 405, 'GET: 405');
is(($brain->hook('git', $body, curl => ['-H', 'Transfer-Encoding: chunked']))[0], 411, 'no length: 411');
is(($brain->hook('git', '{"a":"' . 'x' x (1024 * 1024) . '"}'))[0], 413, 'over hook.body.limit: 413');
is(($brain->hook('git', $body, type => 'application/x-www-form-urlencoded'))[0], 415, 'a form: 415');
is(($brain->hook('git', $body, event => ''))[0], 400, 'no event: 400');
is($brain->ask('status')->{deliveries}, 0, 'none of that is stored');

# --- what is
($status, $answer) = $brain->hook('git', $body, event => 'ping');
is($status, 200, 'a ping: 200');
($status, $answer) = $brain->hook('git', $body);
is($status, 202, 'a good one: 202');
like($answer, qr/\A\{"delivery":1\}\z/, 'it gets its number');
($status, $answer) = $brain->hook('github', $body, path => '/hook/github/second');
is($status, 202, 'a second account of a dialect has its own secret');
Brain::spew("$brain->{tmp}/secrets/brain/hook-git.previous", "before\n", 0600);
is(($brain->hook('git', $body, secret => 'before'))[0], 202, 'the previous secret is good, without a restart');
unlink "$brain->{tmp}/secrets/brain/hook-git.previous";
is(($brain->hook('git', $body, secret => 'before'))[0], 401, 'until it is removed');
Brain::spew("$brain->{tmp}/secrets/brain/hook-git", "new\n", 0600);
is(($brain->hook('git', $body, secret => 'new'))[0], 202, 'a new secret is good at once');
Brain::spew("$brain->{tmp}/secrets/brain/hook-git", "\n", 0600);
is(($brain->hook('git', $body, secret => ''))[0], 401, 'an empty secret protects nothing: refused');
Brain::spew("$brain->{tmp}/secrets/brain/hook-git", "$brain->{secret}{git}\n", 0600);
is(($brain->hook('git', '{"a":"' . 'x' x 200000 . '"}'))[0], 202, 'a body over 64 KiB');

for (['github'], ['gitea'], ['gitlab'], ['launchpad', qr/not understood/]) {
	my ($dialect, $decision) = @$_;
	($status, $answer) = $brain->hook($dialect, $body);
	is($status, 202, "a hook of $dialect is stored");
	my ($number) = $answer =~ /(\d+)/;
	ok(wait_for(sub { $brain->decisions($number) =~ ($decision // qr/not read yet/) }), "and decided");
}

# --- what was said 202 to is there after the worst
my ($last) = ($brain->hook('github', '{"last":"one"}'))[1] =~ /(\d+)/;
$brain->stop('KILL');
ok($brain->start, 'it starts again after kill -9');
is($brain->ask('status')->{deliveries}, $last, 'and has every delivery');
ok(wait_for(sub { $brain->decisions($last) =~ /not read yet/ }), 'and what was decided');

# --- pages
($status, $answer) = $brain->get('/');
is($status, 200, 'the first page');
is(($brain->get('/nothing'))[0], 404, 'no such page: 404');
is(($brain->get('/builds/' . 'a' x 32))[0], 404, 'no such build: 404');
is(($brain->get('/', '-X', 'POST', '-H', 'Content-Length: 0'))[0], 405, 'pages are only read');
like(($brain->get('/', '-i'))[1], qr/^Content-Security-Policy: default-src 'none'/mi, 'pages carry a content security policy');

# --- the process
my $pid = $brain->{pid};
is(Brain::run('stat', '-c', '%a', "$brain->{tmp}/state/brain/state.db"), '600', 'the state is private');
my $other = Brain->new;
$other->{hook} = $brain->{hook};
Brain::spew("$other->{etc}/byov.conf", Brain::slurp("$other->{etc}/byov.conf") =~ s/^hook\.listen.*$/hook.listen = 127.0.0.1:$brain->{hook}/mr);
ok(!$other->start, 'a second brain on the same port does not start');
my @lines = split /\n/, $other->log;
is(scalar @lines, 1, 'and says so in one line') or diag($other->log);
like($lines[0], qr/hook\.listen.*127\.0\.0\.1:$brain->{hook}/, 'that names the option and the address');
undef $other;
my $said = Brain::run('sh', '-c', "BYOCI_ROOT=$brain->{root} $brain->{bin}/byoci-brain -n brt 2>&1; echo status \$?");
like($said, qr/status [1-9]/, 'a second brain of the same namespace does not start');
is($said =~ tr/\n//, 1, 'and says so in one line') or diag($said);
for my $row (
	['an unknown option', sub { Brain::spew_append("$_[0]{etc}/byov.conf", "\n[brt]\nhok.listen = x\n") }, qr/byov\.conf:\d+: \[brt\] hok\.listen: .*hook\.listen/],
	['a state that is none', sub { Brain::spew("$_[0]{tmp}/state/brain/state.db", 'x' x 5000) }, qr/state\.db: /],
	['a state of somebody else', sub { system('sqlite3', "$_[0]{tmp}/state/brain/state.db", 'CREATE TABLE x (y)') }, qr/state\.db: not a state of byoci/],
	['a folder that was never set up', sub { rmdir "$_[0]{tmp}/state/brain" }, qr/state\/brain.*setup\/byoci brt/],
	['no folder for its socket', sub { rmdir "$_[0]{tmp}/run/brain" }, qr/run\/brain\/socket/],
) {
	my ($what, $break, $words) = @$row;
	my $broken = Brain->new;
	$break->($broken);
	my $out = Brain::run('sh', '-c', "BYOCI_ROOT=$broken->{root} timeout 180 $broken->{bin}/byoci-brain -n brt 2>&1; echo status \$?");
	like($out, qr/\Abyoci-brain: [^\n]*$words[^\n]*\nstatus (64|75)\z/, "$what: it does not start and says so in one line");
}
like(Brain::run("$brain->{bin}/byoci-brain", '--version'), qr/^byoci-brain \S+/, '--version');
is($brain->stop('TERM'), 0, 'SIGTERM ends it cleanly');
ok($brain->start, 'and it starts again');
is($brain->stop('INT'), 0, 'SIGINT too');
unlike($brain->log =~ s{.*account=bare.*}{}r, qr{^error}m, 'nothing went wrong meanwhile') or diag($brain->log);

done_testing;
