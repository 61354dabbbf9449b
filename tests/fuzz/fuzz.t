#!/usr/bin/perl
# Every parser of foreign bytes against its corpus and what a fuzzer makes of it, FUZZ_TIME seconds for all of them together.
# An input that crashes one is kept in the folder that is named, to be mended and put into the corpus.
use strict;
use warnings;
use File::Path ();
use File::Temp qw(tempdir);
use FindBin;
use Test::More;

chdir "$FindBin::Bin/../..";
my $targets = ($ENV{O} // 'build') . '/fuzz/target';
my @names = map { m{([^/]+)\.c\z} && $1 ne 'driver' ? $1 : () } sort glob 'tests/fuzz/*.c';
my $seconds = int(($ENV{FUZZ_TIME} // 2 * @names) / @names) || 1;
my $tmp = tempdir('/tmp/byoci-fuzz.XXXXXX', CLEANUP => 0);
$ENV{TMPDIR} = $tmp;
$ENV{ASAN_OPTIONS} = $ENV{UBSAN_OPTIONS} = 'abort_on_error=1:print_stacktrace=1';
plan tests => 2 * @names;

sub run {
	my ($name, $folder, @options) = @_;
	my $program = "$targets/$name";
	my $pid = open my $pipe, '-|';
	defined $pid or die "fork: $!";
	if (!$pid) {
		open STDERR, '>&', \*STDOUT;
		exec $program, @options, "-artifact_prefix=$folder/", '-rss_limit_mb=1024', '-timeout=120', "$folder/found", "tests/fuzz/$name.corpus"
			or die "$program: $!: make fuzzers\n";
	}
	my @lines = <$pipe>;
	close $pipe;
	return ($?, @lines);
}

my $good = 1;

sub keep {
	diag(grep { !/^ *(=>)?0x|fuzzer::|^#\d+\t|^INFO/ } @_);
	$good = 0;
}

for my $name (@names) {
	my $folder = "$tmp/$name";
	mkdir $_ or die "$_: $!" for $folder, "$folder/found";
	my ($status, @lines) = run($name, $folder, '-runs=0');
	ok($status == 0, "$name takes what is in its corpus") or keep(@lines);
	($status, @lines) = run($name, $folder, "-max_total_time=$seconds", '-seed=' . (1 + int rand 1e9), '-max_len=8192', '-print_final_stats=0');
	my ($runs) = map { /^Done (\d+) runs/ ? $1 : () } @lines;
	ok($status == 0 && $runs, "$name: " . ($runs // 'no') . " changed inputs in $seconds s") or keep(@lines);
}
if ($good) {
	File::Path::remove_tree($tmp);
} else {
	diag("the inputs are in $tmp");
}
