# A whole byoci on a Launchpad (its double): a namespace in a temporary folder with a real brain, slave and land daemon as the very user
# who runs this, and a worker that contains nothing (tests/tool/worker-fake.c).
package Whole;
use strict;
use warnings;
use Brain;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use IO::Socket::UNIX;
use POSIX qw(:sys_wait_h);
use Port;
use Test::Builder;
use Wait;

our @ISA = ('Brain');

sub new {
	my ($class, $lp, $name, %with) = @_;
	chomp(my $pwd = `pwd`);
	my $out = $ENV{O} // 'build';
	$out = "$pwd/$out" if $out !~ m{^/};
	my $tmp = tempdir('/tmp/byoci-whole.XXXXXX', CLEANUP => 1);
	chmod 0755, $tmp;
	my $self = bless {bin => "$out/bin", out => $out, tmp => $tmp, ns => 'brt', hook => Port::free(), pages => Port::free(), lp => $lp,
		name => $name, root => "$tmp/root", etc => "$tmp/root/etc/byoci/brt", poll => $with{poll} // '1h', daemon => {}, owner => $$}, $class;
	make_path("$self->{etc}/result-keys", map { "$tmp/$_" } qw(state/brain state/land secrets/brain secrets/slave secrets/land libexec/bin home),
		map { "run/$_" } qw(brain slave land approval worker));
	chmod 0700, glob "$tmp/secrets/*";
	symlink "$self->{bin}/byoci", "$tmp/libexec/bin/byoci";
	$self->configure;
	Brain::run('openssl', 'genpkey', '-quiet', '-algorithm', 'ed25519', '-out', "$tmp/secrets/slave/result.key");
	chmod 0600, "$tmp/secrets/slave/result.key";
	Brain::run('openssl', 'pkey', '-in', "$tmp/secrets/slave/result.key", '-pubout', '-out', "$self->{etc}/result-keys/local.pub");
	Brain::spew("$tmp/secrets/brain/hook-launchpad", "sekrit\n", 0600);
	$self->token($lp->{token}{bot});
	return $self;
}

# What both daemons show to the API.
sub token {
	my ($self, $token) = @_;
	Brain::spew("$self->{tmp}/secrets/$_/launchpad-launchpad", "$token->{consumer} $token->{token} $token->{secret}\n", 0600) for qw(brain land);
}

sub configure {
	my ($self) = @_;
	my ($tmp, $user) = ($self->{tmp}, scalar getpwuid $<);
	my ($folder) = $self->{lp}{folder}{$self->{name}} =~ m{\A(.*)/\Q$self->{name}\E\z} or die 'where the repositories are is not known';
	Brain::spew("$tmp/gitconfig", "[url \"$folder/\"]\n\tinsteadOf = ssh://bot\@forge.test/\n[safe]\n\tdirectory = *\n");
	Brain::spew("$self->{etc}/byov.conf", <<"END");
[brt]
state = $tmp/state
run = $tmp/run
secrets = $tmp/secrets
libexec = $tmp/libexec
git.config = $tmp/gitconfig
user = $user
slave.user = $user
land.user = $user
hook.listen = 127.0.0.1:$self->{hook}
pages.listen = 127.0.0.1:$self->{pages}
poll = $self->{poll}

[account/launchpad]
api.url = $self->{lp}{root}/devel
own.names = bot

[project/widget]
repository = ssh://bot\@forge.test/$self->{name}
account = launchpad
reviewers = team
jobs = unit
@{[$self->{project} // '']}

[job/unit]
backing = base
tests.command = ./run-tests
tests.limit = 10m
@{[$self->{job} // '']}

[backing/base]
suite = bookworm
END
}

# Starts a daemon and waits until it listens.
sub daemon {
	my ($self, $name, $there, @command) = @_;
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		@ENV{qw(BYOCI_ROOT BYOCI_NAMESPACE HOME)} = ($self->{root}, 'brt', "$self->{tmp}/home");
		open STDERR, '>>', "$self->{tmp}/$name.log";
		open STDOUT, '>&', \*STDERR;
		open STDIN, '<', '/dev/null';
		exec @command or POSIX::_exit(127);
	}
	$self->{daemon}{$name} = $pid;
	# Its pid is another's, once it has ended.
	my $up = wait_for(sub { $there->() || (waitpid($pid, WNOHANG) != 0 && delete $self->{daemon}{$name}) }) && $self->{daemon}{$name};
	Test::Builder->new->ok(0, "$name starts") || Test::Builder->new->diag($self->logs) if !$up && !defined wantarray;
	return $up;
}

# A daemon that ended hard leaves its socket's file: somebody must answer.
sub listens { my ($self, $which) = @_; return -S "$self->{tmp}/run/$which/socket" && IO::Socket::UNIX->new(Peer => "$self->{tmp}/run/$which/socket") }

sub start_worker { my ($self) = @_; unlink "$self->{tmp}/run/worker/socket"; return $self->daemon('worker', sub { -S "$self->{tmp}/run/worker/socket" }, "$self->{out}/tool/worker-fake", "$self->{tmp}/run/worker/socket") }
sub start_slave { my ($self) = @_; return $self->daemon('slave', sub { $self->listens('slave') }, "$self->{bin}/byoci-slave", '-n', 'brt', 'serve') }
sub start_land { my ($self) = @_; return $self->daemon('land', sub { $self->listens('land') }, "$self->{bin}/byoci-slave", '-n', 'brt', 'serve', '--land') }

sub start_all {
	my ($self) = @_;
	return $self->start_worker && $self->start_slave && $self->start_land && $self->start;
}

sub end {
	my ($self, $name, $signal) = @_;
	my $pid = delete $self->{daemon}{$name} or return;
	kill $signal // 'TERM', $pid;
	waitpid $pid, 0;
}

# Everything that was logged, for who looks for what went wrong.
sub logs { my ($self) = @_; return join '', map { "--- $_\n" . Brain::slurp("$self->{tmp}/$_.log") } qw(brain slave land worker) }

sub DESTROY {
	my ($self) = @_;
	return if $self->{owner} && $self->{owner} != $$;
	local $?;
	$self->stop('TERM');
	$self->end($_, 'KILL') for qw(land slave worker);
}

1;
