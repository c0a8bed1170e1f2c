#!/usr/bin/env bash
# What guidance is worth (docs/guidance.md): a captioner over units and its system, and a direct transformer, with and
# without it, on the same photographs; writes docs/results/guidance/*.json. What is there already is not made again.
#
#   bash runs/guidance.sh
#   GUIDANCE="0 1" SYSTEM= DIRECT= bash runs/guidance.sh                  what the captioner writes, alone
#
# Needs data/flickr8k, the column of units, and bundles: a captioner over units (any of runs/less_parallel.sh or
# runs/textless.sh), its voice, and the direct transformer of runs/direct.sh. Everything below may be set from outside.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv-dev/bin:$PATH"
GUIDANCE=${GUIDANCE:-0 0.5 1 2}           # that captions are written with
HEARD=${HEARD:-0 1}                       # and heard with
HEARD_DIRECT=${HEARD_DIRECT:-0}           # runs/direct.sh hears it as it is configured
PICTURES=${PICTURES:-data/flickr8k}
COLUMN=${COLUMN:-work/textless/k-means/column}
CAPTIONER=${CAPTIONER:-work/less-parallel/bundles/pairs-paired-100-0}
VOICE=${VOICE:-work/textless/k-means/voice}
SYSTEM=${SYSTEM-work/guidance/system}     # made of CAPTIONER and VOICE; empty for none
DIRECT=${DIRECT-work/direct/transformer}  # empty for none
BEAM=${BEAM:-3}
N_TESTED=${N_TESTED:-300}                 # pictures of dev that are described
N_HEARD=${N_HEARD:-300}                   # and heard
N_DIRECT=${N_DIRECT:-1000}                # that are heard of the direct transformer
RECOGNIZER=${RECOGNIZER:-pocketsphinx}
ORDER=${ORDER:-2}
RESULTS=${RESULTS:-docs/results/guidance}
JOBS=${JOBS:-2}

# NAME of the results, strengths of guidance, then the system, the data and further options.
hear() {
    local name=$1 strengths=$2 result
    shift 2
    for guidance in $strengths; do
        result=$RESULTS/$name-$guidance.json
        [ -e "$result" ] || optophone evaluate spoken-captions "$@" --guidance "$guidance" \
            --recognizer "$RECOGNIZER" --order "$ORDER" --control shuffled --control constant --no-java \
            --jobs "$JOBS" -o "$result" -q
    done
}

mkdir -p "$RESULTS"
for guidance in $GUIDANCE; do
    [ -e "$RESULTS/units-$guidance.json" ] || optophone evaluate captions "$CAPTIONER" "$PICTURES" --units "$COLUMN" \
        --beam "$BEAM" --limit "$N_TESTED" --guidance "$guidance" --jobs "$JOBS" -o "$RESULTS/units-$guidance.json" -q
done
if [ -n "$SYSTEM" ]; then
    [ -e "$SYSTEM" ] || optophone export "$CAPTIONER" "$VOICE" -o "$SYSTEM"
    hear speech "$HEARD" "$SYSTEM" "$PICTURES" --limit "$N_HEARD" --beam "$BEAM"
fi
if [ -n "$DIRECT" ]; then hear transformer "$HEARD_DIRECT" "$DIRECT" "$PICTURES" --limit "$N_DIRECT"; fi
