#!/usr/bin/perl
# Tests that failed beside others are run again, alone: one or two may be unstable, none may stay red.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;
use File::Temp qw(tempdir);

# Tests that fail so many times before they pass, run by prove, and what `again` makes of that: its exit code and words.
sub again {
	my (%failures) = @_;
	my $scratch = tempdir(CLEANUP => 1);
	for my $name (keys %failures) {
		open my $test, '>', "$scratch/$name.t" or die "$scratch/$name.t: $!\n";
		print {$test} "#!/bin/sh\necho run >>$scratch/$name.runs\n[ \$(wc -l <$scratch/$name.runs) -gt $failures{$name} ] || printf 'not '\necho ok 1 - $name\necho 1..1\n";
		close $test;
		chmod 0755, "$scratch/$name.t";
	}
	my $files = join ' ', map { "$scratch/$_.t" } sort keys %failures;
	system "prove -e tests/bounded $files >$scratch/said 2>&1";
	my $words = qx(tests/again $scratch/said 2>&1);
	my $code = $? >> 8;
	my %runs = map { ($_ => scalar(() = slurp("$scratch/$_.runs") =~ /run/g)) } keys %failures;
	return ($code, $words, \%runs);
}

my ($code, $words, $runs) = again(well => 0, once => 1);
Lint::ok($code == 0 && $words =~ m{^unstable: \S+/once\.t failed beside others}m, 'one that passes then is told as unstable');
Lint::ok($runs->{well} == 1 && $runs->{once} == 3, 'it is run twice, and what had passed is not');
($code, $words) = again(once => 1, twice => 2);
Lint::ok($code == 1 && $words !~ /^unstable/m, 'one that fails again has failed');
($code, $words, $runs) = again(half => 0, never => 9);
Lint::ok($code == 1 && $runs->{never} == 2, 'and so has one that never passes');
($code, $words, $runs) = again(a => 1, b => 1, c => 1);
Lint::ok($code == 1 && $words =~ /3 files failed/ && $runs->{a} == 1, 'three are not unstable tests');
($code) = again(well => 0);
Lint::ok($code == 1, 'a run that failed without a file that did has failed');
Lint::done();
