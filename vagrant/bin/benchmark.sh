#!/usr/bin/env bash
# Measures what the mesh costs: the same sum asked of add-svc directly, and through the
# sidecars of the frontend and of add-svc. Prints requests a second and percentiles of
# the latency side by side, and draws its distribution.
#
#   benchmark.sh [-z DURATION] [-c CLIENTS] [-r ROUNDS] [-o FILE]
#
#   -z DURATION  how long each way is measured in a round (5s)
#   -c CLIENTS   how many ask at a time (8)
#   -r ROUNDS    how often the ways take turns (3)
#   -o FILE      where the SVG plot goes (latency.svg)
#
# To be run on the node: the app's port and the sidecar's upstream are its loopback's.
# NOMAD_ADDR and NOMAD_TOKEN say which cluster.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

duration=5s clients=8 rounds=3 plot=latency.svg
while getopts z:c:r:o:h option; do
  case $option in
    z) duration=$OPTARG ;;
    c) clients=$OPTARG ;;
    r) rounds=$OPTARG ;;
    o) plot=$OPTARG ;;
    h) help && exit ;;
    *) help >&2 && exit 2 ;;
  esac
done
positive -c "$clients" "how many ask at a time"
positive -r "$rounds" "how often the ways take turns"
[[ $duration =~ ^[1-9][0-9]*(s|m)$ ]] || die "-z is a duration like 5s or 1m, not $duration"
[[ -d $(dirname "$plot") ]] || die "there is no directory for the plot $plot"
need nomad jq hey curl
/usr/bin/python3 -c 'import matplotlib' 2>/dev/null || die "matplotlib is missing; install Debian's package python3-matplotlib"

direct=$(port_of add-svc '^http$') || exit 1
mesh=$(port_of frontend '^up_add$|_add_svc$') || exit 1
mesh=127.0.0.1:${mesh##*:} # where sidecars have upstreams, whatever the port's network
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# measure WAY ADDRESS: adds to the way's latencies, after a moment to warm up.
measure() {
  local url="http://$2/compute?a=0.1&b=0.2"
  curl --silent --show-error --fail --max-time 5 "$url" >/dev/null ||
    die "add-svc does not answer at $2 ($1); this has to be run on the node where the job runs"
  hey -z 1s -c "$clients" "$url" >/dev/null || die "hey does not run: hey -z 1s -c $clients $url"
  hey -z "$duration" -c "$clients" -o csv "$url" >"$dir/$1.$3.csv" || die "hey does not run: hey -z $duration -c $clients"
}

for ((round = 1; round <= rounds; round++)); do
  measure direct "$direct" "$round"
  measure mesh "$mesh" "$round"
done
/usr/bin/python3 "$here/latency.py" "$plot" "direct: $dir/direct.*.csv" "through the mesh: $dir/mesh.*.csv"
