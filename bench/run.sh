#!/bin/sh
# Measures the gateway beside tusd and nginx: LOADGEN=path/to/loadgen bench/run.sh [-runs 3] [-only U1,D2] [-with tusd,sluice]
set -eu
cd "$(dirname "$0")/.."
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/bench" ./bench
"$bin/bench" "$@"
