#!/usr/bin/perl
# The ways to a master: password with crumbs, folders, a path behind a proxy, TLS by a private authority, two masters.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use OnMaster;
use Test::More;
use Wait;

chdir "$FindBin::Bin/../..";
sub lands {
	my ($on, $what, $name) = @_;
	$on->proposed($name);
	ok($on->landed($name), "$what: it lands") or diag($on->why($name));
	is($on->twice, '', "$what: built once");
}

# --- a password, with crumbs that expire
my $on = OnMaster->new(secret => 'pass word');
my $jn = $on->{jn};
ok($on->start, 'it starts') or BAIL_OUT($on->log);
lands($on, 'by password', 'p1');
my @posts = $jn->asked('POST', qr{buildWithParameters});
ok($posts[-1]{headers}{'jenkins-crumb'} && $posts[-1]{headers}{cookie}, 'with a crumb and its session');
$jn->control('expire');
lands($on, 'an expired crumb', 'p2');
$jn->from_now;
$jn->control('fault', path => '^/crumbIssuer', status => 503, times => 2);
$jn->control('expire');
lands($on, 'no crumb for a while', 'p3');
$jn->control('clear');
unlike($on->log, qr/pass word/, 'the password is nowhere in the log');
undef $on;

# --- a folder, behind a proxy with a path, which the master itself calls otherwise
$on = OnMaster->new(folder => 'team/ci', double => ['--prefix', '/jenkins']);
$on->{jn}->control('set', root_url => 'http://ci.invalid/jenkins/');
ok($on->start, 'it starts') or BAIL_OUT($on->log);
lands($on, 'in a folder behind a proxy', 'p1');
undef $on;

# --- TLS
my $tls = File::Temp::tempdir('/tmp/byoci-tls.XXXXXX', CLEANUP => 1);
Brain::run('sh', '-c', "cd $tls && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1 -addext "
	. 'subjectAltName=IP:127.0.0.1 -keyout key -out cert 2>&1');
$on = OnMaster->new(double => ['--tls', "$tls/cert", "$tls/key"], options => "master.ca = $tls/cert\n");
ok($on->start, 'it starts') or BAIL_OUT($on->log);
lands($on, 'by TLS', 'p1');
$on->stop;
Brain::spew("$on->{etc}/byov.conf", Brain::slurp("$on->{etc}/byov.conf") =~ s/^master\.ca.*\n//mr);
$on->start;
my $asked = @{$on->{jn}->control('asked')->{asked}};
$on->proposed('p2');
ok($on->said('p2', qr/certificate/i), 'another certificate is said') or diag($on->why('p2'));
is(scalar(@{$on->{jn}->control('asked')->{asked}}), $asked, 'and nothing is asked there');
undef $on;

# --- a job of its own master
my $second = Jenkins->new;
$on = OnMaster->new;
Brain::spew("$on->{etc}/byov.conf", Brain::slurp("$on->{etc}/byov.conf") =~ s{^\[job/unit\]\n}{[job/unit]\nmaster = second\n}mr
	. "[master/second]\nurl = $second->{root}\nuser = admin\nprefix = brt-\n");
Brain::spew("$on->{tmp}/secrets/brain/master-second", "$second->{token}\n", 0600);
my $first = $on->{jn};
$on->{jn} = $second;
$on->make_jobs;
ok($on->start, 'it starts') or BAIL_OUT($on->log);
lands($on, 'on the second master', 'p1');
is(scalar(@{$first->control('asked')->{asked}}), 0, 'the first was not asked');
done_testing;
