#!/usr/bin/env bash
# Makes the embedded default: photo → words → speech. Stop it or kill it at any moment; started again, it goes on.
#
#   SHARED=../shared bash runs/default.sh
#
# SHARED/data holds flickr8k, tiny-imagenet and ljspeech in their official layouts. Needs the extras train, voices and
# eval (`make test` sets them up in .venv-dev).
set -euo pipefail
cd "$(dirname "$0")/.."
SHARED=${SHARED:-../shared}
export PATH="$PWD/.venv-dev/bin:$PATH"
BUNDLES=src/optophone/bundles
RESULTS=docs/results
DICTIONARY=$(python -c "import pocketsphinx; print(pocketsphinx.get_model_path('en-us/cmudict-en-us.dict'))")

optophone prepare tiny-imagenet "$SHARED/data/tiny-imagenet" data/tiny-imagenet
optophone prepare flickr8k "$SHARED/data/flickr8k" data/flickr8k
optophone prepare spoken-captions data/flickr8k data/spoken-captions
optophone prepare spoken-words "$DICTIONARY" data/spoken-words
optophone prepare ljspeech "$SHARED/data/ljspeech" data/ljspeech
optophone prepare phones data/ljspeech data/ljspeech-phones
optophone prepare phones data/spoken-captions data/spoken-captions-phones --share 0.5
optophone prepare phones data/spoken-words data/spoken-words-phones --share 0.5
bash runs/pronunciations.sh work/cmudict.dict
optophone prepare phones data/ljspeech data/ljspeech-dictionary --pronunciations work/cmudict.dict
optophone prepare non-photographs data/non-photographs

optophone train configs/encoder/tiny-imagenet.yaml
optophone train configs/captioner/flickr8k-transformer.yaml
optophone train configs/captioner/flickr8k-transformer-self-critical.yaml
optophone train configs/photograph/default.yaml
# The voice: a Tacotron 2 of espeak-ng's captions, then of a person beside them; its attention tells how long letters last,
# an aligner how long phones do. It learns letters, then phones beside them, then against judges, at last nearly all in phones.
optophone train configs/acoustic/spoken-captions.yaml
optophone train configs/acoustic/ljspeech.yaml
optophone train configs/acoustic/ljspeech-parallel.yaml
optophone train configs/acoustic/ljspeech-phones-aligner.yaml
optophone train configs/acoustic/ljspeech-parallel-phones.yaml
optophone train configs/acoustic/ljspeech-parallel-phones-adversarial.yaml
optophone train configs/acoustic/ljspeech-parallel-dictionary.yaml

optophone export work/captioner-transformer-self-critical --photograph work/photograph/photograph.npz \
    -o work/bundles/captioner
optophone export work/acoustic-ljspeech-parallel-dictionary -o work/bundles/voice-fast --speaker LJ \
    --pronunciations work/cmudict.dict
optophone evaluate voice work/bundles/voice-fast data/ljspeech -o "$RESULTS/default-voice-pace.json"
optophone export work/bundles/voice-fast -o work/bundles/voice --pace "$RESULTS/default-voice-pace.json"
optophone evaluate captions work/bundles/captioner data/flickr8k --calibrate -o "$RESULTS/default-captions.json"
optophone evaluate captions work/bundles/captioner data/flickr8k --shuffled -o "$RESULTS/default-captions-shuffled.json"
optophone evaluate voice work/bundles/voice data/flickr8k --limit 200 -o "$RESULTS/default-voice.json"
optophone evaluate voice work/bundles/voice data/ljspeech -o "$RESULTS/default-voice-recordings.json"
optophone evaluate doubt work/bundles/captioner data/flickr8k -o "$RESULTS/default-doubt.json" --figures "$RESULTS/figures"
optophone export work/bundles/captioner work/bundles/voice -o "$BUNDLES/default" \
    --metrics "$RESULTS/default-captions.json" --metrics "$RESULTS/default-captions-shuffled.json" \
    --metrics "$RESULTS/default-voice.json" --metrics "$RESULTS/default-voice-recordings.json" \
    --metrics "$RESULTS/default-doubt.json" \
    --confidence "$RESULTS/default-captions.json"

python benchmarks/main_job.py -o "$RESULTS/default-speed.json"
python runs/results.py
