#!/usr/bin/env bash
# How many pictures with spoken captions does it take? Trains the same captioner over units on 1 to 100 % of them, by
# every way of learning from the rest, with controls, and writes docs/results/less-parallel.md with its curves. Stop it
# or kill it at any moment; started again, it goes on with the first cell that has no result.
#
#   bash runs/less_parallel.sh                                            the whole: some weeks on 2 cores
#   STEPS=200 SHARES="3 10 30 100" METHODS="pairs language-model back-translation" SEEDS=0 CONTROLS=paired N_TESTED=100 \
#       CONFIG=configs/captioner/flickr8k-units-transformer.yaml \
#       OVERRIDES="--data.batch_size 10 --data.captions_per_picture 2 --decoder.options.n_layers 2" \
#       WORK=work/less-parallel-small RESULTS=work/less-parallel-small/results bash runs/less_parallel.sh   a first look
#   STAGES=page bash runs/less_parallel.sh                                the page alone
#
# Needs data/flickr8k, data/spoken-captions and work/captioner-transformer (the eyes); the units, their column and the
# voice over them that runs/textless.sh makes; the recogniser of runs/recognizer.sh; for the control `unrelated`
# data/spoken-words (runs/speech.sh). Everything below may be set from outside. Two runs with different SEEDS, METHODS or
# SHARES may share a machine, as long as they begin after the first has made the regions.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv-dev/bin:$PATH"
STEPS=${STEPS:-4000}                      # of every training: equal updates
SHARES=${SHARES:-1 3 10 30 100}           # per cent of the pictures of train that keep their captions
METHODS=${METHODS:-pairs language-model pseudo-labels back-translation bottleneck}   # and bottleneck-pairs, guidance
SEEDS=${SEEDS:-0 1 2}
CONTROLS=${CONTROLS:-paired shuffled unrelated}   # paired is no control
CONTROL_SHARES=${CONTROL_SHARES:-$SHARES} # of the controls
N_TESTED=${N_TESTED:-1000}                # pictures of dev that are described
N_HEARD=${N_HEARD:-$N_TESTED}             # and heard
STAGES=${STAGES:-units speech page}       # units: train and score units; speech: speak, hear and score
CONFIG=${CONFIG:-configs/captioner/flickr8k-units-show-attend-tell.yaml}
OVERRIDES=${OVERRIDES:-}                  # further options of every training, as --data.batch_size 10
BEAM=${BEAM:-3}
PICTURES=${PICTURES:-data/flickr8k}
UNITS=${UNITS:-work/textless/k-means/units}
COLUMN=${COLUMN:-work/textless/k-means/column}
VOICE=${VOICE:-work/textless/k-means/voice}
UNRELATED=${UNRELATED:-data/spoken-words} # speech about nothing
SPEECH_LIMIT=${SPEECH_LIMIT:-0}           # utterances of speech alone; 0 for all that there are
RECOGNIZER=${RECOGNIZER:-work/ear}
ORDER=${ORDER:-0}
WORK=${WORK:-work/less-parallel}
REGIONS=${REGIONS:-work/regions}          # what the frozen eyes see, shared with other trainings
RESULTS=${RESULTS:-docs/results/less-parallel}
JOBS=${JOBS:-2}

wanted() { [[ " $STAGES " == *" $1 "* ]]; }

# The options of a method; alone those of speech without pictures.
options_of() {
    local control=$2
    case $1 in
        pairs) ;;
        bottleneck-pairs) echo --decoder.bottleneck.n_slots 64 ;;
        language-model) echo --unpaired.language_model.weight 1 ;;
        pseudo-labels) echo --unpaired.pseudo_labels.first_step $((STEPS / 4)) \
            --unpaired.pseudo_labels.every $(((STEPS + 3) / 4)) --unpaired.pseudo_labels.n_pictures $((STEPS > 1000 ? 1000 : STEPS)) ;;
        back-translation) echo --unpaired.back_translation.first_step $((STEPS / 8)) ;;
        bottleneck) echo --decoder.bottleneck.n_slots 64 --unpaired.bottleneck.weight 1 ;;
        *) echo "METHODS: $1 is none" >&2; return 2 ;;
    esac
    case $1 in language-model | back-translation | bottleneck) echo --unpaired.speech_limit "$SPEECH_LIMIT" ;; esac
    case $control in
        paired) ;;
        shuffled) echo --data.pairs_shuffled true ;;
        unrelated) echo --unpaired.speech "$WORK/unrelated" ;;
        *) echo "CONTROLS: $control is none" >&2; return 2 ;;
    esac
}

# Cells that would be the same as another one, or have nothing to learn from.
is_empty() {
    local method=$1 control=$2 share=$3
    case $control in
        unrelated) case $method in pairs | bottleneck-pairs | guidance | pseudo-labels) return 0 ;; esac ;;
    esac
    [ "$method" = pseudo-labels ] && [ "$share" = 100 ] && return 0
    [ "$control" != paired ] && [[ " $CONTROL_SHARES " != *" $share "* ]]
}

train() {
    local cell=$1 method=$2 control=$3 share=$4 seed=$5 run=$WORK/runs/$1 options
    [ -e "$WORK/bundles/$cell" ] && return
    options=$(options_of "$method" "$control")
    # shellcheck disable=SC2086
    optophone train "$CONFIG" --out "$run" --data.folder "$PICTURES" --data.units "$COLUMN" \
        --data.pairs_share "$(awk "BEGIN {print $share / 100}")" --trainer.max_steps "$STEPS" --trainer.seed "$seed" \
        --optimizer.warmup_steps $((STEPS > 800 ? 100 : STEPS / 8)) $options $OVERRIDES
    optophone export "$run" -o "$WORK/bundles/$cell" --precision fp32
    rm -f "$run/last.ckpt" "$run/captioner.safetensors"  # the weights are in the bundle
}

measure() {
    local cell=$2-$3-$4-$5 what=$1 method=$2 guidance=0 trained
    if [ "$method" = guidance ]; then method=pairs guidance=1; fi  # the same training, another search
    trained=$method-$3-$4-$5
    if [ "$what" = units ] && [ ! -e "$RESULTS/units-$cell.json" ]; then
        train "$trained" "$method" "${@:3}"
        optophone evaluate captions "$WORK/bundles/$trained" "$PICTURES" --units "$COLUMN" --beam "$BEAM" \
            --guidance "$guidance" --limit "$N_TESTED" --jobs "$JOBS" -o "$RESULTS/units-$cell.json" -q
    fi
    if [ "$what" = speech ] && [ ! -e "$RESULTS/speech-$cell.json" ]; then
        train "$trained" "$method" "${@:3}"
        [ -e "$WORK/systems/$cell" ] || optophone export "$WORK/bundles/$trained" "$VOICE" -o "$WORK/systems/$cell"
        optophone evaluate spoken-captions "$WORK/systems/$cell" "$PICTURES" --beam "$BEAM" --limit "$N_HEARD" \
            --guidance "$guidance" --recognizer "$RECOGNIZER" --order "$ORDER" --no-java --jobs "$JOBS" \
            -o "$RESULTS/speech-$cell.json" -q
        rm -rf "$WORK/systems/$cell"
    fi
}

# Results of different settings are no curve.
mkdir -p "$RESULTS" "$WORK/runs" "$WORK/bundles" "$WORK/systems" "$REGIONS"
[ -e "$WORK/runs/regions" ] || ln -s "$(cd "$REGIONS" && pwd)" "$WORK/runs/regions"
settings=$(printf '{"steps": %s, "config": "%s", "overrides": "%s", "tested": %s, "heard": %s, "beam": %s, "speech_limit": %s, "recognizer": "%s", "order": %s}' \
    "$STEPS" "$CONFIG" "$OVERRIDES" "$N_TESTED" "$N_HEARD" "$BEAM" "$SPEECH_LIMIT" "$RECOGNIZER" "$ORDER")
if wanted units || wanted speech; then
    if [ -e "$RESULTS/settings.json" ] && [ "$(cat "$RESULTS/settings.json")" != "$settings" ]; then
        echo "$RESULTS: has results of other settings, $(cat "$RESULTS/settings.json"); give RESULTS and WORK others" >&2
        exit 2
    fi
    echo "$settings" > "$RESULTS/settings.json"
fi

for stage in units speech; do
    if ! wanted "$stage"; then continue; fi
    for seed in $SEEDS; do
        for share in $SHARES; do
            for control in $CONTROLS; do
                for method in $METHODS; do
                    if is_empty "$method" "$control" "$share"; then continue; fi
                    if [ "$control" = unrelated ] && [ ! -e "$WORK/unrelated/dataset.json" ]; then
                        optophone units "$UNRELATED" -m "$UNITS" -o "$WORK/unrelated" -q
                    fi
                    measure "$stage" "$method" "$control" "$share" "$seed"
                done
            done
        done
    done
done
if wanted page; then
    python runs/less_parallel.py "$RESULTS" --methods "$METHODS" --shares "$SHARES" --seeds "$SEEDS" \
        --controls "$CONTROLS" --control-shares "$CONTROL_SHARES"
fi
