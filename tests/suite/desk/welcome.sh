#!/bin/sh
# Runs at a user's first login.
echo "welcome, $(id -un)"
