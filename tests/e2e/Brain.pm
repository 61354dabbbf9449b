# A byoci-brain of its own for the tests: a namespace in a temporary folder (BYOCI_ROOT), under the user who runs it, with a real
# git repository, and strict doubles of the slave and landing daemons where a test needs their faults.
package Brain;
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_hex hmac_sha1_hex sha256_hex);
use Fcntl qw(:flock);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use POSIX qw(:sys_wait_h);
use Port;
use Test::Builder;
use Time::HiRes qw(sleep time);
use Wait;

our $json = JSON::PP->new->canonical->utf8;

# Who reads it meanwhile reads the one or the other, whole.
sub spew {
	my ($path, $text, $mode) = @_;
	my $new = "$path.$$.new";
	open my $file, '>', $new or die "$new: $!";
	print $file $text;
	close $file or die "$new: $!";
	chmod $mode // 0644, $new;
	rename $new, $path or die "$path: $!";
}

sub slurp {
	my ($path) = @_;
	open my $file, '<', $path or return '';
	local $/;
	return <$file> // '';
}

sub run {
	my (@command) = @_;
	open my $pipe, '-|', @command or die "@command: $!";
	local $/;
	my $out = <$pipe> // '';
	close $pipe;
	$out =~ s{\n\z}{};
	return $out;
}

sub new {
	my ($class, %with) = @_;
	my $bin = $ENV{BYOCI_BIN} // (($ENV{O} // 'build') . '/bin');
	chomp(my $pwd = `pwd`);
	$bin = "$pwd/$bin" if $bin !~ m{^/};
	my $tmp = tempdir('/tmp/byoci-brain.XXXXXX', CLEANUP => 1);
	chmod 0755, $tmp;
	my $self = bless {bin => $bin, tmp => $tmp, ns => 'brt', hook => Port::free(), pages => Port::free(), git => Port::free(), doubles => [], owner => $$}, $class;
	$self->{root} = "$tmp/root";
	$self->{etc} = "$self->{root}/etc/byoci/brt";
	make_path("$self->{etc}/result-keys", "$self->{etc}/allowed_signers", "$tmp/state/brain", "$tmp/state/git", "$tmp/secrets/brain",
		map { "$tmp/run/$_" } qw(brain slave land worker));
	my $extra = $with{extra} // '';
	spew("$self->{etc}/byov.conf", <<"END");
[brt]
state = $tmp/state
run = $tmp/run
secrets = $tmp/secrets
hook.listen = 127.0.0.1:$self->{hook}
pages.listen = 127.0.0.1:$self->{pages}
git.listen = 127.0.0.1:$self->{git}
hook.body.limit = 1M

[project/sample]
repository = ssh://byoci-brt-git\@127.0.0.1:$self->{git}/sample.git
repository.read = $tmp/state/git/sample.git
jobs = unit
allowed_signers = $self->{etc}/allowed_signers/sample

[job/unit]
backing = base
tests.command = true

[backing/base]
suite = bookworm

[account/github]
[account/gitea]
[account/gitlab]
[account/launchpad]
[account/second]
dialect = github
[account/bare]
dialect = github
$extra
END
	for my $account (qw(git github gitea gitlab launchpad second)) {
		$self->{secret}{$account} = sha256_hex("$account $$ " . rand);
		spew("$tmp/secrets/brain/hook-$account", "$self->{secret}{$account}\n", 0600);
	}
	return $self;
}

# --- the process

sub start {
	my ($self, %with) = @_;
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		$ENV{BYOCI_ROOT} = $self->{root};
		open STDERR, '>>', "$self->{tmp}/brain.log";
		open STDOUT, '>&', \*STDERR;
		open STDIN, '<', '/dev/null';
		exec "$self->{bin}/byoci-brain", '-n', 'brt', @{$with{options} // []} or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	# Its pid is another's, once it has ended.
	my $up = wait_for(sub { ($self->get('/readyz'))[0] == 200 || (waitpid($pid, WNOHANG) != 0 && delete $self->{pid}) }) && $self->alive;
	Test::Builder->new->ok(0, 'the brain starts') || Test::Builder->new->diag($self->log) if !$up && !defined wantarray;
	return $up;
}

sub alive {
	my ($self) = @_;
	return $self->{pid} && kill 0, $self->{pid};
}

sub stop {
	my ($self, $signal) = @_;
	return if !$self->{pid};
	kill $signal // 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	delete $self->{pid};
	return $?;
}

# It reads its configuration again.
sub reload {
	my ($self, $said) = @_;
	my $line = $said // qr/the configuration was read again/;
	my $before = () = $self->log =~ /$line/g;
	kill 'HUP', $self->{pid};
	return wait_for(sub { $before < (() = $self->log =~ /$line/g) });
}

sub log { return slurp("$_[0]{tmp}/brain.log") }

sub sql {
	my ($self, $query) = @_;
	return run('sqlite3', '-readonly', '-cmd', '.timeout 60000', "$self->{tmp}/state/brain/state.db", $query);
}

# All that the brain has heard of so far is read and decided: a read that still runs would see what a test changes next.
sub settled {
	my ($self) = @_;
	return wait_for(sub { $self->sql(<<'END') eq '0' });
SELECT (SELECT count(*) FROM proposal_inbox) + (SELECT count(*) FROM gate_inbox WHERE due <= 1000 * unixepoch())
	+ (SELECT count(*) FROM calls WHERE state != 'answered' AND kind IN ('forge-read', 'forge-list'))
END
}

# --- HTTP, by curl

sub curl {
	my ($self, @arguments) = @_;
	open my $pipe, '-|', 'curl', '-s', '-m', $Wait::limit, '-w', '\n%{http_code}', @arguments or die "curl: $!";
	local $/;
	my $out = <$pipe> // '';
	close $pipe;
	my ($body, $status) = $out =~ /\A(.*)\n(\d{3})\z/s;
	return ($status // 0, $body // '');
}

sub get {
	my ($self, $path, @arguments) = @_;
	return $self->curl(@arguments, "http://127.0.0.1:$self->{pages}$path");
}

my %signs = (
	git => sub { ('X-Byoci-Event', 'X-Byoci-Delivery', 'X-Byoci-Signature: sha256=' . hmac_sha256_hex($_[0], $_[1])) },
	github => sub { ('X-GitHub-Event', 'X-GitHub-Delivery', 'X-Hub-Signature-256: sha256=' . hmac_sha256_hex($_[0], $_[1])) },
	gitea => sub { ('X-Gitea-Event', 'X-Gitea-Delivery', 'X-Gitea-Signature: ' . hmac_sha256_hex($_[0], $_[1])) },
	gitlab => sub { ('X-Gitlab-Event', 'X-Gitlab-Event-UUID', "X-Gitlab-Token: $_[1]") },
	launchpad => sub { ('X-Launchpad-Event-Type', 'X-Launchpad-Delivery', 'X-Hub-Signature: sha1=' . hmac_sha1_hex($_[0], $_[1])) },
);

# Posts a hook as its forge would. Options: path, secret, event, signature (instead of the right one; undef: none), type, curl.
sub hook {
	my ($self, $dialect, $body, %with) = @_;
	my $path = $with{path} // "/hook/$dialect";
	my ($account) = $path =~ m{([^/]+)\z};
	my $secret = $with{secret} // $self->{secret}{$account} // 'none';
	my ($event, $delivery, $signature) = $signs{$dialect}->($body, $secret);
	$signature = $with{signature} if exists $with{signature};
	spew("$self->{tmp}/body", $body);
	return $self->curl('-X', 'POST', '-H', 'Content-Type: ' . ($with{type} // 'application/json'), '-H', "$event: " . ($with{event} // 'push'),
		'-H', "$delivery: " . sha256_hex(rand), (defined $signature ? ('-H', $signature) : ()), '-H', 'Expect:',
		'--data-binary', "\@$self->{tmp}/body", @{$with{curl} // []}, "http://127.0.0.1:$self->{hook}$path");
}

# --- the byoci command

sub ask {
	my ($self, @arguments) = @_;
	local $ENV{BYOCI_ROOT} = $self->{root};
	my $out = run('sh', '-c', 'exec "$@" 2>/dev/null', 'ask', "$self->{bin}/byoci", '-n', 'brt', @arguments, '--json');
	return eval { $json->decode($out) };
}

sub decisions {
	my ($self, @about) = @_;
	my $reply = $self->ask('why', @about) or return '';
	return join "\n", map { $_->{text} } @{$reply->{decisions}};
}

sub item {
	my ($self, $name) = @_;
	my $reply = $self->ask('show', $name) or return {state => 'none'};
	return $reply->{item} // {state => 'none'};
}

# --- the plain git repository

sub git {
	my ($self, @arguments) = @_;
	return run('git', '--git-dir', "$self->{tmp}/state/git/sample.git", @arguments);
}

sub make_repository {
	my ($self) = @_;
	my $tmp = $self->{tmp};
	$ENV{GIT_CONFIG_GLOBAL} = '/dev/null';
	$ENV{GIT_CONFIG_NOSYSTEM} = 1;
	$ENV{"GIT_$_"} = 'Ann' for qw(AUTHOR_NAME COMMITTER_NAME);
	$ENV{"GIT_$_"} = 'ann@localhost' for qw(AUTHOR_EMAIL COMMITTER_EMAIL);
	run('git', 'init', '-q', '--bare', '-b', 'main', "$tmp/state/git/sample.git");
	my $tree = $self->git('hash-object', '-t', 'tree', '-w', '/dev/null');
	$self->{main} = $self->git('commit-tree', '-m', 'Begin', $tree);
	$self->git('update-ref', 'refs/heads/main', $self->{main});
	for my $who (qw(ann ben)) {
		run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', $who, '-f', "$tmp/$who");
		my ($type, $key) = split ' ', slurp("$tmp/$who.pub");
		open my $file, '>>', "$self->{etc}/allowed_signers/sample" or die $!;
		print $file "$who namespaces=\"byoci-record\@v1\" $type $key\n";
	}
	run('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', "$tmp/result.key");
	run('openssl', 'pkey', '-in', "$tmp/result.key", '-pubout', '-out', "$self->{etc}/result-keys/local.pub");
}

sub tip { return $_[0]->git('rev-parse', 'refs/heads/main') }

# A commit on top of main that adds a file.
sub commit {
	my ($self, $name, $parent) = @_;
	spew("$self->{tmp}/blob", "$name\n");
	my $blob = $self->git('hash-object', '-w', "$self->{tmp}/blob");
	spew("$self->{tmp}/tree", "100644 blob $blob\t$name\n");
	my $tree = `git --git-dir $self->{tmp}/state/git/sample.git mktree < $self->{tmp}/tree`;
	chomp $tree;
	return $self->git('commit-tree', '-p', $parent // $self->tip, '-m', "Add $name", $tree);
}

sub record {
	my ($self, $kind, $who, $name, $commit, $target) = @_;
	# Of a second: what is approved again is approved later.
	sleep 0.02 while int(time) <= ($self->{recorded}{"$kind $name"} // 0);
	$self->{recorded}{"$kind $name"} = int time;
	my %record = (byoci => 1, kind => $kind, repository => "127.0.0.1:$self->{git}/sample", proposal => $name, target => $target // 'refs/heads/main',
		commit => $commit, time => int(time));
	$record{message} = "Add $name" if $kind eq 'propose';
	my $payload = $json->encode(\%record) . "\n";
	spew("$self->{tmp}/payload", $payload);
	unlink "$self->{tmp}/payload.sig";
	system('ssh-keygen', '-q', '-Y', 'sign', '-n', 'byoci-record@v1', '-f', "$self->{tmp}/$who", "$self->{tmp}/payload");
	my $blob = $payload . slurp("$self->{tmp}/payload.sig");
	spew("$self->{tmp}/blob", $blob);
	my $id = substr sha256_hex($blob), 0, 32;
	$self->git('update-ref', "refs/proposals/$name/records/$id", $self->git('hash-object', '-w', "$self->{tmp}/blob"));
}

sub propose {
	my ($self, $name, $commit) = @_;
	$self->git('update-ref', "refs/proposals/$name/head", $commit);
	$self->record('propose', 'ann', $name, $commit);
}

sub approve { my ($self, $name, $commit) = @_; $self->record('approve', 'ben', $name, $commit) }

# What the repository's post-receive hook tells.
sub tell {
	my ($self, @refs) = @_;
	my $body = $json->encode({repository => "127.0.0.1:$self->{git}/sample", pusher => 'ann', time => int(time * 1000),
		refs => [map { {ref => $_, old => undef, new => undef} } @refs]});
	return $self->hook('git', $body);
}

# --- doubles: one process for each daemon, one child for each connection

sub double {
	my ($self, $which, $talk) = @_;
	my $path = "$self->{tmp}/run/$which/socket";
	unlink $path;
	my $server = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 16) or die "$path: $!";
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		setpgrp 0, 0;
		$SIG{CHLD} = 'IGNORE';
		while (my $client = $server->accept) {
			next if fork;
			while (my $line = <$client>) {
				my $message = $json->decode($line);
				spew_append("$self->{tmp}/$which.heard", $line);
				last if $message->{op} eq 'ahead'; # nobody listens for its answer
				if ($message->{op} eq 'premake') { # nothing depends on its answer: {deaf} gives none
					last if $self->{deaf};
					print $client $json->encode({ok => JSON::PP::true, outcome => 'success'}), "\n";
					$client->flush;
					next;
				}
				last if !$talk->($message, sub { print $client $json->encode($_[0]), "\n"; $client->flush });
			}
			POSIX::_exit(0);
		}
		POSIX::_exit(0);
	}
	setpgrp $pid, $pid; # if it has not come to do that itself
	$self->{double}{$which} = $pid;
	push @{$self->{doubles}}, $pid;
}

# It takes nobody any more; whom it talks with, it goes on with. Not waited for, so that its group stays its own until the end.
sub end_double {
	my ($self, $which) = @_;
	my $pid = delete $self->{double}{$which} or return;
	kill 'KILL', $pid;
	sleep 0.005 while slurp("/proc/$pid/stat") =~ /\) [^Z]/;
	unlink "$self->{tmp}/run/$which/socket";
}

sub spew_append {
	my ($path, $text) = @_;
	open my $file, '>>', $path or die "$path: $!";
	syswrite $file, $text; # whole, whoever else writes
	close $file;
}

sub heard {
	my ($self, $which, $op) = @_;
	return grep { $_->{op} eq $op } map { $json->decode($_) } slurp("$self->{tmp}/$which.heard") =~ /^(.*)\n/mg;
}

# The line that a slave signs over a result for this spec; %with overrides fields of the payload.
sub result_line {
	my ($self, $spec, %with) = @_;
	my $now = int(time * 1000);
	my $tree = $spec->{trees}[0];
	my $outcome = $with{outcome} // 'success';
	my %result = (result => 1, (map { $_ => $spec->{$_} } qw(build namespace project proposal target attempt)), slave => 'local',
		base => $tree->{base}, source => $tree->{merges}[0]{source}, merge => 'b' x 40, tree => 'c' x 40, outcome => $outcome, reason => '',
		jobs => [{name => 'unit', digest => $spec->{jobs}[0]{digest}, backing => 'd' x 64, outcome => $outcome, exit => 0, started => $now, ended => $now}],
		steps => [map { {name => $_, started => $now, ended => $now + 1} } qw(fetch merge worker tests teardown)], time => $now, %with);
	my $signed = 'byoci-result-1 ' . encode_base64($json->encode(\%result), '');
	my $key = $with{key} // "$self->{tmp}/result.key";
	spew("$self->{tmp}/signed.$$", $signed);
	my $signature = `openssl pkeyutl -sign -rawin -inkey $self->{tmp}/result.key -in $self->{tmp}/signed.$$`;
	return "$signed " . encode_base64($signature, '');
}

# A slave that takes every build, prints a log and ends it with what $end->($spec) gives: fields of the result.
sub slave {
	my ($self, $end) = @_;
	my $specs = "$self->{tmp}/specs";
	make_path($specs);
	$self->double('slave', sub {
		my ($message, $say) = @_;
		if ($message->{op} eq 'start') {
			spew("$specs/$message->{spec}{build}", $json->encode($message->{spec}));
			$say->({ok => JSON::PP::true, build => $message->{spec}{build}});
			return 1;
		}
		return 0 if $message->{op} ne 'follow';
		my $spec = $json->decode(slurp("$specs/$message->{build}"));
		my $log = "one line\nsecond <line>\n";
		$say->({log => substr($log, $message->{offset}), offset => length $log}) if $message->{offset} < length $log;
		my %fields = $end->($spec);
		return 0 if $fields{close};
		$say->({result => $fields{line} // $self->result_line($spec, %fields), outcome => $fields{outcome} // 'success', offset => length $log});
		return 0;
	});
}

# A landing daemon: `land` answers what $land->($request) gives, by default it moves main; every report is taken, or answered with what
# $report->($request) gives.
sub lander {
	my ($self, $land, $report) = @_;
	$self->double('land', sub {
		my ($message, $say) = @_;
		if ($message->{op} eq 'report') {
			my $answer = $report ? $report->($message) : undef;
			$say->($answer // {outcome => 'success', reason => '', marker => 'e' x 32});
			return 0;
		}
		# Landings of one project wait for each other, as the real daemon's do.
		open my $turn, '>>', "$self->{tmp}/land.turn" or die $!;
		flock $turn, LOCK_EX;
		my $answer = $land ? $land->($message) : undef;
		return 0 if $answer && $answer->{close};
		if (!$answer) {
			my $tree = $message->{spec}{trees}[0];
			my $source = $tree->{merges}[0]{source};
			my $merge = $self->git('commit-tree', '-p', $tree->{base}, '-p', $source, '-m', 'Merge', "$source^{tree}");
			$self->git('update-ref', $message->{spec}{target}, $merge);
			my $now = int(time * 1000);
			$answer = {outcome => 'success', reason => '', merge => $merge, target_tip => $merge,
				steps => [{name => 'push', started => $now, ended => $now + 1}]};
		}
		$say->($answer);
		return 0;
	});
}

sub DESTROY {
	my ($self) = @_;
	return if $self->{owner} != $$;
	local $?;
	$self->stop('KILL');
	for my $pid (@{$self->{doubles} // []}) {
		kill 'KILL', -$pid;
		waitpid $pid, 0;
	}
}

1;
