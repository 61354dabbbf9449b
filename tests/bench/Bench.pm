# What the benches share: the load generator, realistic hooks, what a process takes.
package Bench;
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_hex sha1_hex);
use File::Basename qw(dirname);
use JSON::PP;
use POSIX ();

my $here = dirname(__FILE__);
my $json = JSON::PP->new->canonical->utf8;

# A program of a package, or the end with what to do about it.
sub need {
	my ($program) = @_;
	for (split /:/, $ENV{PATH}) {
		return if -x "$_/$program";
	}
	die "$program is not installed: apt-get install \$(grep -v '^#' tests/bench/packages)\n";
}

# Builds a C file of this folder, when it is newer than its program. Returns the program.
sub build {
	my ($name) = @_;
	my $folder = ($ENV{O} // 'build') . '/bench';
	my ($source, $program) = ("$here/$name.c", "$folder/$name");
	return $program if -e $program && -M $program < -M $source;
	system('mkdir', '-p', $folder) == 0 or die "$folder can't be made\n";
	system($ENV{CC} // 'gcc', qw(-std=c17 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wpedantic -Wshadow -Werror -o), $program, $source) == 0
		or die "$source does not compile\n";
	return $program;
}

sub median {
	my @sorted = sort { $a <=> $b } @_;
	return @sorted ? $sorted[$#sorted / 2] : 0;
}

# A field of /proc/PID/status in MB.
sub memory {
	my ($pid, $field) = @_;
	open my $file, '<', "/proc/$pid/status" or return 0;
	for (<$file>) {
		return $1 / 1024 if /^\Q$field\E:\s*(\d+) kB/;
	}
	return 0;
}

# Seconds of processor time that a process has had, in user mode and in the kernel.
sub cpu {
	my ($pid) = @_;
	open my $file, '<', "/proc/$pid/stat" or return 0;
	my $line = <$file>;
	my @fields = split ' ', $line =~ s/^.*\) //r;
	return ($fields[11] + $fields[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# A push as GitHub tells it, of $size bytes.
sub push_body {
	my ($number, $size) = @_;
	my ($hub, $no) = ('https://api.github.example', JSON::PP::false);
	my $user = {login => 'ann', id => 4711 + $number, type => 'User', site_admin => $no,
		map { ("${_}_url" => "$hub/users/ann/$_") } qw(followers gists starred repos events)};
	my $repository = {id => 815, name => 'sample', full_name => 'example/sample', private => $no, owner => $user, fork => $no,
		default_branch => 'main', size => 4242, open_issues => 17, clone_url => 'https://github.example/example/sample.git',
		map { ("${_}_url" => "$hub/repos/example/sample/$_\{/id}") } qw(forks keys hooks issues tags blobs trees statuses commits merges)};
	my %body = (ref => "refs/heads/topic-$number", before => sha1_hex("before $number"), after => sha1_hex("after $number"),
		created => $no, deleted => $no, forced => $no, base_ref => undef, pusher => {name => 'ann', email => 'ann@example.org'},
		sender => $user, repository => $repository, commits => [], compare => '');
	while (length($json->encode(\%body)) < $size - 800) {
		my $commit = sha1_hex("commit $number " . @{$body{commits}});
		push @{$body{commits}}, {id => $commit, tree_id => sha1_hex($commit), distinct => JSON::PP::true,
			timestamp => '2026-01-02T03:04:05+01:00', url => "$hub/repos/example/sample/commits/$commit",
			message => "Say what is wrong with line $number\n\nIt was \"not understood\": na\x{ef}ve readers could not know why.",
			author => {name => 'Ann', email => 'ann@example.org'}, committer => {name => 'Ben', email => 'ben@example.org'},
			added => [], removed => [], modified => ["brain/file-$number.c", "doc/file-$number.md"]};
	}
	$body{compare} = 'x' x ($size - length $json->encode(\%body));
	return $json->encode(\%body);
}

# Writes $with{count} whole requests of $with{size} bytes of body for the load generator: rightly signed, as GitHub sends them.
sub write_requests {
	my ($path, %with) = @_;
	open my $file, '>:raw', $path or die "$path: $!\n";
	for my $number (1 .. $with{count}) {
		my $body = push_body($number, $with{size});
		my $head = "POST $with{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: GitHub-Hookshot/044aadd\r\nAccept: */*\r\n"
			. "Content-Type: application/json\r\nX-GitHub-Event: push\r\nX-GitHub-Hook-ID: 292430182\r\n"
			. 'X-Hub-Signature-256: sha256=' . hmac_sha256_hex($body, $with{secret}) . "\r\nContent-Length: " . length($body) . "\r\n"
			. 'X-GitHub-Delivery: 72d3162e-cc78-11e3-';
		print $file length("$head$body") + 20, ' ', length $head, "\n$head", '0' x 16, "\r\n\r\n$body";
	}
	close $file or die "$path: $!\n";
}

# A round of load: a reference to what it measured.
sub load {
	my ($program, %with) = @_;
	open my $pipe, '-|', $program, @with{qw(port requests clients seconds status)} or die "$program: $!\n";
	my $line = <$pipe> // '';
	close $pipe or die "the load generator failed\n";
	return {$line =~ /(\w+)=(\S+)/g};
}

1;
