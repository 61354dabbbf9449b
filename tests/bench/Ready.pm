# A byoci with real workers for benches: brain, slave and byoci-worker in a namespace of a temporary folder, a double of the landing
# daemon that takes reports. Its tests say when they began, and fail, so that the target stays where it is.
package Ready;
use strict;
use warnings;
use Brain;
use Digest::SHA qw(hmac_sha256_hex sha256_hex);
use File::Find;
use File::Path qw(make_path);
use IO::Socket::INET;
use IO::Socket::UNIX;
use MIME::Base64 qw(decode_base64);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);
use Wait;

our @ISA = ('Brain');

use constant {USER => 'daemon', IDS => 1_310_000_000, TESTS => 'date +%s.%N; exit 1'};

sub new {
	my ($class) = @_;
	my $self = Brain::new($class);
	my $tmp = $self->{tmp};
	my $conf = Brain::slurp("$self->{etc}/byov.conf");
	my $ids = IDS;
	$conf =~ s{^\[brt\]\n}{[brt]\nslave.user = @{[USER]}\nuser = root\nland.user = root\ngit.config = $tmp/gitconfig\nworker.ids.first = $ids\nworker.blank = yes\n}m;
	$conf =~ s{^tests\.command = .*}{'tests.command = ' . TESTS}me;
	$self->{conf} = $conf;
	Brain::spew("$tmp/gitconfig", "[safe]\n\tdirectory = *\n");
	make_path("$tmp/state/slave", "$tmp/state/worker", "$tmp/secrets/slave");
	symlink $ENV{BYOCI_BENCH_BACKINGS}, "$tmp/state/worker/backings" if $ENV{BYOCI_BENCH_BACKINGS};
	$self->configure(0);
	$self->make_repository;
	rename "$tmp/result.key", "$tmp/secrets/slave/result.key";
	my ($uid, $gid) = (getpwnam USER)[2, 3];
	chown $uid, $gid, map { "$tmp/$_" } qw(state/slave run/slave secrets/slave secrets/slave/result.key);
	chmod 0700, "$tmp/secrets/slave/result.key";
	chown 0, $gid, "$tmp/run/worker";
	chmod 02750, "$tmp/run/worker";
	$self->lander(sub { {outcome => 'refused', reason => 'nothing lands here'} });
	@ENV{qw(BYOCI_ROOT BYOCI_NAMESPACE)} = ($self->{root}, 'brt');
	$self->{digest} = Brain::run("$self->{bin}/byoci-worker", '-n', 'brt', 'build-backing', 'base') or die "the backing cannot be built\n";
	$self->work;
	$self->start or die 'byoci-brain does not start: ' . $self->log;
	return $self;
}

sub configure {
	my ($self, $minimum) = @_;
	Brain::spew("$self->{etc}/new", $self->{conf} =~ s{^(suite = bookworm)\n}{$1\nready.minimum = $minimum\n}mr);
	rename "$self->{etc}/new", "$self->{etc}/byov.conf" or die "byov.conf: $!\n"; # the brain's reader may be reading it
}

sub daemon {
	my ($self, $name, $socket, @command) = @_;
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		open STDERR, '>>', "$self->{tmp}/$name.log";
		open STDOUT, '>&', \*STDERR;
		open STDIN, '<', '/dev/null';
		exec @command or POSIX::_exit(127);
	}
	$self->{daemon}{$name} = $pid;
	return if !$socket;
	my $type = $name eq 'worker' ? SOCK_SEQPACKET : SOCK_STREAM;
	wait_for(sub { IO::Socket::UNIX->new(Type => $type, Peer => $socket) || waitpid($pid, WNOHANG) != 0 }) && kill(0, $pid)
		or die "$name does not start\n" . $self->logs;
}

sub end {
	my ($self, $name) = @_;
	my $pid = delete $self->{daemon}{$name} or return;
	kill 'TERM', $pid;
	waitpid $pid, 0;
}

# A slave that keeps so many workers ready.
sub serve {
	my ($self, $minimum) = @_;
	$self->end('slave');
	$self->{minimum} = $minimum;
	$self->configure($minimum);
	$self->daemon('slave', "$self->{tmp}/run/slave/socket", 'setpriv', '--reuid=' . USER, '--regid=' . USER, '--clear-groups',
		"$self->{bin}/byoci-slave", '-n', 'brt', 'serve');
}

# Workers that wait.
sub waiting {
	my ($self) = @_;
	my $list = $Brain::json->decode(Brain::run("$self->{bin}/byoci-slave", 'list'));
	return scalar grep { $_->{state} eq 'ready' } @{$list->{ready}};
}

sub work {
	my ($self) = @_;
	$self->daemon('worker', "$self->{tmp}/run/worker/socket", "$self->{bin}/byoci-worker", '-n', 'brt');
}

# From now on nothing waits that is for no job yet.
sub without_blank {
	my ($self) = @_;
	$self->end($_) for qw(slave worker);
	$self->{conf} =~ s/^worker\.blank = yes$/worker.blank = no/m or die "worker.blank is not there\n";
	$self->configure(0);
	$self->work;
	$self->serve(0);
}

# Whether a container for no job yet waits, if that is wanted.
sub blank {
	my ($self) = @_;
	return 1 if $self->{conf} !~ /^worker\.blank = yes$/m;
	my $log = Brain::slurp("$self->{tmp}/worker.log");
	my ($pid) = $log =~ /a container waits for a job.* pid=(\d+)(?!.*a container waits for a job)/s or return 0;
	return 0 if !-e "/proc/$pid";
	return scalar grep { Brain::slurp($_) =~ /"job":\s*""/ } glob "$self->{tmp}/state/worker/slots/*.json";
}

# Whether the merge of this commit was made beforehand.
sub made {
	my ($self, $commit) = @_;
	my @there = glob "$self->{tmp}/state/slave/premade/*[0-9a-f]/spec.json";
	return scalar grep { Brain::slurp($_) =~ /$commit/ } @there;
}

# The files of the backing.
sub backing { my ($self) = @_; return "$self->{tmp}/state/worker/backings/$self->{digest}/rootfs" }

# A range of ids of its own for a copy of the backing: its files belong to it, and newuidmap wants it in /etc/subuid.
sub give_ids {
	my ($self, $folder) = @_;
	my $by = $self->{peer_ids} = IDS + 4 * 65536;
	find({no_chdir => 1, wanted => sub {
		my @stat = lstat;
		syscall(94, $_, $stat[4] + $by, $stat[5] + $by) == 0 or die "$_: $!\n"; # lchown(2)
		-l or chmod $stat[2] & 07777, $_;
	}}, $folder);
	for my $file (qw(/etc/subuid /etc/subgid)) {
		open my $to, '>>', $file or die "$file: $!\n";
		print $to "root:$by:65536\n";
	}
}

sub take_ids {
	my ($self) = @_;
	my $by = delete $self->{peer_ids} or return;
	for my $file (qw(/etc/subuid /etc/subgid)) {
		Brain::spew($file, join '', grep { $_ ne "root:$by:65536\n" } map { "$_\n" } split /\n/, Brain::slurp($file));
	}
}

# Posts a hook; returns when that began.
sub post {
	my ($self, $port, $path, $body, @headers) = @_;
	my $request = join "\r\n", "POST $path HTTP/1.1", 'Host: 127.0.0.1', 'Content-Type: application/json', @headers, 'Connection: close',
		'Content-Length: ' . length $body, '', $body;
	my $began = time;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "nobody listens for hooks: $!\n";
	syswrite $socket, $request;
	my $line = <$socket> // '';
	$line =~ m{^HTTP/1\.1 20[02]} or die "the hook was answered with $line\n";
	return $began;
}

# What the repository's post-receive hook would tell: of a proposal that was pushed, or, with a true third value, of an approval alone.
sub send_hook {
	my ($self, $name, $approval) = @_;
	my $ref = "refs/proposals/$name/" . ($approval ? 'records/' . substr(sha256_hex(rand), 0, 32) : 'head');
	my $body = $Brain::json->encode({repository => "127.0.0.1:$self->{git}/sample", pusher => 'ann', time => int(time * 1000),
		refs => [{ref => $ref, old => undef, new => undef}]});
	return $self->post($self->{hook}, '/hook/git', $body, 'X-Byoci-Event: push', 'X-Byoci-Delivery: ' . sha256_hex(rand),
		'X-Byoci-Signature: sha256=' . hmac_sha256_hex($body, $self->{secret}{git}));
}

# When the tests of the proposal began, as they say; waits until the build has ended.
sub first {
	my ($self, $name) = @_;
	my ($folder, $began);
	wait_for(sub {
		($folder) = grep { !$self->{seen}{$_} && -e "$_/result" } glob "$self->{tmp}/state/slave/builds/*";
		return $folder;
	}) or die "$name is not tested\n" . $self->logs;
	$self->{seen}{$folder} = 1;
	($began) = Brain::slurp("$folder/log") =~ /^\| (\d+\.\d+)$/m or die "its tests did not begin:\n" . Brain::slurp("$folder/log");
	my ($payload) = Brain::slurp("$folder/result") =~ /^\S+ (\S+)/;
	push @{$self->{results}{$name =~ s/-.*//r}}, [$began, $Brain::json->decode(decode_base64($payload))];
	wait_for(sub { $self->item($name)->{state} eq 'rejected' }) or die "$name is not done with\n";
	return $began;
}

sub logs { my ($self) = @_; return join '', map { "--- $_\n" . Brain::slurp("$self->{tmp}/$_.log") } qw(brain slave worker) }

# Medians of the steps, after the hook was heard.
sub say_steps {
	my ($self, $case) = @_;
	my (%at, %order);
	for (@{$self->{results}{$case}}) {
		my ($began, $result) = @$_;
		my @rows = split /\|/, Brain::run('sqlite3', "$self->{tmp}/state/brain/state.db", <<"END");
SELECT d.heard, d.stored, c.made, c.started, c.ended, b.asked, b.started FROM builds b JOIN items i ON i.id = b.item
	JOIN deliveries d ON d.id = i.delivery JOIN proposals p ON p.id = i.proposal
	JOIN calls c ON c.kind = 'forge-read' AND c.lane = 'read/sample/' || p.name AND c.ended <= b.asked AND c.made >= d.heard
	WHERE b.build = '$result->{build}' ORDER BY c.id DESC LIMIT 1
END
		my $n = 0;
		my %row = map { $_ => shift @rows } qw(a.heard b.stored c.read-made d.read-started e.read-ended f.build-asked g.build-began);
		for my $step (@{$result->{steps}}) {
			$row{"h.$step->{name}"} = $step->{started};
			$row{"h.$step->{name}-ended"} = $step->{ended};
		}
		$row{'i.first'} = $began * 1000;
		push @{$at{$_}}, $row{$_} - $row{'a.heard'} for keys %row;
	}
	my %median = map { $_ => Bench::median(@{$at{$_}}) } keys %at;
	printf "  %8.1f  %s\n", $median{$_}, $_ for sort { $median{$a} <=> $median{$b} || $a cmp $b } keys %median;
}

sub DESTROY {
	my ($self) = @_;
	return if $self->{owner} && $self->{owner} != $$;
	local $?;
	$self->end($_) for keys %{$self->{daemon}};
	$self->take_ids;
	$self->SUPER::DESTROY;
}

1;
