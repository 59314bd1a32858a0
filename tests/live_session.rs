//! What a live loop does when a broker answers badly: a venue made of a few rules, each of which a test can break.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]
#![cfg(unix)]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cambist_bridge::{DealRecord, Fill, OrderId, Outcome};
use cambist_core::clock::Clock;
use cambist_core::rng::{Purpose, Stream};
use cambist_core::{Bar, Side, UnixNanos};
use cambist_execution::Holding;
use cambist_live::words::{Command, Decision, Intent, Record, Snapshot};
use cambist_live::{
    Alerts, Broker, Deployment, Feed, Journal, LiveError, Mode, Rules, Session, Settings, Shared, replay,
};

const HOUR: i64 = 3_600_000_000_000;
const BEGUN: i64 = 1_678_406_400_000_000_000;
const TICK: f64 = 0.01;
const STEP: f64 = 0.01;
/// Ticket of a position that cannot be closed.
const FROZEN: u64 = 3;

/// Time that passes when a test says so.
#[derive(Default)]
struct Still(AtomicU64);

impl Still {
    fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for Still {
    fn now(&self) -> UnixNanos {
        UnixNanos(BEGUN)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// How orders end.
#[derive(Clone, Copy, PartialEq)]
enum Answers {
    Fills,
    Refuses,
    /// Carried out, but its stop is not there.
    StripsStops,
    /// Never heard of, and nobody knows.
    Loses,
}

/// A netting account, and what was asked of it.
struct World {
    answers: Answers,
    /// Positions are not shown.
    hides: bool,
    /// There is another position, older, that cannot be closed.
    frozen: bool,
    /// Bars cannot be had.
    away: bool,
    /// Times that somebody began to trade, less those that he ended.
    begun: i64,
    balance: f64,
    steps: i64,
    entry: f64,
    stop: Option<i64>,
    deals: Vec<DealRecord>,
    bars: Vec<Bar>,
    /// Bars that have closed.
    n_closed: usize,
    seconds: i64,
    calls: Vec<&'static str>,
    sent: Vec<Intent>,
}

impl World {
    fn price(&self) -> f64 {
        (self.bars[self.n_closed - 1].close / TICK).round()
    }

    fn now(&self) -> UnixNanos {
        UnixNanos(self.bars[self.n_closed].open_time.0 + self.seconds * 1_000_000_000)
    }

    fn book(&mut self, kind: u32, magic: u64, steps: i64, profit: f64, symbol: &str) -> u64 {
        let ticket = self.deals.len() as u64 + 1;
        self.balance += profit;
        self.deals.push(DealRecord {
            ticket,
            order: ticket,
            symbol: symbol.to_owned(),
            kind,
            entry: 0,
            magic,
            position_id: 1,
            reason: 3,
            volume: steps.abs() as f64 * STEP,
            price: self.price() * TICK,
            commission: 0.0,
            swap: 0.0,
            profit,
            fee: 0.0,
            time_ms: self.now().0 / 1_000_000,
        });
        ticket
    }

    fn fill(&mut self, intent: &Intent) -> Outcome {
        let (price, signed) = (self.price(), intent.signed());
        let closed = if signed * self.steps < 0 { signed.abs().min(self.steps.abs()) } else { 0 };
        let profit = self.steps.signum() as f64 * (price - self.entry) * TICK * closed as f64 * STEP;
        let after = self.steps + signed;
        let opened = signed.abs() - closed;
        if after != 0 && opened > 0 {
            let kept = (self.steps.abs() - closed) as f64;
            self.entry = (self.entry * kept + price * opened as f64) / (kept + opened as f64);
            self.stop = intent.stop_loss.filter(|_| self.answers != Answers::StripsStops);
        }
        let kind = u32::from(intent.side == Side::Sell);
        let deal = self.book(kind, intent.id.bits(), signed, profit, "BTCUSD");
        self.steps = after;
        let volume = intent.steps as f64 * STEP;
        let price = Some(price * TICK);
        Outcome::Confirmed(Fill { order: Some(deal), deals: vec![deal], volume, price, late: false })
    }
}

#[derive(Clone)]
struct Script(Arc<Mutex<World>>);

impl Script {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }
}

impl Feed for Script {
    fn history(&mut self, count: usize) -> Result<Vec<Bar>, LiveError> {
        let world = self.world();
        if world.away {
            return Err(LiveError::Broker("no bars today".to_owned()));
        }
        Ok(world.bars[world.n_closed.saturating_sub(count)..world.n_closed].to_vec())
    }

    fn bars(&mut self, close: UnixNanos, _: Duration) -> Result<Option<Vec<Bar>>, LiveError> {
        let world = self.world();
        let known = world.bars[..world.n_closed].iter();
        Ok(Some(known.filter(|bar| bar.open_time.0 + HOUR > close.0).copied().collect()))
    }

    fn now(&self) -> UnixNanos {
        self.world().now()
    }
}

impl Broker for Script {
    fn account(&self) -> (u64, String) {
        (1, "BTCUSD".to_owned())
    }

    fn snapshot(&mut self, since: UnixNanos) -> Result<Snapshot, LiveError> {
        let world = self.world();
        let shown = !world.hides && world.steps != 0;
        let held = shown.then(|| Holding::told(7, world.steps, world.entry, [world.stop, None], 0.0));
        let older = world.frozen.then(|| Holding::told(FROZEN, 1, 50.0, [None, None], 0.0));
        let price = world.price();
        Ok(Snapshot {
            at: world.now(),
            broker_time: world.now(),
            balance: world.balance,
            holdings: older.into_iter().chain(held).collect(),
            mark: None,
            rate: 1.0,
            quote: [price, price + 3.0],
            under_way: 0,
            deals: world.deals.iter().filter(|deal| deal.time_ms >= since.0 / 1_000_000).cloned().collect(),
            shut: None,
        })
    }

    fn send(&mut self, intent: &Intent) -> Result<Outcome, LiveError> {
        let mut world = self.world();
        world.calls.push("send");
        world.sent.push(intent.clone());
        if intent.closes == Some(FROZEN) {
            return Ok(Outcome::Refused { retcode: Some(10_029), reason: "frozen".to_owned() });
        }
        Ok(match world.answers {
            Answers::Fills | Answers::StripsStops => world.fill(intent),
            Answers::Refuses => Outcome::Refused { retcode: Some(10_006), reason: "not today".to_owned() },
            Answers::Loses => Outcome::Unknown("no answer".to_owned()),
        })
    }

    fn outcome(&mut self, _: OrderId) -> Result<Option<Outcome>, LiveError> {
        self.world().calls.push("outcome");
        Ok(None)
    }

    fn absent_after(&self) -> Duration {
        Duration::from_secs(12)
    }

    fn begin(&mut self) -> Result<(), LiveError> {
        self.world().begun += 1;
        Ok(())
    }

    fn fence(&mut self) -> Result<(), LiveError> {
        self.world().calls.push("fence");
        Ok(())
    }

    fn end(&mut self) -> Result<(), LiveError> {
        self.world().begun -= 1;
        Ok(())
    }

    fn heartbeat(&mut self) -> Result<(), LiveError> {
        Ok(())
    }
}

/// A loop over a script.
struct Stage {
    session: Session<Script>,
    script: Script,
    shared: Arc<Shared>,
    clock: Arc<Still>,
    folder: tempfile::TempDir,
}

impl Stage {
    fn open(rules: Rules) -> Self {
        Self::try_open(rules, |_| ()).unwrap()
    }

    /// Opens a loop in a world that is as `so` makes it; if it does not begin, how often somebody is left who trades.
    fn try_open(rules: Rules, so: impl FnOnce(&mut World)) -> Result<Self, (LiveError, i64)> {
        let folder = tempfile::tempdir().unwrap();
        let run = support::trader(folder.path(), "netting", &[]);
        let (mut stream, mut price) = (Stream::new(1, Purpose::Synthesis, 0), 57.0f64);
        let bars = (0..2000).map(|hour| {
            let open = price;
            price = (price * (1.0 + 0.004 * stream.normal()) / TICK).round() * TICK;
            Bar {
                open_time: UnixNanos(BEGUN + (hour - 1000) * HOUR),
                open,
                high: open.max(price) + 0.1,
                low: open.min(price) - 0.1,
                close: price,
                volume: 100.0,
                spread: 0.03,
                coverage: 1.0,
            }
        });
        let script = Script(Arc::new(Mutex::new(World {
            answers: Answers::Fills,
            hides: false,
            frozen: false,
            away: false,
            begun: 0,
            balance: 10_000.0,
            steps: 0,
            entry: 0.0,
            stop: None,
            deals: Vec::new(),
            bars: bars.collect(),
            n_closed: 1000,
            seconds: 0,
            calls: Vec::new(),
            sent: Vec::new(),
        })));
        so(&mut script.world());
        let clock = Arc::new(Still::default());
        let running: Arc<dyn Clock> = clock.clone();
        let deployment = Arc::new(Deployment::load(&run).unwrap());
        let state = folder.path().join("live");
        std::fs::create_dir_all(&state).unwrap();
        let shared = Shared::new(
            Arc::clone(&deployment),
            Alerts::new(None, Arc::clone(&running), state.clone()),
            state.clone(),
        );
        let settings = Settings { folder: state, mode: "paper", rules, dead_man: None, shadow: None };
        let session = Session::open(settings, deployment, script.clone(), Arc::clone(&shared), running)
            .map_err(|error| (error, script.world().begun))?;
        Ok(Self { session, script, shared, clock, folder })
    }

    /// What the loop says to a command.
    fn ask(&mut self, command: Command) -> Result<(), String> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let (by, why) = ("a test".to_owned(), "because".to_owned());
        let asked = cambist_live::Asked { command, by, why, given_up: Arc::default(), answer };
        self.shared.post(asked).unwrap();
        self.turn();
        answered.recv().unwrap()
    }

    fn turn(&mut self) {
        assert!(self.session.turn().unwrap());
    }

    /// The next bar closes, and is decided on.
    fn bar(&mut self) -> Decision {
        {
            let mut world = self.script.world();
            world.n_closed += 1;
            world.seconds = 0;
        }
        self.turn();
        self.shared.decisions(1).remove(0)
    }

    /// Seconds pass, with a turn after each.
    fn seconds(&mut self, n: i64) {
        for _ in 0..n {
            self.clock.pass(Duration::from_secs(1));
            self.script.world().seconds += 1;
            self.turn();
        }
    }

    fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.script.world().calls)
    }

    fn kill(&mut self, why: &str) {
        std::fs::write(self.folder.path().join("live/KILL"), why).unwrap();
        self.turn();
    }

    /// Bars until something is held.
    fn enter(&mut self) {
        let mut opened = false;
        for _ in 0..20 {
            if !opened {
                self.bar();
                opened = self.script.world().steps != 0;
            }
        }
        assert!(opened, "nothing was opened");
    }

    fn log(&self) -> String {
        let log =
            std::fs::read_dir(self.folder.path().join("live")).unwrap().map(|entry| entry.unwrap().path());
        let texts = log.filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
        texts.map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    /// Everything that was heard is heard again to the same end.
    fn replays(self) {
        let state = self.folder.path().join("live");
        drop(self.session);
        assert_eq!(replay(&state, None).unwrap().differences, []);
    }
}

#[test]
fn an_order_nobody_heard_of_is_shut_out_before_it_is_given_up() {
    let mut stage = Stage::open(Rules::default());
    stage.script.world().answers = Answers::Loses;
    while stage.calls().is_empty() {
        stage.bar();
    }
    let open: Vec<OrderId> = stage.session.engine().unresolved().collect();
    assert_eq!(open.len(), 1);
    // Nothing is decided on top of it, nothing is sent again, and it is not given up before its time.
    assert!(stage.bar().reason.contains("unresolved"));
    stage.seconds(11);
    let calls = stage.calls();
    assert!(calls.iter().all(|call| *call == "outcome") && calls.len() >= 12, "{calls:?}");
    stage.seconds(2);
    let calls = stage.calls();
    let fence = calls.iter().position(|call| *call == "fence").unwrap();
    assert_eq!(calls[fence..], ["fence", "outcome"], "the last look comes after the fence");
    assert_eq!(stage.session.engine().unresolved().count(), 0);
    stage.script.world().answers = Answers::Fills;
    stage.enter();
    let ids: Vec<OrderId> = stage.script.world().sent.iter().map(|intent| intent.id).collect();
    assert_eq!(ids.iter().filter(|id| **id == open[0]).count(), 1, "an order is sent once");
    stage.replays();
}

#[test]
fn closing_that_is_refused_is_tried_ever_more_rarely_and_never_given_up() {
    let mut stage = Stage::open(Rules::default());
    stage.enter();
    stage.script.world().answers = Answers::Refuses;
    stage.calls();
    stage.kill("enough");
    stage.seconds(60);
    let tried = stage.calls().iter().filter(|call| **call == "send").count();
    // After 2, 4, 8, 16 and 30 seconds.
    assert!((5..=7).contains(&tried), "{tried} orders in a minute");
    stage.script.world().answers = Answers::Fills;
    stage.seconds(31);
    assert_eq!(stage.script.world().steps, 0);
    stage.replays();
}

#[test]
fn a_position_that_cannot_be_closed_keeps_no_other_open() {
    let mut stage = Stage::open(Rules::default());
    stage.enter();
    stage.script.world().frozen = true;
    stage.kill("enough");
    stage.seconds(1);
    let world = stage.script.world();
    let last: Vec<Option<u64>> = world.sent.iter().rev().take(2).map(|intent| intent.closes).collect();
    assert_eq!((last, world.steps), (vec![Some(7), Some(FROZEN)], 0));
    drop(world);
    stage.replays();
}

#[test]
fn who_cannot_begin_leaves_nobody_waiting() {
    let (error, trading) = Stage::try_open(Rules::default(), |world| world.away = true).err().unwrap();
    assert!(error.to_string().contains("no bars today") && trading == 0, "{error}, {trading} trade");
    let mut stage = Stage::open(Rules::default());
    assert_eq!(stage.script.world().begun, 1);
    stage.session.end();
    assert_eq!(stage.script.world().begun, 0);
}

#[test]
fn nobody_resumes_while_the_file_that_killed_is_there() {
    let mut stage = Stage::open(Rules::default());
    stage.kill("enough");
    let said = stage.ask(Command::Resume).unwrap_err();
    assert!(said.contains("the file KILL is in") && said.contains("remove it first"), "{said}");
    std::fs::remove_file(stage.folder.path().join("live/KILL")).unwrap();
    stage.ask(Command::Resume).unwrap();
    assert_eq!(stage.session.engine().standing().mode, Mode::Running);
    stage.replays();
}

#[test]
fn money_whose_deal_is_told_late_is_neither_profit_nor_ruin() {
    let limits = Rules { daily_loss: Some(0.05), drawdown: Some(0.05), ..Rules::default() };
    for amount in [5000.0, -9300.0] {
        let mut stage = Stage::open(limits);
        stage.enter();
        // The balance shows it at one look, its deal at the next.
        stage.script.world().balance += amount;
        let decision = stage.bar();
        assert!(decision.intents.iter().all(|intent| intent.reduces), "{decision:?}");
        {
            let mut world = stage.script.world();
            world.balance -= amount;
            world.book(2, 0, 0, amount, "");
        }
        let opens = (0..12).any(|_| stage.bar().intents.iter().any(|intent| !intent.reduces));
        assert!(opens, "after {amount}: {:?}", stage.shared.decisions(12));
        assert_eq!(stage.session.engine().standing().mode, Mode::Running);
        stage.replays();
    }
}

#[test]
fn fills_are_told_whoever_asked_for_them() {
    let mut stage = Stage::open(Rules::default());
    stage.enter();
    stage.kill("enough");
    let told = stage.shared.fills(10);
    let [closed, opened] = &told[..2] else { panic!("{told:?}") };
    assert!(closed.decision.is_none() && opened.decision.is_some(), "{told:?}");
    assert_eq!(closed.steps.signum(), -opened.steps.signum());
    for fill in &told {
        // The script fills at its bid; training reckons with a slippage of one tick.
        let asked = if fill.steps > 0 { 3.0 } else { 0.0 };
        assert!((fill.slippage_ticks + asked).abs() < 1e-6, "{fill:?}");
        let expected = fill.steps.signum() as f64 * TICK;
        assert!((fill.expected - fill.arrival - expected).abs() < 1e-9, "{fill:?}");
    }
}

#[test]
fn one_empty_look_is_no_proof_that_nothing_is_held() {
    let mut stage = Stage::open(Rules::default());
    stage.enter();
    // Positions lag behind: the terminal shows none, and then it does.
    stage.script.world().hides = true;
    stage.kill("enough");
    stage.seconds(1);
    assert!(stage.script.world().steps != 0);
    stage.script.world().hides = false;
    stage.seconds(40);
    assert_eq!(stage.script.world().steps, 0, "it was killed to be flat");
    stage.replays();
}

#[test]
fn a_position_whose_stop_is_gone_is_closed_after_its_grace() {
    let rules = Rules { stop_grace: Some(10.0), ..Rules::default() };
    let mut stage = Stage::open(rules);
    stage.script.world().answers = Answers::StripsStops;
    stage.enter();
    stage.seconds(8);
    assert!(stage.script.world().steps != 0, "within its grace it is left alone");
    stage.seconds(10);
    assert_eq!(stage.script.world().steps, 0);
    assert!(stage.log().contains("stop_missing"), "{}", stage.log());
    stage.replays();
    // One that is there is not closed.
    let mut stage = Stage::open(rules);
    stage.enter();
    stage.seconds(30);
    assert!(stage.script.world().steps != 0);
    stage.replays();
}

#[test]
fn a_withdrawal_is_no_loss_and_a_loss_is() {
    let rules = Rules { daily_loss: Some(0.05), drawdown: Some(0.05), ..Rules::default() };
    let opens = |stage: &mut Stage| (0..12).any(|_| stage.bar().intents.iter().any(|intent| !intent.reduces));
    let mut stage = Stage::open(rules);
    stage.enter();
    // DEAL_TYPE_BALANCE.
    stage.script.world().book(2, 0, 0, -4000.0, "");
    assert!(opens(&mut stage), "{:?}", stage.shared.decisions(3));
    let said: String = stage.shared.decisions(12).into_iter().map(|decision| decision.reason).collect();
    assert!(!said.contains("limits") && !said.contains("disagree"), "{said}");
    stage.replays();
    let mut stage = Stage::open(rules);
    stage.enter();
    stage.script.world().book(0, 0, 1, -4000.0, "OTHER");
    assert!(!opens(&mut stage));
    let said: String = stage.shared.decisions(12).into_iter().map(|decision| decision.reason).collect();
    assert!(said.contains("; limits.d"), "{said}");
    stage.replays();
}

#[test]
fn results_that_leave_the_backtests_band_are_told_once() {
    let told = |stage: &Stage| stage.log().lines().filter(|line| line.contains("\"results\"")).count();
    let mut stage = Stage::open(Rules::default());
    for _ in 0..48 {
        stage.bar();
    }
    let report = stage.shared.results();
    assert!(report.n_days == 1 && report.left.is_none() && told(&stage) == 0, "{report:?}");
    stage.script.world().book(0, 0, 1, -5000.0, "OTHER");
    for _ in 0..72 {
        stage.bar();
    }
    let report = stage.shared.results();
    assert!(report.n_days == 4 && report.left.is_some() && report.level == Some(0.98), "{report:?}");
    assert!(report.log_return < report.low.unwrap() && report.low < report.high, "{report:?}");
    assert_eq!(told(&stage), 1);
    assert!(stage.shared.metrics.text().contains("cambist_results_log_return"));
    stage.replays();
}

#[test]
fn who_was_told_that_more_did_not_happen_is_not_obeyed_later() {
    let mut stage = Stage::open(Rules::default());
    let given_up = |given_up: bool, command: Command| {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let asked = cambist_live::Asked {
            command,
            by: "a test".to_owned(),
            why: "it took too long".to_owned(),
            given_up: Arc::new(given_up.into()),
            answer,
        };
        (asked, answered)
    };
    let (pause, paused) = given_up(true, Command::Pause);
    stage.shared.post(pause).unwrap();
    stage.turn();
    assert!(paused.recv().unwrap().is_ok(), "less is done, however late");
    let (resume, resumed) = given_up(true, Command::Resume);
    stage.shared.post(resume).unwrap();
    stage.turn();
    assert!(resumed.recv().is_err());
    assert!(matches!(stage.session.engine().standing().mode, Mode::Paused { .. }));
    let mut commands = 0;
    Journal::read(&stage.folder.path().join("live"), |kept| {
        commands += usize::from(matches!(kept.record, Record::Commanded { .. }));
        Ok(())
    })
    .unwrap();
    assert_eq!(commands, 1);
    stage.replays();
}
