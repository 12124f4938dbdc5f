#!/usr/bin/env bash
# Makes a Debian bookworm as the box of vagrant/Vagrantfile is one, and prints its directory.
# What the playbook asks of the guest's package sources lies in the image, for a guest without
# a network: the packages come from where this machine has its own. The next time it is there
# already, so it must be copied before anything boots it.
#
#   e2e/vm/image.sh
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
images=$root/.tools/vm

die() {
  printf 'vm: %s\n' "$*" >&2
  exit 1
}

# What the box has, and what Ansible and the test want of a guest.
base=systemd,systemd-sysv,dbus,python3,iproute2,procps,sudo

# asked: the packages that are installed in the guest.
asked() {
  printf "%s\n" ansible-core python3-apt
  sed -n 's/^ *- //p' "$root/vagrant/ansible/roles/runtimes/vars/main.yml"
}

# mirrors: where this machine's packages are from.
# shellcheck disable=SC2016 # apt expands it
mirrors() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 'Component: main'; }

# download DIRECTORY: puts packages into the image that it lacks, as a source of its own.
download() {
  local packages=$1/var/local/packages wanted
  mkdir -p "$packages/partial"
  mapfile -t wanted < <(asked)
  apt-get -qq --yes --no-install-recommends --download-only -o APT::Sandbox::User=root \
    -o Dir::State::status="$1/var/lib/dpkg/status" -o Dir::State::extended_states="$1/var/lib/apt/extended_states" \
    -o Dir::Cache::archives="$packages" install "${wanted[@]}" >/dev/null
  (cd "$packages" && apt-ftparchive packages . >Packages)
  echo 'deb [trusted=yes] file:/var/local/packages ./' >"$1/etc/apt/sources.list"
}

. /etc/os-release
[[ ${VERSION_CODENAME:-} == bookworm ]] ||
  die "the guest's packages are taken from where this machine has its own, so it has to be a Debian bookworm, and is $PRETTY_NAME"

key=$({ cat "${BASH_SOURCE[0]}" && asked && mirrors; } | sha256sum | cut -c -12)
image=$images/$key
if [[ ! -d $image ]]; then
  mkdir -p "$images"
  new=$(mktemp -d "$images/new.XXXXXX")
  trap 'rm -rf --one-file-system "$new"' EXIT
  apt-get update -qq >&2
  read -r mirror < <(mirrors) || mirror=''
  debootstrap --variant=minbase --include="$base" bookworm "$new" ${mirror:+"$mirror"} >"$new.log" ||
    { tail -n 20 "$new.log" >&2; die "debootstrap has failed; the end of its log is above"; }
  rm -rf "$new.log" "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/*
  download "$new"
  printf '127.0.0.1\tlocalhost\n127.0.1.1\tdemo\n' >"$new/etc/hosts"
  echo demo >"$new/etc/hostname"
  chmod 0755 "$new"
  find "$images" -mindepth 1 -maxdepth 1 ! -path "$new" -exec rm -rf {} + # those of other lists
  mv "$new" "$image"
fi
echo "$image"
