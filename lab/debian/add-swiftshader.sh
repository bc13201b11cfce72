#!/bin/sh
# mmdebstrap --customize-hook; $1 is the new root. Puts SwiftShader, a second software Vulkan driver,
# where the loader finds it only if it is told so (README.md). Debian packages it as a part of
# Chromium, of which nothing else is wanted: two files are taken out of the package.
set -eu
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
download="$1/swiftshader-download"
driver="$1/usr/lib/swiftshader"
mkdir "$download" "$driver"
cd "$download"
# The folder belongs to us, not to apt's own user.
apt-get -o APT::Sandbox::User=root download chromium-common
dpkg-deb --fsys-tarfile chromium-common_*.deb | tar --extract --no-same-owner \
    ./usr/lib/chromium/libvk_swiftshader.so ./usr/lib/chromium/vk_swiftshader_icd.json
mv usr/lib/chromium/libvk_swiftshader.so usr/lib/chromium/vk_swiftshader_icd.json "$driver"
cd /
rm -r "$download"
