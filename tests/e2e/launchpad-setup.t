#!/usr/bin/perl
# A project on Launchpad under setup/byoci's users: REST over https by a private CA, git by a real sshd, signed hooks, tests in real
# containers. From a configuration to the first landing, by what setup says is missing; then through hooks and by the poller; and an author who
# looks at what her tests left, with the keys that Launchpad has of her.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Brain;
use JSON::PP;
use Launchpad;
use POSIX ();
use Port;
use Test::More;
use Time::HiRes qw(time);
use Wait;

plan skip_all => 'setup/byoci needs root' if $<;
chdir "$FindBin::Bin/../..";
my $ns = 'elsewhere';
my ($etc, $secrets, $bin) = ("/etc/byoci/$ns", "/var/lib/byoci/$ns/secrets", "/usr/local/lib/byoci/$ns/bin");
my %port = map { $_ => Port::free() } qw(hook pages git ssh author);
my $said = '';
sub setup {
	my (@arguments) = @_;
	$said = Brain::run('sh', '-c', 'exec "$@" 2>&1 </dev/null', 'setup', 'setup/byoci', @arguments);
	return $? >> 8;
}
setup('--remove', $ns) == 0 or BAIL_OUT($said);

# --- the outside: a CA, the forge and its sshd
my $tls = "/tmp/byoci-elsewhere.$$";
my ($sshd, $lp);
END {
	local $?;
	if ($sshd) { kill 'TERM', $sshd; waitpid $sshd, 0 }
	if ($tls) { setup('--remove', $ns) if $lp; system('rm', '-rf', $tls, $etc) }
}
mkdir $tls, 0755 or die $!;
sub command { my @command = @_; Brain::run('sh', '-c', 'exec "$@" 2>&1', 'command', @command); return $? == 0 || BAIL_OUT("@command") }
command('openssl', 'req', '-x509', '-newkey', 'ed25519', '-nodes', '-days', 2, '-subj', '/CN=a CA of the test', '-keyout', "$tls/ca.key", '-out', "$tls/ca.pem");
Brain::spew("$tls/names", "subjectAltName = IP:127.0.0.1\n");
command('openssl', 'req', '-newkey', 'ed25519', '-nodes', '-subj', '/CN=forge', '-keyout', "$tls/key.pem", '-out', "$tls/request.pem");
command('openssl', 'x509', '-req', '-days', 2, '-in', "$tls/request.pem", '-CA', "$tls/ca.pem", '-CAkey', "$tls/ca.key", '-CAcreateserial', '-extfile',
	"$tls/names", '-out', "$tls/cert.pem");
$lp = Launchpad->new('--tls', "$tls/cert.pem", "$tls/key.pem");
like($lp->{api}, qr{^https://127\.0\.0\.1:\d+$}, 'the API is there by https');
my ($name, $fork) = ('~team/widget/+git/widget', '~ann/widget/+git/widget');
$lp->people(qw(ann bob bot));
$lp->control('person', name => 'team', members => [qw(bob bot)]);
my $folder = $lp->control('repository', name => $name, owner => 'team')->{folder};
my ($root) = $folder =~ m{\A(.*)/\Q$name\E\z};
$lp->control('repository', name => $fork, owner => 'ann');
$lp->work;
Brain::spew("$lp->{tmp}/work/run-tests", "#!/bin/sh\nid -u; hostname; ls; wc -c </run/secrets/token\ncp /run/secrets/token stolen\n! test -e fails\n", 0755);
$lp->commit('main');
$lp->git('push', '-q', $lp->url('bob', $name), 'main') // BAIL_OUT($lp->{said});
$lp->control('scan', repository => $name);

# As git.launchpad.net: who has which key may do what; paths are unique names.
command('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', "$tls/host");
Brain::spew("$tls/serve", <<'END', 0755);
#!/bin/sh
path=${SSH_ORIGINAL_COMMAND#*\'/} path=${path#*\'} path=${path%\'}
case $path in *..* | *\'*) exit 1 ;; esac
case $SSH_ORIGINAL_COMMAND in
"git-upload-pack '"*) exec git-upload-pack "$2/$path" ;;
"git-receive-pack '"*) [ "$1" = bot ] && exec git-receive-pack "$2/$path" ;;
esac
echo "Permission denied." >&2
exit 1
END
Brain::spew("$tls/authorized", '');
Brain::spew("$tls/sshd", join "\n", 'ListenAddress 127.0.0.1', "Port $port{ssh}", "HostKey $tls/host", 'PidFile none', 'PermitRootLogin forced-commands-only',
	"AuthorizedKeysFile $tls/authorized", 'StrictModes no', 'UsePAM no', 'PasswordAuthentication no', 'KbdInteractiveAuthentication no', '');
mkdir '/run/sshd';
$sshd = fork // die $!;
if (!$sshd) {
	open STDERR, '>', "$tls/sshd.log";
	exec '/usr/sbin/sshd', '-D', '-e', '-f', "$tls/sshd" or POSIX::_exit(127);
}

# --- setting up, by what it says
mkdir '/etc/byoci';
mkdir $etc;
Brain::spew("$etc/byov.conf", <<"END");
[$ns]
hook.listen = 127.0.0.1:$port{hook}
pages.listen = 127.0.0.1:$port{pages}
git.listen = 127.0.0.1:$port{git}
author.listen = 127.0.0.1:$port{author}
worker.ids.first = 1360000000
poll = 1h

[account/launchpad]
api.url = $lp->{api}/devel
api.ca = $etc/launchpad.ca
known.hosts = $etc/launchpad.hosts
keys.url = $lp->{api}
own.names = bot

[project/widget]
repository = ssh://root\@127.0.0.1:$port{ssh}/$name
account = launchpad
reviewers = team
jobs = unit
secrets = token
keep = 10m
author.shell = yes

[job/unit]
backing = small
tests.command = ./run-tests
tests.limit = 10m

[backing/small]
suite = bookworm
END
my $began = time;
is(setup($ns, '--no-sample'), 75, 'without the forge\'s host key it is not set up');
like($said, qr/launchpad\.hosts: not there.*ssh-keyscan/, 'which is said, and how to get it') or diag($said);
like(Brain::run('sh', '-c', "setup/byoci --check $ns 2>&1"), qr/launchpad\.hosts: not there/, '--check says so as well');
Brain::spew("$etc/launchpad.ca", Brain::slurp("$tls/ca.pem"));
my $scanned = Brain::run('sh', '-c', "ssh-keyscan -p $port{ssh} -t ed25519 127.0.0.1 2>/dev/null");
like($scanned, qr/ssh-ed25519/, 'ssh-keyscan reads it');
Brain::spew("$etc/launchpad.hosts", "# the forge\n$scanned\n");
is(setup($ns, '--no-sample'), 75, 'nor without its tokens');
like($said, qr/land\/launchpad-launchpad: it is missing: .*consumer key, token and secret.*byoci-elsewhere-land/, 'which is said for each user, and how to get them')
	or diag($said);
for my $who (qw(brain land)) {
	my $token = $lp->{token}{bot};
	Brain::spew("$secrets/$who/launchpad-launchpad", "$token->{consumer} $token->{token} $token->{secret}\n", 0600);
	my $user = $who eq 'brain' ? "byoci-$ns" : "byoci-$ns-$who";
	chown((getpwnam $user)[2, 3], "$secrets/$who/launchpad-launchpad") or die $!;
}
is(setup($ns, '--no-sample'), 0, 'with both it is up') or BAIL_OUT($said);
like($said, qr/widget can not be read yet, as byoci-elsewhere: .*Permission denied/, 'but the forge does not know our keys, which is said') or diag($said);
like(Brain::slurp("$etc/known_hosts"), qr/^\[127\.0\.0\.1\]:$port{ssh} ssh-ed25519/m, 'git trusts the host by then') or diag($said);
my %key = map { $_ => Brain::slurp("$secrets/$_/id_ed25519.pub") =~ s/\n//r } qw(brain slave land);
like($said, qr/\Q$key{$_}\E/, "and which: $_") for sort keys %key;
Brain::spew("$tls/authorized", join '', map { 'command="' . "$tls/serve " . ($_ eq 'land' ? 'bot' : 'reader') . " $root\",restrict $key{$_}\n" } sort keys %key);
is(setup($ns, '--no-sample'), 0, 'then it is up');
like($said, qr/everything is as it should be/, 'and says so') or diag($said);
unlike($said, qr/can not be read/, 'without a reservation');
is(Brain::run('sh', '-c', "setup/byoci --check $ns 2>&1 | tail -n 1"), '  everything is as it should be', 'as does --check');
diag(sprintf 'set up in %d s', time - $began);

# --- landing
Brain::spew("$secrets/worker/token", "a token of 21 bytes.\n", 0600);
sub ask { my @words = @_; return eval { decode_json(Brain::run('sh', '-c', 'exec "$@" 2>/dev/null', 'ask', "$bin/byoci", '-n', $ns, @words, '--json')) } }
sub item { my ($made) = @_; return (ask('show', $made->{id}) // {})->{item}{state} // 'none' }
sub why { my ($made) = @_; return join "\n", map { $_->{text} } @{(ask('why', $made->{id}) // {})->{decisions} // []} }
sub there { my ($made) = @_; return $lp->control('state', proposal => $made->{id}) }
sub comments { my ($made) = @_; return map { $_->{content} } grep { $_->{author} eq 'bot' } @{there($made)->{comments}} }
sub logs { return Brain::run('sh', '-c', "tail -n 15 /var/log/byoci/$ns/*.log $tls/sshd.log") }
sub main_now {
	$lp->git('fetch', '-q', $lp->url('bob', $name), '+main:refs/remotes/main');
	return $lp->git('rev-parse', 'refs/remotes/main');
}
sub pushed {
	my ($branch, $file) = @_;
	Brain::spew("$lp->{tmp}/work/$file", "$branch\n") if defined $file;
	my $commit = $lp->commit($branch);
	$lp->git('push', '-q', '-f', $lp->url('ann', $fork), $branch) // BAIL_OUT($lp->{said});
	$lp->control('scan', repository => $fork);
	return $commit;
}
sub proposed {
	my ($branch, $file) = @_;
	main_now();
	$lp->git('checkout', '-q', '-B', $branch, 'refs/remotes/main');
	my $commit = pushed($branch, $file);
	my $made = $lp->control('propose', person => 'ann', source => [$fork, "refs/heads/$branch"], target => [$name, 'refs/heads/main'],
		commit_message => "Do $branch");
	wait_for(sub { @{there($made)->{diffs}} });
	return ($made, $commit);
}
sub approves { my ($made) = @_; return $lp->call('bob', $made->{path}, 'setStatus', status => 'Approved')->{success} }
sub landed {
	my ($made, $commit, $what) = @_;
	my $from = time;
	ok(wait_for(sub { item($made) eq 'landed' }), "$what: it lands") or diag(why($made), logs());
	diag(sprintf '%s: approved to landed in %.1f s', $what, time - $from);
	main_now();
	is($lp->git('rev-parse', 'refs/remotes/main^2'), $commit, "$what: what was approved, by a merge");
	ok(wait_for(sub { comments($made) }), "$what: with a comment");
	ok(wait_for(sub { there($made)->{queue_status} eq 'Merged' }), "$what: and Merged");
	like(join('', comments($made)), qr{landed on refs/heads/main.*/builds/[0-9a-f]{32}}s, "$what: which says where");
}

my $secret = Brain::slurp("$secrets/brain/hook-launchpad") =~ s/\n//r;
my $hook = $lp->control('hook', repository => $name, url => "http://127.0.0.1:$port{hook}/hook/launchpad", secret => $secret)->{id};
my ($one, $commit) = proposed('one');
approves($one);
landed($one, $commit, 'by a hook');
my $build = ask('show', $one->{id})->{builds}[0]{build};
like(Brain::run("$bin/byoci", '-n', $ns, 'log', $build), qr/^unit\| 0\n.*run-tests|^.*\b0\b.*run-tests/ms, 'tested as root of a container of its own');
like(Brain::run("$bin/byoci", '-n', $ns, 'log', $build), qr{^\| 21$}m, 'with the secrets of its project, which it could find approved without a token');
is(Brain::run('sh', '-c', "stat -c '%U:%G %a' /run/byoci/$ns/approval; find $secrets/slave -name 'launchpad*'"), "byoci-$ns-land:byoci-$ns-slave 2750",
	'by a socket that is the slave\'s user\'s alone');
my ($print) = Brain::run('ssh-keygen', '-lf', "$secrets/land/id_ed25519.pub") =~ m{(SHA256:\S+)};
like(Brain::slurp("$tls/sshd.log"), qr{Accepted publickey for root .*\Q$print\E}, 'landed by ssh with the landing key');

my ($bad) = proposed('bad', 'fails');
my $before = main_now();
approves($bad);
ok(wait_for(sub { item($bad) eq 'rejected' }), 'one whose tests fail is rejected') or diag(why($bad), logs());
ok(wait_for(sub { there($bad)->{queue_status} eq 'Needs review' }), 'and back to Needs review');
like(join('', comments($bad)), qr{failure.*/builds/[0-9a-f]{32}}s, 'with the reason');
is(main_now(), $before, 'and main stays');

# --- its author in a copy of what its tests left
command('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', $_, '-f', "$tls/key.$_") for qw(ann bob other);
my %line = map { $_ => Brain::slurp("$tls/key.$_.pub") =~ s/\n//r } qw(ann bob other);
sub publishes { my ($who, @keys) = @_; return $lp->control('sshkeys', person => $who, keys => [map { $line{$_} } @keys]) }
Brain::spew("$tls/known", "[127.0.0.1]:$port{author} " . Brain::slurp("$secrets/author/ssh_host_ed25519_key.pub"));
# What somebody with that key hears: output and errors.
sub comes_in {
	my ($who, $input, @words) = @_;
	Brain::spew("$tls/input", $input);
	return Brain::run('sh', '-c', 'exec timeout -k 5 600 "$@" 2>&1 <"$0"', "$tls/input", 'ssh', '-F', 'none', '-T', '-p', $port{author}, '-i', "$tls/key.$who",
		(map { ('-o', $_) } 'IdentitiesOnly=yes', 'IdentityAgent=none', 'BatchMode=yes', "UserKnownHostsFile=$tls/known", 'StrictHostKeyChecking=yes',
			'LogLevel=ERROR'), '-l', "byoci-$ns-author", '127.0.0.1', @words);
}
# As when the minute is over that what Launchpad has said is remembered for.
sub forgotten { return utime time - 100, time - 100, "/var/lib/byoci/$ns/slave/authors/widget:ann" }
publishes('ann', qw(other ann));
publishes('bob', 'bob');
$build = ask('show', $bad->{id})->{builds}[0]{build};
like(Brain::run("$bin/byoci", '-n', $ns, 'log', $build), qr/^byoci: ann, who proposed this, may look at a copy of it, by ssh: $build$/m, 'who proposed it is told how to look')
	or diag(Brain::run("$bin/byoci", '-n', $ns, 'log', $build), logs());
my $look = 'pwd; id -u; ls; cat stolen; cat /run/secrets/token 2>/dev/null';
my $seen = comes_in('ann', $look, $build);
like($seen, qr{^byoci: ann: a copy of what the tests of $bad->{id} in widget left, build $build,}m, 'she is in a copy, with a key that Launchpad has of her')
	or diag($seen, logs());
like($seen, qr{^/workspace\n0\n(?:.*\n)*fails\n}m, 'of what her tests left');
like($seen, qr/^\*{20,21}$/m, 'in which what they did with a secret is stars');
unlike($seen, qr/a token of/, 'and no secret');
like(comes_in('other', 'echo mine'), qr/^mine$/m, 'another key of hers does as well, and the build need not be named');
like(comes_in('bob', $look, $build), qr/Permission denied \(publickey\)/, 'who approved it is not let in, though Launchpad has his key');
publishes('ann', 'other');
forgotten() or diag('nothing was remembered');
like(comes_in('ann', $look, $build), qr/Permission denied \(publickey\)/, 'a key that she has taken away there opens nothing here');
like(comes_in('other', 'echo mine'), qr/^mine$/m, 'what she left there does');
forgotten();
$lp->control('fault', path => '+sshkeys', status => 503, times => 1);
like(comes_in('other', $look, $build), qr/Permission denied \(publickey\)/, 'where Launchpad does not say whose a key is, it is nobody\'s');
my @asked = map { $_->{path} } grep { $_->{path} =~ /sshkeys/ } @{$lp->control('asked')->{asked}};
is(join(' ', grep { $_ ne '/~ann/+sshkeys' } @asked), '', 'it was asked for her keys, and nobody else\'s');
Brain::run("$bin/byoci", '-n', $ns, 'discard', $build);

# Its tests last until the push is there: the approval is for another commit then.
my ($moved) = proposed('moved', 'slow');
Brain::spew("$lp->{tmp}/work/run-tests", "#!/bin/sh\nsleep 500\n", 0755);
pushed('moved');
wait_for(sub { @{there($moved)->{diffs}} > 1 });
approves($moved);
ok(wait_for(sub { item($moved) =~ /queued|building/ }), 'one is tested');
my $over = pushed('moved');
ok(wait_for(sub { item($moved) eq 'removed' }), 'a push after the approval takes it out') or diag(why($moved));
ok(wait_for(sub { grep { /approve again/ } comments($moved) }), 'with a comment');
is(main_now(), $before, 'and nothing of it lands');

# --- without hooks
$lp->api('bob', 'DELETE', "$name/+webhook/$hook");
$lp->control('pause');
is(setup($ns, '--no-sample', '-O', 'poll=1s'), 0, 'a shorter poll') or diag($said);
my ($silent, $silent_commit) = proposed('silent');
approves($silent);
landed($silent, $silent_commit, 'by the poller');

is(setup('--remove', $ns), 0, 'and it is removed') or diag($said);
diag(sprintf 'all of it in %d s', time - $began);
done_testing();
