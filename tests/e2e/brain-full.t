#!/usr/bin/perl
# The disk is full: hooks get 503 and Retry-After, nothing that was answered with 202 is lost, and with room again all is well without
# a restart. Needs root for a small file system of its own.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Brain;
use Test::More;
use Wait;

chdir "$FindBin::Bin/../..";
plan skip_all => 'needs root, for a tmpfs' if $> != 0;
my $brain = Brain->new;
$brain->make_repository;
my $folder = "$brain->{tmp}/state/brain";
system('mount', '-t', 'tmpfs', '-o', 'size=6M,mode=700', 'tmpfs', $folder) == 0 or plan skip_all => 'a tmpfs can not be mounted here';
END { system('umount', '-l', $folder) if $folder }

ok($brain->start, 'it starts on a small disk') or BAIL_OUT($brain->log);
my $body = '{"a":"' . 'x' x 100000 . '"}';
my ($kept, $status, $answer) = (0, 0, '');
for (1 .. 200) {
	($status, $answer) = $brain->hook('github', $body, curl => ['-i']);
	last if $status != 202;
	$kept++;
}
cmp_ok($kept, '>', 10, "$kept deliveries fit");
is($status, 503, 'then: 503');
like($answer, qr/^Retry-After: \d+/mi, 'with Retry-After');
ok($brain->alive, 'it goes on');
is(($brain->get('/healthz'))[0], 200, 'healthz');
is(($brain->get('/readyz'))[0], 503, 'readyz says that it can not keep what it hears');
is($brain->ask('status')->{deliveries}, $kept, 'what was answered with 202 is there');
like($brain->ask('status')->{slave}{trouble}, qr/state can't be written|full/, 'and that the slave can not be asked is told');
is(system('mount', '-o', 'remount,size=64M', $folder), 0, 'room is made');
ok(wait_for(sub { ($brain->get('/readyz'))[0] == 200 }), 'readyz is well again, by itself');
is(($brain->hook('github', $body))[0], 202, 'and hooks are taken');
$brain->stop('KILL');
ok($brain->start, 'after a kill');
is($brain->ask('status')->{deliveries}, $kept + 1, 'all are there');
is($brain->stop('TERM'), 0, 'it ends cleanly');

done_testing;
