#!/usr/bin/perl
# What runs the tests itself: a test that hangs, or leaves processes behind which hold its output, fails and is told.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;
use File::Temp qw(tempdir);

my $scratch = tempdir(CLEANUP => 1);

# What is said on the output and the errors, and the exit code, of a test with this body.
sub bounded {
	my ($limit, $body) = @_;
	open my $test, '>', "$scratch/test" or die "$scratch/test: $!\n";
	print {$test} "#!/bin/bash\n$body\n";
	close $test;
	chmod 0755, "$scratch/test";
	my $output = qx(tests/bounded -t $limit $scratch/test 2>$scratch/errors);
	return ($output, slurp("$scratch/errors"), $? >> 8);
}
# The process that the test left has ended; nobody may have collected it yet.
sub ended {
	my ($left) = slurp("$scratch/pid") =~ /(\d+)/;
	my $end = time + 120;
	while (qx(ps -o stat= -p $left) =~ /^[^Z]/) {
		return 0 if time > $end;
		select undef, undef, undef, 0.05;
	}
	return 1;
}

my ($output, $errors, $code) = bounded(60, 'echo ok 1 - a; seq 1 30000; echo 1..1; exit 3');
Lint::ok($output =~ /\Aok 1 - a\n1\n.*\n30000\n1..1\n\z/s && $code == 3 && $errors eq '', 'a test is passed on whole, with its exit code');
($output, $errors, $code) = bounded(5, "echo ok 1; sleep 1000 & echo \$! >$scratch/pid; wait");
Lint::ok($code == 124 && $output =~ /^# not over after 5 s$/m, 'a test that hangs fails');
Lint::ok($errors =~ /nanosleep\s+sleep 1000$/m, 'what it hung in is told');
Lint::ok(ended(), 'and is ended');
($output, $errors, $code) = bounded(60, "setsid sleep 1001 & echo \$! >$scratch/pid; echo ok 1; echo 1..1");
Lint::ok($code == 124 && $output =~ /^# its output is still held open$/m, 'a test whose output is held by what it left fails');
Lint::ok($errors =~ /sleep 1001$/m, 'who holds it is told');
Lint::ok(ended(), 'and is ended');
done();
