#!/bin/bash
# Workers that LXD runs, with Debian's LXD: the same section, the same outcomes as for lxc; nothing stays, whoever dies; LXD away, slow
# or talking nonsense is trouble of the machine's and no test's failure.
# shellcheck disable=SC2154
worker_kind=lxd
# shellcheck source=tests/e2e/worker.sh
. "$(dirname "$0")/worker.sh"

ok "byoci-worker listens" worker_start || bail_out "$(cat "$scratch/worker.log")"

runs plain <<-'SH'
	echo to output; echo to errors >&2; exit 3
SH
like "$said" "^started on $digest in" "a worker starts on the backing"
like "$said" '^to output$' "standard output comes through"
like "$said" '^to errors$' "so do errors"
like "$said" '^ended with 3 $' "and the exit status"
like "$said" '^removed$' "the worker is removed"
done_testing
