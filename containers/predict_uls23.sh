#!/bin/sh
# A stack of ULS23 to the stack of its masks: predict_uls23.sh [INPUT [OUTPUT [NETWORK [MARKS]]]]
# The challenge gives no marks: they come from a table beside its input.
set -eu
input=${1:-/input} output=${2:-/output} network=${3:-/opt/network}
marks=${4:-$input/marks.csv}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A command that refuses all marks fails after it has written their causes: the masks are then empty.
if weaklesion uls23 "$input" --marks "$marks" --out "$work/drawn"; then
  weaklesion segment --model "$network" --marks "$work/drawn/marks.csv" --out "$work/masks" --volume ||
    test -f "$work/masks/refused.csv"
else
  test -f "$work/drawn/refused.csv"
fi
weaklesion uls23-masks "$input" --masks "$work/masks" --drawn "$work/drawn" --out "$output"
