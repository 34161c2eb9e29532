#!/bin/sh
# Makes the ssh host keys that are missing, then restarts the ssh server.
#
# An image carries no host keys, because every machine made of it would share them. Where the release
# makes them at its first boot by itself, this finds nothing to do.

set -eu

if ! command -v ssh-keygen >/dev/null; then
    echo "ssh-host-keys: there is no ssh-keygen; add openssh-server to the image (--addpkg openssh-server)" >&2
    exit 1
fi

# Each type that this version of ssh knows, and only those without a key: a second run changes nothing.
before=$(ls /etc/ssh/ssh_host_*_key 2>/dev/null || true)
ssh-keygen -A
after=$(ls /etc/ssh/ssh_host_*_key 2>/dev/null || true)

if [ -z "$after" ]; then
    echo "ssh-host-keys: ssh-keygen made no keys in /etc/ssh" >&2
    exit 1
fi

for key in /etc/ssh/ssh_host_*_key.pub; do
    ssh-keygen -l -f "$key"
done

# A server that found no keys has failed, and one that listens through a socket has not started yet: both
# read the keys when they start. --no-block, because the boot that they wait for waits for this script.
if [ "$before" != "$after" ] && systemctl is-enabled --quiet ssh.service 2>/dev/null; then
    systemctl reset-failed ssh.service 2>/dev/null || true
    systemctl --no-block restart ssh.service
fi
