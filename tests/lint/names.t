#!/usr/bin/perl
# foo.c exports foo and foo_* and nothing else: who reads a name knows its file.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

# A file that exports another prefix too, and why.
my %also = (
	'brain/forge/proposal.c' => 'forge_', # the words that every dialect shares
	'brain/forge/job.c'      => 'forge_job_',
);

sub check {
	my ($root) = @_;
	my @found;
	for my $path (files($root, qr{^(brain|slaves)/.*\.c$})) {
		my ($stem) = $path =~ m{([^/]+)\.c$};
		$stem =~ tr/-/_/;
		my $may = sub { my $name = shift; $name =~ /^\Q$stem\E(_|$)/ || ($also{$path} && $name =~ /^\Q$also{$path}\E/) };
		for (grep { !$_->{static} && $_->{name} ne 'main' } functions("$root/$path")) {
			push @found, "$path:$_->{line}: $_->{name}() is exported: begin its name with ${stem}_, or make it static" if !$may->($_->{name});
		}
		my $line = 0;
		for (code("$root/$path")) {
			$line++;
			next if /^(static|extern|typedef|return|goto|else|\}|#|\s)/ || /\(/ || !/^[A-Za-z_][\w\s*]*?\b(\w+)\s*(\[[^\]]*\]\s*)*(=|;)/;
			push @found, "$path:$line: $1 is exported: begin its name with ${stem}_, or make it static" if !$may->($1) && !/^(struct|enum|union)\s+\w+\s*;/;
		}
	}
	return @found;
}

lint("what a file exports begins with the file's name", \&check,
	['a function of another name',      'brain/gate/planted.c', "int plant_it(void)\n{\n\treturn 0;\n}\n"],
	['one whose head has two lines',    'slaves/planted.c', "const char *other(int a,\n\tint b)\n{\n\treturn 0;\n}\n"],
	['a variable',                      'slaves/planted.c', "int counter;\n"],
	['a table',                         'slaves/planted.c', "const struct row rows[] = {\n\t{1},\n};\n"],
	['one that only begins alike',      'slaves/planted.c', "int planted2_it(void)\n{\n\treturn 0;\n}\n"],
);
done();
