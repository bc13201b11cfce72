#!/bin/sh
# First process of the guest. /mnt is the run's state folder on the host (hostfs); the root is the
# cached root file system, read-only. Builds a writable root above it, mounts what the run asked
# for, and hands over to the agent, which makes the displays and runs the command.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# A writable root: changes live in memory and end with the run.
mount -t tmpfs -o size=75% upper /media
mkdir /media/upper /media/work /media/root
mount -t overlay -o lowerdir=/,upperdir=/media/upper,workdir=/media/work overlay /media/root
cd /media/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs devtmpfs dev
mkdir -p dev/pts dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts dev/pts
mount -t tmpfs -o mode=1777,size=75% shm dev/shm
mount -t tmpfs -o mode=1777,size=75% tmp tmp
mount -t tmpfs -o mode=755 run run
mkdir run/dmashare-lab
mount --move /mnt run/dmashare-lab
pivot_root . mnt
cd /
umount -l /mnt

mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t configfs configfs /sys/kernel/config
ip link set lo up

# Far above any count of dma-bufs that a test makes; the kernel's default is 4096.
ulimit -H -n 1048576
ulimit -S -n 65536
# No core files: the tree is mounted from the host.
ulimit -c 0

# The host's folders, at the paths that they have there.
state=/run/dmashare-lab
while IFS= read -r folder; do
    mkdir -p "$folder"
    mount -t hostfs -o "hostfs=$folder" none "$folder"
done < "$state/mounts"

# The agent makes the displays.
exec "$state/agent" agent
