#!/usr/bin/env bash
# What the test looks at in the guest; run.sh puts it there.
#
#   guest.sh healthy   waits until the calculator's jobs are up again, and nothing beside them
#   guest.sh clean     waits until nothing is left of any job
#   guest.sh envoys    prints the PIDs of all Envoys
set -euo pipefail
. /vagrant/bin/lib.sh

envoys() { pgrep -x envoy || true; }

# proxies: the sidecars that Consul knows.
proxies() { curl --silent --show-error --fail http://127.0.0.1:8500/v1/agent/services | jq -r '.[] | select(.Kind == "connect-proxy").ID' | sort; }

# running PATTERN: "allocation task" of each running task whose name matches.
running() {
  nomad_api '/v1/allocations?task_states=true' | jq -r --arg pattern "$1" \
    '.[] | .ID as $id | .TaskStates // {} | to_entries[] | select(.value.State == "running" and (.key | test($pattern))) | "\($id) \(.key)"'
}

# same WHAT WANTED GOT: two numbers.
same() { (($2 == $3)) || { echo "$1: $3, and not $2"; return 1; }; }

# of_allocation: every Envoy works in the directory of an allocation that runs.
of_allocation() {
  local pid cwd allocations
  allocations=$(running '' | cut -d ' ' -f 1)
  for pid in $(envoys); do
    cwd=$(readlink "/proc/$pid/cwd") || continue # it has just ended
    grep -qx "$(cut -d / -f 6 <<<"$cwd")" <<<"$allocations" || { echo "Envoy $pid in $cwd belongs to no running allocation"; return 1; }
  done
}

# healthy: four jobs with two instances each, every one with a sidecar, and the two edges.
healthy() {
  nomad_api /v1/nodes | jq -e 'all(.Status == "ready" and .Drivers.connect.Healthy)' >/dev/null || { nomad_api /v1/nodes && return 1; }
  same 'sidecars that run' 8 "$(running '^connect-proxy-' | wc -l)" &&
    same 'sidecars that Consul knows' 8 "$(proxies | wc -l)" &&
    same 'sidecars that Consul knows and that run' 8 "$(proxies | grep -cFf <(running '^connect-proxy-' | cut -d ' ' -f 1))" &&
    same 'Envoys' 10 "$(envoys | wc -l)" &&
    of_allocation &&
    /vagrant/bin/click.sh -n 2
}

clean() {
  same 'Envoys' 0 "$(envoys | wc -l)" &&
    same 'sidecars that Consul knows' 0 "$(proxies | wc -l)" &&
    same 'tasks that run' 0 "$(running '' | wc -l)" &&
    same 'files of Envoy in /dev/shm' 0 "$(find /dev/shm -name 'envoy_shared_memory*' | wc -l)"
}

case ${1:-} in
  healthy) until_true 120 'the calculator is not as it should be' healthy ;;
  clean) until_true 90 'something is left of the jobs' clean ;;
  envoys) envoys | sort ;;
  *) die 'healthy, clean or envoys?' ;;
esac
