"""The stand-in of the package, with a fault at the next order: the name in the file CAMBIST_FAULT, which is used up.

`*_before` happens before the terminal hears of the order, `*_after` when it has carried it out. The windows of a `kill -9`: `die_early`
before anything is written, `die_before` between journal and sending, `die_after` between sending and the answer, `die_answered` between
the answer and its record. While the file CAMBIST_FAULT.lag is there, positions stay as they were; with CAMBIST_FAULT.login another
account is logged in.
"""

import importlib.util
import os
import pathlib
import signal
import sys

_path = pathlib.Path(__file__).parents[2] / "standin" / "MetaTrader5" / "__init__.py"
_spec = importlib.util.spec_from_file_location("_standin", _path)
_standin = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_standin)
_own_send, _own_error, _own_positions = _standin.order_send, _standin.last_error, _standin.positions_get
_own_account, _own_rates = _standin.account_info, _standin.copy_rates_from_pos
_error, _before = None, ()


def _fault(wanted=lambda name: True) -> str:
    path = pathlib.Path(os.environ["CAMBIST_FAULT"])
    name = path.read_text().strip() if path.exists() else ""
    if not wanted(name):
        return ""
    path.unlink(missing_ok=True)
    return name


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


class _Deadly:
    """An answer whoever reads it dies of."""

    def __getattr__(self, name):
        _die()


def order_send(request):
    global _error
    _error, name = None, _fault()
    if name == "die_before":
        _die()
    if name == "none_before":
        _error = (_standin.RES_E_INTERNAL_FAIL_SEND, "IPC send failed")
        return None
    if name == "raise_before":
        raise RuntimeError("no such luck")
    result = None
    if name not in ("timeout_before", "locked_before"):
        result = _own_send(request)
    if name == "die_after":
        _die()
    if name == "die_answered":
        return _Deadly()
    if name == "odd_after":
        return result._replace(retcode=10046)
    if name == "fail_after":
        _error = (_standin.RES_E_FAIL, "Terminal: Call failed")
        return None
    if name == "none_after":
        _error = (_standin.RES_E_INTERNAL_FAIL_TIMEOUT, "IPC timeout")
        return None
    if name.startswith(("timeout", "locked", "placed")):
        code = {"timeout": 10012, "locked": 10028, "placed": 10008}[name.split("_")[0]]
        fields = dict(deal=0, order=0, volume=0.0, price=0.0, bid=0.0, ask=0.0, comment="", request_id=1, retcode_external=0)
        asked = {"order": 0} | request
        full = _standin.TradeRequest(**{name: asked.get(name, 0) for name in _standin.TradeRequest._fields})
        return _standin.OrderSendResult(retcode=code, request=full, **fields)
    if name == "anothers_after":
        return result._replace(request=result.request._replace(magic=1))
    return result


def positions_get(**arguments):
    global _error
    _error = None
    if _fault(lambda name: name == "die_early"):
        _die()
    global _before
    if not pathlib.Path(os.environ["CAMBIST_FAULT"] + ".lag").exists():
        _before = _own_positions(**arguments)
    return _before


def account_info():
    """The account, or another one somebody has logged in to."""
    account = _own_account()
    return account._replace(login=2) if pathlib.Path(os.environ["CAMBIST_FAULT"] + ".login").exists() else account


def copy_rates_from_pos(symbol, timeframe, start, count):
    """Bars; while the file CAMBIST_FAULT.short is there, the last five alone: a history that is not loaded yet."""
    rates = _own_rates(symbol, timeframe, start, count)
    return rates[-5:] if rates is not None and pathlib.Path(os.environ["CAMBIST_FAULT"] + ".short").exists() else rates


def last_error():
    return _error or _own_error()


_standin.order_send, _standin.last_error, _standin.positions_get = order_send, last_error, positions_get
_standin.account_info, _standin.copy_rates_from_pos = account_info, copy_rates_from_pos
sys.modules[__name__] = _standin
