#!/usr/bin/perl
# The reader of proposals that stays: one for a project, there again when it ended, and believing no more than one that is started anew.
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
$brain->lander;
$brain->slave(sub { () });
$brain->start or BAIL_OUT($brain->log);
my $signers = "$brain->{etc}/allowed_signers/sample";
my $known = Brain::slurp($signers);

sub is_reader { return Brain::slurp("/proc/$_[0]/cmdline") =~ /\0git-read\0.*--serve/s }
sub reader { return grep { is_reader($_) } split ' ', Brain::run('pgrep', '-P', $brain->{pid}) }
sub told { my ($name) = @_; return ($brain->tell("refs/proposals/$name/head"))[0] == 202 }
sub lands { my ($name) = @_; return wait_for(sub { $brain->item($name)->{state} eq 'landed' }) || (diag($brain->decisions($name), $brain->log), 0) }
sub proposed { my ($name) = @_; my $commit = $brain->commit($name); $brain->propose($name, $commit); return $commit }
sub approved { my ($name) = @_; $brain->approve($name, proposed($name)); return told($name) }

approved('one');
ok(lands('one'), 'a proposal lands');
my @first = reader();
is(scalar @first, 1, 'there is one reader that stays');
approved('two');
ok(lands('two'), 'another lands');
is_deeply([reader()], \@first, 'read by the same one');
kill 'KILL', @first;
ok(wait_for(sub { !reader() }), 'it is killed');
approved('three');
ok(lands('three'), 'and another one reads the next');
my ($second) = reader();
kill 'STOP', $second;
approved('four');
ok(wait_for(sub { $brain->decisions('four') || 1 }), 'while it does not answer');
kill 'KILL', $second;
ok(lands('four'), 'it is killed: what it was asked is asked again');
my ($third) = reader();
kill 'HUP', $brain->{pid};
ok(wait_for(sub { !grep { $_ == $third } reader() }), 'when the configuration is read again it goes');
approved('five');
ok(lands('five'), 'and the next one reads by the new');

# Who counts is looked up for each read.
(my $without = $known) =~ s/^ben .*\n//m;
Brain::spew($signers, $without);
approved('six');
ok(wait_for(sub { $brain->decisions('six') =~ /not approved/ }), 'an approval by a key that is not in allowed_signers does not count');
Brain::spew($signers, $known);
told('six');
ok(lands('six'), 'when it is there again it does');
(my $past = $known) =~ s/^(ben) namespaces="([^"]*)"/$1 namespaces="$2",valid-before="20200101"/m;
Brain::spew($signers, $past);
approved('seven');
ok(wait_for(sub { $brain->decisions('seven') =~ /not approved/ }), 'nor does one by a key whose time is over');
Brain::spew($signers, $known =~ s/namespaces="[^"]*" //gr);
told('seven');
ok(lands('seven'), 'a line without options counts for everything');
Brain::spew($signers, $known);

# A signature of something else, under a record that says what it likes.
my $eight = proposed('eight');
$brain->approve('eight', $eight);
my ($ref) = map { (split)[1] } grep { $brain->git('cat-file', 'blob', (split)[0]) =~ /"approve"/ }
	split /\n/, $brain->git('for-each-ref', '--format=%(objectname) %(refname)', 'refs/proposals/eight/records');
my $blob = $brain->git('cat-file', 'blob', $ref) . "\n";
$brain->git('update-ref', '-d', $ref);
my $other = $brain->commit('other');
$brain->propose('eight', $other);
$blob =~ s/$eight/$other/ or die 'the record names no commit';
Brain::spew("$brain->{tmp}/forged", $blob);
$brain->git('update-ref', 'refs/proposals/eight/records/' . substr(Digest::SHA::sha256_hex($blob), 0, 32),
	$brain->git('hash-object', '-w', "$brain->{tmp}/forged"));
told('eight');
ok(wait_for(sub { $brain->decisions('eight') =~ /not approved/ }), 'a record that was changed after it was signed does not count');
like($brain->git('rev-parse', '--verify', '-q', 'refs/proposals/eight/head'), qr/^$other/, '(it is the one of the head)');
$brain->stop;
is($?, 0, 'the brain ends well');
ok(wait_for(sub { !grep { is_reader($_) } @first, $second, $third }), 'and leaves no reader');
done_testing;
