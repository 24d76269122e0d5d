#!/bin/sh
# Volumes with drawn marks to masks: predict_npz.sh [INPUTS [OUTPUTS [NETWORK]]]
set -eu
inputs=${1:-/workspace/inputs} outputs=${2:-/workspace/outputs} network=${3:-/opt/network}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# levels (uint8) are taken as the network's own window
window=$(python -c 'import json, sys; w = json.load(open(sys.argv[1]))["data"].get("window_hu"); print("--window", *w) if w else None' "$network/run.json")
# A command that refuses all marks fails after it has written their causes: the masks are then empty.
if weaklesion npz "$inputs"/*.npz --out "$work/drawn" --volume $window; then
  weaklesion segment --model "$network" --marks "$work/drawn/marks.csv" --out "$work/masks" --volume ||
    test -f "$work/masks/refused.csv"
else
  test -f "$work/drawn/refused.csv"
fi
weaklesion npz-masks "$inputs"/*.npz --masks "$work/masks" --drawn "$work/drawn" --out "$outputs"
