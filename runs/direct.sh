#!/usr/bin/env bash
# Photo → speech in one network: the three direct models, trained on Flickr8k and its spoken captions, heard by a
# recogniser and scored beside all controls; writes docs/results/direct/*.json. Stop it or kill it at any moment; started
# again, it goes on with the first stage that is not finished.
#
#   bash runs/direct.sh
#   MEMBERS=joint bash runs/direct.sh                                     one model
#   MEMBERS=transformer STAGES=train bash runs/direct.sh                  one stage; two such runs take a core each
#
# Needs data/flickr8k, data/spoken-captions, EYES and the recogniser, as runs/textless.sh does. EYES may be a captioner's
# bundle, too: EYES=src/optophone/bundles/default sees as the embedded model does, without a training of eyes. The joint
# model starts from the captioner and the voice over UNITS of runs/textless.sh, which are trained first where they are not
# there. Everything below may be set from outside.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv-dev/bin:$PATH"
MEMBERS=${MEMBERS:-joint transformer show-and-speak}
STAGES=${STAGES:-train evaluate}
UNITS=${UNITS:-resdavenet-vq}             # of the joint model
PICTURES=${PICTURES:-data/flickr8k}
SPEECH=${SPEECH:-data/spoken-captions}
TEXTLESS=${TEXTLESS:-work/textless}
WORK=${WORK:-work/direct}
RESULTS=${RESULTS:-docs/results/direct}
HEARD=${HEARD:-$RESULTS}                  # where true speech and the cascade may have been heard before
TEXTLESS_RESULTS=${TEXTLESS_RESULTS:-docs/results/textless}
JOINT_STEPS=${JOINT_STEPS:-800}
TRANSFORMER_STEPS=${TRANSFORMER_STEPS:-3000}
SHOW_AND_SPEAK_STEPS=${SHOW_AND_SPEAK_STEPS:-6000}
EYES=${EYES:-work/captioner-transformer/captioner.safetensors}   # of the models that do not start from a captioner
BEAM=${BEAM:-5}                           # of the joint model's search
CASCADE=${CASCADE-$TEXTLESS/cascade-synthetic}   # the system that writes words, of runs/textless.sh; empty for none
RECOGNIZER=${RECOGNIZER:-work/ear}        # or pocketsphinx, with ORDER=2: it needs no training, and knows captions
ORDER=${ORDER:-0}                         # words in a row that the recogniser knows of the train captions; 0: any words
N_PICTURES=${N_PICTURES:-1000}            # that are heard
JOBS=${JOBS:-2}

wanted() { [[ " $STAGES " == *" $1 "* ]]; }

learn_halves() {
    local here=$TEXTLESS/$UNITS
    [ -e "$here/transformer-run/captioner.safetensors" ] && [ -e "$here/voice-run/acoustic.safetensors" ] && return
    UNITS=$UNITS CAPTIONERS=transformer STAGES="units voice captioners" PICTURES=$PICTURES SPEECH=$SPEECH \
        WORK=$TEXTLESS RESULTS=$TEXTLESS_RESULTS bash runs/textless.sh
}

learn() {
    local member=$1 here=$TEXTLESS/$UNITS options=(--data.pictures "$PICTURES" --data.speech "$SPEECH")
    [ -e "$WORK/$member" ] && return
    case $member in
        joint)
            learn_halves
            options+=(--data.units "$here/column" --trainer.max_steps "$JOINT_STEPS")
            options+=(--captioner_weights "$here/transformer-run/captioner.safetensors")
            options+=(--voice_weights "$here/voice-run/acoustic.safetensors")
            ;;
        transformer) options+=(--encoder_from "$EYES" --trainer.max_steps "$TRANSFORMER_STEPS") ;;
        show-and-speak) options+=(--encoder_from "$EYES" --trainer.max_steps "$SHOW_AND_SPEAK_STEPS") ;;
        *) echo "MEMBERS are joint, transformer, show-and-speak; not $member" >&2; exit 2 ;;
    esac
    optophone train "configs/direct/flickr8k-$member.yaml" --out "$WORK/$member-run" "${options[@]}"
    optophone export "$WORK/$member-run" -o "$WORK/$member" --precision fp32
}

hear() {
    [ -z "$CASCADE" ] || set -- "$@" --control "cascade=$CASCADE"
    optophone evaluate spoken-captions "$@" --limit "$N_PICTURES" --recognizer "$RECOGNIZER" --order "$ORDER" \
        --control "speech=$SPEECH" --control shuffled --control constant \
        --heard-before "$HEARD" --jobs "$JOBS"
}

# The two halves that the joint model began with, as a system: what it has to be better than.
hear_start() {
    local here=$TEXTLESS/$UNITS start=$WORK/start
    [ -e "$RESULTS/start/textless.json" ] && return
    [ -e "$start-voice" ] || optophone export "$here/voice-run" -o "$start-voice" --precision fp32
    [ -e "$start" ] || optophone export "$here/transformer" "$start-voice" -o "$start"
    mkdir -p "$RESULTS/start"
    hear "$start" "$PICTURES" -o "$RESULTS/start/textless.json" --beam "$BEAM" --control "units=$here/column"
}

evaluate() {
    local member=$1 result=$RESULTS/$1.json
    local what=("$WORK/$member" "$PICTURES" -o "$result" --samples "$WORK/samples-$member")
    if [ "$member" = joint ]; then what+=(--beam "$BEAM" --control "units=$TEXTLESS/$UNITS/column"); fi
    [ -e "$result" ] || hear "${what[@]}"
    if [ "$member" = joint ] && [ ! -e "$RESULTS/start/joint-against-textless.json" ]; then
        hear_start
        optophone evaluate compare "$RESULTS/start/textless.json" "$result" \
            -o "$RESULTS/start/joint-against-textless.json"
    fi
}

mkdir -p "$WORK" "$RESULTS"
for member in $MEMBERS; do
    if wanted train; then learn "$member"; fi
    if wanted evaluate; then evaluate "$member"; fi
done
