#!/usr/bin/perl
# What nobody means well by: signed nonsense, odd paths, broken lines on the control socket. The brain answers, says why, and goes on.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Brain;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Test::More;
use Wait;

chdir "$FindBin::Bin/../..";
my $brain = Brain->new;
$brain->make_repository;
ok($brain->start, 'it starts') or BAIL_OUT($brain->log);
my $identity = "127.0.0.1:$brain->{git}/sample";

# --- signed, and nonsense: kept, decided, nothing done
my @bodies = (
	['an empty object', '{}', qr/not understood: repository: missing/],
	['a number for a name', '{"repository":5}', qr/not understood: repository: must be a string/],
	['refs that are no list', '{"repository":"x","refs":5}', qr/not understood: refs: must be an array/],
	['a ref that is no object', qq({"repository":"$identity","refs":[5]}), qr/not understood: refs\[0\]/],
	['a proposal named ..', qq({"repository":"$identity","refs":[{"ref":"refs/proposals/../head"}]}), qr/nothing to do/],
	['a proposal named like an option', qq({"repository":"$identity","refs":[{"ref":"refs/proposals/--list/head"}]}), qr/nothing to do/],
	['a proposal that is not there', qq({"repository":"$identity","refs":[{"ref":"refs/proposals/nope/head"}]}), qr/closed/],
	['a repository of somebody else', '{"repository":"elsewhere/x","refs":[]}', qr/no project of account git has the repository/],
	['the same key twice', '{"a":1,"a":2}', qr/not understood: not JSON: .*duplicate/],
	['a deep nest', '{' . '"a":[' x 70, qr/not understood: JSON nested deeper/],
	['half a character', '{"x":"\ud800"}', qr/not understood: not JSON/],
	['no UTF-8', "{\"x\":\"\xff\xfe\"}", qr/not understood: not JSON/],
	['200,000 numbers', '{"refs":[' . join(',', (1) x 200000) . ']}', qr/not understood: JSON with more than/],
);
for my $row (@bodies) {
	my ($what, $body, $words) = @$row;
	my ($status, $answer) = $brain->hook('git', $body);
	my ($number) = $answer =~ /(\d+)/;
	ok($status == 202 && wait_for(sub { $brain->decisions($number) =~ $words }), "$what: kept and decided")
		or diag("$status $answer", $brain->decisions($number // 0));
}
is(scalar(@{$brain->ask('queue')->{targets}}), 0, 'nothing is queued by that');
my ($status) = $brain->hook('git', '{"again":1}', event => "push\tx");
is($status, 400, 'an event that is no word: 400');

# --- a request that never ends keeps nobody out
my @slow = map { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$brain->{hook}") } 1 .. 50;
print {$_} "POST /hook/git HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n" for @slow;
is(($brain->hook('git', '{"quick":1}'))[0], 202, 'fifty who are slow do not keep the others waiting');
close $_ for @slow;
my $gone = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$brain->{hook}");
print $gone "POST /hook/git HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Byoci-Event: push\r\nX-Byoci-Signature: sha256=00\r\n",
	"Content-Length: 100\r\n\r\n{\"half\":";
close $gone;
is(($brain->hook('git', '{"quick":2}'))[0], 202, 'nor does one who goes away in the middle');

# --- pages
for my $path ('/builds/../../etc/passwd/log', '/builds/%2e%2e/log', '/builds/' . 'a' x 32 . '/log', '/builds/' . 'A' x 32, '/proposals/sample/%3Cscript%3E',
	'/proposals/sample/a/b', '//', '/api/v1/builds/x', '/' . 'a' x 5000) {
	is(($brain->get($path, '--path-as-is'))[0], 404, substr("404: $path", 0, 50));
}
unlike(($brain->get('/proposals/sample/%3Cscript%3E'))[1], qr/<script>/, 'a page repeats nothing that it was asked for');

# --- the control socket
sub control {
	my ($line) = @_;
	my $socket = IO::Socket::UNIX->new(Peer => "$brain->{tmp}/run/brain/socket") or return 'no connection';
	local $SIG{PIPE} = 'IGNORE';
	print $socket $line;
	$socket->shutdown(1);
	local $/;
	return <$socket> // '';
}
my $id = 'a' x 32;
for my $line ('{}', '[]', '{"verb":5}', '{"verb":"why"}', '{"verb":"why","args":[]}', '{"verb":"why","args":{"proposal":5}}', '{"verb":"rm"}',
	'{"verb":"log","args":{"build":"../../../../etc/passwd"}}', qq({"verb":"log","args":{"build":"$id","offset":-5}}),
	'{"verb":"show","args":{"build":"' . '\u20ac' x 600 . '"}}', '{"verb":"why","args":{"delivery":"x"}}',
	'{"verb":"why","args":{"proposal":"../x","project":"\u20ac"}}') {
	my $answer = eval { $Brain::json->decode(control("$line\n")) };
	ok($answer && $answer->{error} && $answer->{exit} == 64, substr("an error and the exit status for usage: $line", 0, 100)) or diag(control("$line\n"));
}
is(control($_), '', 'a broken line ends its connection: ' . substr($_, 0, 20) =~ s/\n//r)
	for "hello\n", "null\n", '[' x 100000 . "\n", 'x' x (2 * 1024 * 1024), '{"verb":"why","args":{"proposal":"\u0000"}}' . "\n";
ok($brain->ask('status'), 'and the next one is answered');
is($brain->stop('TERM'), 0, 'it ends cleanly');
unlike($brain->log, qr/^error/m, 'and nothing went wrong') or diag($brain->log);

done_testing;
