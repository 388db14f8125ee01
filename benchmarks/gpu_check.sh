#!/bin/sh
# One call that says how fast and how right Unblank is on this machine's GPU; needs no network.
# Prints a table and writes gpu_check.json, or the file that --json names; see gpu_check.py.
set -eu
exec timeout 600 "${PYTHON:-python3}" "$(dirname "$0")/gpu_check.py" "$@"
