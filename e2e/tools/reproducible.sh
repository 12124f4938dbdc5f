#!/usr/bin/env bash
# Builds the driver in a copy of the sources at another place, and fails when the binary is
# not the one that `make build` has put into bin, bit by bit. With -fresh nothing that was
# compiled before is used, for either of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

plugin=bin/nomad-driver-connect
place=$(mktemp -d)
trap 'chmod -R u+w "$place" && rm -rf "$place"' EXIT

# build DIRECTORY: as make does it there.
build() {
  if [[ ${1-} == -fresh ]]; then
    shift
    export GOCACHE=$place/cache-$1
  fi
  make --no-print-directory -C "$place/$1" build
}

copy() {
  mkdir -p "$place/$1"
  tar --exclude=./.git --exclude=./.tools --exclude=./bin --exclude=./vagrant/dist --exclude=node_modules -cf - . | tar -xf - -C "$place/$1"
}

copy there
if [[ ${1-} == -fresh ]]; then
  copy elsewhere
  build -fresh there
  build -fresh elsewhere
  one=$place/elsewhere/$plugin
else
  build there
  one=$plugin
fi
if ! cmp "$one" "$place/there/$plugin"; then
  echo 'two builds of the same sources differ; compare them with: go version -m' >&2
  exit 1
fi
sha256sum "$place/there/$plugin" | cut -d' ' -f1
