# GNU make. `make` builds, `make check` tests, `make lint` looks. O= is the build folder.
O ?= build
CC ?= gcc

CPPFLAGS += -D_GNU_SOURCE -D_FORTIFY_SOURCE=2 -Ibrain -I.
CFLAGS += -std=c17 -O2 -g -fstack-protector-strong -fno-common -Werror \
	-Wall -Wextra -Wpedantic -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings \
	-Wpointer-arith -Wcast-qual -Wformat=2 -Wswitch-enum -Wundef

HEADERS := $(wildcard brain/*/*.h slaves/*.h)

all: headers

# Every header compiles alone.
headers: $(HEADERS:%.h=$(O)/headers/%.ok)
$(O)/headers/%.ok: %.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-unused-macros -fsyntax-only -x c $<
	@touch $@

clean:
	rm -rf $(O)

.PHONY: all headers clean
