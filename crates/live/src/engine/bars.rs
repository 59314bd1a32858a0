//! Bars: which are taken, what they warm up, and where a history that is told again differs.

use std::sync::Arc;

use cambist_core::{Bar, UnixNanos};

use super::{Engine, REMEMBERED};
use crate::deployment::Deployment;
use crate::error::LiveError;
use crate::mind::Mind;

impl Engine {
    /// Open times of those of `bars` that were seen otherwise.
    #[must_use]
    pub fn differs(&self, bars: &[Bar]) -> Vec<UnixNanos> {
        let own = |bar: &&Bar| {
            let place = self.bars.binary_search_by_key(&bar.open_time, |own| own.open_time);
            place.is_ok_and(|place| self.bars[place] != **bar)
        };
        bars.iter().filter(own).map(|bar| bar.open_time).collect()
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
        if good { Ok(()) } else { Err(LiveError::BadBar { close, bar: Box::new(*bar) }) }
    }

    /// Sees a bar that closed while nobody looked at the account.
    ///
    /// # Errors
    /// As [`Engine::see`].
    pub fn miss(&mut self, bar: &Bar) -> Result<(), LiveError> {
        self.see(bar)?;
        self.results.missed(self.close);
        Ok(())
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
        if self.bars.len() > self.n_needed.max(REMEMBERED) {
            self.bars.pop_front();
        }
        if self.n_looks == 0 {
            self.settled = close;
        }
        (self.close, self.sequence) = (close, 0);
        Ok(())
    }

    /// Refuses a policy that is to be put in, and looks back on bars that are not here: without its features it would want nothing, and
    /// close what is held.
    ///
    /// # Errors
    /// When they are not, and when they will be.
    pub fn sees_enough_for(&self, deployment: &Deployment) -> Result<(), LiveError> {
        let (needed, here) = (deployment.look_back()? + 1, self.bars.len());
        let advice = match needed.checked_sub(here) {
            None | Some(0) => return Ok(()),
            Some(lacking) if needed <= self.n_needed.max(REMEMBERED) => {
                format!("ask again after {lacking} bars")
            }
            Some(_) => "no more are remembered here: begin with it in a journal of its own".to_owned(),
        };
        Err(LiveError::Limit(format!("it looks back {needed} bars, and {here} are here: {advice}")))
    }

    /// `deployment`, having seen the bars there were.
    pub(super) fn warmed(&mut self, deployment: Arc<Deployment>) -> Result<Mind, LiveError> {
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
        let mut mind = Mind::new(deployment)?;
        for bar in &self.bars {
            mind.market.push(&mind.deployment.clone(), bar)?;
        }
        Ok(mind)
    }
}
