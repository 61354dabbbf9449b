#!/usr/bin/perl
# Files do not call each other in a circle: each can be understood with only those below it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

# What each file calls or names of what others export: {file}{other file} = a function.
sub graph {
	my ($root) = @_;
	my (%home, %graph, %static);
	my @paths = files($root, qr{^(brain|slaves)/.*\.c$});
	for my $path (@paths) {
		$graph{$path} = {};
		for (functions("$root/$path")) {
			if ($_->{static}) { $static{$path}{$_->{name}} = 1 }
			else { $home{$_->{name}} = $path }
		}
	}
	delete $home{main};
	for my $path (@paths) {
		my %words = map { $_ => 1 } join("\n", code("$root/$path")) =~ /(?<![.>\w])([a-z]\w*)/g;
		for (sort grep { $home{$_} && $home{$_} ne $path && !$static{$path}{$_} } keys %words) { $graph{$path}{$home{$_}} //= $_ }
	}
	return \%graph;
}

# The shortest way from a file back to itself.
sub way_back {
	my ($graph, $from) = @_;
	my (%before, @queue);
	for (sort keys %{$graph->{$from}}) { $before{$_} = $from; push @queue, $_ }
	while (defined(my $at = shift @queue)) {
		if ($at eq $from) {
			my @way = ($from);
			do { unshift @way, $at = $before{$at} } until $at eq $from;
			return @way;
		}
		for (grep { !exists $before{$_} } sort keys %{$graph->{$at}}) { $before{$_} = $at; push @queue, $_ }
	}
	return;
}

sub check {
	my ($root) = @_;
	my $graph = graph($root);
	my (@found, %told);
	for my $path (sort keys %$graph) {
		my @way = way_back($graph, $path) or next;
		next if $told{join ' ', sort @way[1 .. $#way]}++;
		push @found, "$path:1: " . join ', ', map { "$way[$_] calls $graph->{$way[$_]}{$way[$_ + 1]}() of $way[$_ + 1]" } 0 .. $#way - 1;
	}
	return @found;
}

my $one = "int one(void)\n{\n\treturn two();\n}\n";
lint('no files call each other in a circle', \&check,
	['two that call each other', 'slaves/one.c', $one, 'slaves/two.c', "int two(void)\n{\n\treturn one();\n}\n"],
	['three, by a table',        'slaves/one.c', $one, 'slaves/two.c', "int two(void)\n{\n\treturn three();\n}\n",
		'slaves/three.c', "int three(void)\n{\n\treturn call((call_fn *[]){one});\n}\n"]);
done();
