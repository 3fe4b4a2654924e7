#!/bin/sh
# Builds the sandbox image.
#
#   sandbox_image/build.sh [--base IMAGE] [--wheels DIR] [--tag NAME] [--label KEY=VALUE]
#
#   --base    the image to start from (default python:3.11-slim-bookworm). A Debian base without Python gets it by apt.
#   --wheels  a folder of wheels for CPython 3.11 holding all of requirements.txt: then nothing is fetched by pip
#   --tag     name of the result (default: TRIGPOINT_SANDBOX_IMAGE, else trigpoint-sandbox:latest)
#   --label   a label more for the result
#
# BUILD_NETWORK names the network of the build's own steps (e.g. host, where the engine's bridge has no route out).
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
base=python:3.11-slim-bookworm
wheels=
tag=${TRIGPOINT_SANDBOX_IMAGE:-trigpoint-sandbox:latest}
label=
while [ $# -gt 0 ]; do
    case $1 in
        --base | --wheels | --tag | --label)
            [ $# -ge 2 ] || { echo "build.sh: $1 needs a value" >&2; exit 2; }
            case $1 in --base) base=$2 ;; --wheels) wheels=$2 ;; --tag) tag=$2 ;; --label) label=$2 ;; esac
            shift 2
            ;;
        *) echo "build.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT INT TERM
mkdir "$context/wheels"
cp "$here/Dockerfile" "$here/requirements.txt" "$here/__init__.py" "$here/entry.sh" "$here"/*.env "$context"
cp -R "$here/zygote" "$context/zygote"
find "$context/zygote" -name __pycache__ -prune -exec rm -rf {} +
if [ -n "$wheels" ]; then
    cp "$wheels"/*.whl "$context/wheels"
fi
protocol=$(sed -n 's/^PROTOCOL_VERSION = \([0-9][0-9]*\)$/\1/p' "$here/zygote/protocol.py")
[ -n "$protocol" ] || { echo "build.sh: no PROTOCOL_VERSION in zygote/protocol.py" >&2; exit 1; }

# The classic builder, so that a client without buildx builds too.
DOCKER_BUILDKIT=0 docker build ${BUILD_NETWORK:+--network "$BUILD_NETWORK"} ${label:+--label "$label"} \
    --build-arg "BASE_IMAGE=$base" --build-arg "PROTOCOL_VERSION=$protocol" --tag "$tag" "$context"
