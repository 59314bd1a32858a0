"""Ticks, bar closes and outcomes as they come. The package has no push, so the terminal's thread is asked every `serve.poll_ms`."""

import asyncio

from .config import Config
from .problems import Unreadable
from .terminal import Terminal

# Events a listener may be behind before it is hung up on.
_BEHIND = 1000

# Bars that are looked at for a close, and after a gap at most.
_LOOKED_AT, _MOST_BARS = 4, 50_000


class Stream:
    """Who listens, and what was last seen."""

    def __init__(self, config: Config, terminal: Terminal):
        self.config, self.terminal = config, terminal
        self._listeners: dict[asyncio.Queue, tuple[str, ...]] = {}
        self._ticks: dict[str, dict] = {}
        self._bars: dict[tuple[str, str], int] = {}

    def listen(self, timeframes: tuple[str, ...]) -> asyncio.Queue:
        queue = asyncio.Queue(_BEHIND)
        self._listeners[queue] = timeframes
        return queue

    def leave(self, queue: asyncio.Queue) -> None:
        self._listeners.pop(queue, None)

    def timeframes(self) -> set[str]:
        return {name for names in list(self._listeners.values()) for name in names}

    def poll(self) -> list[dict]:
        """What has happened since the last look; on the terminal's thread."""
        events = []
        try:
            for symbol in self.config.caps.symbols:
                tick = self.terminal.tick(symbol)
                if tick != self._ticks.get(symbol):
                    self._ticks[symbol] = tick
                    events.append({"type": "tick", "symbol": symbol, **tick})
                events += [event for name in sorted(self.timeframes()) for event in self._closed(symbol, name)]
        except Unreadable as error:
            events.append({"type": "trouble", "detail": str(error)})
        return events

    def _closed(self, symbol: str, timeframe: str) -> list[dict]:
        """Bars that have closed since the last look. A minute without ticks has no bar: the next close comes later."""
        place, count = (symbol, timeframe), _LOOKED_AT
        last = self._bars.get(place)
        bars = self.terminal.bars(symbol, timeframe, count)
        # After a gap, as many as reach back to the last that was told.
        while last is not None and len(bars) == count and bars[0]["time_ms"] > last and count < _MOST_BARS:
            count = min(16 * count, _MOST_BARS)
            bars = self.terminal.bars(symbol, timeframe, count)
        if last is not None and bars and bars[0]["time_ms"] > last:
            raise Unreadable(f"the terminal's {timeframe} bars of {symbol} do not reach back to the last that was told")
        complete = [bar for bar in bars if bar["complete"]]
        if complete:
            self._bars[place] = complete[-1]["time_ms"]
        return [{"type": "bar", "symbol": symbol, "timeframe": timeframe, **bar}
                for bar in complete if last is not None and bar["time_ms"] > last]

    def publish(self, events: list[dict]) -> None:
        """To everybody who listens to it; on the event loop."""
        for queue, timeframes in list(self._listeners.items()):
            for event in events:
                if event["type"] == "bar" and event["timeframe"] not in timeframes:
                    continue
                try:
                    queue.put_nowait(event)
                except asyncio.QueueFull:
                    # It would miss something and not know it.
                    self.leave(queue)
                    while not queue.empty():
                        queue.get_nowait()
                    queue.put_nowait({"type": "behind"})
                    break
