#!/bin/sh
# mmdebstrap --setup-hook; $1 is the new root. Adds the backports suite beside the suites that
# mmdebstrap chose, from the same place.
set -eu
sed -n 's/ trixie / trixie-backports /p' "$1/etc/apt/sources.list" > "$1/etc/apt/sources.list.d/backports.list"
