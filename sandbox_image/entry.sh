#!/bin/sh
# What the image runs: the zygote, with the numeric libraries' variables set for this CPU.
set -a
. /opt/trigpoint/numeric.env
if grep -qw avx2 /proc/cpuinfo; then
    . /opt/trigpoint/numeric-avx2.env
fi
exec /opt/venv/bin/python -s -P -m sandbox_image.zygote "$@"
