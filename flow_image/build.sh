#!/bin/sh
# Builds the flow image.
#
#   flow_image/build.sh [--base IMAGE] [--wheels DIR] [--tag NAME] [--source DIGEST]
#
#   --base    the image to start from (default python:3.11-slim-bookworm). A Debian base without Python gets it by apt.
#   --wheels  a folder of wheels for CPython 3.11 holding all of requirements.lock: then nothing is fetched by pip
#   --tag     name of the result (default: TRIGPOINT_FLOW_IMAGE, else trigpoint-flow:latest)
#   --source  digest of the project's files, kept in the image
#
# BUILD_NETWORK names the network of the build's own steps (e.g. host, where the engine's bridge has no route out).
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")
base=python:3.11-slim-bookworm
wheels=
tag=${TRIGPOINT_FLOW_IMAGE:-trigpoint-flow:latest}
source=unknown
while [ $# -gt 0 ]; do
    case $1 in
        --base | --wheels | --tag | --source)
            [ $# -ge 2 ] || { echo "build.sh: $1 needs a value" >&2; exit 2; }
            case $1 in --base) base=$2 ;; --wheels) wheels=$2 ;; --tag) tag=$2 ;; --source) source=$2 ;; esac
            shift 2
            ;;
        *) echo "build.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT INT TERM
mkdir "$context/wheels" "$context/project"
cp "$here/Dockerfile" "$here/entry.sh" "$root/requirements.lock" "$context"
# Only what the wheel is made of: no data, no keys, no history of the checkout gets near the image.
cp "$root/pyproject.toml" "$root/README.md" "$root/LICENSE" "$context/project"
cp -R "$root/flows" "$root/blocks" "$root/sandbox_image" "$context/project"
find "$context/project" -name __pycache__ -prune -exec rm -rf {} +
# The builder reuses a layer when names, contents and modes are the same; modes differ with the umask of a checkout.
chmod -R u=rwX,go=rX "$context"
chmod 755 "$context/entry.sh"
if [ -n "$wheels" ]; then
    cp "$wheels"/*.whl "$context/wheels"
fi

# The classic builder, so that a client without buildx builds too.
DOCKER_BUILDKIT=0 docker build ${BUILD_NETWORK:+--network "$BUILD_NETWORK"} \
    --build-arg "BASE_IMAGE=$base" --build-arg "SOURCE=$source" --tag "$tag" "$context"
