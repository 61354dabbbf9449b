#!/bin/bash
# All that worker.t asks of workers, of those that LXD runs: the same section, the same outcomes.
worker_kind=lxd
worker_moments='00 10 25 35 60'
# shellcheck source=tests/e2e/worker.t
. "$(dirname "$0")/worker.t"
