//! `order_send`: from a request to the broker and to MetaTrader's answer.

use cambist_core::{Expiry, FillPolicy, OrderKind, Side, Ticket, UnixNanos};
use cambist_execution::rim::decimal;
use cambist_execution::{Approved, Books as AccountBooks, Broker, Notice, Refused};
use cambist_risk::{Gate, GateLimits, Position};

use crate::journal::{Entry, JournalError};
use crate::retcode::{self, Code};
use crate::terminal::Terminal;
use crate::words::{Request, SendResult};

/// `TRADE_ACTION_*`.
const DEAL: u32 = 1;
const PENDING: u32 = 5;
const STOPS: u32 = 6;
const MODIFY: u32 = 7;
const REMOVE: u32 = 8;

/// What an order came to.
#[derive(Debug, Default)]
struct Came {
    code: Option<Code>,
    order: u64,
    deal: u64,
    volume: f64,
    price: f64,
}

impl Terminal {
    /// Carries `request` out, once it is in the journal.
    ///
    /// # Errors
    /// When the journal cannot be written; nothing has happened then.
    pub fn order_send(&mut self, request: &Request) -> Result<SendResult, JournalError> {
        if let Some(time) = self.unwritten.take() {
            self.write_down(&Entry::Now(time))?;
        }
        self.write_down(&Entry::Request(request.clone()))?;
        Ok(self.carry_out(request))
    }

    pub(crate) fn carry_out(&mut self, request: &Request) -> SendResult {
        self.requests += 1;
        let came = self.done(request).unwrap_or_else(|code| Came { code: Some(code), ..Came::default() });
        self.changed();
        let (retcode, comment) = came.code.unwrap_or(retcode::DONE);
        let (bid, ask) = self.quote();
        SendResult {
            retcode,
            comment: comment.to_owned(),
            order: came.order,
            deal: came.deal,
            volume: came.volume,
            price: came.price,
            bid,
            ask,
            request_id: self.requests,
            retcode_external: 0,
            request: request.clone(),
        }
    }

    fn done(&mut self, request: &Request) -> Result<Came, Code> {
        let at_market = matches!(request.action, DEAL | PENDING);
        if (at_market || !request.symbol.is_empty()) && request.symbol != self.setup.symbol {
            return Err(retcode::INVALID);
        }
        match request.action {
            DEAL | PENDING => self.place(request),
            STOPS => self.protect(request),
            MODIFY => self.modify(request),
            REMOVE => self.remove(request.order),
            _ => Err(retcode::INVALID),
        }
    }

    /// What `request` would come to, without doing it: 0 for what would be done, as `order_check` says it, and the account after it.
    pub fn order_check(&mut self, request: &Request) -> (Code, serde_json::Value) {
        let kept = (self.settled.clone(), self.bar);
        let done = self.done(request);
        self.changed();
        let account = self.account_info();
        (self.settled, self.bar) = kept;
        self.changed();
        let code = match done.map(|came| came.code) {
            Ok(None | Some(retcode::DONE | retcode::PLACED | retcode::DONE_PARTIAL)) => (0, "Done"),
            Ok(Some(code)) | Err(code) => code,
        };
        (code, account)
    }

    /// Sends an order to the broker.
    fn place(&mut self, request: &Request) -> Result<Came, Code> {
        let at_market = request.action == DEAL;
        if at_market != (request.kind < 2) || request.kind > 7 {
            return Err(retcode::INVALID);
        }
        if self.is_over() || (at_market && !self.setup.listing().instrument.trades_at(self.now)) {
            return Err(retcode::MARKET_CLOSED);
        }
        if at_market && !self.is_priced() {
            return Err(retcode::PRICE_OFF);
        }
        // Execution by market knows no rest that works on.
        if at_market && request.type_filling == 2 {
            return Err(retcode::INVALID_FILL);
        }
        let mut ticket = self.ticket(request)?;
        if request.position != 0 {
            ticket.closes = self.closes(request, &ticket)?;
        }
        let approved = self.approved(ticket)?;
        let taken = self.settled.broker.submit(approved, self.now);
        let id = taken.map_err(|reason| retcode::of_refusal(&reason))?;
        let (setup, now) = (&self.setup, self.now);
        self.settled.note_order(setup, id, now, request, &ticket);
        let order = self.settled.orders.last().map_or(0, |order| order.ticket);
        if !at_market {
            return Ok(Came { order, volume: request.volume, ..Came::default() });
        }
        Ok(self.became(order, ticket.steps))
    }

    /// The position that `ticket` closes, for a hedging account to name.
    fn closes(&mut self, request: &Request, ticket: &Ticket) -> Result<Option<u64>, Code> {
        let shown = self.shown();
        let id = shown.position(request.position).ok_or(retcode::POSITION_CLOSED)?;
        let held = shown.broker.account().holdings().iter().find(|held| held.id == id);
        let steps = held.map(|held| held.steps).ok_or(retcode::POSITION_CLOSED)?;
        if self.setup.rules.account.books == AccountBooks::Netting {
            return Ok(None);
        }
        if Side::of(steps) == ticket.side {
            return Err(retcode::INVALID);
        }
        if ticket.steps > steps.abs() {
            return Err(retcode::INVALID_CLOSE_VOLUME);
        }
        // A position of this very moment has to have happened before it can be closed.
        if !self.settled.broker.account().holdings().iter().any(|held| held.id == id) {
            self.settle();
        }
        Ok(Some(id))
    }

    /// What has become of market order `order` of `steps` by now. What is under way for longer is placed, and its deal comes later.
    fn became(&mut self, order: u64, steps: i64) -> Came {
        self.changed();
        let shown = self.shown();
        let made: Vec<_> = shown.deals.iter().filter(|deal| deal.order == order).collect();
        let deal = made.last().map_or(0, |deal| deal.ticket);
        let volume: f64 = made.iter().map(|deal| deal.volume).sum();
        let price = match made[..] {
            [] => 0.0,
            [only] => only.price,
            _ => made.iter().map(|deal| deal.volume * deal.price).sum::<f64>() / volume,
        };
        let ended = shown.ends.get(&order).copied();
        let instrument = &self.setup.listing().instrument;
        let filled = (volume / instrument.lots.step).round() as i64;
        let code = match (filled, ended) {
            (0, Some(why)) => retcode::of_end(why),
            (0, None) => retcode::PLACED,
            _ if filled < steps => retcode::DONE_PARTIAL,
            _ => retcode::DONE,
        };
        Came { code: Some(code), order, deal, volume: instrument.to_lots(filled), price }
    }

    fn ticket(&self, request: &Request) -> Result<Ticket, Code> {
        let listing = self.setup.listing();
        let ticks = |price: f64, code: Code| {
            if !(price.is_finite() && price > 0.0) {
                return Err(code);
            }
            let written = decimal(&price.to_string()).map_err(|_| code)?;
            listing.instrument.ticks_of(written).map_err(|_| code)
        };
        let lots = decimal(&request.volume.to_string()).map_err(|_| retcode::INVALID_VOLUME)?;
        let steps = listing.instrument.steps_of(lots).map_err(|_| retcode::INVALID_VOLUME)?;
        let level = |price: f64| (price != 0.0).then(|| ticks(price, retcode::INVALID_STOPS)).transpose();
        let side = if request.kind.is_multiple_of(2) { Side::Buy } else { Side::Sell };
        let price = |price: f64| ticks(price, retcode::INVALID_PRICE);
        let kind = match request.kind / 2 {
            0 => OrderKind::Market,
            1 => OrderKind::Limit { price: price(request.price)? },
            2 => OrderKind::Stop { price: price(request.price)? },
            _ => OrderKind::StopLimit { stop: price(request.price)?, limit: price(request.stoplimit)? },
        };
        let fill = match request.type_filling {
            0 => FillPolicy::Fok,
            1 => FillPolicy::Ioc,
            2 => FillPolicy::Return,
            _ => return Err(retcode::INVALID_FILL),
        };
        let expiry = match request.type_time {
            0 => Expiry::Gtc,
            1 => Expiry::Day,
            2 => Expiry::At(self.until(request.expiration).ok_or(retcode::INVALID_EXPIRATION)?),
            _ => return Err(retcode::INVALID_EXPIRATION),
        };
        let (stop_loss, take_profit) = (level(request.sl)?, level(request.tp)?);
        Ok(Ticket { instrument: 0, side, steps, kind, fill, expiry, stop_loss, take_profit, closes: None })
    }

    /// The time at which the server's clock shows `seconds`, if that is to come.
    fn until(&self, seconds: i64) -> Option<UnixNanos> {
        let time = self.setup.listing().clock.when(UnixNanos(seconds.checked_mul(1_000_000_000)?));
        (time > self.now).then_some(time)
    }

    /// A terminal has no limits of its own but the broker's.
    fn approved(&self, ticket: Ticket) -> Result<Approved<Ticket>, Code> {
        let position =
            Position { now: self.now, priced_at: self.now, equity: 1.0, steps: 0, step_value: 1.0 };
        Gate::new(GateLimits::default()).approve(ticket, &position).map_err(|_| retcode::REJECT)
    }

    /// Sets the stops of a position.
    fn protect(&mut self, request: &Request) -> Result<Came, Code> {
        let netting = self.setup.rules.account.books == AccountBooks::Netting;
        let levels = Request { volume: self.setup.listing().instrument.lots.step, ..Request::default() };
        let ticket = self.ticket(&Request { sl: request.sl, tp: request.tp, ..levels })?;
        let shown = self.shown();
        let held = shown.broker.account().holdings();
        let held = match request.position {
            0 if netting => held.first(),
            wanted => shown.position(wanted).and_then(|id| held.iter().find(|held| held.id == id)),
        };
        let held = *held.ok_or(retcode::POSITION_CLOSED)?;
        let wanted = (ticket.stop_loss, ticket.take_profit);
        if (held.stop_loss, held.take_profit) == wanted {
            return Err(retcode::NO_CHANGES);
        }
        self.on_what_is_shown(|broker, _| broker.protect(held.id, wanted.0, wanted.1))?;
        Ok(Came::default())
    }

    /// Does `change` to the account, if it may be done to what is shown.
    fn on_what_is_shown<T>(
        &mut self,
        change: impl Fn(&mut Broker, &mut Vec<Notice>) -> Result<T, Refused>,
    ) -> Result<T, Code> {
        let mut trial = self.shown().broker.clone();
        change(&mut trial, &mut Vec::new()).map_err(|reason| retcode::of_refusal(&reason))?;
        let mut log = Vec::new();
        // What is there before the open can be changed before it; what the open made must have happened first.
        let done = change(&mut self.settled.broker, &mut log).or_else(|_| {
            self.settle();
            log.clear();
            change(&mut self.settled.broker, &mut log)
        });
        let setup = &self.setup;
        self.settled.book(setup, &log);
        done.map_err(|reason| retcode::of_refusal(&reason))
    }

    /// Takes a pending order back.
    fn remove(&mut self, ticket: u64) -> Result<Came, Code> {
        let id = self.shown().order(ticket).ok_or(retcode::INVALID_ORDER)?;
        let now = self.now;
        self.on_what_is_shown(|broker, log| broker.cancel(id, now, log))?;
        Ok(Came { order: ticket, ..Came::default() })
    }

    /// Changes prices, stops and expiration of a pending order, which keeps its ticket.
    fn modify(&mut self, request: &Request) -> Result<Came, Code> {
        let shown = self.shown();
        let id = shown.order(request.order).ok_or(retcode::INVALID_ORDER)?;
        let working = shown.broker.working().iter().find(|w| w.id == id).cloned();
        let record =
            shown.orders.iter().find(|order| order.ticket == request.order).map(|order| (**order).clone());
        let (working, record) = working.zip(record).ok_or(retcode::INVALID_ORDER)?;
        let asked = Request {
            kind: record.kind,
            volume: record.volume_current,
            type_filling: record.type_filling,
            symbol: record.symbol,
            ..request.clone()
        };
        let ticket = self.ticket(&asked)?;
        if ticket == working.ticket {
            return Err(retcode::NO_CHANGES);
        }
        let (approved, now) = (self.approved(ticket)?, self.now);
        let new = self.on_what_is_shown(|broker, _| {
            // Its old place is given up only when the new one is taken.
            let mut trial = broker.clone();
            trial.cancel(id, now, &mut ())?;
            let new = trial.submit(approved, now)?;
            *broker = trial;
            Ok(new)
        })?;
        self.settled.tickets.remove(&id);
        self.settled.tickets.insert(new, request.order);
        if let Some(record) = self.settled.record(request.order) {
            (record.price_open, record.sl, record.tp) = (request.price, request.sl, request.tp);
            (record.price_stoplimit, record.type_time) = (request.stoplimit, request.type_time);
            record.time_expiration = if request.type_time == 2 { request.expiration } else { 0 };
        }
        Ok(Came { order: request.order, ..Came::default() })
    }
}
