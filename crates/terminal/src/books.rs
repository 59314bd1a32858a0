//! What the broker tells, in MetaTrader's books: orders, deals and positions with tickets, magic numbers and comments.

use std::collections::BTreeMap;
use std::sync::Arc;

use cambist_core::{BarEvent, MarketEvent, ServerClock, Side, Ticket, UnixNanos};
use cambist_execution::{Broker, Deal, Ended, Listing, Notice, Reason};

use crate::terminal::Setup;
use crate::words::{DealRecord, OrderRecord, Request};

/// States of an order (`ORDER_STATE_*`).
const PLACED: u32 = 1;
const CANCELED: u32 = 2;
const PARTIAL: u32 = 3;
const FILLED: u32 = 4;
const REJECTED: u32 = 5;
const EXPIRED: u32 = 6;

/// Reasons (`ORDER_REASON_*`; `DEAL_REASON_*` has the same numbers).
const BY_EXPERT: u32 = 3;
const BY_STOP_LOSS: u32 = 4;
const BY_TAKE_PROFIT: u32 = 5;
const BY_STOP_OUT: u32 = 6;

/// Tickets of the orders that the broker makes begin here, each with the number of its deal: a client's later order changes none.
const BROKERS: u64 = 1 << 40;

/// What a position carries beside what the broker knows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PositionNote {
    /// Ticket of the order that opened it, or turned it round.
    pub(crate) ticket: u64,
    /// Ticket of the order that opened it.
    pub(crate) identifier: u64,
    pub(crate) magic: u64,
    pub(crate) comment: String,
    pub(crate) opened: UnixNanos,
    pub(crate) updated: UnixNanos,
}

/// A broker's account, with its books.
#[derive(Debug, Clone)]
pub(crate) struct Books {
    pub(crate) broker: Broker,
    /// Every order ever, oldest first. What is shown is a copy of the books: long ones share what does not change.
    pub(crate) orders: Vec<Arc<OrderRecord>>,
    /// Every deal ever, oldest first; the first is the deposit.
    pub(crate) deals: Vec<Arc<DealRecord>>,
    /// By the broker's number.
    pub(crate) positions: BTreeMap<u64, PositionNote>,
    /// Why orders ended with volume left, by ticket.
    pub(crate) ends: BTreeMap<u64, Ended>,
    /// Tickets by the broker's number of the order.
    pub(crate) tickets: BTreeMap<u64, u64>,
    /// How many deals are known by the time they were made; later ones are told at the second.
    stamp: Option<(usize, UnixNanos)>,
}

/// Seconds and milliseconds that the server's clock shows.
pub(crate) fn shown(clock: ServerClock, time: UnixNanos) -> (i64, i64) {
    let msc = clock.shows(time).0.div_euclid(1_000_000);
    (msc.div_euclid(1000), msc)
}

impl Books {
    /// A flat account that has just been opened.
    pub(crate) fn new(setup: &Setup, opened: UnixNanos) -> Self {
        let (time, time_msc) = shown(setup.listing().clock, opened);
        // DEAL_TYPE_BALANCE.
        let deposit =
            DealRecord { ticket: 1, time, time_msc, kind: 2, profit: setup.balance, ..DealRecord::default() };
        Self {
            broker: Broker::new(setup.rules.clone(), setup.balance),
            orders: Vec::new(),
            deals: vec![Arc::new(deposit)],
            positions: BTreeMap::new(),
            ends: BTreeMap::new(),
            tickets: BTreeMap::new(),
            stamp: None,
        }
    }

    /// The broker's number of a position's ticket.
    pub(crate) fn position(&self, ticket: u64) -> Option<u64> {
        self.positions.iter().find(|(_, note)| note.ticket == ticket).map(|(&id, _)| id)
    }

    /// The broker's number of an order's ticket.
    pub(crate) fn order(&self, ticket: u64) -> Option<u64> {
        self.tickets.iter().find(|&(_, &t)| t == ticket).map(|(&id, _)| id)
    }

    /// The order of `ticket`, to be changed.
    pub(crate) fn record(&mut self, ticket: u64) -> Option<&mut OrderRecord> {
        // Those that change are among the last.
        self.orders.iter_mut().rev().find(|record| record.ticket == ticket).map(Arc::make_mut)
    }

    /// Notes an order the broker has taken as `id`.
    pub(crate) fn note_order(
        &mut self,
        setup: &Setup,
        id: u64,
        now: UnixNanos,
        asked: &Request,
        ticket: &Ticket,
    ) {
        let listing = setup.listing();
        let (time_setup, time_setup_msc) = shown(listing.clock, now);
        let number = self.next_order();
        let lots = listing.instrument.to_lots(ticket.steps);
        self.tickets.insert(id, number);
        self.orders.push(Arc::new(OrderRecord {
            ticket: number,
            time_setup,
            time_setup_msc,
            time_expiration: if asked.type_time == 2 { asked.expiration } else { 0 },
            kind: asked.kind,
            type_time: asked.type_time,
            type_filling: asked.type_filling,
            state: PLACED,
            magic: asked.magic,
            position_id: asked.position,
            reason: BY_EXPERT,
            volume_initial: lots,
            volume_current: lots,
            // A market order asks for no price.
            price_open: if asked.kind < 2 { 0.0 } else { asked.price },
            sl: asked.sl,
            tp: asked.tp,
            price_stoplimit: asked.stoplimit,
            symbol: setup.symbol.clone(),
            comment: asked.comment.clone(),
            ..OrderRecord::default()
        }));
    }

    /// Tickets of clients' orders follow one another, whatever orders the broker makes between them.
    fn next_order(&self) -> u64 {
        self.orders.iter().filter(|order| order.ticket < BROKERS).count() as u64 + 1
    }

    /// Lives through `event` at `rate`, books what the broker tells, and returns it. With a `stamp` of a number and a time, deals
    /// beyond that number are told at that time: nobody could know of them before.
    pub(crate) fn live(
        &mut self,
        setup: &Setup,
        event: &BarEvent,
        rate: f64,
        stamp: Option<(usize, UnixNanos)>,
    ) -> Vec<Notice> {
        let mut log = Vec::new();
        self.broker.set_rate(0, rate);
        self.broker.on(0, &MarketEvent::Bar(*event), &mut log);
        self.stamp = stamp;
        self.book(setup, &log);
        log
    }

    /// Books `notices`.
    pub(crate) fn book(&mut self, setup: &Setup, notices: &[Notice]) {
        for notice in notices {
            match notice {
                Notice::Deal(deal) => self.book_deal(setup, deal),
                Notice::Ended { order, time, why, .. } => {
                    self.end_order(setup.listing(), *order, *time, *why)
                }
                Notice::MarginCall { .. } => {}
            }
        }
    }

    fn book_deal(&mut self, setup: &Setup, deal: &Deal) {
        let listing = setup.listing();
        let instrument = &listing.instrument;
        let told =
            self.stamp.filter(|&(known, _)| self.deals.len() >= known).map_or(deal.time, |(_, time)| time);
        let (time, time_msc) = shown(listing.clock, told);
        let lots = instrument.to_lots(deal.steps);
        let note = self.positions.get(&deal.position).cloned();
        let order = match self.tickets.get(&deal.order) {
            Some(&ticket) if deal.order != 0 => ticket,
            _ => self.order_of_the_brokers(setup, deal, told, note.as_ref()),
        };
        let Some(record) = self.record(order) else { return };
        let turned = deal.closed > 0 && deal.closed < deal.steps;
        let identifier = note.as_ref().map_or(order, |note| note.identifier);
        let note = note.filter(|_| !turned).unwrap_or_else(|| PositionNote {
            ticket: order,
            identifier,
            magic: record.magic,
            comment: record.comment.clone(),
            opened: told,
            updated: told,
        });
        record.volume_current =
            instrument.to_lots(instrument_steps(record.volume_current, listing) - deal.steps);
        record.position_id = note.identifier;
        record.price_current = setup.price(deal.price);
        record.state = if record.volume_current > 0.0 { PARTIAL } else { FILLED };
        if record.state == FILLED {
            (record.time_done, record.time_done_msc) = (time, time_msc);
        }
        let (magic, comment) = (record.magic, record.comment.clone());
        let sell = u32::from(deal.side == Side::Sell);
        // DEAL_ENTRY_*: 0 in, 1 out, 2 in and out.
        let entry = match deal.closed {
            0 => 0,
            closed if closed == deal.steps => 1,
            _ => 2,
        };
        self.deals.push(Arc::new(DealRecord {
            ticket: self.deals.len() as u64 + 1,
            order,
            time,
            time_msc,
            kind: sell,
            entry,
            magic,
            position_id: note.identifier,
            reason: reason(deal.reason),
            volume: lots,
            price: setup.price(deal.price),
            commission: deal.rebate - deal.costs.commission,
            swap: deal.financing,
            profit: deal.profit,
            symbol: setup.symbol.clone(),
            comment,
            ..DealRecord::default()
        }));
        self.positions.insert(deal.position, PositionNote { updated: told, ..note });
    }

    /// The order that a terminal shows behind a stop, a target or a stop-out.
    fn order_of_the_brokers(
        &mut self,
        setup: &Setup,
        deal: &Deal,
        told: UnixNanos,
        note: Option<&PositionNote>,
    ) -> u64 {
        let listing = setup.listing();
        let (time, msc) = shown(listing.clock, told);
        let lots = listing.instrument.to_lots(deal.steps);
        let ticket = BROKERS + self.deals.len() as u64 + 1;
        self.orders.push(Arc::new(OrderRecord {
            ticket,
            time_setup: time,
            time_setup_msc: msc,
            kind: u32::from(deal.side == Side::Sell),
            type_filling: 1,
            state: PLACED,
            magic: note.map_or(0, |note| note.magic),
            position_id: note.map_or(0, |note| note.identifier),
            reason: reason(deal.reason),
            volume_initial: lots,
            volume_current: lots,
            symbol: setup.symbol.clone(),
            comment: match deal.reason {
                Reason::StopLoss => format!("[sl {}]", setup.price(deal.price)),
                Reason::TakeProfit => format!("[tp {}]", setup.price(deal.price)),
                Reason::StopOut => "[so]".to_owned(),
                Reason::Client => String::new(),
            },
            ..OrderRecord::default()
        }));
        ticket
    }

    fn end_order(&mut self, listing: &Listing, order: u64, time: UnixNanos, why: Ended) {
        let Some(&ticket) = self.tickets.get(&order) else { return };
        self.ends.insert(ticket, why);
        let Some(record) = self.record(ticket) else { return };
        record.state = match why {
            Ended::Expired | Ended::Gap => EXPIRED,
            Ended::Rejected | Ended::NoMoney | Ended::NothingToClose | Ended::LongOnly => REJECTED,
            Ended::Cancelled | Ended::NoVolume | Ended::StoppedOut => CANCELED,
        };
        (record.time_done, record.time_done_msc) = shown(listing.clock, time);
    }
}

/// Lot steps of `lots` that came from lot steps.
fn instrument_steps(lots: f64, listing: &Listing) -> i64 {
    (lots / listing.instrument.lots.step).round() as i64
}

fn reason(reason: Reason) -> u32 {
    match reason {
        Reason::Client => BY_EXPERT,
        Reason::StopLoss => BY_STOP_LOSS,
        Reason::TakeProfit => BY_TAKE_PROFIT,
        Reason::StopOut => BY_STOP_OUT,
    }
}
