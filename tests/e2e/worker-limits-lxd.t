#!/bin/bash
# All that worker-limits.t asks of workers, of those that LXD runs.
worker_kind=lxd
# shellcheck source=tests/e2e/worker-limits.t
. "$(dirname "$0")/worker-limits.t"
