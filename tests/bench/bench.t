#!/usr/bin/perl
# The benches run, count right and end with their ratio; what the ratio is, is no test.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Bench;
use Test::More;

chdir "$FindBin::Bin/../..";
for my $program (qw(sqlite3 webhook curl lxc-copy lxd java mvn)) {
	plan skip_all => $@ if !eval { Bench::need($program); 1 };
}

for (['accept', 1, 0.5], ['restart', 1, 20_000, 500], ['worker', 4, 4], ['hook-to-test', 2], ['trigger', 2, 5]) {
	my ($name, @arguments) = @$_;
	my $out = `tests/bench/$name @arguments 2>&1`;
	is($?, 0, "$name ends well") or diag($out);
	like($out, qr/^ratio \d+\.\d\n\z/m, "$name ends with its ratio");
}
done_testing;
