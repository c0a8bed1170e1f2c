#!/usr/bin/env bash
# Trains the whole captioner family alike, over the encoder of the embedded default, and writes docs/results/captioning.md.
# Stop it or kill it at any moment; started again, it goes on.
#
#   bash runs/captioning.sh [MEMBER...]
#   bash runs/captioning.sh symbols         the transformer over words, characters and phones, 700 steps each
#
# Needs work/captioner-transformer and data/flickr8k, which runs/default.sh makes. STEPS, SEEDS (of every member) and
# BEST_SEEDS with BEST (of those members besides) may be set from outside; PRECISION is that of the bundles that are
# scored.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv-dev/bin:$PATH"
STEPS=${STEPS:-1000}
SEEDS=${SEEDS:-0}
BEST=${BEST:-}
BEST_SEEDS=${BEST_SEEDS:-1 2}
RESULTS=docs/results/captioning
MEMBERS=(show-and-tell show-attend-tell hard-attend-tell adaptive-attention top-down attention-on-attention
    look-back-predict-forward semantic-attention x-lan x-transformer transformer-frozen)

measure() {
    local member=$1 seed=$2 run=work/family/$1-$2 result=$RESULTS/$1-$2.json
    [ -e "$result" ] && return
    optophone train "configs/captioner/flickr8k-$member.yaml" --out "$run" \
        --trainer.max_steps "$STEPS" --trainer.seed "$seed"
    [ -e "$run/bundle" ] || optophone export "$run" -o "$run/bundle" --precision fp32
    optophone evaluate captions "$run/bundle" data/flickr8k --beam 5 --jobs 1 -o "$result" -q
}

measure_symbols() {
    local symbols=$1 run=work/family/symbols-$1 result=$RESULTS/symbols-$1.json
    [ -e "$result" ] && return
    optophone train configs/captioner/flickr8k-transformer-frozen.yaml --out "$run" --data.symbols "$symbols" \
        --trainer.max_steps 700 --trainer.validate_every 14
    [ -e "$run/bundle" ] || optophone export "$run" -o "$run/bundle" --precision fp32
    optophone evaluate captions "$run/bundle" data/flickr8k --beam 5 --jobs 1 -o "$result" -q
}

mkdir -p "$RESULTS"
if [ "${1:-}" = symbols ]; then
    for symbols in words phones characters; do measure_symbols "$symbols"; done
    python runs/captioning.py
    exit
fi
for member in "${@:-${MEMBERS[@]}}"; do
    for seed in $SEEDS; do measure "$member" "$seed"; done
done
for member in $BEST; do
    for seed in $BEST_SEEDS; do measure "$member" "$seed"; done
done
python runs/captioning.py
