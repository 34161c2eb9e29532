#!/bin/sh
# Runs once, when the machine boots for the first time.
set -e
echo ready >/etc/motd
