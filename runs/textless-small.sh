#!/usr/bin/env bash
# The whole textless way on a small part of Flickr8k: photo → units → speech, without any text on the way. Under 30
# minutes on 2 cores. Stop it or kill it at any moment; started again, it goes on.
#
#   bash runs/textless-small.sh
#   KIND=resdavenet-vq bash runs/textless-small.sh     units that pictures teach, instead of k-means
#   VOICE=tacotron2 bash runs/textless-small.sh        a voice with attention, instead of the fast one
#
# Needs data/flickr8k and work/captioner-transformer (its eyes), which runs/default.sh makes, and the extras train and
# voices. Everything below may be set from outside.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv-dev/bin:$PATH"
KIND=${KIND:-k-means}                     # k-means, resdavenet-vq
VOICE=${VOICE:-unit-to-mel}               # unit-to-mel, tacotron2
WORK=${WORK:-work/textless-small-$KIND}
PICTURES=${PICTURES:-data/flickr8k}
SPEECH=${SPEECH:-data/spoken-captions-small}
SHARE=${SHARE:-0.1}                       # of the captions: one of every second picture
PHOTO=${PHOTO:-examples/lawn.jpg}
N_TESTED=${N_TESTED:-50}
case $KIND in
    k-means) UNITS_CONFIG=${UNITS_CONFIG:-configs/units/flickr8k-k-means.yaml} UNITS_STEPS='' ;;
    resdavenet-vq) UNITS_CONFIG=${UNITS_CONFIG:-configs/units/flickr8k-resdavenet-vq-2.yaml} UNITS_STEPS=${UNITS_STEPS:-600} ;;
    *) echo "KIND is k-means or resdavenet-vq" >&2; exit 2 ;;
esac
case $VOICE in
    unit-to-mel) VOICE_CONFIG=${VOICE_CONFIG:-configs/acoustic/unit-to-mel.yaml} VOICE_STEPS=${VOICE_STEPS:-900} ;;
    tacotron2) VOICE_CONFIG=${VOICE_CONFIG:-configs/acoustic/units.yaml} VOICE_STEPS=${VOICE_STEPS:-1200} ;;
    *) echo "VOICE is unit-to-mel or tacotron2" >&2; exit 2 ;;
esac
CAPTIONER_CONFIG=${CAPTIONER_CONFIG:-configs/captioner/flickr8k-units-show-attend-tell.yaml}
CAPTIONER_STEPS=${CAPTIONER_STEPS:-700}

# Speech about the pictures. No later step reads its text.
[ -e "$SPEECH/dataset.json" ] || optophone prepare spoken-captions "$PICTURES" "$SPEECH" --share "$SHARE"

# Units, and the speech written down in them.
UNITS_OPTIONS=(--data.speech "$SPEECH")
[ "$KIND" = k-means ] || UNITS_OPTIONS+=(--data.pictures "$PICTURES" --trainer.max_steps "$UNITS_STEPS")
optophone train "$UNITS_CONFIG" --out "$WORK/units-run" "${UNITS_OPTIONS[@]}"
[ -e "$WORK/units" ] || optophone export "$WORK/units-run" -o "$WORK/units"
optophone units "$SPEECH" -m "$WORK/units" -o "$WORK/column" -q

# Picture → units and units → speech know nothing of each other but the column; each takes a core.
optophone train "$CAPTIONER_CONFIG" --out "$WORK/captioner-run" --data.folder "$PICTURES" --data.units "$WORK/column" \
    --trainer.max_steps "$CAPTIONER_STEPS" &
CAPTIONER=$!
trap 'kill "$CAPTIONER" 2>/dev/null || true' EXIT
optophone train "$VOICE_CONFIG" --out "$WORK/$VOICE-run" --data.folder "$SPEECH" --data.units "$WORK/column" \
    --trainer.max_steps "$VOICE_STEPS"
wait "$CAPTIONER"
trap - EXIT

optophone export "$WORK/captioner-run" -o "$WORK/captioner" --precision fp32
optophone export "$WORK/$VOICE-run" -o "$WORK/$VOICE" --precision fp32
optophone evaluate captions "$WORK/captioner" "$PICTURES" --units "$WORK/column" --limit "$N_TESTED" \
    -o "$WORK/captions.json" -q
optophone evaluate captions "$WORK/captioner" "$PICTURES" --units "$WORK/column" --limit "$N_TESTED" --shuffled \
    -o "$WORK/captions-shuffled.json" -q
optophone export "$WORK/captioner" "$WORK/$VOICE" -o "$WORK/system" --metrics "$WORK/captions.json" \
    --metrics "$WORK/captions-shuffled.json"
optophone speak "$PHOTO" -m "$WORK/system" -o "$WORK/photo.wav" --json
