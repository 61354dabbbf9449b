# The double of Launchpad (tests/double/launchpad) for the tests: starts it, asks it as a test, as the REST API's client and as git,
# and hears what its webhooks send.
package Launchpad;
use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(:sys_wait_h);
use Wait;

our $json = JSON::PP->new->canonical->utf8->allow_nonref;

sub new {
	my ($class, @options) = @_;
	my $self = bless {tmp => tempdir('/tmp/byoci-lp.XXXXXX', CLEANUP => 1), owner => $$, heard => {}}, $class;
	$self->start(@options);
	return $self;
}

sub start {
	my ($self, @options) = @_;
	my $pid = open my $out, '-|';
	die "fork: $!" if !defined $pid;
	if (!$pid) {
		open STDERR, '>>', "$self->{tmp}/errors";
		exec "$FindBin::Bin/../double/launchpad", @options or POSIX::_exit(127);
	}
	@$self{qw(pid out)} = ($pid, $out);
	(@$self{qw(port api)}) = split ' ', <$out> // '';
	die 'the double does not start: ' . $self->errors if ($self->{port} // '') !~ /\A\d+\z/;
	$self->{root} = "http://127.0.0.1:$self->{port}";
	$self->{http} = HTTP::Tiny->new(keep_alive => 0, max_redirect => 0, timeout => $Wait::limit);
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
	for my $pid (values %{$self->{heard}}) {
		kill 'TERM', $pid;
		waitpid $pid, 0;
	}
}

sub errors {
	my ($self) = @_;
	open my $in, '<', "$self->{tmp}/errors" or return '';
	local $/;
	return <$in> // '';
}

# What became of the double, when it does not answer any more.
sub health {
	my ($self) = @_;
	my $ended = $self->{pid} ? waitpid $self->{pid}, WNOHANG : 0;
	my $status = $?;
	delete $self->{pid} if $ended;
	my $words = $self->errors;
	return ($ended ? "the double ended with status $status\n" : '') . ($words ? "it said:\n$words" : '');
}

# --- as the test: POST /control/VERB

sub control {
	my ($self, $verb, %given) = @_;
	my $reply = $self->{http}->post("$self->{root}/control/$verb", {content => $json->encode(\%given)});
	my $found = eval { $json->decode($reply->{content}) } // {error => $reply->{content}};
	die "$verb: $found->{error}\n" . $self->health if !$reply->{success};
	return $found;
}

# People with a token each; the first is alone, and so on.
sub people {
	my ($self, @names) = @_;
	for my $name (@names) {
		$self->control('person', name => $name);
		$self->{token}{$name} = $self->control('token', person => $name);
		$self->control('password', person => $name, secret => "secret-$name");
	}
	return $self;
}

# --- as a client of the REST API

sub oauth {
	my ($self, $token, %other) = @_;
	my %field = (oauth_consumer_key => $token->{consumer}, oauth_token => $token->{token}, oauth_signature_method => 'PLAINTEXT',
		oauth_signature => "&$token->{secret}", oauth_timestamp => int time, oauth_nonce => int rand 1e9, oauth_version => '1.0', %other);
	return 'OAuth realm="https://api.launchpad.net/", ' . join ', ', map { $_ . '="' . escape($field{$_}) . '"' } sort keys %field;
}

sub escape {
	my ($text) = @_;
	utf8::encode($text) if utf8::is_utf8($text);
	$text =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ge;
	return $text;
}

sub form { my @pairs = @_; return join '&', map { escape($pairs[2 * $_]) . '=' . escape($pairs[2 * $_ + 1]) } 0 .. $#pairs / 2 }

# A reply of HTTP::Tiny, with {json} where it is JSON. $path is below devel, or a whole address.
sub api {
	my ($self, $who, $method, $path, %with) = @_;
	my %headers = %{$with{headers} // {}};
	$headers{Authorization} //= $self->oauth($self->{token}{$who}) if defined $who;
	my $url = $path =~ m{^http:} ? $path : "$self->{root}/devel/$path";
	my $reply = $self->{http}->request($method, $url, {headers => \%headers, defined $with{content} ? (content => $with{content}) : ()});
	$reply->{json} = eval { $json->decode($reply->{content}) };
	return $reply;
}

sub get { my ($self, $who, $path, @query) = @_; return $self->api($who, 'GET', @query ? "$path?" . form(@query) : $path) }

# A named operation that writes; texts are given as they are to be sent.
sub call {
	my ($self, $who, $path, $operation, @parameters) = @_;
	return $self->api($who, 'POST', $path, content => form('ws.op', $operation, @parameters),
		headers => {'Content-Type' => 'application/x-www-form-urlencoded'});
}

sub patch {
	my ($self, $who, $path, $changes, %headers) = @_;
	return $self->api($who, 'PATCH', $path, content => $json->encode($changes), headers => {'Content-Type' => 'application/json', %headers});
}

# --- as byoci reads a proposal back: the composed reply of brain/forge/dialect_launchpad.h

# Every entry of a collection, page by page.
sub entries {
	my ($self, $who, $link) = @_;
	my @found;
	while ($link) {
		my $page = $self->get($who, $link)->{json} // return;
		push @found, @{$page->{entries}};
		$link = $page->{next_collection_link};
	}
	return @found;
}

sub tip {
	my ($self, $who, $repository_link, $path) = @_;
	my $ref = $self->get($who, $repository_link, 'ws.op', 'getRefByPath', path => $json->encode($path))->{json};
	return $ref && $ref->{commit_sha1};
}

# $repository: unique name of the project's; $trusted: {name => 1} of who may review for it. Commits are looked at in the work tree.
sub compose {
	my ($self, $who, $place, $repository, $trusted) = @_;
	my $proposal = $self->get($who, $place)->{json} // return;
	my @votes = map {
		my ($name) = $_->{reviewer_link} =~ m{/~([^/]+)\z};
		{vote => $_, comment => $_->{comment_link} && $self->get($who, $_->{comment_link})->{json},
			trusted => $trusted->{$name} ? JSON::PP::true : JSON::PP::false}
	} $self->entries($who, $proposal->{votes_collection_link});
	my ($source, $target) = map { $self->tip($who, $proposal->{"${_}_git_repository_link"}, $proposal->{"${_}_git_path"}) } qw(source target);
	my $landed = sub {
		my $tip = shift;
		return $tip && defined $self->git('merge-base', '--is-ancestor', $tip, $target) ? JSON::PP::true : JSON::PP::false;
	};
	my $prerequisite = $proposal->{prerequisite_git_path} &&
		$self->tip($who, $proposal->{prerequisite_git_repository_link}, $proposal->{prerequisite_git_path});
	my @author = $source ? split /\n/, $self->git('log', '-1', '--format=%an%n%ae', $source) : ('', '');
	my ($head_time, $target_time) = map { $_ ? 0 + $self->git('log', '-1', '--format=%ct', $_) : 0 } $source, $target;
	return $json->encode({repository => "127.0.0.1:$self->{port}/$repository", repository_name => $repository, proposal => $proposal,
		votes => \@votes, diffs => [reverse $self->entries($who, $proposal->{preview_diffs_collection_link})], source_tip => $source,
		target_tip => $target, source_landed => $landed->($source), prerequisite_landed => $landed->($prerequisite),
		head_time => $head_time, target_time => $target_time, author_name => $author[0], author_email => $author[1]});
}

# --- as git

sub url { my ($self, $who, $name) = @_; return "http://$who:secret-$who\@127.0.0.1:$self->{port}/$name" }

sub git {
	my ($self, @command) = @_;
	my $pid = open my $pipe, '-|';
	if (!$pid) {
		open STDERR, '>&', \*STDOUT;
		@ENV{qw(GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM GIT_TERMINAL_PROMPT)} = ('/dev/null', 1, 0);
		$ENV{"GIT_${_}_NAME"} = 'Ann', $ENV{"GIT_${_}_EMAIL"} = 'ann@example.org' for qw(AUTHOR COMMITTER);
		exec 'git', '-C', "$self->{tmp}/work", @command or POSIX::_exit(127);
	}
	local $/;
	my $said = <$pipe> // '';
	close $pipe;
	$self->{said} = $said;
	$said =~ s/\n\z//;
	return $? ? undef : $said;
}

# A work tree with one commit on main.
sub work {
	my ($self) = @_;
	mkdir "$self->{tmp}/work";
	$self->git('init', '-q', '-b', 'main');
	$self->git('commit', '-q', '--allow-empty', '-m', 'begin');
	return $self;
}

# A commit on a branch of that name, from $from (or where the branch is); its id.
sub commit {
	my ($self, $branch, $from) = @_;
	$self->git('checkout', '-q', '-B', $branch, $from) if defined $from;
	$self->git('checkout', '-q', $branch) if !defined $from;
	open my $file, '>>', "$self->{tmp}/work/" . $branch =~ tr{/}{-}r or die $!;
	print $file int(rand 1e9), "\n";
	close $file;
	$self->git('add', '-A');
	$self->git('commit', '-q', '-m', "work on $branch");
	return $self->git('rev-parse', 'HEAD');
}

# --- as who hears webhooks: each one is a line of JSON in a file, answered with what the file "$name.status" says (202)

sub listener {
	my ($self, $name) = @_;
	my $socket = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		$SIG{TERM} = 'DEFAULT';
		while (my $client = $socket->accept) {
			hear($client, "$self->{tmp}/$name");
			close $client;
		}
		POSIX::_exit(0);
	}
	$self->{heard}{$name} = $pid;
	return 'http://127.0.0.1:' . $socket->sockport . "/hook/$name";
}

sub hear {
	my ($client, $path) = @_;
	my %hook = (line => scalar <$client>);
	while (defined(my $line = <$client>)) {
		last if $line !~ /\S/;
		$hook{headers}{lc $1} = $2 if $line =~ /^([^:]+):\s*(.*?)\r?\n/;
	}
	read $client, $hook{body}, $hook{headers}{'content-length'} // 0;
	open my $file, '>>', $path or die $!;
	syswrite $file, $json->encode(\%hook) . "\n";
	close $file;
	my $status = 202;
	if (open my $in, '<', "$path.status") { chomp($status = <$in> // 202) }
	print $client "HTTP/1.1 $status X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" if $status;
}

sub heard {
	my ($self, $name) = @_;
	open my $in, '<', "$self->{tmp}/$name" or return;
	return map { my $hook = $json->decode($_); $hook->{json} = eval { $json->decode($hook->{body}) }; $hook } grep { /\n\z/ } <$in>;
}

sub answer {
	my ($self, $name, $status) = @_;
	open my $file, '>', "$self->{tmp}/$name.status.new" or die $!;
	print $file "$status\n";
	close $file;
	rename "$self->{tmp}/$name.status.new", "$self->{tmp}/$name.status";
}

1;
