#!/usr/bin/perl
# Artefacts on the pages of a build: a browser saves them and shows none, whatever they are and are called; and what the slave has instead
# of what its result says goes nowhere.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FindBin;
use lib $FindBin::Bin;
use Test::More;
use Wait;
use Widget;

chdir "$FindBin::Bin/../..";
Widget::begin(start => 0);
$whole->{job} = "artefacts = out/**\nartefacts.count = 200";
$whole->configure;
$whole->start_all or BAIL_OUT($whole->logs);
hook_on();

main_now();
$lp->git('checkout', '-q', '-B', 'files', 'refs/remotes/main');
my $hostile = '.h"t;ml<b>.html';
Brain::spew("$lp->{tmp}/work/run-tests", <<'END', 0755);
#!/bin/sh
umask 022
mkdir out
echo '<script>alert(1)</script>' >'out/.h"t;ml<b>.html'
head -c 3000000 /dev/zero | tr '\0' x >out/large
: >out/empty
END
my $commit = push_to_fork('files');
my $made = $lp->control('propose', person => 'ann', source => [$fork, 'refs/heads/files'], target => [$name, 'refs/heads/main'], commit_message => 'Do files');
has_diff_of($made, $commit);
approves($made);
comes_to($made, 'landed', 'a proposal that leaves files');
my $build = $whole->ask('show', $made->{id})->{builds}[0]{build};
my @list = @{$whole->ask('show', $build)->{build}{artefacts}{list} // []};
is(scalar(@list), 3, 'which its result lists') or diag($whole->logs);
my %at = map { $list[$_]{path} => $_ + 1 } 0 .. $#list;

# --- as they should be
my ($status, $page) = $whole->get("/builds/$build");
is($status, 200, 'the page of the build');
like($page, qr{<a href="/builds/$build/artefacts/$at{'out/large'}">out/large</a>}, 'leads to each');
unlike($page, qr{<b>\.html}, 'and shows names as text');
($status, my $bytes) = $whole->get("/builds/$build/artefacts/$at{'out/large'}");
is($status, 200, 'one is had');
is(sha256_hex($bytes), $list[$at{'out/large'} - 1]{sha256}, 'with its very bytes');
($status, $bytes) = $whole->get("/builds/$build/artefacts/$at{'out/large'}", '-r', '5-9');
is("$status $bytes", '206 xxxxx', 'also a part of it');
is(join(' ', $whole->get("/builds/$build/artefacts/$at{'out/empty'}")), '200 ', 'also an empty one');
my ($at) = $at{"out/$hostile"};
(undef, my $head) = $whole->get("/builds/$build/artefacts/$at", '-D', '-', '-o', '/dev/null');
like($head, qr{^Content-Type: application/octet-stream\r$}m, 'a page is no page');
like($head, qr{^X-Content-Type-Options: nosniff\r$}m, 'nor is it taken for one');
like($head, qr{^Content-Security-Policy: default-src 'none'; sandbox\r$}m, 'and could do nothing');
like($head, qr{^Content-Disposition: attachment; filename="_h_t_ml_b_.html"\r$}m, 'it is saved, under a name without a meaning');
is((() = $head =~ /^[\w-]+: /mg), (() = $head =~ /\n/g) - 2, 'no line of the head is its own');

# --- what is not there
is(($whole->get("/builds/$build/artefacts/$_"))[0], 404, "no artefact: $_") for qw(0 4 01 1x 99999999999999999999 large);
is(($whole->get("/builds/$build/artefacts/..%2f..%2fspec.json"))[0], 404, 'nor another file');
is(($whole->get('/builds/' . '0' x 32 . '/artefacts/1'))[0], 404, 'nor one of another build');
is(($whole->curl('-d', '', "http://127.0.0.1:$whole->{pages}/builds/$build/artefacts/1"))[0], 405, 'pages are only read');

# --- more than a result lists
main_now();
$lp->git('checkout', '-q', '-B', 'many', 'refs/remotes/main');
Brain::spew("$lp->{tmp}/work/run-tests", <<'END', 0755);
#!/bin/sh
umask 022
mkdir out
for number in $(seq 130); do printf %s "$number" >"out/<b>$number"; done
END
my $pushed = push_to_fork('many');
my $more = $lp->control('propose', person => 'ann', source => [$fork, 'refs/heads/many'], target => [$name, 'refs/heads/main'], commit_message => 'Do many');
has_diff_of($more, $pushed);
approves($more);
comes_to($more, 'landed', 'a proposal that leaves many files');
my $many = $whole->ask('show', $more->{id})->{builds}[0]{build};
($status, $page) = $whole->get("/builds/$many");
is(scalar(() = $page =~ m{href="/builds/$many/artefacts/\d+"}g), 100, 'a page has a hundred of them');
like($page, qr{<a href="/builds/$many/artefacts\?first=101">30 more</a>}, 'and leads to the others');
($status, $page) = $whole->get("/builds/$many/artefacts?first=101");
is($status, 200, 'which are on the next');
is(scalar(() = $page =~ m{href="/builds/$many/artefacts/\d+"}g), 30, 'all of them');
unlike($page, qr{<b>\d|first=}, 'as text, and nothing after them');
my ($called) = $page =~ m{href="/builds/$many/artefacts/130">out/&lt;b&gt;(\d+)</a>};
is(join(' ', $whole->get("/builds/$many/artefacts/130")), "200 $called", 'one of these is had');
(undef, $head) = $whole->get("/builds/$many/artefacts/130", '-D', '-', '-o', '/dev/null');
like($head, qr{^Content-Disposition: attachment; filename="_b_$called"\r$}m, 'and is saved, under a name without a meaning');
is(scalar(() = ($whole->get("/builds/$many/artefacts"))[1] =~ m{artefacts/\d+"}g), 100, 'the first are there, too');
is(($whole->get("/builds/$many/artefacts$_"))[0], 404, "nothing is at $_") for qw(/131 ?first=131 ?first=0 ?first=x ?first=-1);
is(($whole->get("/builds/$build/artefacts?first=4"))[0], 404, 'nor behind the end of another');
Brain::spew("$whole->{tmp}/state/slave/builds/$many/artefacts/130", 'longer');
is(($whole->get("/builds/$many/artefacts/130"))[0], 503, 'what is not as it was is not had');
rename "$whole->{tmp}/state/slave/builds/$many/artefacts.json", "$whole->{tmp}/list";
Brain::spew("$whole->{tmp}/state/slave/builds/$many/artefacts.json", '[' . ' ' x 5000000 . ']');
is(($whole->get("/builds/$many/artefacts?first=101"))[0], 503, 'a list too long to wait for is for people on the slave');
unlink "$whole->{tmp}/state/slave/builds/$many/artefacts.json";
is(($whole->get("/builds/$many/artefacts$_"))[0], 404, "without a list there is no $_") for qw(/130 ?first=101);

# --- what the slave has instead
my $file = "$whole->{tmp}/state/slave/builds/$build/artefacts/$at{'out/large'}";
my $address = "/builds/$build/artefacts/$at{'out/large'}";
sub instead { my ($what, $make, $wanted) = @_; unlink $file; $make->(); is(($whole->get($address))[0], $wanted, "instead of it $what: none is had") }
instead('a longer file', sub { Brain::spew($file, 'x' x 3000001) }, 503);
instead('a link', sub { symlink '/etc/passwd', $file }, 503);
instead('a pipe', sub { POSIX::mkfifo($file, 0600) }, 503);
instead('a folder', sub { mkdir $file }, 503);
rmdir $file;
instead('nothing', sub { }, 404);
Brain::spew($file, 'x' x 3000000);
is(($whole->get($address))[0], 200, '(it is there again)');

# --- a slave that does not answer holds nobody up
kill 'STOP', $whole->{daemon}{slave};
my @waiting = map {
	my $pid = fork // die;
	if (!$pid) {
		setpgrp 0, 0;
		exec('sh', '-c', 'while :; do curl -s -o /dev/null "$0"; done', "http://127.0.0.1:$whole->{pages}$address") or POSIX::_exit(127);
	}
	setpgrp $pid, $pid; # if it has not come to do that itself
	$pid;
} 1 .. 16;
ok(wait_for(sub { ($whole->get($address, '-m', 5))[1] =~ /too many artefacts are asked for at once/ }), 'many that wait for a slave are enough');
is(($whole->get('/healthz'))[0], 200, 'and everybody else is served');
kill 'TERM', map { -$_ } @waiting;
waitpid $_, 0 for @waiting;
kill 'CONT', $whole->{daemon}{slave};
ok(wait_for(sub { ($whole->get($address))[0] == 200 }), 'when it goes on, it is as before');
$whole->end('slave');
($status, $bytes) = $whole->get($address);
like("$status $bytes", qr/^503 .*nobody is there/, 'without a slave that is said');
is(($whole->get("/builds/$build"))[0], 200, 'and the page is there');
done_testing();
