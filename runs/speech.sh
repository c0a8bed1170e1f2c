#!/usr/bin/env bash
# Trains further vocoders for the human voice, and voices that learn from more people or from letters alone, measures all of
# them, and writes docs/results/speech.md. Stop it or kill it at any moment; started again, it goes on.
#
#   SHARED=../shared bash runs/speech.sh
#
# Needs the speech in data and the voices in work, which runs/default.sh makes, SHARED/data/librispeech in its official layout,
# and the extras train, voices and eval.
set -euo pipefail
cd "$(dirname "$0")/.."
SHARED=${SHARED:-../shared}
export PATH="$PWD/.venv-dev/bin:$PATH"
RESULTS=docs/results/speech

optophone prepare librispeech "$SHARED/data/librispeech" data/librispeech

optophone train configs/vocoder/ljspeech-vocos.yaml
optophone train configs/vocoder/ljspeech-waveglow-small.yaml
optophone train configs/acoustic/ljspeech-aligner.yaml
optophone train configs/acoustic/ljspeech-parallel-people.yaml
optophone train configs/acoustic/ljspeech-parallel-adversarial.yaml

optophone export work/vocoder-ljspeech-vocos -o work/bundles/vocos
optophone export work/vocoder-ljspeech-waveglow-small -o work/bundles/waveglow-small
optophone export work/acoustic-ljspeech -o work/bundles/voice-tacotron2 --speaker LJ
optophone export work/acoustic-ljspeech-parallel -o work/bundles/voice-parallel --speaker LJ
optophone export work/acoustic-ljspeech-parallel-adversarial -o work/bundles/voice-letters --speaker LJ
optophone export work/bundles/voice work/bundles/vocos -o work/bundles/voice-vocos

mkdir -p "$RESULTS"
python runs/unseen_sentences.py work/unseen-sentences.txt
griffin_lim=src/optophone/bundles/default/vocoder
optophone evaluate speech "$griffin_lim" data/ljspeech --copy-synthesis -o "$RESULTS/copy-griffin-lim.json"
optophone evaluate speech work/bundles/vocos data/ljspeech --copy-synthesis -o "$RESULTS/copy-vocos.json"
optophone evaluate speech work/bundles/waveglow-small data/ljspeech --copy-synthesis -o "$RESULTS/copy-waveglow-small.json"
for voice in voice-tacotron2 voice-parallel voice-letters voice voice-vocos; do
    optophone evaluate speech "work/bundles/$voice" data/ljspeech --sentences work/unseen-sentences.txt \
        -o "$RESULTS/$voice.json"
done
python runs/training_curves.py "$RESULTS/training.json" work/vocoder-ljspeech-vocos:mel_distance \
    work/vocoder-ljspeech-waveglow-small:loss work/acoustic-ljspeech:mel_after work/acoustic-ljspeech-parallel:mel \
    work/acoustic-ljspeech-parallel-adversarial:mel work/acoustic-ljspeech-parallel-phones:mel \
    work/acoustic-ljspeech-parallel-phones-adversarial:mel work/acoustic-ljspeech-parallel-dictionary:mel
heard() { python benchmarks/voice_errors.py "$@"; }
by_phones=(--phones data/ljspeech-phones --pronunciations work/cmudict.dict)
heard work/acoustic-ljspeech-parallel-dictionary --texts data/ljspeech "${by_phones[@]}" \
    --sentences work/unseen-sentences.txt -o "$RESULTS/errors.json"
heard work/acoustic-ljspeech-parallel-phones-adversarial "${by_phones[@]}" --sentences work/unseen-sentences.txt \
    -o "$RESULTS/errors-phones-adversarial.json"
heard work/acoustic-ljspeech-parallel-phones "${by_phones[@]}" -o "$RESULTS/errors-phones.json"
heard work/acoustic-ljspeech-parallel-adversarial --sentences work/unseen-sentences.txt -o "$RESULTS/errors-letters.json"
heard work/acoustic-ljspeech-parallel -o "$RESULTS/errors-parallel.json"
heard work/acoustic-ljspeech-parallel-people -o "$RESULTS/errors-people.json"
python benchmarks/vocoders.py work/bundles/vocos work/bundles/waveglow-small "$griffin_lim" -o "$RESULTS/speed.json"
python runs/speech.py
