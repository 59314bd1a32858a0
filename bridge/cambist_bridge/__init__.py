"""Orders that happen once: an HTTP bridge beside a MetaTrader 5 terminal."""

__version__ = "0.1.0"
