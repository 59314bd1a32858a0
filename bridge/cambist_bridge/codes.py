"""MetaTrader's return codes in words, with what to do, and which of them leave open whether an order was taken."""

CODES = {
    10004: ("the price has changed", "decide again on a fresh price"),
    10006: ("the broker rejected the request", "ask the broker why; nothing was done"),
    10007: ("the request was cancelled by the trader", "look who else uses this terminal"),
    10008: ("the order was placed", "nothing; it is looked for until it is found"),
    10009: ("the request was carried out", "nothing"),
    10010: ("only a part was carried out", "decide again on the position as it is now"),
    10011: ("the request could not be processed", "nothing; it is looked for until it is clear what became of it"),
    10012: ("no answer came in time", "nothing; it is looked for until it is clear what became of it"),
    10013: ("the request is invalid", "compare it with /symbol: filling, volume, prices"),
    10014: ("the volume is invalid", "keep to volume_min, volume_max and volume_step of /symbol"),
    10015: ("the price is invalid", "prices lie on trade_tick_size, pending ones on the right side of the market"),
    10016: ("the stops are invalid", "keep them trade_stops_level points or more from the price, on the right side"),
    10017: ("trading is disabled", "ask the broker whether this account may trade this symbol"),
    10018: ("the market is closed", "wait for its session"),
    10019: ("there is not enough money", "trade less, or close something first"),
    10020: ("the price has changed", "decide again on a fresh price"),
    10021: ("there are no prices", "wait for quotes"),
    10022: ("the expiration is invalid", "give a time to come, by UTC"),
    10023: ("the order has changed meanwhile", "read it again"),
    10024: ("too many requests", "send fewer; look at caps.orders_per_minute"),
    10025: ("nothing would change", "nothing; it is as you want it"),
    10026: ("the server forbids trading by programs", "ask the broker to allow it"),
    10027: ("the terminal forbids trading by programs", "allow algorithmic trading in the terminal (Ctrl-E)"),
    10028: ("the request is locked for processing", "nothing; it is looked for until it is clear what became of it"),
    10029: ("order or position is frozen", "it is too near to the market to be changed"),
    10030: ("the broker does not fill this way", "choose a filling that filling_mode of /symbol allows"),
    10031: ("there is no connection to the trade server", "nothing; it is looked for until it is clear what became of it"),
    10032: ("only real accounts may do this", "use another account"),
    10033: ("there are as many pending orders as the account may have", "cancel one"),
    10034: ("there is as much volume as the symbol may have", "trade less"),
    10035: ("the order is of a forbidden kind, or is not there", "read /orders again"),
    10036: ("the position is closed already", "read /positions again"),
    10038: ("the volume to close is more than the position", "read /positions again"),
    10039: ("an order to close this position is there already", "wait for it"),
    10040: ("there are as many positions as the account may have", "close one"),
    10041: ("activation of the order was rejected", "decide again"),
    10042: ("only long positions are allowed", "do not sell short here"),
    10043: ("only short positions are allowed", "do not buy here"),
    10044: ("positions may only be closed", "wait until the broker allows more"),
    10045: ("positions are closed oldest first", "close the oldest one"),
}

# Done, done in part, and nothing to do.
TAKEN = {10009, 10010, 10025}

# After these nobody knows yet what was done.
AMBIGUOUS = {10008, 10011, 10012, 10028, 10031}

# After these it is certain that nothing was. Any other code leaves it open.
DEFINITE = set(CODES) - TAKEN - AMBIGUOUS


def meaning(code: int) -> tuple[str, str]:
    """What `code` says, and what to do."""
    return CODES.get(code, (f"the broker's own code {code}", "ask the broker; nothing is known to have been done"))
