"""Stands in for the package `MetaTrader5`, which exists for Windows only: its names, fields, codes and habits, over a simulated
terminal (`cambist terminal simulate`; its address is in CAMBIST_TERMINAL).

Functions that a simulation has no answer to are left out, so that who needs one fails at its name. What fails returns None and
leaves the reason in `last_error()`, as there. Times are seconds of the server's wall clock; a datetime is taken by its timestamp.
"""

from collections import namedtuple
from datetime import datetime

import numpy as np

import cambist_terminal

__version__ = "5.0.5735"
__author__ = "Cambist"

# Results of the library.
RES_S_OK = 1
RES_E_FAIL = -1
RES_E_INVALID_PARAMS = -2
RES_E_NO_MEMORY = -3
RES_E_NOT_FOUND = -4
RES_E_INVALID_VERSION = -5
RES_E_AUTH_FAILED = -6
RES_E_UNSUPPORTED = -7
RES_E_AUTO_TRADING_DISABLED = -8
RES_E_INTERNAL_FAIL = -10000
RES_E_INTERNAL_FAIL_SEND = -10001
RES_E_INTERNAL_FAIL_RECEIVE = -10002
RES_E_INTERNAL_FAIL_INIT = -10003
RES_E_INTERNAL_FAIL_CONNECT = -10004
RES_E_INTERNAL_FAIL_TIMEOUT = -10005

TIMEFRAME_M1, TIMEFRAME_M2, TIMEFRAME_M3, TIMEFRAME_M4, TIMEFRAME_M5 = 1, 2, 3, 4, 5
TIMEFRAME_M6, TIMEFRAME_M10, TIMEFRAME_M12, TIMEFRAME_M15 = 6, 10, 12, 15
TIMEFRAME_M20, TIMEFRAME_M30 = 20, 30
TIMEFRAME_H1, TIMEFRAME_H2, TIMEFRAME_H3, TIMEFRAME_H4 = 0x4001, 0x4002, 0x4003, 0x4004
TIMEFRAME_H6, TIMEFRAME_H8, TIMEFRAME_H12 = 0x4006, 0x4008, 0x400C
TIMEFRAME_D1, TIMEFRAME_W1, TIMEFRAME_MN1 = 0x4018, 0x8001, 0xC001

ORDER_TYPE_BUY, ORDER_TYPE_SELL = 0, 1
ORDER_TYPE_BUY_LIMIT, ORDER_TYPE_SELL_LIMIT = 2, 3
ORDER_TYPE_BUY_STOP, ORDER_TYPE_SELL_STOP = 4, 5
ORDER_TYPE_BUY_STOP_LIMIT, ORDER_TYPE_SELL_STOP_LIMIT, ORDER_TYPE_CLOSE_BY = 6, 7, 8

ORDER_STATE_STARTED, ORDER_STATE_PLACED, ORDER_STATE_CANCELED, ORDER_STATE_PARTIAL = 0, 1, 2, 3
ORDER_STATE_FILLED, ORDER_STATE_REJECTED, ORDER_STATE_EXPIRED = 4, 5, 6
ORDER_STATE_REQUEST_ADD, ORDER_STATE_REQUEST_MODIFY, ORDER_STATE_REQUEST_CANCEL = 7, 8, 9

ORDER_FILLING_FOK, ORDER_FILLING_IOC, ORDER_FILLING_RETURN, ORDER_FILLING_BOC = 0, 1, 2, 3
ORDER_TIME_GTC, ORDER_TIME_DAY, ORDER_TIME_SPECIFIED, ORDER_TIME_SPECIFIED_DAY = 0, 1, 2, 3
ORDER_REASON_CLIENT, ORDER_REASON_MOBILE, ORDER_REASON_WEB, ORDER_REASON_EXPERT = 0, 1, 2, 3
ORDER_REASON_SL, ORDER_REASON_TP, ORDER_REASON_SO = 4, 5, 6

DEAL_TYPE_BUY, DEAL_TYPE_SELL, DEAL_TYPE_BALANCE = 0, 1, 2
DEAL_ENTRY_IN, DEAL_ENTRY_OUT, DEAL_ENTRY_INOUT, DEAL_ENTRY_OUT_BY = 0, 1, 2, 3
DEAL_REASON_CLIENT, DEAL_REASON_MOBILE, DEAL_REASON_WEB, DEAL_REASON_EXPERT = 0, 1, 2, 3
DEAL_REASON_SL, DEAL_REASON_TP, DEAL_REASON_SO = 4, 5, 6

TRADE_ACTION_DEAL, TRADE_ACTION_PENDING, TRADE_ACTION_SLTP = 1, 5, 6
TRADE_ACTION_MODIFY, TRADE_ACTION_REMOVE, TRADE_ACTION_CLOSE_BY = 7, 8, 10

POSITION_TYPE_BUY, POSITION_TYPE_SELL = 0, 1
POSITION_REASON_CLIENT, POSITION_REASON_MOBILE, POSITION_REASON_WEB, POSITION_REASON_EXPERT = 0, 1, 2, 3

ACCOUNT_TRADE_MODE_DEMO, ACCOUNT_TRADE_MODE_CONTEST, ACCOUNT_TRADE_MODE_REAL = 0, 1, 2
ACCOUNT_STOPOUT_MODE_PERCENT, ACCOUNT_STOPOUT_MODE_MONEY = 0, 1
ACCOUNT_MARGIN_MODE_RETAIL_NETTING, ACCOUNT_MARGIN_MODE_EXCHANGE, ACCOUNT_MARGIN_MODE_RETAIL_HEDGING = 0, 1, 2

SYMBOL_TRADE_MODE_DISABLED, SYMBOL_TRADE_MODE_LONGONLY, SYMBOL_TRADE_MODE_SHORTONLY = 0, 1, 2
SYMBOL_TRADE_MODE_CLOSEONLY, SYMBOL_TRADE_MODE_FULL = 3, 4
SYMBOL_TRADE_EXECUTION_REQUEST, SYMBOL_TRADE_EXECUTION_INSTANT = 0, 1
SYMBOL_TRADE_EXECUTION_MARKET, SYMBOL_TRADE_EXECUTION_EXCHANGE = 2, 3
SYMBOL_CALC_MODE_FOREX, SYMBOL_CALC_MODE_FUTURES, SYMBOL_CALC_MODE_CFD = 0, 1, 2
SYMBOL_CALC_MODE_CFDINDEX, SYMBOL_CALC_MODE_CFDLEVERAGE, SYMBOL_CALC_MODE_EXCH_STOCKS = 3, 4, 32
SYMBOL_SWAP_MODE_DISABLED, SYMBOL_SWAP_MODE_POINTS, SYMBOL_SWAP_MODE_INTEREST_CURRENT = 0, 1, 5

COPY_TICKS_ALL, COPY_TICKS_INFO, COPY_TICKS_TRADE = -1, 1, 2
TICK_FLAG_BID, TICK_FLAG_ASK, TICK_FLAG_LAST, TICK_FLAG_VOLUME = 2, 4, 8, 16

TRADE_RETCODE_REQUOTE, TRADE_RETCODE_REJECT, TRADE_RETCODE_CANCEL = 10004, 10006, 10007
TRADE_RETCODE_PLACED, TRADE_RETCODE_DONE, TRADE_RETCODE_DONE_PARTIAL = 10008, 10009, 10010
TRADE_RETCODE_ERROR, TRADE_RETCODE_TIMEOUT, TRADE_RETCODE_INVALID = 10011, 10012, 10013
TRADE_RETCODE_INVALID_VOLUME, TRADE_RETCODE_INVALID_PRICE, TRADE_RETCODE_INVALID_STOPS = 10014, 10015, 10016
TRADE_RETCODE_TRADE_DISABLED, TRADE_RETCODE_MARKET_CLOSED, TRADE_RETCODE_NO_MONEY = 10017, 10018, 10019
TRADE_RETCODE_PRICE_CHANGED, TRADE_RETCODE_PRICE_OFF, TRADE_RETCODE_INVALID_EXPIRATION = 10020, 10021, 10022
TRADE_RETCODE_ORDER_CHANGED, TRADE_RETCODE_TOO_MANY_REQUESTS, TRADE_RETCODE_NO_CHANGES = 10023, 10024, 10025
TRADE_RETCODE_SERVER_DISABLES_AT, TRADE_RETCODE_CLIENT_DISABLES_AT, TRADE_RETCODE_LOCKED = 10026, 10027, 10028
TRADE_RETCODE_FROZEN, TRADE_RETCODE_INVALID_FILL, TRADE_RETCODE_CONNECTION = 10029, 10030, 10031
TRADE_RETCODE_ONLY_REAL, TRADE_RETCODE_LIMIT_ORDERS, TRADE_RETCODE_LIMIT_VOLUME = 10032, 10033, 10034
TRADE_RETCODE_INVALID_ORDER, TRADE_RETCODE_POSITION_CLOSED = 10035, 10036
TRADE_RETCODE_INVALID_CLOSE_VOLUME, TRADE_RETCODE_CLOSE_ORDER_EXIST = 10038, 10039
TRADE_RETCODE_LIMIT_POSITIONS, TRADE_RETCODE_REJECT_CANCEL, TRADE_RETCODE_LONG_ONLY = 10040, 10041, 10042
TRADE_RETCODE_SHORT_ONLY, TRADE_RETCODE_CLOSE_ONLY, TRADE_RETCODE_FIFO_CLOSE = 10043, 10044, 10045

AccountInfo = namedtuple("AccountInfo", (
    "login trade_mode leverage limit_orders margin_so_mode trade_allowed trade_expert margin_mode currency_digits fifo_close "
    "balance credit profit equity margin margin_free margin_level margin_so_call margin_so_so margin_initial "
    "margin_maintenance assets liabilities commission_blocked name server currency company"))
TerminalInfo = namedtuple("TerminalInfo", (
    "community_account community_connection connected dlls_allowed trade_allowed tradeapi_disabled email_enabled ftp_enabled "
    "notifications_enabled mqid build maxbars codepage ping_last community_balance retransmission company name language path "
    "data_path commondata_path"))
SymbolInfo = namedtuple("SymbolInfo", (
    "custom chart_mode select visible session_deals session_buy_orders session_sell_orders volume volumehigh volumelow time "
    "digits spread spread_float ticks_bookdepth trade_calc_mode trade_mode start_time expiration_time trade_stops_level "
    "trade_freeze_level trade_exemode swap_mode swap_rollover3days margin_hedged_use_leg expiration_mode filling_mode "
    "order_mode order_gtc_mode option_mode option_right bid bidhigh bidlow ask askhigh asklow last lasthigh lastlow "
    "volume_real volumehigh_real volumelow_real option_strike point trade_tick_value trade_tick_value_profit "
    "trade_tick_value_loss trade_tick_size trade_contract_size trade_accrued_interest trade_face_value "
    "trade_liquidity_rate volume_min volume_max volume_step volume_limit swap_long swap_short margin_initial "
    "margin_maintenance session_volume session_turnover session_interest session_buy_orders_volume "
    "session_sell_orders_volume session_open session_close session_aw session_price_settlement session_price_limit_min "
    "session_price_limit_max margin_hedged price_change price_volatility price_theoretical price_greeks_delta "
    "price_greeks_theta price_greeks_gamma price_greeks_vega price_greeks_rho price_greeks_omega price_sensitivity basis "
    "category currency_base currency_profit currency_margin bank description exchange formula isin name page path"))
Tick = namedtuple("Tick", "time bid ask last volume time_msc flags volume_real")
TradeRequest = namedtuple("TradeRequest", (
    "action magic order symbol volume price stoplimit sl tp deviation type type_filling type_time expiration comment position "
    "position_by"))
OrderSendResult = namedtuple(
    "OrderSendResult", "retcode deal order volume price bid ask comment request_id retcode_external request")
OrderCheckResult = namedtuple(
    "OrderCheckResult", "retcode balance equity profit margin margin_free margin_level comment request")
TradeOrder = namedtuple("TradeOrder", (
    "ticket time_setup time_setup_msc time_done time_done_msc time_expiration type type_time type_filling state magic "
    "position_id position_by_id reason volume_initial volume_current price_open sl tp price_current price_stoplimit symbol "
    "comment external_id"))
TradePosition = namedtuple("TradePosition", (
    "ticket time time_msc time_update time_update_msc type magic identifier reason volume price_open sl tp price_current swap "
    "profit symbol comment external_id"))
TradeDeal = namedtuple("TradeDeal", (
    "ticket order time time_msc type entry magic position_id reason volume price commission swap profit fee symbol comment "
    "external_id"))

_RATES = np.dtype([
    ("time", "<i8"), ("open", "<f8"), ("high", "<f8"), ("low", "<f8"), ("close", "<f8"), ("tick_volume", "<u8"),
    ("spread", "<i4"), ("real_volume", "<u8")])
_TEXTS = {"basis", "category", "bank", "description", "exchange", "formula", "isin", "page", "path"}

_line = None
_error = (RES_E_INTERNAL_FAIL_CONNECT, "No IPC connection")


def _call(name, **arguments):
    """The answer, or None with the reason kept for `last_error`."""
    global _error, _line
    if _line is None:
        _error = (RES_E_INTERNAL_FAIL_CONNECT, "No IPC connection")
        return None
    try:
        answer = _line.call(name, **arguments)
    except TimeoutError:
        # Whatever comes now may be the answer to this call: the line is of no use any more.
        shutdown()
        _error = (RES_E_INTERNAL_FAIL_TIMEOUT, "IPC timeout")
        return None
    except (OSError, ValueError):
        shutdown()
        _error = (RES_E_INTERNAL_FAIL_RECEIVE, "IPC recv failed")
        return None
    if "error" in answer:
        _error = tuple(answer["error"])
        return None
    _error = (RES_S_OK, "Success")
    return answer["ok"]


def _record(kind, fields):
    return kind(**{name: fields.get(name, "" if name in _TEXTS else 0) for name in kind._fields})


def _seconds(time):
    return int(time.timestamp()) if isinstance(time, datetime) else int(time)


def initialize(path=None, *, login=None, password=None, server=None, timeout=60000, portable=False):
    """Connects to the simulated terminal; paths and passwords are not looked at."""
    global _line, _error
    shutdown()
    try:
        _line = cambist_terminal.Line(timeout=timeout / 1000)
    except (OSError, ValueError) as error:
        _error = (RES_E_INTERNAL_FAIL_CONNECT, f"IPC connect failed: {error}")
        return False
    _error = (RES_S_OK, "Success")
    account = account_info()
    if account is None or (login is not None and account.login != int(login)):
        shutdown()
        _error = (RES_E_AUTH_FAILED, "Terminal: Authorization failed")
        return False
    return True


def login(login, password=None, server=None, timeout=60000):
    """Whether the terminal's account is this one."""
    global _error
    account = account_info()
    if account is not None and account.login == int(login):
        return True
    if account is not None:
        _error = (RES_E_AUTH_FAILED, "Terminal: Authorization failed")
    return False


def shutdown():
    global _line
    if _line is not None:
        _line.close()
        _line = None


def last_error():
    return _error


def version():
    return None if _line is None else (500, 5735, "15 Nov 2026")


def terminal_info():
    answer = _call("terminal_info")
    if answer is None:
        return None
    return _record(TerminalInfo, {
        **answer, "dlls_allowed": True, "build": 5735, "maxbars": 100_000,
        "company": "Cambist", "name": "Simulated terminal", "language": "English", "path": "", "data_path": "",
        "commondata_path": ""})


def account_info():
    answer = _call("account_info")
    return None if answer is None else _record(AccountInfo, answer)


def symbols_total():
    answer = _call("symbols_get")
    return 0 if answer is None else len(answer)


def symbols_get(group=None):
    answer = _call("symbols_get")
    if answer is None:
        return None
    wanted = group.strip("*") if group else ""
    return tuple(_symbol(fields) for fields in answer if wanted in fields["name"])


def _symbol(fields):
    return _record(SymbolInfo, {"select": True, "visible": True, **fields})


def symbol_info(symbol):
    answer = _call("symbol_info", symbol=symbol)
    return None if answer is None else _symbol(answer)


def symbol_info_tick(symbol):
    answer = _call("symbol_info_tick", symbol=symbol)
    return None if answer is None else Tick(**answer)


def symbol_select(symbol, enable=True):
    return _call("symbol_info_tick", symbol=symbol) is not None


def _rates(answer):
    if answer is None:
        return None
    return np.array([tuple(row[name] for name in _RATES.names) for row in answer], dtype=_RATES)


def copy_rates_from_pos(symbol, timeframe, start_pos, count):
    return _rates(_call(
        "copy_rates_from_pos", symbol=symbol, timeframe=int(timeframe), start=int(start_pos), count=int(count)))


def copy_rates_from(symbol, timeframe, date_from, count):
    return _rates(_call(
        "copy_rates_from", symbol=symbol, timeframe=int(timeframe), **{"from": _seconds(date_from)}, count=int(count)))


def copy_rates_range(symbol, timeframe, date_from, date_to):
    return _rates(_call(
        "copy_rates_range", symbol=symbol, timeframe=int(timeframe), **{"from": _seconds(date_from)}, until=_seconds(date_to)))


_TICKS = np.dtype([
    ("time", "<i8"), ("bid", "<f8"), ("ask", "<f8"), ("last", "<f8"), ("volume", "<u8"), ("time_msc", "<i8"), ("flags", "<u4"),
    ("volume_real", "<f8")])


def _ticks(answer):
    if answer is None:
        return None
    return np.array([tuple(row[name] for name in _TICKS.names) for row in answer], dtype=_TICKS)


def copy_ticks_from(symbol, date_from, count, flags):
    # There are quotes and no trades.
    count = 0 if flags == COPY_TICKS_TRADE else int(count)
    return _ticks(_call("copy_ticks", symbol=symbol, **{"from": _seconds(date_from)}, until=None, count=count))


def copy_ticks_range(symbol, date_from, date_to, flags):
    count = 0 if flags == COPY_TICKS_TRADE else 1 << 31
    return _ticks(_call("copy_ticks", symbol=symbol, **{"from": _seconds(date_from)}, until=_seconds(date_to), count=count))


def _filtered(kind, rows, symbol, group, ticket):
    if rows is None:
        return None
    rows = [row for row in rows if symbol is None or row["symbol"] == symbol]
    rows = [row for row in rows if group is None or group.strip("*") in row["symbol"]]
    return tuple(kind(**row) for row in rows if ticket is None or row["ticket"] == ticket)


def orders_total():
    answer = _call("orders_get")
    return 0 if answer is None else len(answer)


def orders_get(*, symbol=None, group=None, ticket=None):
    return _filtered(TradeOrder, _call("orders_get"), symbol, group, ticket)


def positions_total():
    answer = _call("positions_get")
    return 0 if answer is None else len(answer)


def positions_get(*, symbol=None, group=None, ticket=None):
    return _filtered(TradePosition, _call("positions_get"), symbol, group, ticket)


def _history(name, kind, date_from, date_to, group, ticket, position, order_of):
    everything = date_from is None or date_to is None
    span = (0, 1 << 62) if everything else (_seconds(date_from), _seconds(date_to))
    rows = _call(name, **{"from": span[0]}, until=span[1])
    if rows is None:
        return None
    rows = [row for row in rows if ticket is None or row[order_of] == ticket]
    rows = [row for row in rows if position is None or row["position_id"] == position]
    return _filtered(kind, rows, None, group, None)


def history_orders_get(date_from=None, date_to=None, *, group=None, ticket=None, position=None):
    return _history("history_orders_get", TradeOrder, date_from, date_to, group, ticket, position, "ticket")


def history_orders_total(date_from, date_to):
    return len(history_orders_get(date_from, date_to) or ())


def history_deals_get(date_from=None, date_to=None, *, group=None, ticket=None, position=None):
    """By `ticket`: the deals of that order."""
    return _history("history_deals_get", TradeDeal, date_from, date_to, group, ticket, position, "order")


def history_deals_total(date_from, date_to):
    return len(history_deals_get(date_from, date_to) or ())


def order_check(request):
    answer = _call("order_check", request=_plain(request))
    if answer is None:
        return None
    account, asked = _record(AccountInfo, answer["account"]), _request(answer["request"])
    return OrderCheckResult(
        answer["retcode"], account.balance, account.equity, account.profit, account.margin, account.margin_free,
        account.margin_level, answer["comment"], asked)


def order_send(request):
    answer = _call("order_send", request=_plain(request))
    if answer is None:
        return None
    return OrderSendResult(**{**answer, "request": _request(answer["request"])})


def _plain(request):
    """numpy's numbers as Python's."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in dict(request).items()}


def _request(fields):
    return TradeRequest(**fields)
