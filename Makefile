# GNU make. `make` builds, `make check` runs the tests that need no root, `make lint` looks at the sources,
# `make asan` does both with sanitizers, `make install DESTDIR= PREFIX=` installs. O= is the build folder.
# `make CRASH=1` builds, in a folder of its own, programs that can be made to crash (brain/base/crash.h): for tests, never to be installed.
O ?= build$(if $(CRASH),/crash)
# V=1 shows the commands.
ifndef V
.SILENT:
endif
CC ?= gcc
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
JOBSDIR ?= $(PREFIX)/share/byoci/jobs
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
SANITIZE ?=

VERSION := $(shell git describe --always --dirty 2>/dev/null || echo 0)

CPPFLAGS += -D_GNU_SOURCE -DBYOCI_VERSION='"$(VERSION)"' -Ibrain -I.
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings \
	-Wpointer-arith -Wcast-qual -Wformat=2 -Wswitch-enum -Wundef -Werror
CFLAGS += -std=c17 -g -fstack-protector-strong -fno-common $(WARNINGS)
ifdef CRASH
CPPFLAGS += -DBYOCI_CRASH
CFLAGS += -O0 # tests wait for them to be built
else ifeq ($(SANITIZE),)
CFLAGS += -O2 -D_FORTIFY_SOURCE=2
else
CFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
endif
LDFLAGS += -Wl,--as-needed -Wl,-z,relro,-z,now

# A main is a file that a program begins with; everything else is in one archive, from which each takes what it uses.
MAINS := brain/main.c brain/ctl/byoci.c slaves/byoci-slave.c slaves/byoci-worker.c slaves/byoci-init.c
SOURCES := $(filter-out $(MAINS),$(wildcard brain/*/*.c slaves/*/*.c))
HEADERS := $(wildcard brain/*/*.h slaves/*/*.h)
UNIT := $(wildcard tests/unit/*.c)
TOOL := $(wildcard tests/tool/*.c)
MAN := $(wildcard doc/man/*.[158]) doc/man/byov.conf.5
PAGES := $(MAN:doc/man/%=$(O)/man/%)
ARCHIVE := $(O)/libbyoci.a

LIBS_BASE := -ljansson -lcrypto -lini_config -lcollection -lbasicobjects -lref_array
LIBS_byoci-brain := $(LIBS_BASE) -lsystemd -lmicrohttpd -lsqlite3
LIBS_byoci := $(LIBS_BASE) -lsystemd
LIBS_byoci-slave := $(LIBS_BASE) -lsystemd -lexpat -lz
LIBS_byoci-worker := $(LIBS_BASE) -llxc -lsystemd -lwebsockets
LIBS_ALL := $(LIBS_byoci-brain) -llxc -lexpat -lz -lwebsockets

PROGRAMS := $(addprefix $(O)/bin/,byoci byoci-brain byoci-slave byoci-worker byoci-init)
TESTS := $(UNIT:tests/unit/%.c=$(O)/unit/%.t)
TOOLS := $(TOOL:tests/tool/%.c=$(O)/tool/%)
FUZZERS := $(patsubst tests/fuzz/%.c,$(O)/target/%,$(filter-out tests/fuzz/driver.c,$(wildcard tests/fuzz/*.c)))

all: $(PROGRAMS) man

$(O)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo '  CC $<'
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(ARCHIVE): $(SOURCES:%.c=$(O)/obj/%.o)
	@rm -f $@
	$(AR) rcs $@ $^

# The schema, and what makes an older one over, are compiled in as text.
SQL := $(patsubst brain/store/%.sql,$(O)/gen/%.inc,$(wildcard brain/store/*.sql))
$(O)/obj/brain/store/store.o: CPPFLAGS += -I$(O)/gen
$(O)/obj/brain/store/store.o: $(SQL)
$(O)/gen/%.inc: brain/store/%.sql
	@mkdir -p $(@D)
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' $< > $@

link = @mkdir -p $(@D); $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(ARCHIVE) $(1)
$(O)/bin/byoci-brain: $(O)/obj/brain/main.o $(ARCHIVE)
	$(call link,$(LIBS_byoci-brain))
$(O)/bin/byoci: $(O)/obj/brain/ctl/byoci.o $(ARCHIVE)
	$(call link,$(LIBS_byoci))
$(O)/bin/byoci-slave: $(O)/obj/slaves/byoci-slave.o $(ARCHIVE)
	$(call link,$(LIBS_byoci-slave))
$(O)/bin/byoci-worker: $(O)/obj/slaves/byoci-worker.o $(ARCHIVE)
	$(call link,$(LIBS_byoci-worker))

# It runs where there is no library, and so without sanitizers.
$(O)/bin/byoci-init: slaves/byoci-init.c slaves/confine/seccomp.h Makefile
	@mkdir -p $(@D)
	@echo '  CC $<'
	$(CC) $(CPPFLAGS) $(filter-out -fsanitize=% -fno-sanitize%,$(CFLAGS)) $(LDFLAGS) -static -s -o $@ $<

$(O)/unit/%.t: $(O)/obj/tests/unit/%.o $(ARCHIVE)
	$(call link,$(LIBS_ALL))

# Programs that tests in shell call.
$(O)/tool/%: $(O)/obj/tests/tool/%.o $(ARCHIVE)
	$(call link,$(LIBS_ALL))

# byov.conf(5) is made from the table of options, between a head and a tail.
$(O)/gen/options: $(O)/obj/doc/man/options.o $(ARCHIVE)
	$(call link,$(LIBS_BASE))
$(O)/gen/options.5: $(O)/gen/options
	$< > $@
$(O)/man/byov.conf.5: doc/man/byov.conf.5.head $(O)/gen/options.5 doc/man/byov.conf.5.tail
	@mkdir -p $(@D)
	cat $^ > $@
$(O)/man/%: doc/man/%
	@mkdir -p $(@D)
	cp $< $@

unit: $(TESTS)
tools: $(TOOLS)
man: $(PAGES)
.PHONY: man

check: all unit
	prove $(PROVEFLAGS) -j2 $(TESTS)

# Also each statement against the schema.
lint: headers man $(O)/unit/store.t
	O=$(O) prove $(PROVEFLAGS) tests/lint $(O)/unit/store.t

# Every header compiles alone.
headers: $(HEADERS:%.h=$(O)/headers/%.ok)
$(O)/headers/%.ok: %.h
	@mkdir -p $(@D)
	@printf '#include "%s"\ntypedef int alone;\n' $< | $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MT $@ -MF $(@:.ok=.d) -fsyntax-only -x c -
	@touch $@

asan:
	$(MAKE) O=$(O)/asan SANITIZE=address,undefined check

# Each parser of foreign bytes against changed inputs, FUZZ_TIME seconds for all of them: by libFuzzer where clang has it, else by
# tests/fuzz/driver.c. `make fuzzers` only builds. libFuzzer has a main of its own.
FUZZ_TIME ?= 60
FUZZ_BY = $(shell echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' | clang -fsanitize=fuzzer,address -x c -o /dev/null - 2>&1 || echo driver)
fuzz: fuzzers
	FUZZ_TIME=$(FUZZ_TIME) O=$(O) prove $(PROVEFLAGS) tests/fuzz
fuzzers:
ifeq ($(FUZZ_BY),)
	$(MAKE) --no-print-directory O=$(O)/fuzz CC=clang WARNINGS=-w SANITIZE=fuzzer-no-link,address,undefined FUZZ_LINK=-fsanitize=fuzzer fuzz-targets
else
	$(MAKE) --no-print-directory O=$(O)/fuzz SANITIZE=address,undefined FUZZ_LINK=$(O)/fuzz/obj/tests/fuzz/driver.o fuzz-targets
endif
fuzz-targets: $(FUZZERS)
$(O)/target/%: $(O)/obj/tests/fuzz/%.o $(O)/obj/tests/fuzz/driver.o $(ARCHIVE)
	$(call link,$(FUZZ_LINK) $(LIBS_ALL))

# Unit tests under memcheck, with what they start from the build folder; no finding is suppressed. Left out is what valgrind 3.19 cannot run: it has no
# pidfd_open (child, export, filter, loop, near, record, tree), and it is too slow for those that pump megabytes, fill large
# stores or count milliseconds (lines, sock, calls, statement).
VALGRIND := valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect \
	--trace-children=yes --trace-children-skip=/bin/*,/sbin/*,/usr/*
VALGRIND_NOT := $(patsubst %,$(O)/unit/%.t,calls child export filter hail lines loop near record sock statement talk tree)
valgrind: unit
	prove $(PROVEFLAGS) -j2 -e "$(VALGRIND)" $(filter-out $(VALGRIND_NOT),$(TESTS))

# gcc's analyzer and cppcheck. What they are told to leave alone was looked at: the reason is here, or in tests/analyze/cppcheck.txt.
analyze: $(patsubst %.c,$(O)/analyze/%.ok,$(SOURCES) $(MAINS))
	cppcheck -q --error-exitcode=1 --enable=warning,portability,performance --std=c11 --include=tests/analyze/macros.h \
		--suppressions-list=tests/analyze/cppcheck.txt $(CPPFLAGS) -I$(O)/gen brain slaves
$(O)/analyze/%.ok: %.c Makefile $(HEADERS) $(SQL)
	@mkdir -p $(@D)
	@echo '  ANALYZE $<'
	$(CC) $(CPPFLAGS) -I$(O)/gen $(CFLAGS) -O1 -fanalyzer $(ANALYZE) -c -o /dev/null $<
	@touch $@
# A connection is freed by lines_close() only outside of a call (`calling`); the analyzer loses that flag on the way through lines_send().
$(O)/analyze/brain/loop/lines.ok: ANALYZE := -Wno-analyzer-use-after-free -Wno-analyzer-use-of-uninitialized-value
# The queue's JSON is released after the loop over who waits for it; the analyzer believes that it is lost when a look goes further.
$(O)/analyze/brain/master/lookup.ok: ANALYZE := -Wno-analyzer-malloc-leak

# Against peers, in the same run; the packages are in tests/bench/packages. Each prints its ratio last.
bench: all tools
	O=$(O) tests/bench/accept
	O=$(O) tests/bench/restart
	O=$(O) tests/bench/worker
	O=$(O) tests/bench/hook-to-test
	O=$(O) tests/bench/trigger

install: all
	install -d $(DESTDIR)$(BINDIR)
	install -m 0755 $(PROGRAMS) $(DESTDIR)$(BINDIR)
	install -d $(foreach section,1 5 8,$(DESTDIR)$(MANDIR)/man$(section)) $(DESTDIR)$(COMPLETIONDIR)
	$(foreach section,1 5 8,install -m 0644 $(filter %.$(section),$(PAGES)) $(DESTDIR)$(MANDIR)/man$(section) &&) true
	install -m 0644 setup/completions/byoci $(DESTDIR)$(COMPLETIONDIR)
	ln -sf byoci $(DESTDIR)$(COMPLETIONDIR)/byoci-slave
	install -d $(DESTDIR)$(JOBSDIR)
	install -m 0644 $(wildcard jobs/*.yaml) $(DESTDIR)$(JOBSDIR)

clean:
	rm -rf $(O)

-include $(shell find $(O)/obj $(O)/headers -name '*.d' 2>/dev/null)
.PHONY: all unit tools check lint headers asan fuzz fuzzers fuzz-targets valgrind analyze bench install clean
.SECONDARY:
