#!/bin/bash
# All that worker-init.t asks of workers, of those that LXD runs.
worker_kind=lxd
# shellcheck source=tests/e2e/worker-init.t
. "$(dirname "$0")/worker-init.t"
