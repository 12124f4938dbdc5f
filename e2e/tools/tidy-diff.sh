#!/usr/bin/env bash
# Fails when go.mod or go.sum differ from what `go mod tidy` makes of them.
# (-e: tests of dependencies import packages that do not resolve; harmless.)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

before=$(mktemp -d)
trap 'cp "$before"/go.* . && rm -rf "$before"' EXIT
cp go.mod go.sum "$before"
go mod tidy -e 2>/dev/null || true
if ! diff -u "$before/go.mod" go.mod || ! diff -u "$before/go.sum" go.sum; then
  echo 'go.mod or go.sum is not tidy; run: go mod tidy -e' >&2
  exit 1
fi
