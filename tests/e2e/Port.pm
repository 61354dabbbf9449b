# Ports for what a test starts.
package Port;
use strict;
use warnings;
use Fcntl qw(:flock O_CREAT O_RDONLY);
use IO::Socket::INET;

my @taken; # their locks, until the test ends

# One that stays free until who is told of it listens there, and while that is away for a moment: a lock keeps it from other tests, and it
# is none of those that the kernel gives to whoever asks for any, or connects.
sub free {
	my $folder = '/tmp/byoci-test-ports';
	mkdir $folder and chmod 01777, $folder;
	for (1 .. 10000) {
		my $port = 10000 + int rand(given_by_the_kernel() - 10000);
		sysopen my $lock, "$folder/$port", O_RDONLY | O_CREAT, 0644 or next;
		flock $lock, LOCK_EX | LOCK_NB or next;
		IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1) or next;
		push @taken, $lock;
		return $port;
	}
	die "no port: $!";
}

# The first of those.
sub given_by_the_kernel {
	open my $range, '<', '/proc/sys/net/ipv4/ip_local_port_range' or return 32768;
	my ($first) = split ' ', <$range>;
	return $first > 12000 ? $first : 32768;
}

1;
