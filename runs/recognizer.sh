#!/usr/bin/env bash
# Trains the recogniser that judges voices, on speech that they did not make, and measures it on true speech beside
# pocketsphinx. About an hour on one core. Stop it or kill it at any moment; started again, it goes on.
#
#   bash runs/recognizer.sh
#
# Needs data/flickr8k, data/ljspeech and data/librispeech (see docs/datasets). The bundle is work/ear, which
# `optophone evaluate voice|speech --recognizer work/ear` takes.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv-dev/bin:$PATH"
RESULTS=docs/results

optophone prepare spoken-captions data/flickr8k data/spoken-captions-voices --share 0.2 \
    --voice en-gb:165:45 --voice en-us+f3:185:60 --voice en-gb-scotland+m3:150:40 --voice en-us+m1:200:50 \
    --voice en-gb-x-rp+f2:170:65 --voice en-us-nyc+m5:190:35 --voice en-gb-x-gbcwmd+f4:160:55 --voice en-us+klatt4:175:45
optophone train configs/recognizer/english.yaml
optophone export work/recognizer-english -o work/recognizer-english/bundle
optophone evaluate recognizer work/recognizer-english/bundle data/ljspeech data/librispeech -o $RESULTS/recognizer.json
optophone evaluate recognizer pocketsphinx data/ljspeech data/librispeech -o $RESULTS/recognizer-pocketsphinx.json
optophone export work/recognizer-english/bundle --metrics $RESULTS/recognizer.json -o work/ear
