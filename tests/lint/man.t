#!/usr/bin/perl
# The manual: mandoc finds nothing to warn of, every reference leads to a page, and the pages are those that are built.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my $built = $ENV{O} || 'build';

# The pages of the repository; the one that is made from the table of options is looked at as it was built.
sub pages {
	my ($root) = @_;
	return files($root, qr{^doc/man/[^/]+\.[1-9]$});
}

sub check_warnings {
	my ($root) = @_;
	my @pages = map { "$root/$_" } pages($root);
	push @pages, "$built/man/byov.conf.5" if $root eq '.';
	open my $out, '-|', 'mandoc', '-Tlint', '-Wwarning', @pages or die "mandoc: $!\n";
	my @found = map { chomp; s{^mandoc: (\Q$root\E/)?}{}; $_ } <$out>;
	close $out;
	return @found;
}

sub check_references {
	my ($root) = @_;
	my %have = map { $_ => 1 } 'byov.conf 5', map { m{([^/]+)\.([1-9])$} ? "$1 $2" : () } pages('.');
	my @found;
	for my $path (files($root, qr{^doc/man/})) {
		my $line = 0;
		for (Lint::lines("$root/$path")) {
			$line++;
			push @found, "$path:$line: there is no page $1($2)" if /^\.Xr (byo\S*) (\d)/ && !$have{"$1 $2"};
		}
	}
	return @found;
}

lint('mandoc has nothing to warn of', \&check_warnings,
	['an unknown macro', 'doc/man/planted.8', ".Dd November 21, 2026\n.Dt PLANTED 8\n.Os byoci\n.Sh NAME\n.Nm planted\n.Nd plant\n.Xy a\n"],
	['a page without its head', 'doc/man/planted.1', ".Sh NAME\n.Nm planted\n.Nd plant\n"]);
lint('references between pages', \&check_references, ['one that leads nowhere', 'doc/man/planted.8', ".Xr byoci-gone 8\n"]);
done();
