#!/bin/sh
# mmdebstrap --customize-hook; $1 is an empty root that only has package lists. Downloads the
# newest kernel source package into it.
set -eu
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
mkdir -p "$1/kernel-source"
cd "$1/kernel-source"
# linux-source is an empty package that depends on the newest one.
newest=$(apt-cache depends linux-source/trixie-backports | sed -n 's/^ *Depends: *\(linux-source-[0-9.]*\)$/\1/p' | head -n 1)
[ -n "$newest" ] || { echo "trixie-backports has no linux-source package" >&2; exit 1; }
# The folder belongs to us, not to apt's own user.
apt-get -o APT::Sandbox::User=root download "$newest/trixie-backports"
