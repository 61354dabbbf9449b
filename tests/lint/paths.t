#!/usr/bin/perl
# What the documents name is there: files and folders of the checkout.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

# Names of a place-holder, which stand for many.
sub is_pattern { return $_[0] =~ /[*<>{}]|\b[A-Z][A-Z_-]*\b|-N\.|\.\.\./ }

sub check {
	my ($root) = @_;
	my @found;
	for my $path (files($root, qr{^(README\.md|doc/[^/]*\.md)$})) {
		my $line = 0;
		for (Lint::lines("$root/$path")) {
			$line++;
			while (m{`((?:brain|slaves|setup|tests|jobs|doc)/[^`\s:]*)}g) {
				my $name = $1;
				push @found, "$path:$line: there is no $name" if !is_pattern($name) && !-e $name;
			}
		}
	}
	return @found;
}

lint('files that documents name are there', \&check,
	['a file that is gone', 'doc/planted.md', "Held by `tests/e2e/nowhere.t`.\n"]);

# A shell's '>' makes files quickly.
sub check_top {
	my ($root) = @_;
	opendir my $top, $root or die "$root: $!\n";
	return map { "$_:1: is no name for a file at the top" } grep { !/^\.{0,2}[A-Za-z][A-Za-z0-9._-]*$/ && !/^\.\.?$/ } readdir $top;
}
lint('nothing lies at the top by mistake', \&check_top,
	['a file by the name of a number', '600', "x\n"],
	['or with a sign in it',           'a;b', "x\n"]);
done();
