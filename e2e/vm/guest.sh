#!/usr/bin/env bash
# What the test looks at in the guest; run.sh puts it there.
#
#   guest.sh healthy   waits until the calculator's jobs are up again, and nothing beside them
#   guest.sh in_hand   waits until a client that has come back has taken its tasks up again
#   guest.sh clean     waits until nothing is left of any job
#   guest.sh envoys    prints the PIDs of all Envoys
set -euo pipefail
. /vagrant/bin/lib.sh

# consul_api PATH: an answer of Consul's API.
consul_api() { curl --silent --show-error --fail "http://127.0.0.1:8500$1"; }

# proxies: the sidecars that Consul knows.
proxies() { consul_api /v1/agent/services | jq -r '.[] | select(.Kind == "connect-proxy").ID' | sort; }

# services: those that Consul knows, but for its own and Nomad's.
services() { consul_api /v1/catalog/services | jq -r 'keys[] | select(IN("consul", "nomad", "nomad-client") | not)'; }

# passing SERVICE: its instances that pass all of their checks.
passing() { consul_api "/v1/health/service/$1?passing" | jq -r '.[].Service.ID'; }

# running PATTERN: "allocation task" of each running task whose name matches.
running() {
  nomad_api '/v1/allocations?task_states=true' | jq -r --arg pattern "$1" \
    '.[] | .ID as $id | .TaskStates // {} | to_entries[] | select(.value.State == "running" and (.key | test($pattern))) | "\($id) \(.key)"'
}

# same WHAT WANTED COMMAND…: the command prints that many lines.
same() {
  local what=$1 wanted=$2 lines
  shift 2
  lines=$("$@") || { echo "$what: $* does not succeed"; return 1; }
  lines=$(grep -c . <<<"$lines" || true)
  ((lines == wanted)) || { echo "$what: $lines, and not $wanted"; return 1; }
}

programs() { pgrep -x "$1" || true; }
envoys() { programs envoy; }
shared_memory() { find /dev/shm -name 'envoy_shared_memory*'; }
run_dirs() { find /var/lib/nomad-client/alloc -mindepth 4 -maxdepth 4 -path '*/secrets/connect'; }
known_and_running() { proxies | grep -Ff <(running '^connect-proxy-' | cut -d ' ' -f 1) || true; }

# of_allocation: every Envoy works in the directory of an allocation that runs.
of_allocation() {
  local pid cwd allocations
  allocations=$(running '' | cut -d ' ' -f 1)
  for pid in $(envoys); do
    cwd=$(readlink "/proc/$pid/cwd") || continue # it has just ended
    grep -qx "$(cut -d / -f 6 <<<"$cwd")" <<<"$allocations" || { echo "Envoy $pid in $cwd belongs to no running allocation"; return 1; }
  done
}

# healthy: four jobs with two instances each, all of which pass, every one with a sidecar; and
# no program beside those.
healthy() {
  local service name
  nomad_api /v1/nodes | jq -e 'all(.Status == "ready" and .Drivers.connect.Healthy)' >/dev/null || { nomad_api /v1/nodes && return 1; }
  for service in add-svc sub-svc frontend api-gateway; do
    for name in "$service" "$service-sidecar-proxy"; do
      same "instances of $name that pass" 2 passing "$name" || return 1
    done
  done
  same 'sidecars that run' 8 running '^connect-proxy-' &&
    same 'sidecars that Consul knows' 8 proxies &&
    same 'sidecars that Consul knows and that run' 8 known_and_running &&
    same 'Envoys' 10 envoys &&
    same 'JVMs' 4 programs java &&
    same 'processes of Node' 2 programs node &&
    of_allocation &&
    /vagrant/bin/click.sh -n 2
}

# in_hand: a client tells the use of resources of tasks that it has taken up.
in_hand() {
  local id
  for id in $(running '' | cut -d ' ' -f 1 | sort -u); do
    nomad_api "/v1/client/allocation/$id/stats" | jq -e '.Tasks | length == 2' >/dev/null ||
      { echo "the tasks of allocation $id are not in the client's hand"; return 1; }
  done
}

clean() {
  same 'Envoys' 0 envoys &&
    same 'JVMs' 0 programs java &&
    same 'processes of Node' 0 programs node &&
    same 'services that Consul knows' 0 services &&
    same 'tasks that run' 0 running '' &&
    same 'run directories of Envoys' 0 run_dirs &&
    same 'files of Envoy in /dev/shm' 0 shared_memory
}

case ${1:-} in
  healthy) until_true 120 'the calculator is not as it should be' healthy ;;
  in_hand) until_true 60 'the client has not taken its tasks up again' in_hand ;;
  clean) until_true 90 'something is left of the jobs' clean ;;
  envoys) envoys | sort ;;
  *) die 'healthy, in_hand, clean or envoys?' ;;
esac
