#!/usr/bin/env bash
# Installs Ansible in the guest, from the guest's own package sources.
set -euo pipefail

command -v ansible-playbook >/dev/null && exit
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends ansible-core >/dev/null
