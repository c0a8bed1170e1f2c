#!/usr/bin/env bash
# The textless way in full size: photo → units → speech for every kind of units and two captioners, trained on Flickr8k
# and its spoken captions, heard by a recogniser and scored beside all controls; writes docs/results/textless.md. Stop it
# or kill it at any moment; started again, it goes on with the first stage that is not finished.
#
#   bash runs/textless.sh
#   UNITS=k-means CAPTIONERS=show-attend-tell bash runs/textless.sh       one system
#   UNITS=wavenet-vq STAGES="units voice" bash runs/textless.sh           some stages; two such runs take a core each
#
# Needs data/flickr8k, data/spoken-captions, data/ljspeech and the runs of runs/default.sh (the eyes, and the cascade);
# the recogniser of runs/recognizer.sh; and the extras train, voices and eval. Everything below may be set from outside.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv-dev/bin:$PATH"
UNITS=${UNITS:-k-means resdavenet-vq wavenet-vq}
CAPTIONERS=${CAPTIONERS:-show-attend-tell transformer}
STAGES=${STAGES:-units voice captioners evaluate known-words page}
PICTURES=${PICTURES:-data/flickr8k}
SPEECH=${SPEECH:-data/spoken-captions}
ALIGNMENTS=${ALIGNMENTS:-data/alignments-dev}
WORK=${WORK:-work/textless}
RESULTS=${RESULTS:-docs/results/textless}
CAPTIONER_STEPS=${CAPTIONER_STEPS:-}      # of every captioner; else the steps of those that are published, see below
VOICE_STEPS=${VOICE_STEPS:-}              # of every voice; else the same
JUDGED_STEPS=${JUDGED_STEPS:-}            # of every voice, after these, against judges; else the same
BEAM=${BEAM:-5}
CASCADE=${CASCADE:-$WORK/cascade-synthetic}   # the system that writes words, in a voice of the same kind
RECOGNIZER=${RECOGNIZER:-work/ear}
ORDER=${ORDER:-0}                         # words in a row that the recogniser knows of the train captions; 0: any words
KNOWN_WORDS=${KNOWN_WORDS:-transformer-resdavenet-vq}   # the systems that are heard once more with words in a row known
KNOWN_ORDER=${KNOWN_ORDER:-2}             # so many
N_PICTURES=${N_PICTURES:-1000}            # that are heard
JOBS=${JOBS:-2}

wanted() { [[ " $STAGES " == *" $1 "* ]]; }

# One system had the time to learn for longer than the others; the page of results says so.
voice_steps() { if [ "$1" = resdavenet-vq ]; then echo "${VOICE_STEPS:-2500}"; else echo "${VOICE_STEPS:-1000}"; fi; }
# And one voice is sharpened against judges afterwards.
judged_steps() { if [ "$1" = resdavenet-vq ]; then echo "${JUDGED_STEPS:-2000}"; else echo "${JUDGED_STEPS:-0}"; fi; }
captioner_steps() {
    if [ "$1 $2" = "resdavenet-vq transformer" ]; then echo "${CAPTIONER_STEPS:-2500}"; else echo "${CAPTIONER_STEPS:-800}"; fi
}

# The eyes of the default with the voice of espeak-ng's captions, so that both ways speak alike to the recogniser.
make_cascade() {
    if [ "$CASCADE" = "$WORK/cascade-synthetic" ] && [ ! -e "$CASCADE" ]; then
        optophone export work/acoustic-spoken-captions -o "$WORK/voice-synthetic"
        optophone export work/bundles/captioner "$WORK/voice-synthetic" -o "$CASCADE"
    fi
}

learn_units() {
    local kind=$1 bundle=$WORK/$1/units
    if [ ! -e "$bundle" ]; then
        if [ "$kind" = resdavenet-vq ]; then
            optophone train configs/units/flickr8k-resdavenet-vq-2.yaml
            optophone train configs/units/flickr8k-resdavenet-vq-23.yaml
            optophone export work/units-resdavenet-vq-23 -o "$bundle"
        else
            optophone train "configs/units/flickr8k-$kind.yaml"
            optophone export "work/units-$kind" -o "$bundle"
        fi
    fi
    if [ "$kind" = resdavenet-vq ] && [ ! -e "$RESULTS/retrieval.json" ]; then
        python runs/textless.py "$RESULTS" --retrieval work/units-resdavenet-vq-2 work/units-resdavenet-vq-23
    fi
    [ -e "$WORK/$kind/column/dataset.json" ] || optophone units "$SPEECH" -m "$bundle" -o "$WORK/$kind/column" -q
    [ -e "$ALIGNMENTS/dataset.json" ] || optophone prepare alignments "$SPEECH" "$ALIGNMENTS" --split dev --limit 1000
    [ -e "$RESULTS/units-$kind.json" ] || optophone evaluate units "$bundle" "$SPEECH" --alignments "$ALIGNMENTS" \
        --limit 1000 -o "$RESULTS/units-$kind.json" -q
}

learn_voice() {
    local here=$WORK/$1 steps judged run=voice-run
    [ -e "$here/voice" ] && return
    steps=$(voice_steps "$1")
    judged=$(judged_steps "$1")
    optophone train configs/acoustic/unit-to-mel.yaml --out "$here/$run" --data.folder "$SPEECH" \
        --data.units "$here/column" --trainer.max_steps "$steps"
    if [ "$judged" -gt 0 ]; then
        optophone train configs/acoustic/unit-to-mel-adversarial.yaml --weights "$here/$run/acoustic.safetensors" \
            --out "$here/voice-judged-run" --data.folder "$SPEECH" --data.units "$here/column" --trainer.max_steps "$judged"
        run=voice-judged-run
    fi
    optophone export "$here/$run" -o "$here/voice" --precision fp32
}

learn_captioner() {
    local here=$WORK/$1 captioner=$2 steps
    [ -e "$here/$captioner" ] && return
    steps=$(captioner_steps "$1" "$captioner")
    optophone train "configs/captioner/flickr8k-units-$captioner.yaml" --out "$here/$captioner-run" \
        --data.folder "$PICTURES" --data.units "$here/column" --trainer.max_steps "$steps"
    optophone export "$here/$captioner-run" -o "$here/$captioner" --precision fp32
}

# By a recogniser that knows the words of the train captions, as most recognisers know those of their language.
evaluate_with_words() {
    local here=$WORK/$1 captioner=$2 result=$RESULTS/known-words/$2-$1.json
    [[ " $KNOWN_WORDS " == *" $captioner-$1 "* ]] || return 0
    [ -e "$result" ] && return
    mkdir -p "$RESULTS/known-words"
    optophone evaluate spoken-captions "$here/system-$captioner" "$PICTURES" --beam "$BEAM" --limit "$N_PICTURES" \
        --recognizer "$RECOGNIZER" --order "$KNOWN_ORDER" --control "speech=$SPEECH" --control "units=$here/column" \
        --control shuffled --jobs "$JOBS" -o "$result"
}

evaluate() {
    local here=$WORK/$1 captioner=$2 result=$RESULTS/$2-$1.json
    [ -e "$result" ] && return
    make_cascade
    [ -e "$here/system-$captioner" ] || optophone export "$here/$captioner" "$here/voice" -o "$here/system-$captioner"
    optophone evaluate spoken-captions "$here/system-$captioner" "$PICTURES" --beam "$BEAM" --limit "$N_PICTURES" \
        --recognizer "$RECOGNIZER" --order "$ORDER" --control "speech=$SPEECH" --control "units=$here/column" \
        --control "cascade=$CASCADE" --control shuffled --control constant --heard-before "$RESULTS" \
        --samples "$here/samples-$captioner" --jobs "$JOBS" -o "$result"
}

mkdir -p "$WORK" "$RESULTS"
for kind in $UNITS; do
    if wanted units; then learn_units "$kind"; fi
    if wanted voice; then learn_voice "$kind"; fi
    for captioner in $CAPTIONERS; do
        if wanted captioners; then learn_captioner "$kind" "$captioner"; fi
        if wanted evaluate; then evaluate "$kind" "$captioner"; fi
        if wanted known-words; then evaluate_with_words "$kind" "$captioner"; fi
    done
done
if wanted page; then python runs/textless.py "$RESULTS"; fi
