//! `order_send`: from a request to the broker and to MetaTrader's answer.

use cambist_core::{Expiry, FillPolicy, OrderKind, Side, Ticket, UnixNanos};
use cambist_execution::rim::decimal;
use cambist_execution::{Approved, Books as AccountBooks};
use cambist_risk::{Gate, GateLimits, Position};

use crate::journal::JournalError;
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
        self.write_down(request)?;
        Ok(self.carry_out(request))
    }

    pub(crate) fn carry_out(&mut self, request: &Request) -> SendResult {
        self.requests += 1;
        let done = match request.action {
            _ if request.symbol != self.setup.symbol && matches!(request.action, DEAL | PENDING) => {
                Err(retcode::INVALID)
            }
            DEAL | PENDING => self.place(request),
            STOPS => self.protect(request),
            MODIFY => self.modify(request),
            REMOVE => self.remove(request.order),
            _ => Err(retcode::INVALID),
        };
        self.changed();
        let came = done.unwrap_or_else(|code| Came { code: Some(code), ..Came::default() });
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

    /// What `request` would come to, without doing it; 0 for an order that would be taken, as `order_check` says it.
    pub fn order_check(&mut self, request: &Request) -> Code {
        let kept = (self.settled.clone(), self.bar);
        let done = match request.action {
            DEAL | PENDING if request.symbol == self.setup.symbol => self.place(request),
            _ => Err(retcode::INVALID),
        };
        (self.settled, self.bar) = kept;
        self.changed();
        match done.map(|came| came.code) {
            Ok(None | Some(retcode::DONE | retcode::PLACED | retcode::DONE_PARTIAL)) => (0, "Done"),
            Ok(Some(code)) | Err(code) => code,
        }
    }

    /// Sends an order to the broker.
    fn place(&mut self, request: &Request) -> Result<Came, Code> {
        if self.is_over() {
            return Err(retcode::MARKET_CLOSED);
        }
        let at_market = request.action == DEAL;
        if at_market != (request.kind < 2) || request.kind > 7 {
            return Err(retcode::INVALID);
        }
        if at_market && !self.setup.listing().instrument.trades_at(self.now) {
            return Err(retcode::MARKET_CLOSED);
        }
        self.cut();
        let mut ticket = self.ticket(request)?;
        if request.position != 0 && self.setup.rules.account.books == AccountBooks::Hedging {
            // A position of this very moment has to have happened before it can be closed.
            if self.settled.position(request.position).is_none() {
                self.settle();
            }
            let position = self.settled.position(request.position).ok_or(retcode::POSITION_CLOSED)?;
            let held = self.settled.broker.account().holdings().iter().any(|h| h.id == position);
            ticket.closes = Some(if held { position } else { return Err(retcode::POSITION_CLOSED) });
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

    /// What has become of market order `order` of `steps` by now. What is under way for longer is placed, and its deal comes later.
    fn became(&mut self, order: u64, steps: i64) -> Came {
        self.changed();
        let shown = self.shown();
        let deals = shown.deals.iter().filter(|deal| deal.order == order);
        let (mut deal, mut volume, mut value) = (0, 0.0, 0.0);
        for made in deals {
            deal = made.ticket;
            volume += made.volume;
            value += made.volume * made.price;
        }
        let ended = shown.ends.get(&order).copied();
        let instrument = &self.setup.listing().instrument;
        let filled = (volume / instrument.lots.step).round() as i64;
        let code = match (filled, ended) {
            (0, Some(why)) => retcode::of_end(why),
            (0, None) => retcode::PLACED,
            _ if filled < steps => retcode::DONE_PARTIAL,
            _ => retcode::DONE,
        };
        let price = if filled > 0 { value / volume } else { 0.0 };
        Came { code: Some(code), order, deal, volume: instrument.to_lots(filled), price }
    }

    fn ticket(&self, request: &Request) -> Result<Ticket, Code> {
        let listing = self.setup.listing();
        let ticks = |price: f64, code: Code| {
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
        self.cut();
        let ticket = self.ticket(&Request {
            volume: self.setup.listing().instrument.lots.step,
            type_time: 0,
            kind: 0,
            type_filling: 0,
            ..request.clone()
        })?;
        let wanted = if request.position == 0 { self.only_position() } else { Some(request.position) };
        let wanted = wanted.ok_or(retcode::POSITION_CLOSED)?;
        let held = |terminal: &Self| {
            let id = terminal.settled.position(wanted)?;
            terminal.settled.broker.account().holdings().iter().find(|h| h.id == id).copied()
        };
        if held(self).is_none() {
            self.settle();
        }
        let held = held(self).ok_or(retcode::POSITION_CLOSED)?;
        if (held.stop_loss, held.take_profit) == (ticket.stop_loss, ticket.take_profit) {
            return Err(retcode::NO_CHANGES);
        }
        // Stops lie on their sides of what is quoted now.
        self.settle();
        self.settled
            .broker
            .protect(held.id, ticket.stop_loss, ticket.take_profit)
            .map_err(|reason| retcode::of_refusal(&reason))?;
        Ok(Came::default())
    }

    /// In a netting account, the symbol's position.
    fn only_position(&mut self) -> Option<u64> {
        let shown = self.shown();
        let held = shown.broker.account().holdings().first()?.id;
        shown.positions.get(&held).map(|note| note.ticket)
    }

    /// Takes a pending order back.
    fn remove(&mut self, ticket: u64) -> Result<Came, Code> {
        self.settle();
        let id = self.settled.order(ticket).ok_or(retcode::INVALID_ORDER)?;
        let mut log = Vec::new();
        self.settled.broker.cancel(id, self.now, &mut log).map_err(|reason| retcode::of_refusal(&reason))?;
        let setup = &self.setup;
        self.settled.book(setup, &log);
        Ok(Came { order: ticket, ..Came::default() })
    }

    /// Changes prices, stops and expiration of a pending order, which keeps its ticket.
    fn modify(&mut self, request: &Request) -> Result<Came, Code> {
        self.settle();
        let id = self.settled.order(request.order).ok_or(retcode::INVALID_ORDER)?;
        let working = self.settled.broker.working().iter().find(|w| w.id == id).cloned();
        let working = working.ok_or(retcode::INVALID_ORDER)?;
        let at = self.settled.orders.iter().position(|o| o.ticket == request.order);
        let record = at.map(|at| self.settled.orders[at].clone()).ok_or(retcode::INVALID_ORDER)?;
        let asked = Request {
            kind: record.kind,
            volume: record.volume_current,
            type_filling: record.type_filling,
            symbol: record.symbol.clone(),
            ..request.clone()
        };
        let ticket = self.ticket(&asked)?;
        if ticket == working.ticket {
            return Err(retcode::NO_CHANGES);
        }
        let mut trial = self.settled.broker.clone();
        trial.cancel(id, self.now, &mut ()).map_err(|reason| retcode::of_refusal(&reason))?;
        let new =
            trial.submit(self.approved(ticket)?, self.now).map_err(|reason| retcode::of_refusal(&reason))?;
        self.settled.broker = trial;
        self.settled.tickets.remove(&id);
        self.settled.tickets.insert(new, request.order);
        if let Some(record) = at.and_then(|at| self.settled.orders.get_mut(at)) {
            (record.price_open, record.sl, record.tp) = (request.price, request.sl, request.tp);
            (record.price_stoplimit, record.type_time) = (request.stoplimit, request.type_time);
            record.time_expiration = if request.type_time == 2 { request.expiration } else { 0 };
        }
        Ok(Came { order: request.order, ..Came::default() })
    }
}
