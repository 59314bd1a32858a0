//! What goes wrong between a terminal and whoever speaks to it, by a seed: answers that are lost, late, another's or false, orders that
//! are turned away or done in part, prices and books that lag. The terminal itself stays right: its journal holds what was done.

use std::collections::BTreeMap;
use std::time::Duration;

use cambist_core::rng::{Purpose, Stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::calls::call;
use crate::retcode::{self, Code};
use crate::terminal::Terminal;
use crate::words::{Request, SendResult};

/// How often each fault is met: of an order the probabilities of one call, of reading those with which a spell begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Same seed and same calls, same faults.
    pub seed: u64,
    /// An answer comes after `delay_ms`.
    pub delay: f64,
    /// How late a delayed answer is, in milliseconds.
    pub delay_ms: u64,
    /// Retcode 10012, and nothing was done.
    pub timeout_before: f64,
    /// Retcode 10012, and it was done.
    pub timeout_after: f64,
    /// No result (−10001), and nothing was done.
    pub none_before: f64,
    /// No result (−10005), and it was done.
    pub none_after: f64,
    /// The line is cut, and nothing was done.
    pub reset_before: f64,
    /// The line is cut, and it was done.
    pub reset_after: f64,
    /// The terminal restarts, and nothing was done: every line is cut, and for a spell it has no server and its histories lag.
    pub restart_before: f64,
    /// The same, and it was done.
    pub restart_after: f64,
    /// Retcode 10031, and nothing was done.
    pub lost_before: f64,
    /// Retcode 10031, and it was done.
    pub lost_after: f64,
    /// Done, and the answer is the one to the order before: a duplicate, or out of order.
    pub anothers: f64,
    /// Retcode 10004: the price has changed.
    pub requote: f64,
    /// Half of the volume is done (10010).
    pub partial: f64,
    /// Begin: ticks are the ones of before.
    pub stale_ticks: f64,
    /// Begin: histories lack what is younger than `lag_s`.
    pub history_lag: f64,
    /// How far histories lag, in seconds of the tape.
    pub lag_s: u32,
    /// Begin: ticks are `jump_s` off.
    pub clock_jump: f64,
    /// How far the clock jumps, in seconds.
    pub jump_s: i64,
    /// Begin: the terminal has no connection to its server.
    pub disconnected: f64,
    /// Calls that a spell lasts.
    pub spell: u32,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 0,
            delay: 0.0,
            delay_ms: 50,
            timeout_before: 0.0,
            timeout_after: 0.0,
            none_before: 0.0,
            none_after: 0.0,
            reset_before: 0.0,
            reset_after: 0.0,
            restart_before: 0.0,
            restart_after: 0.0,
            lost_before: 0.0,
            lost_after: 0.0,
            anothers: 0.0,
            requote: 0.0,
            partial: 0.0,
            stale_ticks: 0.0,
            history_lag: 0.0,
            lag_s: 5,
            clock_jump: 0.0,
            jump_s: 3600,
            disconnected: 0.0,
            spell: 20,
        }
    }
}

/// What an order met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Delay,
    Code { code: Code, done: bool },
    NoResult { done: bool },
    Reset { done: bool },
    Restart { done: bool },
    Anothers,
    Partial,
}

/// What somebody who calls gets.
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// This, after so long.
    Say(Value, Duration),
    /// Nothing: the line is cut.
    HangUp,
}

impl Faults {
    fn of_orders(&self) -> [(&'static str, f64, Met); 14] {
        let code = |code, done| Met::Code { code, done };
        [
            ("delay", self.delay, Met::Delay),
            ("timeout_before", self.timeout_before, code(retcode::TIMEOUT, false)),
            ("timeout_after", self.timeout_after, code(retcode::TIMEOUT, true)),
            ("none_before", self.none_before, Met::NoResult { done: false }),
            ("none_after", self.none_after, Met::NoResult { done: true }),
            ("reset_before", self.reset_before, Met::Reset { done: false }),
            ("reset_after", self.reset_after, Met::Reset { done: true }),
            ("restart_before", self.restart_before, Met::Restart { done: false }),
            ("restart_after", self.restart_after, Met::Restart { done: true }),
            ("lost_before", self.lost_before, code(retcode::CONNECTION, false)),
            ("lost_after", self.lost_after, code(retcode::CONNECTION, true)),
            ("requote", self.requote, code(retcode::REQUOTE, false)),
            ("anothers", self.anothers, Met::Anothers),
            ("partial", self.partial, Met::Partial),
        ]
    }

    /// Whether every number is what it stands for.
    ///
    /// # Errors
    /// In words, with the field.
    pub fn check(&self) -> Result<(), String> {
        let spells = [self.stale_ticks, self.history_lag, self.clock_jump, self.disconnected];
        let orders: Vec<f64> = self.of_orders().iter().map(|(_, rate, _)| *rate).collect();
        if spells.iter().chain(&orders).any(|rate| !(0.0..=1.0).contains(rate)) {
            return Err("a fault's probability must be from 0 to 1".to_owned());
        }
        if orders.iter().sum::<f64>() > 1.0 {
            return Err("the probabilities of an order's faults must come to 1 at most".to_owned());
        }
        if self.delay_ms > 60_000 {
            return Err(format!("delay_ms is {}; it must be 60000 at most", self.delay_ms));
        }
        Ok(())
    }
}

/// Faults on their way.
#[derive(Debug)]
pub struct Weather {
    faults: Faults,
    stream: Stream,
    /// Calls left of each spell: stale ticks, lagging history, a clock that jumped, no connection.
    spells: [u32; 4],
    last_result: Option<Value>,
    last_tick: Option<Value>,
    /// How many orders met what.
    met: BTreeMap<&'static str, u64>,
    /// How often the terminal has restarted.
    restarts: u64,
}

const SPELLS: [&str; 4] = ["stale_ticks", "history_lag", "clock_jump", "disconnected"];
const STALE: usize = 0;
const LAG: usize = 1;
const JUMP: usize = 2;
const AWAY: usize = 3;

impl Weather {
    /// `faults`, from the beginning of their stream.
    #[must_use]
    pub fn new(faults: Faults) -> Self {
        let stream = Stream::new(faults.seed, Purpose::Broker, 1);
        let met = BTreeMap::new();
        Self { faults, stream, spells: [0; 4], last_result: None, last_tick: None, met, restarts: 0 }
    }

    /// How often the terminal has restarted: lines from before are cut, but for what [`Weather::is_simulators`].
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Whether `call` is of whoever simulates, not of the package: it meets no faults.
    #[must_use]
    pub fn is_simulators(call: &str) -> bool {
        matches!(call, "advance" | "standing" | "weather")
    }

    /// Answers `line`, in this weather. `{"call": "weather"}` is told how many orders met which fault.
    pub fn call(&mut self, terminal: &mut Terminal, line: &str) -> Reply {
        let asked: Value = serde_json::from_str(line).unwrap_or_default();
        let name = asked["call"].as_str().unwrap_or_default().to_owned();
        if name == "weather" {
            return Reply::Say(json!({ "ok": self.met }), Duration::ZERO);
        }
        if Self::is_simulators(&name) || name == "last_error" {
            return Reply::Say(call(terminal, line), Duration::ZERO);
        }
        self.pass();
        if name == "order_send" {
            return self.order(terminal, &asked, line);
        }
        let mut answer = call(terminal, line);
        self.blur(&name, &mut answer);
        Reply::Say(answer, Duration::ZERO)
    }

    /// Another call: spells end and begin.
    fn pass(&mut self) {
        let Faults { stale_ticks, history_lag, clock_jump, disconnected, spell, .. } = self.faults;
        for (left, rate) in self.spells.iter_mut().zip([stale_ticks, history_lag, clock_jump, disconnected]) {
            let begins = self.stream.uniform() < rate;
            *left = if begins { spell } else { left.saturating_sub(1) };
        }
    }

    fn draw(&mut self) -> Option<Met> {
        let mut left = self.stream.uniform();
        for (name, _) in SPELLS.iter().zip(self.spells).filter(|(_, left)| *left > 0) {
            *self.met.entry(name).or_default() += 1;
        }
        if self.spells[AWAY] > 0 {
            return Some(Met::Code { code: retcode::CONNECTION, done: left < 0.5 });
        }
        let (name, _, met) = self.faults.of_orders().into_iter().find(|(_, rate, _)| {
            left -= rate;
            left < 0.0
        })?;
        *self.met.entry(name).or_default() += 1;
        Some(met)
    }

    fn order(&mut self, terminal: &mut Terminal, asked: &Value, line: &str) -> Reply {
        let now = |answer| Reply::Say(answer, Duration::ZERO);
        let done =
            |terminal: &mut Terminal, wanted: bool| if wanted { call(terminal, line) } else { Value::Null };
        let reply = match self.draw() {
            None => now(call(terminal, line)),
            Some(Met::Delay) => Reply::Say(call(terminal, line), Duration::from_millis(self.faults.delay_ms)),
            Some(Met::Code { code, done: wanted }) => {
                done(terminal, wanted);
                let request: Request = serde_json::from_value(asked["request"].clone()).unwrap_or_default();
                let result = SendResult {
                    retcode: code.0,
                    comment: code.1.to_owned(),
                    request,
                    ..SendResult::default()
                };
                now(json!({ "ok": result }))
            }
            Some(Met::NoResult { done: wanted }) => {
                done(terminal, wanted);
                now(
                    json!({ "error": if wanted { json!([-10005, "IPC timeout"]) } else { json!([-10001, "IPC send failed"]) } }),
                )
            }
            Some(Met::Reset { done: wanted }) => {
                done(terminal, wanted);
                Reply::HangUp
            }
            Some(Met::Restart { done: wanted }) => {
                done(terminal, wanted);
                self.restarts += 1;
                (self.last_result, self.last_tick) = (None, None);
                (self.spells[LAG], self.spells[AWAY]) = (self.faults.spell, self.faults.spell);
                Reply::HangUp
            }
            Some(Met::Anothers) => {
                let own = call(terminal, line);
                let before = self.last_result.replace(own);
                return now(before.unwrap_or_else(|| json!({ "error": [-10005, "IPC timeout"] })));
            }
            Some(Met::Partial) => now(half(terminal, asked, line)),
        };
        if let Reply::Say(answer, _) = &reply
            && answer.get("ok").is_some()
        {
            self.last_result = Some(answer.clone());
        }
        reply
    }

    /// What a reader sees in this weather.
    fn blur(&mut self, name: &str, answer: &mut Value) {
        match name {
            "symbol_info_tick" => {
                let fresh = answer.clone();
                if self.spells[STALE] > 0
                    && let Some(before) = &self.last_tick
                {
                    *answer = before.clone();
                } else {
                    self.last_tick = Some(fresh);
                }
                if self.spells[JUMP] > 0 {
                    let jump = self.faults.jump_s;
                    for (field, unit) in [("time", 1), ("time_msc", 1000)] {
                        if let Some(time) = answer["ok"][field].as_i64() {
                            answer["ok"][field] = json!(time + jump * unit);
                        }
                    }
                }
            }
            "history_orders_get" | "history_deals_get" if self.spells[LAG] > 0 => {
                let newest = self.last_tick.as_ref().and_then(|tick| tick["ok"]["time_msc"].as_i64());
                let until = newest.unwrap_or(i64::MAX).saturating_sub(1000 * i64::from(self.faults.lag_s));
                let when =
                    |row: &Value| row["time_done_msc"].as_i64().or(row["time_msc"].as_i64()).unwrap_or(0);
                if let Some(rows) = answer["ok"].as_array_mut() {
                    rows.retain(|row| when(row) < until);
                }
            }
            "terminal_info" if self.spells[AWAY] > 0 => answer["ok"]["connected"] = json!(false),
            _ => {}
        }
    }
}

/// Half of an order's volume, on its step, as if there had been no more.
fn half(terminal: &mut Terminal, asked: &Value, line: &str) -> Value {
    let step = terminal.setup().listing().instrument.lots.step;
    let volume = asked["request"]["volume"].as_f64().unwrap_or(0.0);
    let steps = (volume / 2.0 / step).floor();
    // Only a market order that may be filled in part is.
    let in_parts = asked["request"]["action"] == 1 && asked["request"]["type_filling"] == 1;
    if steps < 1.0 || !in_parts {
        return call(terminal, line);
    }
    let mut less = asked.clone();
    let decimals = 1.0 / step;
    less["request"]["volume"] = json!((steps * step * decimals).round() / decimals);
    let mut answer = call(terminal, &less.to_string());
    if answer["ok"]["retcode"] == retcode::DONE.0 {
        answer["ok"]["retcode"] = json!(retcode::DONE_PARTIAL.0);
        answer["ok"]["comment"] = json!(retcode::DONE_PARTIAL.1);
    }
    if answer.get("ok").is_some() {
        answer["ok"]["request"]["volume"] = asked["request"]["volume"].clone();
    }
    answer
}
