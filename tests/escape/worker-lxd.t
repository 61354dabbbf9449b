#!/bin/bash
# The same ways out, of a worker that LXD runs.
# shellcheck disable=SC2034
worker_kind=lxd
# shellcheck source=tests/escape/worker.t
. "$(dirname "$0")/worker.t"
