#!/bin/bash
# The ways out of a worker once more, of one whose container was started before it was known for which job.
# shellcheck disable=SC2034
worker_blank=yes
# shellcheck source=tests/escape/worker.t
. "$(dirname "$0")/worker.t"
