# A real master for the tests, Hudson 3.3.2 (tests/tool/hudson), and a client of its remote API.
package Hudson;
use strict;
use warnings;
use Brain;
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Port;
use Wait;

my $json = JSON::PP->new->utf8->allow_nonref;

# With so many executors of the master's own.
sub new {
	my ($class, $executors, $port) = @_;
	my $self = bless {folder => tempdir('/tmp/byoci-hudson.XXXXXX'), tool => "$FindBin::Bin/../tool/hudson", owner => $$}, $class;
	$self->{port} = $port // Port::free();
	local $ENV{HUDSON_EXECUTORS} = $executors;
	my $said = Brain::run('sh', '-c', 'exec "$@" 2>&1', 'hudson', $self->{tool}, 'start', $self->{folder}, $self->{port});
	die "Hudson does not start: $said\n" if $?;
	@$self{qw(url user password pid)} = map { Brain::slurp("$self->{folder}/$_") =~ s/\s+\z//r } qw(url user password pid);
	$self->{http} = HTTP::Tiny->new(max_redirect => 0, timeout => $Wait::limit);
	$self->{headers} = {Authorization => 'Basic ' . encode_base64("$self->{user}:$self->{password}", '')};
	my $crumb = $self->get('crumbIssuer/api/json') or die "Hudson has no crumbs\n";
	$self->{headers}{$crumb->{crumbRequestField}} = $crumb->{crumb};
	return $self;
}

# The JSON at a path, or undef.
sub get {
	my ($self, $path) = @_;
	my $reply = $self->{http}->get("$self->{url}$path", {headers => $self->{headers}});
	return $reply->{success} ? eval { $json->decode($reply->{content}) } : undef;
}

sub post {
	my ($self, $path, $type, $content) = @_;
	return $self->{http}->post("$self->{url}$path", {headers => {%{$self->{headers}}, 'Content-Type' => $type}, content => $content})->{status};
}

# A job of one shell step, with string parameters.
sub make_job {
	my ($self, $name, $command, @parameters) = @_;
	my $declared = join '', map { "<hudson.model.StringParameterDefinition><name>$_</name><defaultValue></defaultValue>"
		. '</hudson.model.StringParameterDefinition>' } @parameters;
	$command =~ s/&/&amp;/g;
	$command =~ s/</&lt;/g;
	my $status = $self->post("createItem?name=$name", 'application/xml', <<"END_XML");
<project><properties><hudson.model.ParametersDefinitionProperty><parameterDefinitions>$declared</parameterDefinitions>
</hudson.model.ParametersDefinitionProperty></properties><canRoam>true</canRoam><concurrentBuild>true</concurrentBuild>
<builders><hudson.tasks.Shell><command>$command</command></hudson.tasks.Shell></builders></project>
END_XML
	die "the job $name is not made: $status\n" if $status != 200;
}

sub DESTROY {
	my ($self) = @_;
	return if $self->{owner} != $$;
	local $?;
	Brain::run('sh', '-c', 'exec "$@" 2>&1', 'hudson', $self->{tool}, 'stop', $self->{folder});
	remove_tree($self->{folder});
}

1;
