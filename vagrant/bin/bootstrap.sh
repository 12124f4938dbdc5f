#!/usr/bin/env bash
# Makes a fresh cluster ready for jobs with sidecars: waits for Consul, Nomad and the
# driver, and has Consul take its first snapshot (a Consul server without one cuts
# Envoys off from their upstreams when it is restarted).
#
#   bootstrap.sh [-t SECONDS]
#
#   -t SECONDS  how long to wait for each of them (60)
#
# NOMAD_ADDR, NOMAD_TOKEN, CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN say which cluster.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

patience=60
while getopts t:h option; do
  case $option in
    t) patience=$OPTARG ;;
    h) help && exit ;;
    *) help >&2 && exit 2 ;;
  esac
done
positive -t "$patience" "how many seconds to wait"
need consul nomad jq

leader() { consul operator raft list-peers | grep -q leader; }
driver() {
  nomad_api /v1/nodes | jq -e 'map(select(.Status == "ready" and .Drivers.connect.Healthy)) | length > 0' >/dev/null ||
    nomad_api /v1/nodes | jq -re 'map("node \(.Name) is \(.Status), driver connect: \(.Drivers.connect.HealthDescription // "not installed")") | join("; ") | halt_error'
}

until_true "$patience" "Consul at ${CONSUL_HTTP_ADDR:-127.0.0.1:8500} has no leader" leader
until_true "$patience" "Nomad has no node whose driver connect is healthy" driver

snapshot=$(mktemp)
trap 'rm -f "$snapshot"' EXIT
consul snapshot save "$snapshot" >/dev/null || die 'Consul takes no snapshot; the message is above (with ACLs it wants a management token)'

nomad_api /v1/nodes | jq -r '.[] | "\(.Name) is \(.Status), driver connect: \(if .Drivers.connect.Healthy then "healthy" else .Drivers.connect.HealthDescription // "not installed" end)"'
