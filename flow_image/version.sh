#!/bin/sh
# The version of a deployment: the first digits of the images that `make images` recorded, or that none are recorded.
cd "$(dirname -- "$0")/.." || exit 1
id() { sed -n "s/.*\"$1\": {.*\"id\": \"sha256:\([0-9a-f]\{12\}\).*/\1/p" build/images.json 2>/dev/null; }
flow=$(id flow) sandbox=$(id sandbox)
echo "flow ${flow:-not recorded}, sandbox ${sandbox:-not recorded}"
