#!/usr/bin/env bash
# Installs Ansible in the guest, from its own package sources, and what Ansible installs packages by.
set -euo pipefail

command -v ansible-playbook >/dev/null && exit
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends ansible-core python3-apt >/dev/null
