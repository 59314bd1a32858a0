//! The section `[broker]`: the full model of execution, in the place of `[execution]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether opposite positions cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BooksName {
    /// One position.
    Netting,
    /// Every order its own.
    Hedging,
}

/// In what margin levels are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LevelsName {
    /// Equity over margin, in percent.
    Percent,
    /// Equity, in money.
    Money,
}

/// What happens to an order the account cannot pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShortfallName {
    /// Refused whole.
    Reject,
    /// Cut to what can be paid.
    Cut,
}

/// Where the spread comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SpreadName {
    /// Always the same.
    Fixed,
    /// From the bars.
    Data,
    /// By the hour of the day, wider in wild markets.
    Hourly,
}

/// In what a swap is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SwapName {
    /// There is none.
    None,
    /// Ticks a lot and day.
    Points,
    /// Percent a year of the value.
    Interest,
}

/// By whose law the broker's clock is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SavingName {
    /// Never.
    None,
    /// The European Union's.
    Eu,
    /// The United States'.
    Us,
}

/// Bars that fills are decided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FillsBy {
    /// The agent's own.
    Own,
    /// The stored ones they are made from.
    Stored,
}

/// How large a full position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SizingName {
    /// `size` lots.
    FixedLots,
    /// `size` times equity.
    FixedFraction,
    /// What gives a volatility of `size` a year.
    VolatilityTarget,
    /// `size` of the Kelly bet.
    Kelly,
}

/// A broker: instrument, terms, account, sizing and limits. What costs money has no default.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawBroker {
    /// A preset: `btcusd`, `eurusd`, `xauusd`, `btcusdt-spot`, `btcusdt-perpetual`. Its numbers can be overridden below.
    pub instrument: String,
    /// Smallest change of the price; the preset's when left out.
    #[serde(default)]
    #[schemars(extend("unit" = "price"))]
    pub tick_size: Option<f64>,
    /// What a tick is worth to a lot, in the profit currency; the preset's when left out.
    #[serde(default)]
    #[schemars(extend("unit" = "money"))]
    pub tick_value: Option<f64>,
    /// Units of a lot; the preset's when left out.
    #[serde(default)]
    pub contract_size: Option<f64>,
    /// Distance of one order size to the next; the preset's when left out.
    #[serde(default)]
    #[schemars(extend("unit" = "lots"))]
    pub lot_step: Option<f64>,
    /// Smallest order; the preset's when left out.
    #[serde(default)]
    #[schemars(extend("unit" = "lots"))]
    pub lot_minimum: Option<f64>,
    /// Largest order; the preset's when left out.
    #[serde(default)]
    #[schemars(extend("unit" = "lots"))]
    pub lot_maximum: Option<f64>,
    /// Least distance of stops and pending prices from the quote.
    #[serde(default)]
    #[schemars(extend("unit" = "ticks"))]
    pub stops_level: u32,
    /// Within this distance of the quote nothing pending may be changed.
    #[serde(default)]
    #[schemars(extend("unit" = "ticks"))]
    pub freeze_level: u32,
    /// Rate at which units sold short are borrowed on spot; negative for long only where the preset is.
    #[serde(default = "minus_one")]
    #[schemars(extend("unit" = "a year"))]
    pub borrow_rate: f64,
    /// Currency of the account.
    pub deposit_currency: String,
    /// Deposit currency for one of the profit currency where they differ; 0 to take it from `conversion_symbol`.
    #[serde(default)]
    pub conversion_rate: f64,
    /// Data set whose closes are that rate or one over it, named by the two currencies, such as `EURUSD`; of the instrument's
    /// venue and bars.
    #[serde(default)]
    pub conversion_symbol: String,
    /// `netting` for one position, `hedging` for one an order.
    pub books: BooksName,
    /// Value over margin.
    pub leverage: f64,
    /// In what the levels are written: `percent` of the margin used, or `money`.
    pub margin_levels: LevelsName,
    /// Below it the broker calls.
    pub margin_call: f64,
    /// At or below it the broker closes, the largest loser first.
    pub stop_out: f64,
    /// What happens to an order the account cannot pay: `reject`, as MetaTrader 5 does, or `cut`.
    pub shortfall: ShortfallName,
    /// Decimals of money deals are rounded to; negative for none.
    #[serde(default = "minus")]
    pub money_digits: i32,
    /// Commission a lot, one way.
    #[schemars(extend("unit" = "money"))]
    pub commission_per_lot: f64,
    /// Commission on the value of what takes liquidity, one way.
    #[schemars(extend("unit" = "bp"))]
    pub taker_bp: f64,
    /// Commission on the value of what waited; negative for a rebate.
    #[schemars(extend("unit" = "bp"))]
    pub maker_bp: f64,
    /// Least commission of an order.
    #[schemars(extend("unit" = "money"))]
    pub commission_minimum: f64,
    /// `fixed`, `data` for what the bars recorded, `hourly` for a table.
    pub spread: SpreadName,
    /// Ask minus bid, when fixed.
    #[serde(default)]
    #[schemars(extend("unit" = "ticks"))]
    pub spread_ticks: f64,
    /// Ask minus bid by hour of the broker's day: 24 numbers.
    #[serde(default)]
    #[schemars(extend("unit" = "ticks"))]
    pub spread_by_hour: Vec<f64>,
    /// Power of volatility over `reference_volatility`, where it is above, that the table is multiplied by.
    #[serde(default)]
    pub spread_volatility: f64,
    /// Standard deviation of a bar's log return at which the table was taken.
    #[serde(default = "one")]
    pub reference_volatility: f64,
    /// Bars over which volatility and drift are taken.
    #[serde(default = "hundred")]
    #[schemars(extend("unit" = "bars"))]
    pub volatility_bars: usize,
    /// Distance of a fill beyond the quote.
    #[schemars(extend("unit" = "ticks"))]
    pub slippage_ticks: f64,
    /// The same as a share of a bar's volatility.
    #[schemars(extend("unit" = "share of sigma"))]
    pub slippage_volatility: f64,
    /// Y of the temporary impact, Y sigma sqrt(Q/V); 0 for none.
    pub impact_temporary: f64,
    /// Gamma of the permanent impact, gamma sigma Q/V; 0 for none.
    pub impact_permanent: f64,
    /// Bars after which half of a permanent impact is gone; 0 for never.
    #[serde(default)]
    #[schemars(extend("unit" = "bars"))]
    pub impact_half_life: f64,
    /// Largest share of a bar's volume; 0 for any.
    pub participation: f64,
    /// Lots behind one of a tick volume; 0 when volume is real.
    #[serde(default)]
    #[schemars(extend("unit" = "lots"))]
    pub lots_per_tick: f64,
    /// `none`, `points` for ticks a lot and day, `interest` for percent a year of the value.
    pub swap: SwapName,
    /// Swap of a long position; negative is paid.
    #[serde(default)]
    pub swap_long: f64,
    /// Swap of a short position; negative is paid.
    #[serde(default)]
    pub swap_short: f64,
    /// How far the broker's clock is ahead of UTC in winter: 120 for UTC+2. Its midnight charges swap, ends day orders
    /// and begins the day of `daily_loss`; its hours are those of `spread_by_hour`.
    #[schemars(extend("unit" = "minutes"))]
    pub server_offset_minutes: i32,
    /// When it is an hour further ahead: `none`, `eu` or `us`, which is New York's summer. Most MetaTrader 5 brokers keep 120 and `us`.
    pub daylight_saving: SavingName,
    /// Day whose night is charged three times, such as `wednesday`; empty charges every night once.
    #[serde(default)]
    pub triple_day: String,
    /// CSV of `timestamp,rate` with the funding rates of a perpetual; `none` for none.
    #[serde(default)]
    pub funding_file: String,
    /// Bars that fills are decided by: `own`, or `stored` for the finer bars the agent's are made from; volatility and volume are
    /// then theirs too.
    #[serde(default = "own")]
    pub fills_by: FillsBy,
    /// How long an order is under way.
    #[schemars(extend("unit" = "ms"))]
    pub latency_ms: u32,
    /// The same in whole bars, instead.
    #[serde(default)]
    #[schemars(extend("unit" = "bars"))]
    pub latency_bars: u32,
    /// An order expires when the market was away for longer; 0 to fill it after any gap.
    #[serde(default)]
    #[schemars(extend("unit" = "s"))]
    pub expire_after_gap: u32,
    /// Share of orders that the broker rejects by chance.
    #[serde(default)]
    pub reject_share: f64,
    /// Equity at the start of an episode, in the deposit currency.
    #[schemars(extend("unit" = "money"))]
    pub initial_cash: f64,
    /// The account is over when equity falls to this share of its start.
    pub ruin_fraction: f64,
    /// How large a full position is: `fixed_lots`, `fixed_fraction`, `volatility_target`, `kelly`.
    pub sizing: SizingName,
    /// Lots, times equity, volatility a year, or share of the Kelly bet.
    pub size: f64,
    /// Largest value of a position over equity; orders beyond it are refused, sizes capped.
    pub max_exposure: f64,
    /// Distance of the stop loss in average true ranges; 0 for none.
    #[serde(default)]
    pub stop_loss_atr: f64,
    /// Distance of the take profit in average true ranges; 0 for none.
    #[serde(default)]
    pub take_profit_atr: f64,
    /// Bars of the average true range.
    #[serde(default = "fourteen")]
    #[schemars(extend("unit" = "bars"))]
    pub atr_bars: usize,
    /// Most opening orders in sixty minutes; 0 for any number.
    #[serde(default)]
    pub orders_per_hour: u32,
    /// Age of the last price from which on nothing is opened; 0 for any. In training a price is as old as the decision: this is
    /// for markets that are listened to.
    #[serde(default)]
    #[schemars(extend("unit" = "s"))]
    pub stale_after: f64,
    /// Share of the first equity of the broker's day after whose loss nothing is opened on it; 0 for no limit.
    #[serde(default)]
    pub daily_loss: f64,
    /// Share of the highest equity after whose loss nothing is opened; 0 for no limit.
    #[serde(default)]
    pub max_drawdown: f64,
}

fn own() -> FillsBy {
    FillsBy::Own
}

fn minus_one() -> f64 {
    -1.0
}

fn minus() -> i32 {
    -1
}

fn one() -> f64 {
    1.0
}

fn hundred() -> usize {
    100
}

fn fourteen() -> usize {
    14
}
