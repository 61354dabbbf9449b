# What the Perl tests wait with. A machine that is slow or busy fails no test: whoever waits for a thing takes as long as it takes, and
# only what never comes runs into the limit.
package Wait;
use strict;
use warnings;
use Exporter 'import';
use Test::Builder;
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

our @EXPORT = qw(wait_for not_within);

# The same for all, in seconds: it costs nothing where the thing comes. BYOCI_TEST_PATIENCE: how many times slower than others this
# machine may be.
our $limit = 180 * ($ENV{BYOCI_TEST_PATIENCE} || 1);

sub look {
	my ($seconds, $condition) = @_;
	my $end = clock_gettime(CLOCK_MONOTONIC) + $seconds;
	while (1) {
		my $late = clock_gettime(CLOCK_MONOTONIC) >= $end; # whoever was not let run for so long looks once more
		my $value = $condition->();
		return $value if $value;
		return undef if $late;
		sleep 0.02;
	}
}

# Waits for a thing to come true, and returns it. One that never comes is told with its place; where nobody looks at what is returned,
# it is a failed test. $seconds: in place of the limit, for what takes longer by itself.
sub wait_for {
	my ($condition, $seconds) = @_;
	my $value = look($seconds // $limit, $condition);
	return $value if $value;
	my $test = Test::Builder->new;
	my (undef, $file, $line) = caller;
	$test->ok(0, "what is waited for at $file line $line comes") if !defined wantarray;
	$test->diag("waited in vain at $file line $line");
	return undef;
}

# Looks on for so many seconds, and ends before that if the thing comes true: false then. For what must not happen, never for what must.
sub not_within {
	my ($seconds, $condition) = @_;
	return !look($seconds, $condition);
}

1;
