#!/usr/bin/perl
# SQL is in brain/store only: every statement is a row of one table.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

sub check {
	my ($root) = @_;
	my @found;
	for my $path (files($root, qr{^(brain|slaves)/(?!store/).*\.[ch]$})) {
		my $line = 0;
		for (Lint::lines("$root/$path")) {
			$line++;
			push @found, "$path:$line: SQL belongs into brain/store/statement.h"
				if /"\s*(SELECT\s|INSERT\s+(OR|INTO)|UPDATE\s+\w+\s+SET|DELETE\s+FROM|REPLACE\s+INTO|CREATE\s+(TABLE|INDEX|TEMP)|ALTER\s+TABLE|DROP\s+TABLE|PRAGMA\s|SAVEPOINT\s|BEGIN\b|COMMIT\b|ROLLBACK\b)/;
			push @found, "$path:$line: only the store speaks to SQLite" if /\bsqlite3_\w+\s*\(/;
		}
	}
	return @found;
}

lint('SQL is in the store only', \&check,
	['a query in the gate',    'brain/gate/planted.c', qq{\tstore_do("SELECT id FROM items");\n}],
	['a change in a slave',    'slaves/planted.c', qq{\tx = "  UPDATE items SET state = ?";\n}],
	['a call of SQLite',       'brain/www/planted.c', qq{\tsqlite3_step(s);\n}],
);
done();
