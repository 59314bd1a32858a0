#!/usr/bin/env bash
# The full road, training included, three seeds each: sweep, train the best, put it to configs/gates/live.toml. Prices that revert to their
# mean must pass, a martingale must not, and the best of a sweep there neither.
#
#     experiments/road/road.sh PATH_OF_CAMBIST [FOLDER]
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cambist="$(realpath "$1")"
work="${2:-$(mktemp -d)}"
mkdir -p "$work" && cd "$work"
cp "$here/base.toml" .

wrong=0
for seed in 1 2 3; do
  for market in EDGE NULL; do
    name="$market$seed"
    if [ "$market" = EDGE ]; then law=(ou --speed 36 --volatility 0.3); else law=(gbm --drift 0 --volatility 0.3); fi
    "$cambist" data synth "${law[@]}" --symbol "$name" --bars 20000 --timeframe 4h --start 2014-01-01 --seed "$seed" >/dev/null
    sed -e "s/name = \"road\"/name = \"$name\"/" \
      -e "s/base = \"base.toml\"/base = \"base.toml\"\nset = [\"data.symbol=$name\", \"run.seed=$seed\", \"run.name=$name\"]/" \
      "$here/sweep.toml" > "$name.toml"
    "$cambist" sweep "$name.toml" --workers 2 --quiet > "$name.sweep.txt" 2>&1
    "$cambist" train "runs/sweep-$name/best.toml" --quiet > "$name.train.txt"
    run="$(basename "$(ls -d runs/2*-"$name" | tail -1)")"
    status=0
    "$cambist" promote "$run" --gate "$here/../../configs/gates/live.toml" > "$name.promote.txt" 2>/dev/null || status=$?
    # Exit 0: all requirements are met; 2: refused.
    [ "$market:$status" = EDGE:0 ] || [ "$market:$status" = NULL:2 ] || wrong=1
    printf '%s  exit %s  %s\n' "$name" "$status" "$(tail -1 "$name.promote.txt")"
    grep -E "deflated|overfitting|total return|drawdown" "$name.promote.txt" | cut -c1-100
  done
done
exit "$wrong"
