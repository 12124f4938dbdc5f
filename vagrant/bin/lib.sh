# What the scripts share; to be sourced. They talk to the cluster that NOMAD_ADDR,
# CONSUL_HTTP_ADDR and the other variables of the two commands name.
# shellcheck shell=bash

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# positive OPTION VALUE WHAT: or the sentence that it is no number.
positive() {
  [[ $2 =~ ^[1-9][0-9]*$ ]] || die "$1 is $3, a number, and not $2"
}

# need PROGRAM…: or the sentence that says which one is missing.
need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || die "$program is not on the PATH; install it"
  done
}

# help: the comment at the head of the script.
help() {
  sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
}

# until_true SECONDS WHAT COMMAND…: waits for the command to succeed, and ends the
# script when it does not, with what the command said last.
until_true() {
  local deadline=$((SECONDS + $1)) what=$2 said
  shift 2
  until said=$("$@" 2>&1); do
    ((SECONDS < deadline)) || die "$what; the last answer was: ${said:-none}"
    sleep 0.5
  done
}

# nomad_api PATH: an answer of Nomad's API. (From a pipe the command would take something to send.)
nomad_api() {
  nomad operator api "$1" </dev/null || die "Nomad at ${NOMAD_ADDR:-http://127.0.0.1:4646} does not answer; is NOMAD_ADDR right, and NOMAD_TOKEN?"
}

# port_of JOB LABELS: "address:port" of the first running allocation's port whose label
# matches the pattern.
port_of() {
  local id port
  id=$(nomad_api "/v1/job/$1/allocations" |
    jq -r 'map(select(.ClientStatus == "running" and .DesiredStatus == "run")) | .[0].ID // empty') || exit 1
  [[ -n $id ]] || die "the job $1 has no running allocation; start it with start_all_jobs.sh"
  port=$(nomad_api "/v1/allocation/$id" | jq -r --arg labels "$2" \
    '[.AllocatedResources.Shared.Ports[] | select(.Label | test($labels))][0] | if . then "\(.HostIP):\(.Value)" else empty end') || exit 1
  [[ -n $port ]] || die "allocation ${id%%-*} of the job $1 has no port $2"
  printf '%s\n' "$port"
}

# edge: where those outside the mesh come in.
edge() {
  port_of api-gateway '^edge$'
}
