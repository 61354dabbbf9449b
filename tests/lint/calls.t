#!/usr/bin/perl
# Functions that are not called at all, and those that are called in named places only.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

# Without a bound, with hidden state, through a shell, or silent about errors.
my @banned = qw(strcpy strcat sprintf vsprintf gets strtok strncpy strncat stpcpy system popen alloca atoi atol atoll atof
	mktemp tempnam tmpnam tmpfile rand random srand gmtime localtime ctime asctime setjmp longjmp);

# The call, where it may stand, and why there.
my @places = (
	[qr/(?<![\w.>])(?:v?fork|clone3?|posix_spawnp?|daemon)\s*\(|SYS_(?:v?fork|clone3?)\b/, {
		'brain/base/child.c' => 'the only place that starts programs',
		'slaves/worker/collect.c'   => "a process that sees nothing but a worker's files",
		'slaves/worker/filter.c'    => 'a process that may only read and write',
		'slaves/worker/first.c'     => 'a process for each worker, the first of a process namespace',
		'slaves/backing/making.c'    => 'a process that is locked into what it makes',
		'slaves/byoci-init.c'        => 'a process in a container that waits for its program',
		'slaves/lxd/lxd_exec.c'  => 'processes that copy what LXD says, and do nothing else',
		'slaves/confine/proxy.c'     => 'a process that relays, and can do nothing else',
		'slaves/confine/rootfs.c'    => 'a process that only holds a user namespace',
	}],
	[qr/(?<![\w.>])(?:exec[lv]p?e?|execvpe|fexecve|execveat)\s*\(|SYS_execve(?:at)?\b/, {
		'brain/base/child.c' => 'the only place that starts programs',
		'slaves/cage/waiter.c' => 'the program of a container, of which there is nothing else in there yet',
		'slaves/byoci-init.c' => 'the program of an instance, in which it is',
		'slaves/backing/chamber.c' => 'the shell of a root file system, which is the only thing that this process still sees',
	}],
	[qr/\blxc_attach_run_\w+|->attach\w*\s*\(|->want_daemonize\b/, {
		'slaves/cage/lxc.c' => 'liblxc starts the container and what runs in it',
	}],
	[qr/\bpthread_create\s*\(/, {}],
);

sub check {
	my ($root) = @_;
	my $banned = join '|', @banned;
	$banned = qr/(?<![\w.>])($banned)\s*\(/;
	my (@found, %used);
	for my $path (files($root, qr{^(brain|slaves)/.*\.[ch]$})) {
		my $line = 0;
		for (code("$root/$path")) {
			$line++;
			next if !/\(/;
			push @found, "$path:$line: $1() is not used here" if $_ =~ $banned;
			push @found, "$path:$line: __attribute__((cleanup)) is not used here" if /\bcleanup\s*\(/ && /__attribute__/;
			for my $place (@places) {
				my ($call, $where) = @$place;
				next if $_ !~ $call;
				$used{$path} = 1;
				push @found, "$path:$line: `$&` only in " . (join(', ', sort keys %$where) || 'no place') if !$where->{$path};
			}
		}
	}
	for my $path (map { keys %{$_->[1]} } @places) {
		push @found, "$path: needs no exception any more" if -e "$root/$path" && !$used{$path};
	}
	return @found;
}

lint('no banned call, and programs are started in base/child.c only', \&check,
	(map { ["$_()", 'slaves/planted.c', "int x(void)\n{\n\treturn $_(a, b);\n}\n"] } qw(strcpy sprintf system atoi strtok)),
	['fork() elsewhere',   'brain/gate/planted.c', "\tpid = fork();\n"],
	['execve() elsewhere', 'slaves/planted.c', "\texecve(path, argv, environ);\n"],
	['a bare system call', 'slaves/planted.c', "\tpid = syscall(SYS_clone, SIGCHLD);\n"],
	['an exception that is not used', 'slaves/confine/rootfs.c', sub { "int x;\n" }],
	['a thread',           'brain/loop/planted.c', "\tif (pthread_create(&t, NULL, f, NULL))\n"],
	['a cleanup attribute', 'brain/loop/planted.c', "\t__attribute__((cleanup(done))) int x;\n"],
);
done();
