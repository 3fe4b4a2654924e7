#!/bin/sh
# What a flow run's container starts with: gives up root, keeping access to the engine's socket if one is mounted.
#
# The socket belongs to a group whose number differs from host to host, so the image cannot name it. The flow runs as the
# owner of TRIGPOINT_HOME, or as the user `trigpoint` where that is a new volume; it stays root only where it could do no
# work otherwise, and says why. (Whoever may use an engine's socket can become root on its host: this guards against
# mistakes, not against the flow itself.)
set -eu

socket=${TRIGPOINT_ENGINE_SOCKET:-/var/run/docker.sock}
home=${TRIGPOINT_HOME:-/data}

stay() {
    echo "trigpoint: running as root: $1" >&2
    shift
    exec "$@"
}

[ "$(id -u)" = 0 ] || exec "$@"

mkdir -p "$home"
uid=$(stat -c %u "$home") gid=$(stat -c %g "$home")
if [ "$uid" = 0 ]; then
    [ -z "$(ls -A "$home")" ] || stay "$home belongs to root; give it to another user (chown -R 10001:10001)." "$@"
    chown trigpoint:trigpoint "$home" 2>/dev/null || stay "$home cannot be given to another user." "$@"
    uid=$(id -u trigpoint) gid=$(id -g trigpoint)
fi
groups=$gid
if [ -S "$socket" ]; then
    case $(stat -c %A "$socket") in
        ?????w????) groups=$groups,$(stat -c %g "$socket") ;;
        ????????w?) ;;
        *) stay "the engine's socket $socket lets no group in." "$@" ;;
    esac
fi
exec setpriv --reuid "$uid" --regid "$gid" --groups "$groups" --inh-caps=-all --bounding-set=-all --no-new-privs "$@"
