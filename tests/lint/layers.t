#!/usr/bin/perl
# Includes never point right, and each library's header is included in one file only.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my @order = qw(base conf loop forge master store calls intake proposal gate build landing report www verb git launchpad jobs ctl);
my %rank  = map { $order[$_] => $_ } 0 .. $#order;
$rank{main} = @order;

# What slaves/ may include, besides itself. Of loop/ not the HTTP server: nothing there listens to the network.
my %slaves    = map { $_ => 1 } qw(base conf loop forge slaves);
my @forbidden = qw(loop/httpd.h);

# The rooms of slaves/; its mains are right of them all.
my @rooms = qw(common tree confine lxd cage backing worker record test serve land agent);
my %room  = map { $rooms[$_] => $_ } 0 .. $#rooms;

# A system header and the only files that may include it.
my @only = (
	[qr{^sqlite3\.h$},            'brain/store/store.c', 'brain/store/vfs.c'],
	[qr{^curl/},                  'brain/loop/http.c'],
	[qr{^microhttpd\.h$},         'brain/loop/httpd_inner.h'],
	[qr{^openssl/},               'brain/base/crypto.c'],
	[qr{^libwebsockets\.h$},      'slaves/lxd/lxd_exec.c'],
	[qr{^lxc/},                   'slaves/cage/lxc.c'],
	[qr{^archive},                'slaves/backing/unpack.c'],
	[qr{^systemd/},               'brain/loop/loop.c'],
	[qr{^(ini_|collection)},      'brain/conf/ini.c'],
	[qr{^expat\.h$},              'slaves/record/junit.c'],
	[qr{^zlib\.h$},               'slaves/record/subunit.c'],
	[qr{^(seccomp|sys/capability)\.h$}, 'slaves/cage/lxc.c'],
);

sub includes {
	my ($path) = @_;
	my $n = 0;
	return map { $n++; /^\s*#\s*include\s+([<"])([^>"]+)[>"]/ ? [$n, $1, $2] : () } Lint::lines($path);
}

sub layer { return $_[0] =~ m{^brain/([^/]+)/} ? $1 : $_[0] =~ m{^slaves/} ? 'slaves' : 'main' }

sub rooms {
	my ($from, $to) = map { m{^slaves/([^/]+)/} ? $1 : 'main' } @_;
	return "`$to` is no room of slaves/" if !defined $room{$to};
	return () if $from eq 'main' || $room{$from} >= $room{$to};
	return "slaves/$from is below slaves/$to and may not include it";
}

sub own {
	my ($path, $include) = @_;
	my ($layer, $to) = (layer($path), $include =~ m{^([^/]+)/} ? $1 : '');
	return () if $include =~ /\.inc$/;
	return "`$include` has no folder: write \"FOLDER/FILE.h\"" if !$to;
	if ($layer eq 'slaves') {
		return "slaves may not include $to/" if !$slaves{$to};
		return "slaves may not include $include" if grep { $_ eq $include } @forbidden;
		return $to eq 'slaves' ? rooms($path, $include) : ();
	}
	return "brain never includes slaves/" if $to eq 'slaves';
	return "`$to` is no layer" if !defined $rank{$to};
	return "$layer is below $to and may not include it" if $rank{$to} > $rank{$layer};
	return ();
}

sub check {
	my ($root) = @_;
	my @found;
	for my $path (files($root, qr{^(brain|slaves)/.*\.[ch]$})) {
		for (includes("$root/$path")) {
			my ($line, $kind, $name) = @$_;
			push @found, map { "$path:$line: $_" } own($path, $name) if $kind eq '"';
			for my $only (@only) {
				my ($header, @files) = @$only;
				push @found, "$path:$line: <$name> is included by @files only" if $name =~ $header && !grep { $path eq $_ } @files;
			}
		}
	}
	return @found;
}

lint('includes keep to the layers', \&check,
	['a lower layer that includes a higher one', 'brain/base/planted.c', qq{#include "conf/conf.h"\n}],
	['the store that asks the gate',             'brain/store/planted.c', qq{#include "gate/gate.h"\n}],
	['a client of masters that knows the store', 'brain/master/planted.c', qq{#include "store/store.h"\n}],
	['a slave that includes it',                 'slaves/planted.c', qq{#include "master/master.h"\n}],
	['a slave that includes the store',          'slaves/planted.c', qq{#include "store/store.h"\n}],
	['a slave that includes the HTTP server',    'slaves/planted.c', qq{#include "loop/httpd.h"\n}],
	['a test of the slave that lands',           'slaves/test/planted.c', qq{#include "slaves/land/land.h"\n}],
	['a room that is not there',                 'slaves/test/planted.c', qq{#include "slaves/attic/land.h"\n}],
	['a brain that includes a slave',            'brain/build/planted.c', qq{#include "slaves/tree/tree.h"\n}],
	['a folder that is no layer',                'brain/build/planted.c', qq{#include "util/tree.h"\n}],
	['an include without its folder',            'brain/build/planted.c', qq{#include "build.h"\n}],
	['sqlite3.h outside the store',              'brain/gate/planted.c', qq{#include <sqlite3.h>\n}],
	['curl.h outside loop/http.c',               'slaves/planted.c', qq{#  include <curl/curl.h>\n}],
	['openssl outside base/crypto.c',            'brain/intake/planted.c', qq{#include <openssl/hmac.h>\n}],
	['systemd outside loop/loop.c',              'brain/planted/planted.c', qq{#include <systemd/sd-bus.h>\n}],
);
done();
