"""What clients send and are answered. Times are UTC in milliseconds since 1970, volumes lots, prices as the broker quotes them."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Id = Annotated[str, Field(
    pattern="^[0-9a-f]{12}$", description="48 bits as hexadecimal digits, derived from account, symbol, bar time, sequence and leg")]
Symbol = Annotated[str, Field(min_length=1, max_length=64)]
Volume = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Price = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
Level = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]

# JSON knows one kind of number: 3.0 is whole.
_Whole = BeforeValidator(lambda value: int(value) if isinstance(value, float) and value.is_integer() else value)
# Whole numbers up to where JSON keeps them exact.
_EXACT = 1 << 53

Ticket = Annotated[int, Field(gt=0, lt=_EXACT), _Whole]
Points = Annotated[int, Field(ge=0, le=100_000), _Whole]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Order(_Strict):
    id: Id
    symbol: Symbol
    comment: Annotated[str, Field(max_length=31, pattern="^[ -~]*$")] = ""


class _Opening(_Order):
    side: Literal["buy", "sell"]
    volume: Volume
    stop_loss: Level | None = None
    take_profit: Level | None = None


class Market(_Opening):
    """Buy or sell at the market."""

    action: Literal["market"]
    deviation_points: Points = 0


class Pending(_Opening):
    """A limit or stop order."""

    action: Literal["limit", "stop"]
    price: Price
    expires_ms: Annotated[int, Field(gt=0, lt=1 << 42), _Whole] | None = None


class Close(_Order):
    """Close a position, or `volume` of it."""

    action: Literal["close"]
    position: Ticket
    volume: Volume | None = None
    deviation_points: Points = 0


class Modify(_Order):
    """Set the stops of a position, or price and stops of a pending order. What is left out is taken away; the price stays."""

    action: Literal["modify"]
    position: Ticket | None = None
    order: Ticket | None = None
    price: Price | None = None
    stop_loss: Level | None = None
    take_profit: Level | None = None


class Cancel(_Order):
    """Take a pending order back."""

    action: Literal["cancel"]
    order: Ticket


Order = Annotated[Market | Pending | Close | Modify | Cancel, Field(discriminator="action")]


class Outcome(BaseModel):
    """What became of an id. `unknown` is being looked for: ask again, never send again under another id. `absent` never arrived, and
    never will under this id. `late` is one that turned up after it was given up."""

    id: str
    state: Literal["confirmed", "refused", "unknown", "absent"]
    repeated: bool
    sent: bool
    retcode: int | None
    reason: str
    advice: str
    order: int | None
    deals: list[int]
    volume: float
    price: float | None
    late: bool
    sent_ms: int


class Account(BaseModel):
    login: int
    server: str
    name: str
    currency: str
    trade_mode: int
    margin_mode: int
    leverage: int
    balance: float
    equity: float
    profit: float
    margin: float
    margin_free: float
    margin_level: float
    margin_so_mode: int
    margin_so_call: float
    margin_so_so: float
    trade_allowed: bool


class SymbolBody(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str
    digits: int
    point: float
    volume_min: float
    volume_max: float
    volume_step: float
    filling_mode: int


class Tick(BaseModel):
    time_ms: int
    bid: float
    ask: float
    last: float
    volume: float
    flags: int


class Bar(BaseModel):
    time_ms: int
    open: float
    high: float
    low: float
    close: float
    tick_volume: int
    spread: int
    real_volume: int
    complete: bool


class Record(BaseModel):
    """A position, order or deal, with MetaTrader's fields; times are UTC."""

    model_config = ConfigDict(extra="allow")

    ticket: int
    symbol: str
    type: int
    magic: int


class Health(BaseModel):
    """`trading` is false while `paused` holds a reason; reducing is let through then all the same."""

    connected: bool
    trading: bool
    paused: list[str]
    open_intents: list[str]
    lease_token: int | None
    lease_holder: str | None
    server_offset_s: int | None
    measured_offset_s: dict[str, float]
    now_ms: int | None
    version: str


class LeaseRequest(_Strict):
    holder: Annotated[str, Field(min_length=1, max_length=128, pattern="^[ -~]+$")]
    previous: Annotated[int, Field(ge=1, lt=_EXACT, description="Token of the lease that is taken over before it ends"), _Whole] | None = None


class LeaseBody(BaseModel):
    token: int
    holder: str
    expires_ms: int
