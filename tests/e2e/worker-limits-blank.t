#!/bin/bash
# Limits once more, of workers whose container was started before it was known for which job.
# shellcheck disable=SC2034
worker_blank=yes
# shellcheck source=tests/e2e/worker-limits.t
. "$(dirname "$0")/worker-limits.t"
