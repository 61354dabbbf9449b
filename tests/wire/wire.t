#!/usr/bin/perl
# The hook listener against everything that is no honest hook: tests/wire/*.vtc, played by varnishtest against a real brain; then
# a crowd of strangers. A refusal has a status and a reason, what was rightly signed is stored, and honest senders are served.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e";
use Brain;
use Digest::SHA qw(hmac_sha1_hex hmac_sha256_hex sha256_hex);
use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);
use Wait;

use constant {STRANGERS => 1000, DECLARED => 25 * 1024 * 1024, SENT => 320 * 1024, MEMORY => 128 * 1024}; # bytes, but MEMORY: kB

# A descriptor for each stranger.
exec 'sh', '-c', 'ulimit -Sn 2000 && exec perl "$@"', 'sh', $0, @ARGV if Brain::run('sh', '-c', 'ulimit -Sn') < STRANGERS + 100;
chdir "$FindBin::Bin/../..";
my $brain = Brain->new;
$brain->make_repository;
my $git = $brain->{secret}{git};

# --- what the cases send: ${bodies}/NAME, and ${NAME}, its signature
my %bodies = (
	plain    => '{"hello":"world"}',
	words    => 'hello, world',
	empty    => '',
	unclosed => '{"repository":',
	nested   => '{"refs":' . '[' x 10000 . ']' x 10000 . '}',
	bomb     => '[' . '[],' x 300000 . '[]]',
	nul      => "{\"repository\":\"a\0b\",\"refs\":[]}",
	escaped  => '{"repository":"a\u0000b","refs":[]}',
	utf8     => "{\"repository\":\"\xff\xfe\xc0\xaf\",\"refs\":[]}",
	twice    => '{"repository":"a","repository":"b","refs":[]}',
	first    => '{"number":1}',
	second   => '{"number":2}',
	limit    => '"' . 'x' x (1024 * 1024 - 2) . '"',
	over     => '"' . 'x' x (1024 * 1024 - 1) . '"',
);
mkdir "$brain->{tmp}/bodies" or die $!;
my @macros = ('-D', "hook=127.0.0.1 $brain->{hook}", '-D', "bodies=$brain->{tmp}/bodies");
for my $name (sort keys %bodies) {
	Brain::spew("$brain->{tmp}/bodies/$name", $bodies{$name});
	push @macros, '-D', "$name=" . hmac_sha256_hex($bodies{$name}, $git);
}
push @macros, '-D', 'sha1=' . hmac_sha1_hex($bodies{plain}, $git), '-D', 'token=' . $git,
	'-D', 'short=' . substr(hmac_sha256_hex($bodies{plain}, $git), 0, 32), '-D', 'upper=' . uc hmac_sha256_hex($bodies{plain}, $git);

sub rows {
	my ($query) = @_;
	return Brain::run('sqlite3', '-readonly', '-cmd', '.timeout 60000', "$brain->{tmp}/state/brain/state.db", $query);
}

sub memory {
	return Brain::slurp("/proc/$brain->{pid}/status") =~ /^VmHWM:\s+(\d+) kB/m ? $1 : 0;
}

# The body of a delivery, as it was sent. Each case sends with its own key.
sub is_stored {
	my ($key, @bodies) = @_;
	is(rows("SELECT lower(hex(body)) FROM deliveries WHERE key = '$key' ORDER BY id"), join("\n", map { unpack 'H*', $_ } @bodies),
		"stored as it was sent: $key");
}

sub why {
	my ($key, $pattern) = @_;
	my $id = rows("SELECT max(id) FROM deliveries WHERE key = '$key'");
	ok(wait_for(sub { $brain->decisions($id) =~ $pattern }), "and why says of it: $pattern") or diag($brain->decisions($id));
}

# --- one case after the other, on one brain
ok($brain->start(options => ['-O', 'hook.deadline=6s']), 'the brain starts') or BAIL_OUT($brain->log);
for my $case (@ARGV ? @ARGV : sort glob "tests/wire/*.vtc") {
	my $said = Brain::run('sh', '-c', 'exec timeout 300 varnishtest -t 280 "$@" 2>&1', 'varnishtest', @macros, $case);
	is($?, 0, $case) or diag($said);
	ok($brain->alive, 'the brain lives on') or BAIL_OUT($brain->log);
}
is(($brain->hook('git', $bodies{plain}))[0], 202, 'an honest sender is served after all that');

is_stored("wire-$_", $bodies{$_}) for qw(plain words empty unclosed nested bomb nul escaped utf8 twice limit);
is_stored('wire-again', @bodies{qw(first second)});
is_stored('wire-pipe', @bodies{qw(first second first)});
is(rows("SELECT count(*) FROM deliveries WHERE key LIKE 'refused%'"), 0, 'nothing of what was refused is stored');
why('wire-words', qr/not understood: not JSON/);
why('wire-empty', qr/not understood: not JSON/);
why('wire-nested', qr/not understood: JSON nested deeper than 64/);
why('wire-bomb', qr/not understood: JSON with more than/);
why('wire-nul', qr/not understood: not JSON/);
why('wire-utf8', qr/not understood: not JSON/);
why('wire-plain', qr/not understood: repository: missing/);
ok(wait_for(sub { rows('SELECT sum(count) FROM refusals WHERE status = 401') > 10 }), 'refusals are counted');
ok(wait_for(sub { rows('SELECT count(DISTINCT status) FROM refusals') >= 5 }), 'each kind of them') or diag(rows('SELECT * FROM refusals'));
cmp_ok(memory(), '<', 96 * 1024, 'with ' . memory() . ' kB at most');
is($brain->stop, 0, 'it ends cleanly');

# --- strangers: each says that 25 MB will come, sends a part, and waits
my @strangers;

sub stranger {
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $brain->{hook}, Blocking => 0) or return;
	my $head = "POST /hook/git HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-Byoci-Event: push\r\n" .
		'X-Byoci-Signature: sha256=' . 'ab' x 32 . "\r\nContent-Length: " . DECLARED . "\r\n\r\n";
	push @strangers, {socket => $socket, left => $head . 'x' x SENT};
}

# Until no stranger has sent anything for a moment: their connections are closed, full, or have sent their part.
sub push_on {
	my ($seconds) = @_;
	my $end = time + $seconds;
	my $open = IO::Select->new(map { $_->{socket} } grep { length $_->{left} } @strangers);
	my %by = map { $_->{socket} => $_ } @strangers;
	local $SIG{PIPE} = 'IGNORE';
	while ($open->count && time < $end) {
		for my $socket ($open->can_write(0.5)) {
			my $stranger = $by{$socket};
			my $put = syswrite $socket, $stranger->{left}, 65536;
			$stranger->{left} = defined $put ? substr $stranger->{left}, $put : $!{EAGAIN} ? $stranger->{left} : '';
			$open->remove($socket) if !length $stranger->{left};
		}
	}
}

sub honest {
	my ($what) = @_;
	my $began = time;
	is(($brain->hook('git', $bodies{plain}))[0], 202, sprintf '%s (%.0f ms)', $what, (time - $began) * 1000);
	cmp_ok(time - $began, '<', 20, 'long before the strangers have to end');
}

ok($brain->start(options => ['-O', 'hook.body.limit=25M']), 'the brain starts, with a limit of 25 MB and its own deadline');
for (1 .. STRANGERS / 100) {
	stranger() for 1 .. 100;
	push_on(3);
	honest('an honest sender is served with ' . @strangers . ' strangers there') if $_ % 3 == 1;
}
honest('and when they all are there');
is(scalar @strangers, STRANGERS, STRANGERS . ' strangers came');
cmp_ok(memory(), '<', MEMORY, 'the brain has ' . memory() . ' kB at most');
close $_->{socket} for @strangers;
honest('an honest sender is served when they are gone');
is($brain->stop, 0, 'it ends cleanly');
unlike($brain->log, qr/^(error|warning)/m, 'nothing went wrong') or diag($brain->log);

done_testing;
