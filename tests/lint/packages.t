#!/usr/bin/perl
# The lists of packages: one name a line, sorted, none twice, none in both.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

sub check {
	my ($root) = @_;
	my (@found, %seen);
	for my $path (grep { -e "$root/$_" } qw(setup/packages tests/packages)) {
		my ($line, $before) = (0, '');
		for (Lint::lines("$root/$path")) {
			$line++;
			next if /^#/ || $_ eq '';
			push @found, "$path:$line: `$_` is no package's name" if !/^[a-z0-9][a-z0-9.+-]+$/;
			push @found, "$path:$line: $_ comes after $before" if $before gt $_;
			push @found, "$path:$line: $_ is in $seen{$_} already" if $seen{$_};
			$seen{$_} = $path;
			$before = $_;
		}
	}
	return @found;
}

lint('lists of packages are sorted, without doubles', \&check,
	['an unsorted name', 'tests/packages', "aaa\n"],
	['a name twice',     'tests/packages', sub { my $text = shift; $text =~ s/^([a-z]\S*)\n/$1\n$1\n/m; $text }],
	['two in one line',  'setup/packages', "zzz zzzz\n"]);
done();
