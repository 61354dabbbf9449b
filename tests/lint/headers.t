#!/bin/sh
# Every header compiles alone, with every warning on.
cd "$(dirname "$0")/../.." || exit 1
echo 1..1
if out=$(make -s O="${O:-build}" headers 2>&1); then echo "ok 1 - each header compiles alone"
else echo "not ok 1 - each header compiles alone"; printf '%s\n' "$out" | sed 's/^/# /'; fi
