//! Calls as JSON: `{"call": "order_send", …}` in, `{"ok": …}` or `{"error": [code, text]}` out.
//!
//! An error's code is one of the package's (`RES_E_*`): −2 for arguments that make no sense, −4 for what is not there, −1 for the
//! journal that cannot be written.

use cambist_core::UnixNanos;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::terminal::Terminal;
use crate::words::Request;

const FAIL: i32 = -1;
const INVALID_PARAMS: i32 = -2;
const NOT_FOUND: i32 = -4;

/// What may be asked. Times are seconds of the server's clock, but for `advance`, which is UTC.
#[derive(Debug, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case", deny_unknown_fields)]
enum Call {
    AccountInfo,
    SymbolInfo { symbol: String },
    SymbolInfoTick { symbol: String },
    SymbolsGet,
    CopyRatesFromPos { symbol: String, timeframe: u32, start: usize, count: usize },
    CopyRatesFrom { symbol: String, timeframe: u32, from: i64, count: usize },
    CopyRatesRange { symbol: String, timeframe: u32, from: i64, until: i64 },
    PositionsGet,
    OrdersGet,
    HistoryOrdersGet { from: i64, until: i64 },
    HistoryDealsGet { from: i64, until: i64 },
    OrderCheck { request: Request },
    OrderSend { request: Request },
    TerminalInfo,
    CopyTicks { symbol: String, from: i64, until: Option<i64>, count: usize },
    LastError,
    Standing,
    Advance { to: Option<String>, bars: Option<u32> },
}

/// Answers `line`.
pub fn call(terminal: &mut Terminal, line: &str) -> Value {
    let answer = serde_json::from_str(line)
        .map_err(|e| (INVALID_PARAMS, format!("Invalid arguments: {e}")))
        .and_then(|call| answer(terminal, call));
    match answer {
        Ok(answer) => json!({ "ok": answer }),
        Err((code, text)) => {
            terminal.error = (code, text.clone());
            json!({ "error": [code, text] })
        }
    }
}

fn answer(terminal: &mut Terminal, call: Call) -> Result<Value, (i32, String)> {
    if matches!(call, Call::LastError) {
        let (code, text) = terminal.last_error();
        return Ok(json!([code, text]));
    }
    let written = |value: serde_json::Result<Value>| value.map_err(|e| (FAIL, e.to_string()));
    let answer = match call {
        Call::AccountInfo => terminal.account_info(),
        Call::SymbolsGet => json!([terminal.symbol_info()]),
        Call::SymbolInfo { symbol } => {
            known(terminal, &symbol)?;
            terminal.symbol_info()
        }
        Call::SymbolInfoTick { symbol } => {
            known(terminal, &symbol)?;
            terminal.tick()
        }
        Call::CopyRatesFromPos { symbol, timeframe, start, count } => {
            of_length(terminal, &symbol, timeframe)?;
            written(serde_json::to_value(terminal.rates_from_place(start, count)))?
        }
        Call::CopyRatesFrom { symbol, timeframe, from, count } => {
            of_length(terminal, &symbol, timeframe)?;
            written(serde_json::to_value(terminal.rates_until(from, count)))?
        }
        Call::CopyRatesRange { symbol, timeframe, from, until } => {
            of_length(terminal, &symbol, timeframe)?;
            written(serde_json::to_value(terminal.rates_between(from, until)))?
        }
        Call::PositionsGet => written(serde_json::to_value(terminal.positions()))?,
        Call::OrdersGet => written(serde_json::to_value(terminal.orders()))?,
        Call::HistoryOrdersGet { from, until } => {
            written(serde_json::to_value(terminal.history_orders(from, until)))?
        }
        Call::HistoryDealsGet { from, until } => {
            written(serde_json::to_value(terminal.history_deals(from, until)))?
        }
        Call::OrderCheck { request } => {
            let ((retcode, comment), account) = terminal.order_check(&request);
            json!({ "retcode": retcode, "comment": comment, "request": request, "account": account })
        }
        Call::OrderSend { request } => {
            if request.comment.chars().count() > 31 {
                return Err((INVALID_PARAMS, "Invalid \"comment\" argument".to_owned()));
            }
            let result = terminal.order_send(&request).map_err(|e| (FAIL, e.to_string()))?;
            written(serde_json::to_value(result))?
        }
        Call::TerminalInfo => json!({ "connected": true, "trade_allowed": true }),
        Call::CopyTicks { symbol, from, until, count } => {
            known(terminal, &symbol)?;
            json!(terminal.ticks(from, until.unwrap_or(i64::MAX), count))
        }
        Call::Standing => terminal.standing(),
        Call::Advance { to, bars } => {
            advance(terminal, to.as_deref(), bars)?;
            terminal.standing()
        }
        Call::LastError => Value::Null,
    };
    terminal.error = (1, "Success".to_owned());
    Ok(answer)
}

fn advance(terminal: &mut Terminal, to: Option<&str>, bars: Option<u32>) -> Result<(), (i32, String)> {
    let time = match (to, bars) {
        (Some(text), None) => UnixNanos::parse(text)
            .ok_or_else(|| (INVALID_PARAMS, format!("'{text}' is no time: write 2023-03-05T14:00")))?,
        (None, bars) => terminal.close_after(bars.unwrap_or(1)),
        (Some(_), Some(_)) => return Err((INVALID_PARAMS, "advance takes 'to' or 'bars'".to_owned())),
    };
    terminal.advance(time).map_err(|e| (FAIL, e.to_string()))
}

fn known(terminal: &Terminal, symbol: &str) -> Result<(), (i32, String)> {
    let own = &terminal.setup().symbol;
    (own == symbol)
        .then_some(())
        .ok_or_else(|| (NOT_FOUND, format!("there is no symbol '{symbol}', only '{own}'")))
}

/// `TIMEFRAME_*`: minutes, from one hour on 0x4000 and hours, and for days and weeks their own.
fn of_length(terminal: &Terminal, symbol: &str, timeframe: u32) -> Result<(), (i32, String)> {
    known(terminal, symbol)?;
    let seconds = match timeframe {
        minutes @ 1..=30 => minutes * 60,
        0x4018 => 86_400,
        0x8001 => 604_800,
        hours @ 0x4001..=0x400C => (hours - 0x4000) * 3600,
        _ => 0,
    };
    let own = terminal.setup().seconds;
    (seconds == own).then_some(()).ok_or_else(|| {
        (NOT_FOUND, format!("the tape has bars of {own} seconds; timeframe {timeframe} has {seconds}"))
    })
}
