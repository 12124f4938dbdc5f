#!/usr/bin/env bash
# Clicks on the calculator, through the edge and the mesh, and shows which instance
# answered how often.
#
#   click.sh [-n CLICKS] [-a ADDRESS] [-v]
#
#   -n CLICKS   how many sums (20)
#   -a ADDRESS  host:port of the edge; by default Nomad is asked for it
#   -v          show each answer
#
# NOMAD_ADDR and NOMAD_TOKEN say which cluster. The status is 1 when a click failed.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

clicks=20 address='' verbose=
while getopts n:a:vh option; do
  case $option in
    n) clicks=$OPTARG ;;
    a) address=$OPTARG ;;
    v) verbose=1 ;;
    h) help && exit ;;
    *) help >&2 && exit 2 ;;
  esac
done
positive -n "$clicks" "how many clicks"
need curl jq
[[ -n $address ]] || { need nomad && address=$(edge); } || exit 1

answers=$(mktemp)
trap 'rm -f "$answers"' EXIT
failed=0

# click NUMBER: one sum; its answer is kept when it is right.
click() {
  local a=$((RANDOM % 1000)) b=$((RANDOM % 1000)) operator=add want answer
  want=$((a + b))
  if (($1 % 2 == 0)); then operator=sub want=$((a - b)); fi
  if answer=$(curl --silent --show-error --fail-with-body --max-time 10 "http://$address/api/$operator?a=$a&b=$b" 2>&1) &&
    jq -e --arg want "$want" '.answer == $want' <<<"$answer" >/dev/null 2>&1; then
    printf '%s\n' "$answer" >>"$answers"
    [[ -z $verbose ]] || jq -r '"\(.a) \(if .operator == "add" then "+" else "-" end) \(.b) = \(.answer)\t\(.path | map(.instance) | join(" > "))"' <<<"$answer"
  else
    failed=$((failed + 1))
    printf '%s of %s and %s: wanted %s, got: %s\n' "$operator" "$a" "$b" "$want" "$answer" >&2
  fi
}

for ((n = 1; n <= clicks; n++)); do click "$n"; done

printf '%s clicks at http://%s/, %s failed\n\n' "$clicks" "$address" "$failed"
printf '%-12s %-24s %s\n' SERVICE INSTANCE ANSWERS
jq -rs '[.[].path[]] | group_by(.instance)[] | "\(.[0].service) \(.[0].instance) \(length)"' "$answers" |
  while read -r service instance count; do printf '%-12s %-24s %7s\n' "$service" "$instance" "$count"; done
((failed == 0))
