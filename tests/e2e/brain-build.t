#!/usr/bin/perl
# A build while it runs: its log as it grows, its slave busy, unwilling or forgetful, and its end when nobody wants it any more.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Brain;
use Test::More;
use Time::HiRes qw(sleep);
use Wait;

chdir "$FindBin::Bin/../..";
my $brain = Brain->new;
$brain->make_repository;
my $tmp = $brain->{tmp};
my $log = join '', map { "line $_ \x{c3}\x{a9}\n" } 1 .. 2000;
$brain->lander;

# Prints half of the log, waits for the file $tmp/go (or $tmp/cancelled), prints the rest. Strict about offsets, like the real one.
sub slow_slave {
	my ($start) = @_;
	$brain->end_double('slave');
	unlink "$tmp/go", "$tmp/cancelled", "$tmp/slave.heard";
	$brain->double('slave', sub {
		my ($message, $say) = @_;
		if ($message->{op} eq 'start') {
			my $answer = $start ? $start->($message) : undef;
			if ($answer) { $say->($answer); return 1 }
			Brain::spew("$tmp/spec", $Brain::json->encode($message->{spec}));
			$say->({ok => JSON::PP::true, build => $message->{spec}{build}});
			return 1;
		}
		if ($message->{op} eq 'cancel') {
			Brain::spew("$tmp/cancelled", '');
			$say->({ok => JSON::PP::true});
			return 1;
		}
		my $spec = $Brain::json->decode(Brain::slurp("$tmp/spec"));
		my $at = $message->{offset};
		if ($at > length $log or $at > 0 && substr($log, $at - 1, 1) ne "\n") {
			$say->({error => 'offset: not the beginning of a line', kind => 'input'});
			return 0;
		}
		my $half = index($log, "\n", length($log) / 2) + 1;
		for my $end ($half, length $log) {
			sleep 0.02 until $end == $half || -e "$tmp/go" || -e "$tmp/cancelled";
			for (; $at < $end; $at += 9000) {
				my $cut = $at + 9000 >= $end ? $end : index($log, "\n", $at + 9000) + 1;
				my $piece = substr $log, $at, $cut - $at;
				utf8::decode($piece);
				$say->({log => $piece, offset => $cut});
				$at = $cut - 9000;
			}
			$at = $end if $at > $end;
		}
		$say->({result => $brain->result_line($spec, -e "$tmp/cancelled" ? (outcome => 'cancelled') : ()), outcome => 'success', offset => length $log});
		return 0;
	});
}

sub proposed {
	my ($name) = @_;
	my $commit = $brain->commit($name);
	$brain->propose($name, $commit);
	$brain->approve($name, $commit);
	$brain->tell("refs/proposals/$name/head");
	return $commit;
}

sub build_of { my $show = $brain->ask('show', $_[0]); return $show && $show->{builds}[-1] }
sub state_is {
	my ($name, $wanted, $what) = @_;
	ok(wait_for(sub { $brain->item($name)->{state} eq $wanted }), $what)
		or diag($brain->item($name)->{state}, $brain->decisions($name), $brain->log);
}

# --- the log while it grows
slow_slave();
ok($brain->start, 'it starts') or BAIL_OUT($brain->log);
proposed('grows');
ok(wait_for(sub { my $build = build_of('grows'); $build && $build->{state} eq 'running' }), 'a build runs');
my $id = build_of('grows')->{build};
my $file = "$tmp/state/brain/logs/$id.log";
my $half = index($log, "\n", length($log) / 2) + 1;
ok(wait_for(sub { -s $file == $half }), 'what it printed so far is kept');
system("curl -sN -m 600 http://127.0.0.1:$brain->{pages}/builds/$id/log > $tmp/live & echo \$! > $tmp/live.pid");
system("BYOCI_ROOT=$brain->{root} $brain->{bin}/byoci -n brt log -f $id > $tmp/asked &");
ok(wait_for(sub { -s "$tmp/live" == $half }), 'and shown while it runs');
is(($brain->get("/builds/$id/log", '-r', '0-5'))[1], 'line 1', 'a range is answered at once');
like(($brain->get("/builds/$id"))[1], qr/running/, 'the page says that it runs');
Brain::spew("$tmp/go", '');
state_is('grows', 'landed', 'it goes on and lands');
ok(wait_for(sub { -s "$tmp/live" == length $log }), 'who looked on saw the rest');
is(Brain::slurp("$tmp/live"), $log, 'byte by byte');
ok(wait_for(sub { -s "$tmp/asked" == length $log && Brain::slurp("$tmp/asked") eq $log }), 'and so did byoci log -f');
is(($brain->get("/builds/$id/log"))[1], $log, 'and who comes later');

# --- looked at before it begins
$brain->end_double('slave');
proposed('early');
ok(wait_for(sub { build_of('early') }), 'a build waits for its slave');
$id = build_of('early')->{build};
system("curl -sN -m 600 http://127.0.0.1:$brain->{pages}/builds/$id/log > $tmp/early &");
slow_slave();
Brain::spew("$tmp/go", '');
state_is('early', 'landed', 'the slave comes, it lands');
ok(wait_for(sub { Brain::slurp("$tmp/early") eq $log }), 'who looked on from before the beginning saw it all');

# --- killed in the middle of a line
slow_slave();
proposed('torn');
ok(wait_for(sub { my $build = build_of('torn'); $build && $build->{state} eq 'running' }), 'a build runs');
$id = build_of('torn')->{build};
$file = "$tmp/state/brain/logs/$id.log";
ok(wait_for(sub { -s $file == $half }), 'and printed');
$brain->stop('KILL');
truncate $file, $half - 3;
ok($brain->start, 'the brain is killed, the last line of the log is torn');
Brain::spew("$tmp/go", '');
state_is('torn', 'landed', 'the build goes on');
is(Brain::slurp($file), $log, 'and its log is whole');

# --- nobody wants it any more
slow_slave();
my $commit = proposed('unwanted');
ok(wait_for(sub { my $build = build_of('unwanted'); $build && $build->{state} eq 'running' }), 'a build runs');
$brain->git('update-ref', 'refs/proposals/unwanted/head', $brain->commit('other', $commit));
$brain->tell('refs/proposals/unwanted/head');
state_is('unwanted', 'removed', 'a push takes its item out');
ok(wait_for(sub { -e "$tmp/cancelled" }), 'and the slave is asked to end it');
ok(wait_for(sub { my $build = build_of('unwanted'); $build->{state} eq 'done' && $build->{outcome} eq 'cancelled' }), 'it ends as cancelled');

# --- a slave that does not want
slow_slave(sub { my $tries = "$tmp/tries"; Brain::spew_append($tries, 'x'); -s $tries < 3 ? {error => 'another build runs', kind => 'busy'} : undef });
Brain::spew("$tmp/go", '');
proposed('busy');
state_is('busy', 'landed', 'a busy slave is asked again');
is(scalar(@{$brain->ask('show', 'busy')->{builds}}), 1, 'for the same build');
slow_slave(sub { {error => 'submodules are not allowed', kind => 'refused'} });
proposed('refused');
state_is('refused', 'rejected', 'what the slave refuses is rejected');
like($brain->decisions('refused'), qr/submodules are not allowed/, 'with its reason');
slow_slave(sub { {nonsense => 1} });
proposed('nonsense');
ok(wait_for(sub { $brain->decisions('nonsense') =~ /not the proposal's fault.*not understood/ }), 'a slave that talks nonsense is trouble, not the proposal\'s fault');
is($brain->stop('TERM'), 0, 'it ends cleanly');
unlike($brain->log, qr/^error/m, 'and nothing went wrong') or diag($brain->log);

done_testing;
