#!/usr/bin/perl
# byoci author-keys: which ssh keys a forge publishes for somebody, from forges that answer as they like.
use strict;
use warnings;
use File::Temp qw(tempdir);
use IO::Socket::INET;
use FindBin;
use Test::More;

chdir "$FindBin::Bin/../.." or die "$FindBin::Bin: $!\n";
my $build = $ENV{O} || 'build';
plan skip_all => "$build/bin/byoci is not built: make all" if !-x "$build/bin/byoci" && !$ENV{CI};
$ENV{BYOCI_ROOT} = my $root = tempdir('byoci-keys.XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub spit {
	my ($path, $text) = @_;
	open my $file, '>', $path or die "$path: $!\n";
	print {$file} $text;
	close $file or die "$path: $!\n";
	return;
}

system(qw(ssh-keygen -q -t ed25519 -N), '', '-C', 'ann', '-f', "$root/key") == 0 or BAIL_OUT('no key can be made');
open my $public, '<', "$root/key.pub" or die "$root/key.pub: $!\n";
my $line = <$public>;
close $public;
my ($key) = $line =~ /^(\S+ \S+)/;

# What the forge answers, by path.
my %answers = (
	'/ann.keys' => [200, qq(command="id" $line<html>\n$line).qq(cert-authority $line)],
	'/~ann/+sshkeys' => [200, $line =~ s/\n/\r\n\n/r x 2],
	'/many.keys' => [200, $line x 3000],
	'/huge.keys' => [200, $line x 20000],
	'/away.keys' => [302, '', "Location: /ann.keys\r\n"],
	'/none.keys' => [200, ''],
	'/broken.keys' => [500, $line],
);
my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1:0', ReuseAddr => 1) or BAIL_OUT("no listener: $!");
my $address = '127.0.0.1:' . $listener->sockport;
my $pid = fork // BAIL_OUT("no server: $!");
if (!$pid) {
	local $SIG{PIPE} = 'IGNORE';
	while (my $client = $listener->accept) {
		my ($path) = (<$client> // '') =~ /^GET (\S+)/;
		while (my $header = <$client>) { last if $header eq "\r\n" }
		my ($status, $body, $more) = @{$answers{$path // ''} // [404, '']};
		print {$client} "HTTP/1.1 $status x\r\nConnection: close\r\n" . ($more // '') . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
		close $client;
	}
	exit 0;
}
close $listener;
my $parent = $$;
END { my $status = $?; kill 'KILL', $pid and waitpid $pid, 0 if $parent && $parent == $$; $? = $status }

mkdir "$root/$_" or die "$root/$_: $!\n" for 'etc', 'etc/byoci', 'etc/byoci/published';
spit("$root/allowed", "ann namespaces=\"byoci-record\@v1\" $line" . "bob,cleo $line" . "* $line" . "dan cert-authority $line");
spit("$root/etc/byoci/published/byov.conf", <<"END");
[published]
state = $root/state
[account/hub]
dialect = github
keys.url = http://$address/
[account/pad]
dialect = launchpad
keys.url = http://$address
[account/tea]
dialect = gitea
keys.url = http://$address
[account/own]
dialect = gitea
[account/open]
dialect = gitlab
keys.url = http://forge.test
[project/hub]
account = hub
repository = ssh://git\@forge.test/p.git
jobs = j
[project/pad]
account = pad
repository = ssh://git\@forge.test/p.git
jobs = j
[project/tea]
account = tea
repository = ssh://git\@forge.test/p.git
jobs = j
[project/own]
account = own
repository = ssh://git\@127.0.0.1:1/p.git
jobs = j
[project/open]
account = open
repository = ssh://git\@forge.test/p.git
jobs = j
[project/plain]
repository = ssh://git\@forge.test/p.git
allowed_signers = $root/allowed
jobs = j
[job/j]
backing = b
tests.command = true
[backing/b]
END

# What it says of somebody, and its exit status.
sub keys_of {
	my ($project, $who) = @_;
	open my $out, '-|', 'sh', '-c', 'exec "$0" "$@" 2>&1', "$build/bin/byoci", '-n', 'published', 'author-keys', '--project', $project, $who
		or die "byoci: $!\n";
	my @lines = map { chomp; $_ } <$out>;
	close $out;
	return ($? >> 8, @lines);
}

is_deeply([keys_of('hub', 'ann')], [0, $key], "GitHub's page is read, and nothing but plain keys taken from it");
is_deeply([keys_of('tea', 'ann')], [0, $key], "Gitea's is at the same place");
is_deeply([keys_of('pad', 'ann')], [0, $key, $key], "as Launchpad's is, whose lines end in its own way");
is_deeply([keys_of('hub', 'none')], [0], 'who has no key has none');
my ($status, @many) = keys_of('hub', 'many');
is("$status " . @many, '0 100', 'of very many keys the first count');
for my $case (
	['hub', 'huge', 75, qr/more bytes than are allowed/, 'a page without end'],
	['hub', 'away', 69, qr/answered 302/, 'one that leads elsewhere'],
	['hub', 'nobody', 69, qr/answered 404/, 'one that is not there'],
	['hub', 'broken', 69, qr/answered 500/, "a forge's trouble"],
	['hub', '../ann', 77, qr/not a name/, 'a path'],
	['hub', 'ann?x=1', 77, qr/not a name/, 'a query'],
	['hub', "ann\n", 77, qr/not a name/, 'a line'],
	['own', 'ann', 69, qr{https://127\.0\.0\.1/ann\.keys}, 'the host of the repository, which does not answer,'],
	['open', 'ann', 64, qr/by https alone/, 'a way that others can read and change'],
	['plain', 'a b', 77, qr/not a name/, 'two words'],
) {
	my ($project, $who, $wanted, $why, $what) = @{$case};
	my ($is, @said) = keys_of($project, $who);
	is($is, $wanted, "$what gives no keys");
	like("@said", $why, 'and why is said');
}
is_deeply([keys_of('plain', 'ann')], [0, $key], 'in a plain git project a signer has the keys of allowed_signers');
is_deeply([keys_of('plain', 'cleo')], [0, $key], 'by one of the names of a line');
is_deeply([keys_of('plain', $_)], [0], "$_ has none") for 'dan', 'eve';
done_testing;
