#!/usr/bin/env bash
# Stops the calculator and has Nomad forget its jobs. Returns when no task of it runs.
#
#   stop_all_jobs.sh
#
# NOMAD_ADDR and NOMAD_TOKEN say which cluster.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

while getopts h option; do
  case $option in
    h) help && exit ;;
    *) help >&2 && exit 2 ;;
  esac
done
need nomad jq

# known: those of its jobs that Nomad knows, from the edge inwards.
known() { nomad_api /v1/jobs | jq -r 'map(.ID) as $known | "api-gateway", "frontend", "sub-svc", "add-svc" | select(IN($known[]))'; }

ended() {
  nomad_api "/v1/job/$1/allocations" | jq -e 'all(.[]; .ClientStatus | IN("complete", "failed", "lost"))' >/dev/null
}

present=$(known)
mapfile -t present < <(printf '%s' "$present")
for job in "${present[@]}"; do
  nomad job stop -detach "$job" >/dev/null || die "Nomad does not stop the job $job; its message is above"
done
for job in "${present[@]}"; do
  until_true 60 "the job $job still runs" ended "$job"
  nomad job stop -purge -detach "$job" >/dev/null || die "Nomad does not forget the job $job; its message is above"
  echo "$job is stopped"
done
