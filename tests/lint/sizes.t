#!/usr/bin/perl
# Files, functions, parameter lists and lines that fit into a head and onto a screen.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

use constant {FILE => 600, FUNCTION => 60, PARAMETERS => 6, COLUMNS => 140, TAB => 4};

# A callback whose parameters a library decides.
my %given = ('brain/loop/httpd_daemon.c' => 'on_request');

# A table whose rows are whole statements.
my %wide = ('brain/store/statement.h' => 1);

sub columns {
	my ($text) = @_;
	utf8::decode($text);
	1 while $text =~ s/^([^\t]*)\t/$1 . ' ' x (TAB - length($1) % TAB)/e;
	return length $text;
}

sub check_files {
	my ($root) = @_;
	return map { my $lines = () = Lint::slurp("$root/$_") =~ /\n/g; $lines > FILE ? "$_: $lines lines, at most " . FILE : () }
		files($root, qr{^(brain|slaves|setup|tests)/.*\.([ch]|sh|t|pm|sql)$|^setup/byoci$});
}

sub check_functions {
	my ($root) = @_;
	my @found;
	for my $path (files($root, qr{^(brain|slaves|tests)/.*\.[ch]$})) {
		for (functions("$root/$path")) {
			push @found, "$path:$_->{line}: $_->{name}() has $_->{length} lines, at most " . FUNCTION if $_->{length} > FUNCTION;
			push @found, "$path:$_->{line}: $_->{name}() has $_->{parameters} parameters, at most " . PARAMETERS
				if $_->{parameters} > PARAMETERS && $path !~ m{^tests/} && ($given{$path} // '') ne $_->{name};
		}
	}
	return @found;
}

sub check_lines {
	my ($root) = @_;
	my @found;
	for my $path (files($root, qr{^(brain|slaves)/.*\.[ch]$})) {
		my $line = 0;
		for (Lint::lines("$root/$path")) {
			$line++;
			my $whole = /^\s*"(\\.|[^"\\])*"[,;)]*$/; # one text: it is looked for as it is read
			push @found, "$path:$line: " . columns($_) . ' columns, at most ' . COLUMNS
				if !$whole && !$wide{$path} && length > COLUMNS - 40 && columns($_) > COLUMNS;
			push @found, "$path:$line: blanks at its end" if /[ \t\r]$/;
		}
	}
	return @found;
}

my $body = "\tx();\n" x 61;
lint('no file is too long', \&check_files, ['601 lines', 'slaves/planted.c', "\n" x 601]);
lint('no function is too long or takes too much', \&check_functions,
	['a function of 61 lines', 'slaves/planted.c', "int planted(void)\n{\n$body}\n"],
	['7 parameters',           'slaves/planted.c', "int planted(int a, int b, int c, int d,\n\tint e, void (*f)(int, int), int g)\n{\n}\n"]);
lint('no line is too long', \&check_lines,
	['141 columns',         'slaves/planted.c', 'x' x 141 . "\n"],
	['tabs count as four',  'slaves/planted.c', "\t\t" . 'x' x 133 . "\n"],
	['blanks at the end',   'slaves/planted.c', "int x; \n"]);
done();
