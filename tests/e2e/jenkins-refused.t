#!/usr/bin/perl
# A master that refuses: nobody it knows, nothing that one may do, a job that is disabled, gone or made wrong. byoci says what is wrong and
# what to do about it, none of it is a failure of the tests, and when it is mended each attempt is built once.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use OnMaster;
use Test::More;
use Wait;

chdir "$FindBin::Bin/../..";
my $on = OnMaster->new(secret => 'pass word');
my $jn = $on->{jn};
my $gate = $on->job('gate');
ok($on->start, 'it starts') or BAIL_OUT($on->log);

my $plain = '<project><builders/></project>';
my $config = $jn->get("job/$gate/config.xml")->{content};
sub set_config { my ($xml) = @_; $jn->post("job/$gate/config.xml", content => $xml, type => 'application/xml')->{status} == 200 or die $xml }
sub set_secret { my ($text) = @_; Brain::spew("$on->{tmp}/secrets/brain/master", "$text\n", 0600) }
my $number = 0;
for (
	['disabled', sub { $jn->control('disable', job => $gate) }, qr/409.*disabled.*sync/, sub { $jn->control('disable', job => $gate, disabled => 0) }],
	['no such job', sub { $jn->control('rename', job => $gate, to => 'other') }, qr/404.*sync/, sub { $jn->control('rename', job => 'other', to => $gate) }],
	['no parameters', sub { set_config($plain) }, qr/400.*sync/, sub { set_config($config) }],
	['no right to build', sub { $jn->control('role', name => 'admin', role => 'read') }, qr/403/, sub { $jn->control('role', name => 'admin', role => 'admin') }],
	['another password', sub { $jn->{token} = $jn->control('user', name => 'admin', password => 'another')->{token} }, qr/401.*master\.(secret|user)/,
		sub { set_secret('another') }]) {
	my ($what, $break, $pattern, $mend) = @$_;
	my $name = 'p' . ++$number;
	$break->();
	$on->proposed($name);
	ok($on->said($name, $pattern), "$what: byoci says so") or diag($on->why($name));
	is(scalar($on->begun('gate')), $number - 1, "$what: nothing is built");
	$mend->();
	ok($on->landed($name), "$what, mended: it lands") or diag($on->why($name));
	unlike($on->decisions($name), qr/rejected|tests say no/i, "$what: nothing of it is the proposal's fault");
	is($on->twice, '', "$what: nothing is built twice");
}

# Without the nonce among its parameters a build of ours could not be told from another's.
my $deaf = $config =~ s/BRAIN_BUILD/OTHER/r;
set_config($deaf);
$on->proposed('deaf');
ok($on->said('deaf', qr/BRAIN_BUILD|sync|neither/), 'a job without the nonce: byoci says so') or diag($on->why('deaf'));
set_config($config);
ok($on->landed('deaf'), 'a job without the nonce, mended: it lands') or diag($on->why('deaf'));
unlike($on->log, qr/pass word/, 'the password is nowhere in the log');
$on->stop;
is($jn->errors, '', 'the double made no mistake');
done_testing;
