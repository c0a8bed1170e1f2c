#!/usr/bin/env bash
# Units on people's speech: LibriSpeech's speakers, written in units learned from them and in units learned from a
# synthetic voice; ABX within and across speakers, what units tell of phones, and of who speaks. A few minutes.
#
#   bash runs/human-units.sh
#
# Needs data/librispeech (runs/recognizer.sh says how), the units of runs/textless.sh, and the extras train and eval.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv-dev/bin:$PATH"
RESULTS=docs/results/human-units
TEXTLESS=${TEXTLESS:-work/textless}

mkdir -p "$RESULTS"
[ -e data/librispeech-alignments/dataset.json ] || optophone prepare alignments data/librispeech data/librispeech-alignments
optophone train configs/units/flickr8k-k-means.yaml --out work/units-k-means-people --name units-k-means-people \
    --data.speech data/librispeech --data.dev_limit 38
[ -e work/bundles/units-people ] || optophone export work/units-k-means-people -o work/bundles/units-people
measure() {
    [ -e "$RESULTS/$2.json" ] || optophone evaluate units "$1" data/librispeech --split train \
        --alignments data/librispeech-alignments -o "$RESULTS/$2.json"
}
measure work/bundles/units-people k-means-of-people
measure "$TEXTLESS/k-means/units" k-means-of-a-synthetic-voice
measure "$TEXTLESS/resdavenet-vq/units" resdavenet-vq-of-a-synthetic-voice
measure "$TEXTLESS/wavenet-vq/units" wavenet-vq-of-a-synthetic-voice-and-a-person
