#!/usr/bin/perl
# Spelling, and words that have no place in the sources.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

# Written so that this file does not have them itself.
my @forbidden = (
	[qr{\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b},                        'finish it, or write down an issue'],
	[qr{(^|[\s"'=(:])/(work|work[s]pace/[a-z]+)/},                 'a path of one machine'],
	[qr{\b(docker[.]io|gh[c]r[.]io|quay[.]io|registry[-.][a-z0-9.-]+[.][a-z]{2,})\b}, "a registry's host name"],
	[qr{\b(npmj[s]|pypi|crates|proxy[.]golang)[.](org|io|com)\b}, "a registry's host name"],
	[qr{<<<<<<<|>>>>>>>},                                          'the rest of a merge'],
);

# Words that codespell takes for mistakes: names of programs, what tests misspell on purpose.
my @known = qw(doas buildd comit fo memmory nd projct trun);

sub check_words {
	my ($root) = @_;
	my @found;
	for my $path (files($root, qr{^(?!tests/lint/words\.t$)})) {
		my $line = 0;
		for (Lint::lines("$root/$path")) {
			$line++;
			for my $word (@forbidden) {
				push @found, "$path:$line: `$&`: $word->[1]" if /$word->[0]/;
			}
		}
	}
	return @found;
}

sub check_spelling {
	my ($root) = @_;
	my $known = join ',', @known;
	my @tops = grep { -e "$root/$_" } qw(Makefile README.md .ci brain slaves jobs setup doc tests);
	open my $out, '-|', 'sh', '-c', 'cd "$0" && codespell -S "*.corpus" -L "$@"', $root, $known, @tops or die "codespell: $!\n";
	my @found = map { chomp; s{^\./}{}; $_ } <$out>;
	close $out;
	push @found, 'codespell: it does not run' if ($? >> 8) == 127;
	return @found;
}

sub spelled { my $wrong = 't' . 'eh'; return "/* $wrong */\n" }

lint('no forbidden word', \&check_words,
	['something unfinished',  'slaves/planted.c', '/* TO' . "DO: more */\n"],
	['a path of a machine',   'doc/planted.md', 'see /wo' . "rk/main\n"],
	['a registry',            'setup/planted', 'url=https://reg' . "istry.example.org/v2\n"],
	['the rest of a merge',   'brain/planted.c', '<' x 7 . "\n"]);
lint('no spelling mistake', \&check_spelling, ['a misspelt word', 'slaves/planted.c', spelled()]);
done();
