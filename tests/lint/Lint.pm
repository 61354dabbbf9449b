# What the lints share: the files, a check with its name, and plants, which show that the check catches what it is for.
package Lint;
use strict;
use warnings;
use Exporter 'import';
use File::Basename qw(dirname);
use File::Find ();
use File::Path qw(make_path);
use File::Temp qw(tempdir);
our @EXPORT = qw(files slurp lines code functions lint done);

my $count  = 0;
my $failed = 0;
my @tops   = qw(Makefile README.md .ci brain slaves jobs setup doc tests);

chdir dirname(__FILE__) . '/../..' or die "no repository: $!\n";

sub ok {
	my ($good, $what, @why) = @_;
	$count++;
	$failed++ if !$good;
	print(($good ? 'ok' : 'not ok') . " $count - $what\n", map { "# $_\n" } @why);
}

# Files below $root whose path from there matches, sorted.
sub files {
	my ($root, $pattern) = @_;
	my @found;
	for my $top (grep { -e "$root/$_" } @tops) {
		File::Find::find({no_chdir => 1, wanted => sub {
			my $path = substr $File::Find::name, length($root) + 1;
			push @found, $path if -f $File::Find::name && !-l $File::Find::name && $path =~ $pattern;
		}}, "$root/$top");
	}
	return sort @found;
}

sub slurp {
	my ($path) = @_;
	open my $in, '<', $path or die "$path: $!\n";
	local $/;
	my $text = <$in>;
	return defined $text ? $text : '';
}

sub lines { return split /\n/, slurp(@_), -1 }

# The lines of a C file with nothing inside its comments, strings and characters.
sub code {
	my $text = slurp(@_);
	my $blank = sub { (my $gone = shift) =~ s/[^\n]//g; $gone };
	$text =~ s{(/\*.*?\*/)|(//[^\n]*)|("(?:\\.|[^"\\\n])*")|('(?:\\.|[^'\\\n])*')}
		{defined $1 ? $blank->($1) : defined $2 ? '' : defined $3 ? '""' : "' '"}gse;
	return split /\n/, $text, -1;
}

# The functions that a C file defines: {name, line, length, parameters, static}. Their braces stand at the line's beginning.
sub functions {
	my @line = code(@_);
	my @found;
	for my $i (grep { $line[$_] eq '{' } 0 .. $#line) {
		my $first = $i - 1;
		$first-- while $first > 0 && $line[$first] =~ /^\s/;
		my $head = join ' ', @line[$first .. $i - 1];
		$head =~ s/__attribute__\s*\(\(.*?\)\)\)?//g;
		next if $head !~ /(\w+)\s*\((.*)\)\s*$/s;
		my ($name, $list) = ($1, $2);
		1 while $list =~ s/\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}//g;
		my $last = $i;
		$last++ while $last < $#line && $line[$last] ne '}';
		push @found, {name => $name, line => $first + 1, length => $last - $i - 1, static => $head =~ /^static\b/ ? 1 : 0,
			parameters => $list =~ /^\s*(void)?\s*$/ ? 0 : 1 + ($list =~ tr/,//)};
	}
	return @found;
}

# What the check finds in a file as it would be with the plant in it: in a temporary copy that has only this file, and those that the
# plant names besides.
sub planted {
	my ($check, $plant) = @_;
	my ($what, $path, @rest) = @$plant;
	my $root = tempdir(CLEANUP => 1);
	for (my @pairs = ($path, @rest); my ($to, $text) = splice @pairs, 0, 2;) {
		my $before = -e $to ? slurp($to) : '';
		make_path("$root/" . dirname($to));
		open my $out, '>', "$root/$to" or die "$to: $!\n";
		print $out ref $text ? $text->($before) : $before . $text;
		close $out;
	}
	ok((scalar grep { /^\Q$path\E\b/ } $check->($root)), "it catches: $what");
}

# $check->($root) returns "path:line: what is wrong" for each finding. A plant is [what, path, text to append or function], then
# more paths and texts.
# A file that breaks the rule already shows nothing, so plants are new files wherever possible.
sub lint {
	my ($name, $check, @plants) = @_;
	my @found = $check->('.');
	ok(!@found, $name, @found);
	planted($check, $_) for @plants;
}

sub done {
	print "1..$count\n";
	exit($failed ? 1 : 0);
}

1;
