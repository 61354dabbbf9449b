#!/usr/bin/perl
# Crash points (brain/base/crash.h): each has a name of its own and is a case of tests/e2e/crash.t or, what Launchpad is told,
# tests/e2e/launchpad-crash.t, or, what a master does, tests/e2e/jenkins-crash.t, which have no other ones.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my @cases = qw(tests/e2e/crash.t tests/e2e/launchpad-crash.t tests/e2e/jenkins-crash.t);

sub check {
	my ($root) = @_;
	my (@found, %at);
	my $text = join '', map { -e "$root/$_" ? slurp("$root/$_") : () } @cases;
	my %case = map { $_ => 1 } $text =~ /^(?:brain|slave|worker|land) (?:itself|child) \d+ ([a-z.-]+)(?::\d+)?$/mg;
	$case{$_} = 1 for map { split ' ' } $text =~ /^for point in (.*); do$/mg;
	for my $path (files($root, qr{^(brain|slaves)/.*\.c$})) {
		my $line = 0;
		for (lines("$root/$path")) {
			$line++;
			next if !/\bCRASH_POINT\((.*)\)/;
			my ($name) = $1 =~ /^"([a-z]+\.[a-z-]+)"$/;
			push @found, "$path:$line: a name is written out, as \"part.what-happened\"" and next if !$name;
			push @found, "$path:$line: $name is at $at{$name} already" if $at{$name};
			push @found, "$path:$line: $name is no case of @cases" if !$case{$name};
			$at{$name} = "$path:$line";
		}
	}
	push @found, map { "$cases[0]: $_ is no crash point" } grep { !$at{$_} } sort keys %case;
	return @found;
}

lint('every crash point has its own name and its case', \&check,
	['a point without a case',   'brain/gate/planted.c', "\tCRASH_POINT(\"gate.planted\");\n"],
	['a name that is computed',  'slaves/planted.c', "\tCRASH_POINT(name);\n"],
	['a case without a point',   $cases[0], "brain itself 1 gate.planted\n"],
	['a name twice',             'slaves/planted.c', "\tCRASH_POINT(\"a.b\");\n\tCRASH_POINT(\"a.b\");\n"]);
done();
