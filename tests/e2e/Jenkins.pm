# The double of Jenkins (tests/double/jenkins) for the tests: starts it, asks it as a test, and as a client of its remote API.
package Jenkins;
use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use POSIX qw(:sys_wait_h);
use Port;
use Wait;

our $json = JSON::PP->new->canonical->utf8->allow_nonref;

# Its administrator is "admin" with the password "pass word" and an API token, {token}.
sub new {
	my ($class, @options) = @_;
	my $self = bless {tmp => tempdir('/tmp/byoci-jn.XXXXXX', CLEANUP => 1), owner => $$}, $class;
	return $self->start(@options);
}

sub start {
	my ($self, @options) = @_;
	my $port = Port::free(); # not of those that others get while it restarts
	my $pid = open my $out, '-|';
	die "fork: $!" if !defined $pid;
	if (!$pid) {
		open STDERR, '>>', "$self->{tmp}/errors";
		exec "$FindBin::Bin/../double/jenkins", '--port', $port, '--user', 'admin:pass word', @options or POSIX::_exit(127);
	}
	@$self{qw(pid out)} = ($pid, $out);
	(@$self{qw(port control root token)}) = split ' ', <$out> // '';
	die 'the double does not start: ' . $self->errors if ($self->{port} // '') !~ /\A\d+\z/;
	$self->{http} = HTTP::Tiny->new(keep_alive => 0, max_redirect => 0, timeout => $Wait::limit, verify_SSL => 0);
	return $self;
}

sub stop {
	my ($self, $signal) = @_;
	return if !$self->{pid};
	kill $signal // 'TERM', $self->{pid};
	waitpid delete $self->{pid}, 0;
	return $?;
}

sub DESTROY {
	my ($self) = @_;
	return if $self->{owner} != $$;
	local $?;
	$self->stop;
}

sub errors {
	my ($self) = @_;
	open my $in, '<', "$self->{tmp}/errors" or return '';
	local $/;
	return <$in> // '';
}

# --- as the test: POST /control/VERB

sub control {
	my ($self, $verb, %given) = @_;
	my $reply = $self->{http}->post("http://127.0.0.1:$self->{control}/control/$verb", {content => $json->encode(\%given)});
	my $found = eval { $json->decode($reply->{content}) } // {error => $reply->{content}};
	die "$verb: $found->{error}\n" . $self->errors if !$reply->{success};
	return $found;
}

# The builds of a job as they are.
sub builds { my ($self, $job) = @_; return @{($self->control('state')->{jobs}{$job} // {builds => []})->{builds}} }

# What was asked with this method of paths like this, since {seen}.
sub asked {
	my ($self, $method, $path) = @_;
	return grep { $_->{method} eq $method && $_->{path} =~ $path } @{$self->control('asked', after => $self->{seen} // 0)->{asked}};
}
sub from_now { my ($self) = @_; $self->{seen} = @{$self->control('asked')->{asked}} }

# --- as a client. %with: as (user:password; undef: nobody), form, content, type, headers, cookie

sub ask {
	my ($self, $method, $path, %with) = @_;
	my %headers = %{$with{headers} // {}};
	my $as = exists $with{as} ? $with{as} : "admin:$self->{token}";
	$headers{Authorization} //= 'Basic ' . encode_base64($as, '') if defined $as;
	$headers{Cookie} = $with{cookie} if $with{cookie};
	$headers{'Content-Type'} = $with{type} // 'application/x-www-form-urlencoded' if defined $with{content} || $with{form} || $with{type};
	my $content = $with{form} ? form(%{$with{form}}) : $with{content};
	my $reply = $self->{http}->request($method, $path =~ m{^https?:} ? $path : "$self->{root}$path",
		{headers => \%headers, defined $content ? (content => $content) : ()});
	$reply->{json} = eval { $json->decode($reply->{content}) };
	return $reply;
}

sub get { my ($self, $path, %with) = @_; return $self->ask('GET', $path, %with) }
sub post { my ($self, $path, %with) = @_; return $self->ask('POST', $path, %with) }

sub escape {
	my ($text) = @_;
	utf8::encode($text) if utf8::is_utf8($text);
	$text =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ge;
	return $text;
}

sub form { my (%field) = @_; return join '&', map { escape($_) . '=' . escape($field{$_}) } sort keys %field }

# A build's trigger: the reply, with {item}, the number in its Location.
sub trigger {
	my ($self, $job, %parameters) = @_;
	my $reply = $self->post('job/' . join('/job/', split m{/}, $job) . '/buildWithParameters?delay=0sec', form => \%parameters);
	($reply->{item}) = ($reply->{headers}{location} // '') =~ m{/queue/item/(\d+)/\z};
	return $reply;
}

# The queue item's build number, once it has one.
sub number {
	my ($self, $item) = @_;
	return wait_for(sub {
		my $found = $self->get("queue/item/$item/api/json")->{json};
		return $found && $found->{executable} && $found->{executable}{number};
	});
}

# Waits for the end of a build: its JSON.
sub ended {
	my ($self, $job, $number) = @_;
	my $path = 'job/' . join('/job/', split m{/}, $job) . "/$number/api/json";
	return wait_for(sub { my $found = $self->get($path)->{json}; return $found && !$found->{building} && $found });
}

1;
