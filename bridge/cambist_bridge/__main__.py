"""`cambist-bridge bridge.toml`."""

import argparse
import json
import logging
import sys
from pathlib import Path

import uvicorn

from . import __version__
from .app import Bridge, application
from .config import ConfigError, read
from .journal import JournalError
from .terminal import NoPackage
from .worker import Worker

log = logging.getLogger("cambist")

_KEEP = ("intent", "reason", "retcode", "holder", "token", "path")


class _Lines(logging.Formatter):
    """Logs as JSON lines; secrets never get here."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": self.formatTime(record), "level": record.levelname, "name": record.name, "message": record.getMessage()}
        line |= {name: vars(record)[name] for name in _KEEP if name in vars(record)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def main() -> int:
    parser = argparse.ArgumentParser(prog="cambist-bridge", description="An HTTP bridge beside a MetaTrader 5 terminal")
    parser.add_argument("config", type=Path, help="TOML; bridge.example.toml explains every field")
    parser.add_argument("--adopt-strays", metavar="REASON", help="answer for marks that no intent has, so that they pause nothing any more")
    parser.add_argument("--release", nargs=2, metavar=("ID", "REASON"), help="answer for an order whose end the terminal's books will never show")
    parser.add_argument("--check", action="store_true", help="read the config and end")
    parser.add_argument("--version", action="version", version=__version__)
    arguments = parser.parse_args()
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        config = read(arguments.config)
    except ConfigError as error:
        print(f"cambist-bridge: {error}", file=sys.stderr)
        return 1
    if arguments.check:
        print(f"{arguments.config} is a config of account {config.login}")
        return 0
    worker = Worker()
    try:
        bridge = worker.wait(Bridge, config)
    except (JournalError, NoPackage, OSError) as error:
        print(f"cambist-bridge: {error}", file=sys.stderr)
        worker.close()
        return 1
    if arguments.adopt_strays is not None:
        adopted = worker.wait(bridge.watch.adopt_strays, arguments.adopt_strays)
        log.warning("adopted", extra={"reason": f"{', '.join(adopted) or 'nothing'}: {arguments.adopt_strays}"})
    if arguments.release is not None:
        log.warning("released", extra={"reason": worker.wait(bridge.orders.release, *arguments.release)})
    server = uvicorn.Server(uvicorn.Config(
        application(bridge, worker), host=config.host, port=config.port, log_config=None, access_log=False, server_header=False,
        ssl_certfile=config.certificate, ssl_keyfile=config.key, ws_max_size=config.longest_body))
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
