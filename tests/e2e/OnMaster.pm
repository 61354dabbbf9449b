# A byoci-brain (Brain.pm) whose builds and landings go to a master: the double of Jenkins, or the master that is given. Its jobs run
# tests/double/agent.
package OnMaster;
use strict;
use warnings;
use Brain;
use File::Path qw(make_path);
use FindBin;
use Jenkins;
use Wait;

our @ISA = ('Brain');

# %with: url, secret, user of another master; limit: of an answer of the master, in seconds, for tests that let it run out; options: further
# lines of the namespace's section; folder; double: options of the double.
sub new {
	my ($class, %with) = @_;
	my $jn = $with{url} ? undef : Jenkins->new(@{$with{double} // []});
	my $self = Brain::new($class);
	my $tmp = $self->{tmp};
	@$self{qw(jn folder)} = ($jn, $with{folder} // '');
	chmod 0711, $tmp;
	my $user = $with{user} // 'admin';
	my $url = $with{url} // $jn->{root};
	my $lines = "[brt]\nmaster.url = $url\nmaster.user = $user\n" . "master.limit = " . ($with{limit} // 60) . "s\n" . ($with{options} // '');
	$lines .= "master.folder = $with{folder}\n" if $with{folder};
	Brain::spew("$self->{etc}/byov.conf", Brain::slurp("$self->{etc}/byov.conf") =~ s{^\[brt\]\n}{$lines}mr);
	Brain::spew("$tmp/secrets/brain/master", ($with{secret} // $jn->{token}) . "\n", 0600);
	make_path("$tmp/agent");
	$self->make_repository;
	Brain::run('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', "$tmp/land.key");
	Brain::run('openssl', 'pkey', '-in', "$tmp/land.key", '-pubout', '-out', "$self->{etc}/result-keys/local-land.pub");
	$self->lander; # reports still go to the daemon
	$self->make_jobs if $jn;
	return $self;
}

sub job { my ($self, $kind) = @_; return ($self->{folder} ? "$self->{folder}/" : '') . "brt-sample-$kind" }

sub command { my ($self, $kind) = @_; return "exec $FindBin::Bin/../double/agent $kind $self->{tmp}" }

sub make_jobs {
	my ($self) = @_;
	my $jn = $self->{jn};
	$jn->control('set', executors => 4);
	$jn->control('node', name => 'local', label => 'byoci-brt-test');
	$jn->control('node', name => 'local-land', label => 'byoci-brt-land');
	$self->make_job($_) for qw(gate land);
}

sub make_job {
	my ($self, $kind) = @_;
	my %parameters = (BRAIN_BUILD => '', SPEC => '', $kind eq 'land' ? (RESULT => '') : ());
	$self->{jn}->control('job', name => $self->job($kind), command => $self->command($kind), parameters => \%parameters,
		label => 'byoci-brt-' . ($kind eq 'land' ? 'land' : 'test'));
}

# What the agent does from now on.
sub agent {
	my ($self, %files) = @_;
	for my $name (keys %files) {
		my $path = "$self->{tmp}/agent/$name";
		defined $files{$name} ? Brain::spew($path, "$files{$name}\n") : unlink $path;
	}
}

# A proposal that is approved and told.
sub proposed {
	my ($self, $name, $parent) = @_;
	my $commit = $self->{commit}{$name} = $self->commit($name, $parent);
	$self->propose($name, $commit);
	$self->approve($name, $commit);
	$self->tell("refs/proposals/$name/head");
	return $commit;
}

# The builds of a kind as the master really has them: hashes of number, result, building, parameters.
sub builds { my ($self, $kind) = @_; return $self->{jn}->builds($self->job($kind)) }

# What the agent really began: "KIND BRAIN_BUILD" each.
sub begun {
	my ($self, $kind) = @_;
	return map { /^(\w+ \S+) \d+ begun$/ ? $1 : () } grep { !$kind || /^$kind / } split /\n/, Brain::slurp("$self->{tmp}/agent.log");
}

# Nonces that more than one build was begun for.
sub twice {
	my ($self) = @_;
	my %times;
	$times{$_}++ for $self->begun;
	return join ', ', map { "$_: $times{$_}" } grep { $times{$_} > 1 } sort keys %times;
}

# All that byoci says of one: decisions and what waits.
sub words {
	my ($self, $name) = @_;
	local $ENV{BYOCI_ROOT} = $self->{root};
	return join "\n", map { Brain::run('sh', '-c', 'exec "$@" 2>&1', 'words', "$self->{bin}/byoci", '-n', 'brt', @$_) } ['why', $name], ['status'];
}

sub said { my ($self, $name, $pattern) = @_; return wait_for(sub { $self->words($name) =~ $pattern }) }

sub landed { my ($self, $name) = @_; return wait_for(sub { $self->item($name)->{state} eq 'landed' }) }

# What a test shows when it failed.
sub why {
	my ($self, $name) = @_;
	return join "\n", $self->item($name)->{state}, $self->words($name), $self->log =~ s/^.* debug .*\n//gmr =~ s/\A.*(?=.{4000}\z)//sr, Brain::slurp("$self->{tmp}/agent.log");
}

1;
