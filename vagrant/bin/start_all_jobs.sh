#!/usr/bin/env bash
# Starts the calculator: add-svc, sub-svc, frontend and api-gateway, two instances of
# each, and waits until it answers.
#
#   start_all_jobs.sh [-w tasks|native] [-d DIR] [-p PORT] [-t SECONDS]
#
#   -w WAY      tasks: jobs with this driver's tasks (the default); native: jobs with
#               Nomad's own connect stanza, through the hook
#   -d DIR      where the job files are; their ways are directories in it
#   -p PORT     the edge's port (8080)
#   -t SECONDS  how long to wait until all are healthy (300)
#
# NOMAD_ADDR and NOMAD_TOKEN say which cluster.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

way=tasks port=8080 patience=300 dir=
for dir in "$here/../../example-jobs/calculator" "$here/../dist/example-jobs/calculator"; do
  [[ -d $dir ]] && break
done
while getopts w:d:p:t:h option; do
  case $option in
    w) way=$OPTARG ;;
    d) dir=$OPTARG ;;
    p) port=$OPTARG ;;
    t) patience=$OPTARG ;;
    h) help && exit ;;
    *) help >&2 && exit 2 ;;
  esac
done
positive -p "$port" "the edge's port"
positive -t "$patience" "how many seconds to wait"
need nomad curl jq
[[ $way == tasks || $way == native ]] || die "-w is tasks or native, not $way"
[[ $way == tasks ]] || need nomad-driver-connect
[[ -d $dir/$way ]] || die "there are no job files in $dir/$way; name their directory with -d, or run make dist"

cd "$dir" # where the files are that the jobs name

# start JOB VARIABLES…: returns when its deployment is successful.
start() {
  local job=$1 file=$way/$1.nomad.hcl rewritten said status=0
  shift
  if [[ $way == tasks ]]; then
    said=$(timeout "$patience" nomad job run "$@" "$file" 2>&1) || status=$?
  else
    rewritten=$(nomad-driver-connect hook -dynamic-ports -upstream-network loopback "$@" "$file") || die "the hook does not take $dir/$file; its message is above"
    said=$(timeout "$patience" nomad job run -json - <<<"$rewritten" 2>&1) || status=$?
  fi
  ((status != 124)) || die "the job $job is not healthy after $patience s; nomad job status $job tells why"
  ((status == 0)) || die "nomad job run of $dir/$file ended with status $status:"$'\n'"$said"
  echo "$job is healthy"
}

answers() { curl --silent --show-error --fail-with-body --max-time 5 "http://$address/api/$1?a=1&b=2"; }

# None waits for another: who comes up first finds the others when they are there.
starting=()
for job in add-svc sub-svc frontend; do
  start "$job" &
  starting+=($!)
done
start api-gateway -var "edge_port=$port" &
starting+=($!)
failed=0
for pid in "${starting[@]}"; do wait "$pid" || failed=1; done
((failed == 0)) || die 'not all jobs are healthy; the messages are above'

address=$(edge) || exit 1
until_true 30 'the calculator does not add' answers add
until_true 30 'the calculator does not subtract' answers sub
printf 'The calculator answers at http://%s/\n' "$address"
