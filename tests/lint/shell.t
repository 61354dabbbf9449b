#!/usr/bin/perl
# Shell scripts pass shellcheck, perl ones compile.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

sub first { return (Lint::lines($_[0]))[0] // '' }

# Not asked: functions that are called by a trap or by name (SC2317), with optional arguments (SC2119, SC2120), `a && b || c`
# (SC2015), and quoted text for another program (SC2016).
my $not = 'SC2015,SC2016,SC2119,SC2120,SC2317';

sub check_shell {
	my ($root) = @_;
	my @scripts = grep { /\.sh$/ || first("$root/$_") =~ m{^#!\s*/bin/(ba|da)?sh} } files($root, qr{^(setup|tests|\.ci|jobs)/});
	return () if !@scripts;
	open my $out, '-|', 'sh', '-c', 'cd "$0" && shellcheck -x -S info -f gcc -e "$@"', $root, $not, @scripts or die "shellcheck: $!\n";
	my @found = map { chomp; $_ } <$out>;
	close $out;
	push @found, 'shellcheck: it does not run' if ($? >> 8) == 127;
	return @found;
}

sub check_perl {
	my ($root) = @_;
	return map {
		my $said = `cd "$root" && perl -I tests/lint -I tests/e2e -c "$_" 2>&1`;
		$? ? "$_: " . (split /\n/, $said)[0] : ()
	} grep { /\.p[lm]$/ || first("$root/$_") =~ m{^#!.*perl} } files($root, qr{^(setup|tests|\.ci|jobs)/});
}

lint('shell scripts pass shellcheck', \&check_shell,
	['an unquoted variable', 'setup/planted.sh', "#!/bin/sh\nrm -rf \$1/*\n"],
	['a bashism in sh',      'tests/planted.t', "#!/bin/sh\nif [[ \$1 == a ]]; then echo b; fi\n"]);
lint('perl scripts compile', \&check_perl, ['a syntax error', 'tests/planted.t', "#!/usr/bin/perl\nmy \$x = ;\n"]);
done();
