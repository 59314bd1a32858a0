//! The live loop's mind: a function of what it hears. Inputs go in, decisions and intents come out; it reads no clock, no file and no
//! network, so that a journal of its inputs gives the same decisions again, to the bit.

use std::collections::BTreeMap;
use std::sync::Arc;

use cambist_bridge::{OrderId, Outcome};
use cambist_core::{Bar, Side, Ticket, UnixNanos};
use cambist_decide::{AccountView, DecisionPath, Desk, Gate, Moment, Position, QuoteView, desk};
use cambist_execution::{Account, Approved, Holding, Mark};
use cambist_policy::Runner;

use crate::books::Books;
use crate::deployment::{Deployment, DeploymentError};
use crate::error::LiveError;
use crate::market::Market;
use crate::rules::Rules;
use crate::standing::{Sent, Standing};
use crate::words::{Command, Decision, Finding, Intent, Opened, Record, Snapshot};

/// A policy with what it remembers and sees.
struct Mind {
    deployment: Arc<Deployment>,
    path: DecisionPath,
    runner: Runner,
    market: Market,
    features: Vec<f32>,
}

impl Mind {
    fn new(deployment: Arc<Deployment>) -> Result<Self, DeploymentError> {
        let (path, market) = (deployment.path(), Market::new(&deployment)?);
        let runner = Runner::new(deployment.policy.clone(), 1, deployment.action_mode, 0);
        Ok(Self { deployment, path, runner, market, features: Vec::new() })
    }

    /// Observation, action and target for `account`; the memory takes a step.
    fn act(&mut self, account: &AccountView) -> (Vec<f32>, Vec<f32>, f64) {
        let Self { path, runner, market, features, .. } = self;
        let sees = market.features(features);
        let mut observation = vec![0.0; path.observation_spec().width()];
        path.observe(sees.then_some(&features[..]), account, None, &mut observation);
        let mut allowed = vec![true; path.mask_width()];
        path.mask(&mut allowed);
        let mut action = vec![0.0; path.action_spec().width()];
        let regime = market.last().and_then(|seen| seen.regime);
        runner.act_once(&observation, &allowed, regime, &mut action);
        let target = path.target(&action, account.held_target, sees);
        (observation, action, target)
    }
}

/// An order that was written down and of which not all is known.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pending {
    steps: i64,
    /// Target and steps before, when a decision made it.
    goal: Option<(f64, i64, f64)>,
    /// Whether it opens, and if so with a stop.
    opens: Option<bool>,
}

/// The mind of a live loop.
pub struct Engine {
    opened: Opened,
    mind: Mind,
    shadow: Option<Mind>,
    /// What decided before the last swap.
    previous: Option<Arc<Deployment>>,
    desk: Desk,
    guard: Gate,
    rules: Rules,
    books: Books,
    standing: Standing,
    pending: BTreeMap<OrderId, Pending>,
    held: f64,
    /// Equity at the start, with what was paid in and out since.
    initial: f64,
    close: UnixNanos,
    /// The close at which books and broker last agreed, with nothing in play.
    settled: UnixNanos,
    sequence: u32,
    /// Looks at the account so far.
    n_looks: u64,
    /// The last bars, to warm up another policy.
    bars: std::collections::VecDeque<Bar>,
    n_kept: usize,
}

/// What a record, heard for the second time, should have said.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// What differs.
    pub what: &'static str,
    /// As it is written.
    pub written: String,
    /// As it is now.
    pub now: String,
}

impl Engine {
    /// The mind of the journal that begins with `opened`, deciding by `deployment`.
    ///
    /// # Errors
    /// When it is another artefact than the journal's, or cannot be put to work.
    pub fn new(opened: Opened, deployment: Arc<Deployment>) -> Result<Self, LiveError> {
        if deployment.hash != opened.hash {
            let (wanted, found) = (opened.hash.clone(), deployment.hash.clone());
            return Err(LiveError::OtherArtefact { wanted, found });
        }
        let clock = deployment.listing().clock;
        Ok(Self {
            desk: Desk::new(deployment.terms.gate),
            guard: Gate::new(opened.rules.gate(clock)),
            rules: opened.rules,
            books: Books::new(&opened.symbol, &opened.baseline),
            standing: Standing::new(opened.baseline.steps()),
            pending: BTreeMap::new(),
            held: 0.0,
            initial: opened.baseline.balance,
            close: UnixNanos(0),
            settled: UnixNanos(0),
            n_looks: 0,
            sequence: 0,
            bars: std::collections::VecDeque::new(),
            n_kept: deployment.look_back()? + 1,
            mind: Mind::new(deployment)?,
            shadow: None,
            previous: None,
            opened,
        })
    }

    /// What the journal is of.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// What decides.
    #[must_use]
    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.mind.deployment
    }

    /// What decided before the last swap.
    #[must_use]
    pub fn previous(&self) -> Option<&Arc<Deployment>> {
        self.previous.as_ref()
    }

    /// What may be done, and why.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The loop's own limits.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What our books say: balance, and signed lot steps.
    #[must_use]
    pub fn books(&self) -> (f64, i64) {
        self.books.standing()
    }

    /// Orders of which not all is known.
    pub fn unresolved(&self) -> impl Iterator<Item = OrderId> + '_ {
        self.pending.keys().copied()
    }

    /// The close of the last bar; the epoch before the first.
    #[must_use]
    pub fn close(&self) -> UnixNanos {
        self.close
    }

    /// Open times of those of `bars` that were seen otherwise.
    #[must_use]
    pub fn differs(&self, bars: &[Bar]) -> Vec<UnixNanos> {
        let own = |bar: &&Bar| {
            let place = self.bars.binary_search_by_key(&bar.open_time, |own| own.open_time);
            place.is_ok_and(|place| self.bars[place] != **bar)
        };
        bars.iter().filter(own).map(|bar| bar.open_time).collect()
    }

    /// The close at which books and broker last agreed: deals since are not all known.
    #[must_use]
    pub fn settled(&self) -> UnixNanos {
        self.settled
    }

    /// Bars that warm up what decides.
    #[must_use]
    pub fn look_back(&self) -> usize {
        self.n_kept
    }

    /// Hash of the policy that decides beside, without trading.
    #[must_use]
    pub fn shadow(&self) -> Option<&str> {
        self.shadow.as_ref().map(|mind| mind.deployment.hash.as_str())
    }

    /// `deployment`, having seen the bars there were.
    fn warmed(&mut self, deployment: Arc<Deployment>) -> Result<Mind, LiveError> {
        let own = &self.mind.deployment;
        let traded = |of: &Deployment| {
            let (instrument, books) = (&of.listing().instrument, of.rules.account.books);
            format!("{instrument:?} {books:?} {:?} {:?}", of.listing().price_side, of.terms.volume_kind)
        };
        for (field, wanted, found) in [
            ("instrument's terms", traded(own), traded(&deployment)),
            ("instrument", own.instrument.to_string(), deployment.instrument.to_string()),
            ("timeframe", own.timeframe.to_string(), deployment.timeframe.to_string()),
            (
                "deposit currency",
                own.terms.deposit_currency.clone(),
                deployment.terms.deposit_currency.clone(),
            ),
        ] {
            if wanted != found {
                return Err(LiveError::OtherTerms { field, wanted, found });
            }
        }
        let needed = deployment.look_back()? + 1;
        self.n_kept = self.n_kept.max(needed);
        let mut mind = Mind::new(deployment)?;
        for bar in &self.bars {
            mind.market.push(&mind.deployment.clone(), bar)?;
        }
        Ok(mind)
    }

    /// Refuses a bar that cannot be: nothing has changed then.
    ///
    /// # Errors
    /// When it is not after the last one, or its prices are none.
    pub fn check(&self, bar: &Bar) -> Result<(), LiveError> {
        let deployment = &self.mind.deployment;
        let close = UnixNanos(bar.open_time.0.saturating_add(deployment.timeframe.nanos()));
        if close <= self.close {
            return Err(LiveError::OldBar { close, last: self.close });
        }
        let tick = deployment.listing().instrument.tick_size;
        let [low, high] = [bar.low, bar.high];
        let numbers = [bar.open, high, low, bar.close, bar.volume, bar.spread];
        let good = numbers.iter().all(|x| x.is_finite() && *x >= 0.0 && *x < 1e15)
            && low >= tick
            && (low..=high).contains(&bar.open)
            && (low..=high).contains(&bar.close);
        if good { Ok(()) } else { Err(LiveError::BadBar { close, bar: Box::new((*bar).into()) }) }
    }

    /// Sees a bar without deciding: before the first decision, or while we were away.
    ///
    /// # Errors
    /// When it is not after the last one, or lacks what the broker's terms need.
    pub fn see(&mut self, bar: &Bar) -> Result<(), LiveError> {
        self.check(bar)?;
        let close = UnixNanos(bar.open_time.0 + self.mind.deployment.timeframe.nanos());
        for mind in std::iter::once(&mut self.mind).chain(self.shadow.as_mut()) {
            let deployment = Arc::clone(&mind.deployment);
            mind.market.push(&deployment, bar)?;
        }
        self.bars.push_back(*bar);
        if self.bars.len() > self.n_kept {
            self.bars.pop_front();
        }
        if self.n_looks == 0 {
            self.settled = close;
        }
        (self.close, self.sequence) = (close, 0);
        Ok(())
    }

    /// Decides at the close of `bar`, heard at `at`.
    ///
    /// # Errors
    /// As [`Engine::see`].
    pub fn step(
        &mut self,
        at: UnixNanos,
        bar: &Bar,
        account: &Snapshot,
    ) -> Result<(Vec<Finding>, Decision, Option<Decision>), LiveError> {
        self.see(bar)?;
        let findings = self.compare(at, account);
        let decision = self.decide(at, account);
        let shadow = self.shadow_decides(account);
        Ok((findings, decision, shadow))
    }

    /// Looks at the account between bars.
    pub fn look(&mut self, at: UnixNanos, account: &Snapshot) -> Vec<Finding> {
        self.compare(at, account)
    }

    /// Compares the books with the broker's.
    fn compare(&mut self, at: UnixNanos, account: &Snapshot) -> Vec<Finding> {
        self.n_looks += 1;
        let in_play = !self.pending.is_empty() || account.under_way != 0;
        let instrument = &self.mind.deployment.listing().instrument;
        let mut findings = self.books.reconcile(account, instrument, in_play);
        for amount in findings.iter().filter_map(Finding::deposit) {
            self.initial += amount;
            self.desk.paid_in(amount);
            self.guard.paid_in(amount);
        }
        self.standing.note(account);
        findings.extend(self.standing.stop_missing(at, account, self.rules.stop_grace));
        if self.books.are_settled() && !in_play {
            self.settled = self.close;
        }
        if let Some(finding) = findings.iter().find(|finding| finding.disagrees()) {
            self.standing.disagree(&format!("{finding:?}"));
        }
        findings
    }

    /// The account at the bar's close, as decisions see it, with the mark it is counted at.
    fn view(&self, account: &Snapshot) -> (AccountView, QuoteView) {
        let deployment = &self.mind.deployment;
        let (listing, terms) = (deployment.listing(), &deployment.terms);
        let of_bar =
            |seen: crate::market::Seen| Mark::of_close(&seen.event, listing.price_side, account.rate);
        let [bid, ask] = account.quote;
        let mark = account.mark.or_else(|| self.mind.market.last().map(of_bar)).unwrap_or(Mark {
            bid,
            ask,
            rate: account.rate,
        });
        let unrealised = Account::open_profit(&account.holdings, listing, &mark);
        let quote = QuoteView::of_ticks(mark.bid, mark.ask, terms.tickets.tick_size);
        let view = AccountView {
            equity: account.balance + unrealised,
            initial: self.initial,
            units: account.steps() as f64 * terms.tickets.step_units,
            unrealised,
            price: quote.mid * mark.rate,
            held_target: self.held,
        };
        (view, quote)
    }

    fn decide(&mut self, at: UnixNanos, account: &Snapshot) -> Decision {
        self.held = self.desk.held(account.steps(), account.under_way, self.held);
        let (view, quote) = self.view(account);
        self.guard.observe(self.close, view.equity);
        let (observation, action, target) = self.mind.act(&view);
        let expected = account.steps() + account.under_way;
        let outlook = self.mind.market.last().map(|seen| seen.outlook).unwrap_or_default();
        let moment = Moment { now: self.close, account: &view, quote, outlook, expected };
        let terms = Arc::clone(&self.mind.deployment);
        let wanted = self.desk.ticket(&self.mind.path, &terms.terms.tickets, target, &moment);
        let ruined = view.equity <= terms.terms.ruin_fraction * view.initial;
        if ruined {
            self.standing.kill("the account is ruined", true);
        }
        let (intents, reason) = match wanted {
            Err(kept) => (Vec::new(), kept.to_string()),
            Ok(ticket) => match self.allowed(at, ticket, account, &view) {
                Err(why) => (Vec::new(), why),
                Ok(ticket) => {
                    let intents = self.intents(ticket, account);
                    let signed = ticket.get().side.sign() * ticket.get().steps;
                    for intent in &intents {
                        let goal = Some((target, expected, self.held));
                        let opens = (!intent.reduces).then_some(intent.stop_loss.is_some());
                        self.note(intent, Pending { steps: signed, goal, opens });
                    }
                    (intents, format!("from {expected} to {} lot steps", expected + signed))
                }
            },
        };
        Decision {
            id: OrderId::derive(self.opened.account, &self.opened.symbol, self.close, 0, 0),
            close: self.close,
            equity: view.equity,
            units: view.units,
            held: view.held_target,
            observation: numbers(observation),
            action: numbers(action),
            target,
            regime: self.mind.market.last().and_then(|seen| seen.regime),
            price: quote.mid,
            intents,
            reason,
        }
    }

    fn shadow_decides(&mut self, account: &Snapshot) -> Option<Decision> {
        let (view, quote) = self.view(account);
        let shadow = self.shadow.as_mut()?;
        let (observation, action, target) = shadow.act(&view);
        Some(Decision {
            id: OrderId::derive(self.opened.account, &self.opened.symbol, self.close, 0, 0),
            close: self.close,
            equity: view.equity,
            units: view.units,
            held: view.held_target,
            observation: numbers(observation),
            action: numbers(action),
            target,
            regime: shadow.market.last().and_then(|seen| seen.regime),
            price: quote.mid,
            intents: Vec::new(),
            reason: format!("watches only; {}", shadow.deployment.hash.get(..12).unwrap_or_default()),
        })
    }

    /// `ticket`, or what is left of it that only reduces, if nothing holds it.
    fn allowed(
        &mut self,
        at: UnixNanos,
        ticket: Approved<Ticket>,
        account: &Snapshot,
        view: &AccountView,
    ) -> Result<Approved<Ticket>, String> {
        // Everything would rest on a position that is not known.
        if let Some(id) = self.pending.keys().next() {
            return Err(format!("order {id} is unresolved"));
        }
        let held = account.steps();
        let asked = ticket.get();
        let after = held + asked.side.sign() * asked.steps;
        let reduces = after.abs() <= held.abs() && after.signum() * held.signum() >= 0;
        let Err(why) = self.opens(at, &asked, reduces, account, view) else { return Ok(ticket) };
        if reduces && !self.standing.is_frozen() {
            return Ok(ticket);
        }
        let reverses = held != 0 && after.signum() == -held.signum();
        match ticket.part(held.abs(), None) {
            Some(part) if reverses && !self.standing.is_frozen() => Ok(part.without_levels()),
            _ => Err(why),
        }
    }

    /// Why `asked` may not open, if so.
    fn opens(
        &mut self,
        at: UnixNanos,
        asked: &Ticket,
        reduces: bool,
        account: &Snapshot,
        view: &AccountView,
    ) -> Result<(), String> {
        if let Some(why) = self.standing.held_by() {
            return Err(why);
        }
        if let Some(why) = &account.shut {
            return Err(why.clone());
        }
        if !self.books.are_settled() {
            return Err(
                "deals, positions and balance do not agree yet: looked at again at the next bar".to_owned()
            );
        }
        let age = (at.0 - self.close.0) as f64 * 1e-9;
        if let Some(limit) = self.rules.stale_after.filter(|limit| age > *limit) {
            return Err(format!("the bar closed {age:.1} seconds ago; limits.stale_after is {limit}"));
        }
        if let Some(limit) = self.rules.clock_skew.filter(|limit| -age > *limit) {
            return Err(format!(
                "the bar closes in {:.1} seconds; limits.clock_skew is {limit}: one of the two clocks is wrong",
                -age
            ));
        }
        let spread = account.quote[1] - account.quote[0];
        if let Some(limit) = self.rules.max_spread.filter(|limit| spread > *limit) {
            return Err(format!("the spread is {spread} ticks; limits.max_spread is {limit}"));
        }
        let steps = account.steps();
        let terms = &self.mind.deployment.terms;
        if let Some(limit) = self.rules.max_lots.filter(|_| !reduces) {
            let lots = (steps + asked.side.sign() * asked.steps).abs() as f64 / terms.tickets.steps_per_lot;
            if lots > limit * (1.0 + 1e-9) {
                return Err(format!("the position would be {lots} lots; limits.max_lots is {limit}"));
            }
        }
        let position = Position {
            now: self.close,
            priced_at: self.close,
            equity: view.equity,
            steps,
            step_value: terms.tickets.step_units * view.price,
        };
        self.guard.approve(*asked, &position).map(drop).map_err(|shut| format!("limits: {shut}"))
    }

    fn intents(&mut self, ticket: Approved<Ticket>, account: &Snapshot) -> Vec<Intent> {
        let held = account.holdings.iter().map(|held| (held.id, held.steps));
        let parts = desk::parts(ticket, self.mind.deployment.is_hedging().then_some(held));
        let sequence = self.sequence;
        self.sequence += 1;
        let intent = |(leg, part): (usize, Approved<Ticket>)| {
            let Ticket { side, steps, stop_loss, take_profit, closes, .. } = part.get();
            let id = self.id(sequence, leg);
            let signed = side.sign() * steps;
            let held = account.steps();
            let after = held + signed;
            let shrinks = after.abs() <= held.abs() && after.signum() * held.signum() >= 0;
            let reduces = closes.is_some() || (!self.mind.deployment.is_hedging() && shrinks);
            let own = account.holdings.first().map(|held| held.id);
            let closes = closes.or(own.filter(|_| reduces));
            Intent { id, side, steps, stop_loss, take_profit, closes, reduces }
        };
        parts.into_iter().enumerate().map(intent).collect()
    }

    fn id(&self, sequence: u32, leg: usize) -> OrderId {
        let Opened { account, symbol, .. } = &self.opened;
        OrderId::derive(*account, symbol, self.close, sequence, leg as u32)
    }

    fn note(&mut self, intent: &Intent, pending: Pending) {
        self.pending.insert(intent.id, pending);
        self.books.note_order(intent.id);
        self.standing.sent(Sent { id: intent.id, steps: intent.signed() });
    }

    /// Why everything that is held must be closed now, if so.
    #[must_use]
    pub fn must_flatten(&self) -> Option<String> {
        self.standing.must_flatten().filter(|_| self.pending.is_empty())
    }

    /// Why everything should be closed, while orders that are not known to be done keep it from being tried.
    #[must_use]
    pub fn waits_to_flatten(&self) -> Option<String> {
        self.standing.must_flatten().filter(|_| !self.pending.is_empty())
    }

    /// Closes every position that is held: the orders to be sent.
    pub fn flatten(&mut self, at: UnixNanos, account: &Snapshot) -> (Vec<Finding>, Vec<Intent>) {
        let findings = self.compare(at, account);
        let sequence = self.sequence;
        self.sequence += 1;
        let largest = self.mind.deployment.terms.tickets.maximum;
        let close = |(leg, held): (usize, &Holding)| Intent {
            id: self.id(sequence, leg),
            side: Side::of(-held.steps),
            // What is larger than the largest order is closed in parts, a look after the other.
            steps: held.steps.abs().min(largest),
            stop_loss: None,
            take_profit: None,
            closes: Some(held.id),
            reduces: true,
        };
        let intents: Vec<Intent> = account.holdings.iter().enumerate().map(close).collect();
        for intent in &intents {
            self.note(intent, Pending { steps: intent.signed(), goal: None, opens: None });
        }
        (findings, intents)
    }

    /// Hears at `at` what became of an order.
    pub fn outcome(&mut self, at: UnixNanos, id: OrderId, outcome: &Outcome) {
        let Some(pending) = self.pending.get(&id).copied() else { return };
        match outcome {
            Outcome::Unknown(_) => {}
            Outcome::Refused { .. } => {
                self.pending.remove(&id);
                self.standing.refused();
            }
            Outcome::Confirmed(_) => {
                self.pending.remove(&id);
                if let Some(stop) = pending.opens {
                    self.standing.carries(at, stop);
                }
                if let Some((target, expected, held)) = pending.goal {
                    self.desk.sent(target, pending.steps, expected, held);
                }
            }
        }
    }

    /// Hears a command.
    ///
    /// # Errors
    /// When it cannot be followed; nothing has changed then.
    pub fn command(
        &mut self,
        command: &Command,
        why: &str,
        account: Option<&Snapshot>,
    ) -> Result<(), LiveError> {
        match command {
            Command::Pause => self.standing.pause(why),
            Command::Resume => self.standing.resume(),
            Command::Kill { flatten } => self.standing.kill(why, *flatten),
            Command::Adopt => {
                if let Some(account) = account {
                    self.books.adopt(account);
                }
                self.standing.adopt();
            }
            Command::Swap { folder, hash } => {
                let deployment = Arc::new(Deployment::load(folder)?);
                if deployment.hash != *hash {
                    let (wanted, found) = (hash.clone(), deployment.hash.clone());
                    return Err(LiveError::OtherArtefact { wanted, found });
                }
                let limits = deployment.terms.gate;
                let mind = self.warmed(deployment)?;
                self.previous = Some(Arc::clone(&self.mind.deployment));
                self.mind = mind;
                self.desk.set_limits(limits);
            }
            Command::Shadow { artefact: None } => self.shadow = None,
            Command::Shadow { artefact: Some((folder, hash)) } => {
                let deployment = Arc::new(Deployment::load(folder)?);
                if deployment.hash != *hash {
                    let (wanted, found) = (hash.clone(), deployment.hash.clone());
                    return Err(LiveError::OtherArtefact { wanted, found });
                }
                self.shadow = Some(self.warmed(deployment)?);
            }
            Command::Rules { rules } => {
                self.rules = *rules;
                self.limits_changed();
            }
            Command::Limit { name, value } => {
                self.rules.set(name, *value).map_err(LiveError::Limit)?;
                self.limits_changed();
            }
        }
        Ok(())
    }

    /// The gate takes over the rules; what it remembers of the day and the top is kept.
    fn limits_changed(&mut self) {
        self.guard = self.guard.with_limits(self.rules.gate(self.mind.deployment.listing().clock));
    }

    /// Hears a record again, and says where what it decides now is not what is written.
    ///
    /// # Errors
    /// When the record cannot be followed.
    pub fn replay(&mut self, record: &Record) -> Result<Vec<Difference>, LiveError> {
        let mut differences = Vec::new();
        let mut compare = |what, written: String, now: String| {
            if written != now {
                differences.push(Difference { what, written, now });
            }
        };
        match record {
            Record::Opened(_) => {}
            Record::Missed { bar } => self.see(&(*bar).into())?,
            Record::Step { at, bar, account, findings, decision, shadow } => {
                let (found, decided, shaded) = self.step(*at, &(*bar).into(), account)?;
                compare("findings", said(findings), said(&found));
                compare("observation", said(&decision.observation), said(&decided.observation));
                compare("action", said(&decision.action), said(&decided.action));
                compare("intents", said(&decision.intents), said(&decided.intents));
                compare("decision", said(decision), said(&decided));
                compare("shadow", said(shadow), said(&shaded.map(Box::new)));
            }
            Record::Flatten { at, account, findings, intents, .. } => {
                let (found, sent) = self.flatten(*at, account);
                compare("findings", said(findings), said(&found));
                compare("intents", said(intents), said(&sent));
            }
            Record::Look { at, account, findings } => {
                compare("findings", said(findings), said(&self.look(*at, account)));
            }
            Record::Outcome { at, id, outcome, .. } => self.outcome(*at, *id, outcome),
            Record::Commanded { why, command, account, .. } => {
                self.command(command, why, account.as_deref())?;
            }
        }
        Ok(differences)
    }
}

/// What is written down: JSON has no word for what is no number, and a policy that asks for one asks for nothing.
fn numbers(mut values: Vec<f32>) -> Vec<f32> {
    values.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = 0.0);
    values
}

fn said(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}
