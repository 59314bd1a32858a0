//! The live loop's mind: a function of what it hears. Inputs go in, decisions and intents come out; it reads no clock, no file and no
//! network, so that a journal of its inputs gives the same decisions again, to the bit.

mod accounts;
mod bars;
mod entry;
mod hearing;

use std::collections::BTreeMap;
use std::sync::Arc;

use cambist_bridge::OrderId;
use cambist_core::{Bar, Side, UnixNanos};
use cambist_decide::{AccountView, Desk, Gate, Kept, Moment, QuoteView};
use cambist_execution::Holding;
use cambist_risk::Shut;

use crate::books::Books;
use crate::deployment::Deployment;
use crate::error::LiveError;
use crate::mind::Mind;
use crate::results::{self, Results};
use crate::rules::Rules;
use crate::standing::{Sent, Standing};
use crate::words::{Decision, Finding, Intent, Opened, Snapshot};

/// Bars that are remembered at least, for a policy that is put in later and looks back further.
const REMEMBERED: usize = 20_000;

/// An order that was written down and of which not all is known.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pending {
    steps: i64,
    /// Target and steps before, when a decision made it.
    goal: Option<(f64, i64, f64)>,
    /// Whether it opens, and if so with a stop.
    opens: Option<bool>,
}

pub use hearing::Difference;

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
    /// The rules as the config last had them; operators change the others.
    configured: Rules,
    books: Books,
    standing: Standing,
    /// Since what decides was put to work.
    results: Results,
    /// They have left the band since somebody last asked.
    left: bool,
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
    /// Bars that what decides looks back on, and one.
    n_needed: usize,
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
            configured: opened.rules,
            books: Books::new(&opened.symbol, &opened.baseline),
            standing: Standing::new(opened.baseline.steps()),
            results: Results::default(),
            left: false,
            pending: BTreeMap::new(),
            held: 0.0,
            initial: opened.baseline.balance,
            close: UnixNanos(0),
            settled: UnixNanos(0),
            n_looks: 0,
            sequence: 0,
            bars: std::collections::VecDeque::new(),
            n_needed: deployment.look_back()? + 1,
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

    /// The rules as the config last had them, whatever operators have changed since.
    #[must_use]
    pub fn configured(&self) -> &Rules {
        &self.configured
    }

    /// How results since the policy was put to work compare with its backtest.
    #[must_use]
    pub fn results(&self) -> results::Report {
        self.results.report(self.mind.deployment.band.as_ref())
    }

    /// Whether results have left the band since this was last asked.
    pub fn have_left(&mut self) -> bool {
        std::mem::take(&mut self.left)
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

    /// The close at which books and broker last agreed: deals since are not all known.
    #[must_use]
    pub fn settled(&self) -> UnixNanos {
        self.settled
    }

    /// Bars that warm up what decides.
    #[must_use]
    pub fn look_back(&self) -> usize {
        self.n_needed
    }

    /// Hash of the policy that decides beside, without trading.
    #[must_use]
    pub fn shadow(&self) -> Option<&str> {
        self.shadow.as_ref().map(|mind| mind.deployment.hash.as_str())
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
        let findings = self.compare(at, account, true);
        let decision = self.decide(at, account);
        let shadow = self.shadow_decides(account);
        Ok((findings, decision, shadow))
    }

    fn decide(&mut self, at: UnixNanos, account: &Snapshot) -> Decision {
        self.held = self.desk.held(account.steps(), account.under_way, self.held);
        let (view, quote) = self.view(account);
        // While money is on its way between deals and balance, equity is nobody's: it is no loss and no ruin.
        let is_known = self.books.agree();
        if is_known {
            self.guard.observe(self.close, view.equity);
            self.left |= self.results.push(self.close, view.equity, self.mind.deployment.band.as_ref());
        } else {
            self.results.missed(self.close);
        }
        let (observation, action, target) = self.mind.act(&view);
        let expected = account.steps() + account.under_way;
        let outlook = self.mind.market.last().map(|seen| seen.outlook).unwrap_or_default();
        let moment = Moment { now: self.close, account: &view, quote, outlook, expected, is_known };
        let terms = Arc::clone(&self.mind.deployment);
        let wanted = self.desk.ticket(&self.mind.path, &terms.terms.tickets, target, &moment);
        let is_plain = is_known || self.standing.disagreement.is_some();
        let ruined = is_plain && view.equity <= terms.terms.ruin_fraction * view.initial;
        if ruined {
            self.standing.kill("the account is ruined", true);
        }
        let mut barred = false;
        let (intents, reason) = match wanted {
            Err(Kept::Shut(Shut::NotANumber { .. })) if !is_known => {
                barred = true;
                (Vec::new(), self.held_by(account).unwrap_or_else(|| entry::UNSETTLED.to_owned()))
            }
            Err(kept) => (Vec::new(), kept.to_string()),
            Ok(whole) => match self.allowed(at, whole, account, &view) {
                Err(why) => {
                    barred = true;
                    (Vec::new(), why)
                }
                Ok(ticket) => {
                    barred = ticket.get() != whole.get();
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
        let regime = self.mind.market.last().and_then(|seen| seen.regime);
        let decision = self.decided(&view, quote, (observation, action, target), regime, intents, reason);
        Decision { barred, ..decision }
    }

    /// A decision on `view`, from what a policy saw, did and wants, and what comes of it.
    fn decided(
        &self,
        view: &AccountView,
        quote: QuoteView,
        (observation, action, target): (Vec<f32>, Vec<f32>, f64),
        regime: Option<u8>,
        intents: Vec<Intent>,
        reason: String,
    ) -> Decision {
        Decision {
            id: OrderId::derive(self.opened.account, &self.opened.symbol, self.close, 0, 0),
            close: self.close,
            equity: view.equity,
            units: view.units,
            held: view.held_target,
            observation: numbers(observation),
            action: numbers(action),
            target,
            regime,
            price: quote.mid,
            intents,
            reason,
            barred: false,
        }
    }

    fn shadow_decides(&mut self, account: &Snapshot) -> Option<Decision> {
        let (view, quote) = self.view(account);
        let shadow = self.shadow.as_mut()?;
        let acted = shadow.act(&view);
        let regime = shadow.market.last().and_then(|seen| seen.regime);
        let reason = format!("watches only; {}", shadow.deployment.hash.get(..12).unwrap_or_default());
        Some(self.decided(&view, quote, acted, regime, Vec::new(), reason))
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
        let findings = self.compare(at, account, false);
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
}

/// What is written down: JSON has no word for what is no number, and a policy that asks for one asks for nothing.
fn numbers(mut values: Vec<f32>) -> Vec<f32> {
    values.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = 0.0);
    values
}
