#!/bin/sh
# Runs on the host; $1 is the machine's root directory.
echo "$1" >"$1/etc/made-by-hand"
