#!/usr/bin/perl
# What is past ends: messages, calls, reasons and logs go when their time has come, and nothing that is still wanted goes with them.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Brain;
use Test::More;
use Wait;

chdir "$FindBin::Bin/../..";
my $brain = Brain->new(extra => "[brt]\nhistory.keep = 90d\nlogs.keep = 0s\n");
my $state = "$brain->{tmp}/state/brain";
$brain->make_repository;
$brain->slave(sub { () });
$brain->lander;

sub sql { my ($text) = @_; return Brain::run('sqlite3', "$state/state.db", $text) }
sub count { my ($what) = @_; return sql("SELECT count(*) FROM $what") }
sub proposed { my ($name) = @_; my $commit = $brain->commit($name); $brain->propose($name, $commit); $brain->tell("refs/proposals/$name/head"); return $commit }
sub lands {
	my ($name) = @_;
	$brain->approve($name, proposed($name));
	$brain->tell("refs/proposals/$name/head");
	ok(wait_for(sub { $brain->item($name)->{state} eq 'landed' && $brain->decisions($name) =~ /told the proposal: landed/ }), "$name lands")
		or diag($brain->decisions($name), $brain->log);
	return $brain->ask('show', $name)->{builds}[0]{build};
}
# The brain is started anew and looks at all that is past, which its log says.
sub look_again {
	my $seen = () = $brain->log =~ /what is past is removed/g;
	return $brain->start && wait_for(sub { $seen < (() = $brain->log =~ /what is past is removed/g) });
}

ok($brain->start, 'a brain') or BAIL_OUT($brain->log);
my $build = lands('one');
proposed('open');
ok(wait_for(sub { $brain->decisions('open') =~ /not approved/ }), 'a proposal that stays open');
my ($status, $body) = $brain->hook('github', '{"n":0}');
for my $n (1 .. 20) { $brain->hook('github', qq({"n":$n,"filling":") . 'x' x 5000 . '"}') }
my $ref = sql('SELECT delivery FROM items');
like($ref, qr/^\d+$/, 'an item knows what message it came from');
$brain->stop('TERM');
is(count('deliveries'), 24, 'messages');

# --- young: nothing goes
ok($brain->start, 'as long as all is young');
not_within(1, sub { $brain->log =~ /what is past is removed/ });
unlike($brain->log, qr/what is past is removed/, 'nothing goes');
$brain->stop('TERM');

# --- old; one message is still unread
sql("UPDATE deliveries SET heard = heard - 8640000000, stored = stored - 8640000000; UPDATE decisions SET time = time - 8640000000;"
	. 'UPDATE calls SET made = made - 8640000000, started = started - 8640000000, ended = ended - 8640000000;'
	. q{WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO deliveries (dialect, account, kind, key,}
	. q{ heard, stored, body) SELECT 'github', 'github', 'push', 'many', 1, 1, zeroblob(90000) FROM n;}
	. q(INSERT INTO decisions (time, stage, delivery, text) SELECT 1, 'proposal', id, 'x' FROM deliveries WHERE key = 'many';)
	. q(INSERT INTO deliveries (dialect, account, kind, key, heard, stored, body) VALUES ('github', 'github', 'push', 'k', 1, 1, x'7b7d');)
	. q(INSERT INTO proposal_inbox (kind, ref, due, attempts) SELECT 'delivery', max(id), 1000 * (strftime('%s') + 86400), 0 FROM deliveries;)
	. q(INSERT INTO deliveries (dialect, account, kind, key, heard, stored, body) VALUES ('github', 'github', 'push', 'k', 1, 1, x'7b7d');)
	. q(INSERT INTO calls (kind, lane, key, request, stage, state, attempts, due, made) VALUES ('of-nobody', 'l', 'k', '', 0, 'intent', 0, 0, 1)));
utime 1, 1, "$state/logs/$build.log";
ok(look_again(), 'it is old, and goes') or BAIL_OUT($brain->log);
is(wait_for(sub { !count("calls WHERE state = 'answered' AND ended < 1000 * (strftime('%s') - 7776000)") }), 1, 'calls that were answered');
is(count("calls WHERE kind = 'of-nobody'"), 1, 'not one that waits');
is(sql("SELECT count(*), sum(length(body)) FROM deliveries WHERE id = $ref"), '1|0', 'of a message that an item refers to its body');
is(sql("SELECT count(*) FROM decisions WHERE time < 1000 * (strftime('%s') - 7776000) AND delivery NOT IN (SELECT delivery FROM items UNION SELECT delivery FROM proposals)"
	. " AND proposal IS NOT (SELECT id FROM proposals WHERE state = 'open')"), 0, 'reasons');
unlike($brain->decisions('one'), qr/told the proposal/, 'also about what landed');
like($brain->decisions('open'), qr/not approved/, 'but those about an open proposal stay');
cmp_ok(count('deliveries'), '<', 8, 'of the messages those are left that something refers to, and the last one');
is(count('deliveries WHERE length(body) > 100'), 0, 'none with its body');
is(sql("SELECT length(body) FROM deliveries WHERE id = (SELECT ref FROM proposal_inbox)"), 2, 'what is still to be read stays whole');
is(sql('PRAGMA foreign_key_check'), '', 'and everything that is referred to is there');
is(sql('PRAGMA integrity_check'), 'ok', '(the state is well)');
ok(-e "$state/logs/$build.log", 'logs stay for ever');
is(($brain->get("/builds/$build"))[0], 200, 'what was said on the forge leads to its page');
my @steps = map { $_->{step} } @{$brain->ask('show', 'one')->{timeline}};
like("@steps", qr/push heard.*landed/, 'with the whole way') or diag("@steps");
my $two = lands('two');

# --- logs
$brain->stop('TERM');
Brain::spew("$brain->{etc}/logs.conf", "[brt]\nlogs.keep = 30d\n");
utime 1, 1, "$state/logs/$build.log";
Brain::spew("$state/logs/notes.txt", 'mine');
utime 1, 1, "$state/logs/notes.txt";
ok(look_again(), 'now logs end, too') or diag($brain->log);
ok(!-e "$state/logs/$build.log", 'an old one is gone');
ok(-e "$state/logs/$two.log", 'a young one is not');
ok(-e "$state/logs/notes.txt", 'nor what is no log');
is(join(' ', $brain->get("/builds/$build/log")), '200 ', 'its address has nothing');
is(($brain->get("/builds/$build"))[0], 200, 'the page of its build is there');
($status) = $brain->hook('github', '{"n":999}');
is($status, 202, 'and hooks are taken');
$brain->stop('TERM');
done_testing();
