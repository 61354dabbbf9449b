#!/bin/bash
# All that worker-network.t asks of workers, of those that LXD runs.
worker_kind=lxd
# shellcheck source=tests/e2e/worker-network.t
. "$(dirname "$0")/worker-network.t"
