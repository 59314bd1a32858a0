//! The sections of a config, one function each: what they must be, and what they become.

use cambist_core::{BasisPoints, InstrumentId, Timeframe, UnixNanos};
use cambist_data::synth::{GeometricBrownian, HestonJumps, OrnsteinUhlenbeck, SynthKind, SynthRequest};
use cambist_decide::{ActionKind, DecisionRules, Sizing};
use cambist_execution::{CostModel, EngineRules};
use cambist_regime::{Labeller, RegimeKind, RegimeRequest};
use cambist_risk::Limits;

use super::network::check_network;
use super::raw::{self, RawConfig};
use super::validate::{DataSource, ExecutionSetup};
use super::{ConfigError, broker};

pub(super) fn refuse<T>(
    field: &'static str,
    value: impl ToString,
    expected: impl ToString,
) -> Result<T, ConfigError> {
    Err(ConfigError::Value { field, value: value.to_string(), expected: expected.to_string() })
}

pub(super) fn require(
    good: bool,
    field: &'static str,
    value: impl ToString,
    expected: impl ToString,
) -> Result<(), ConfigError> {
    if good { Ok(()) } else { refuse(field, value, expected) }
}

pub(super) fn date(field: &'static str, text: &str) -> Result<Option<UnixNanos>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    match UnixNanos::parse(text) {
        Some(at) => Ok(Some(at)),
        None => refuse(field, format!("'{text}'"), "a date such as 2022-01-01"),
    }
}

pub(super) fn needed_date(field: &'static str, text: &str) -> Result<UnixNanos, ConfigError> {
    match date(field, text)? {
        Some(at) => Ok(at),
        None => refuse(field, "empty", "a date such as 2022-01-01"),
    }
}

pub(super) fn timeframe(field: &'static str, text: &str) -> Result<Timeframe, ConfigError> {
    text.parse().or_else(|e: cambist_core::time::TimeframeError| refuse(field, format!("'{text}'"), e))
}

pub(super) fn source(raw: &RawConfig, target: Timeframe) -> Result<DataSource, ConfigError> {
    let data = &raw.data;
    let symbol = InstrumentId(data.symbol.clone());
    require(!data.symbol.is_empty(), "data.symbol", "empty", "a name such as BTCUSDT")?;
    match data.source {
        raw::Source::Store => {
            let stored = match data.stored_timeframe.as_str() {
                "" => target,
                text => timeframe("data.stored_timeframe", text)?,
            };
            let fits = target.is_multiple_of(stored);
            require(
                fits,
                "data.stored_timeframe",
                stored,
                format!("a whole part of data.timeframe, {target}"),
            )?;
            let venue = (!data.venue.is_empty()).then(|| data.venue.clone());
            Ok(DataSource::Store { symbol, venue, stored })
        }
        raw::Source::Synthetic => {
            require(data.n_bars > 0, "data.n_bars", data.n_bars, "at least 1 for a synthetic market")?;
            let kind = match data.kind {
                raw::Kind::Gbm => {
                    SynthKind::GeometricBrownian(GeometricBrownian { drift: 0.0, volatility: 0.6 })
                }
                raw::Kind::Ou => {
                    SynthKind::OrnsteinUhlenbeck(OrnsteinUhlenbeck { speed: 50.0, volatility: 0.6 })
                }
                raw::Kind::Heston => SynthKind::HestonJumps(HestonJumps::default()),
                raw::Kind::Regime => SynthKind::RegimeSwitching,
            };
            Ok(DataSource::Synthetic(SynthRequest {
                kind,
                instrument: symbol,
                timeframe: target,
                n_bars: data.n_bars,
                start: needed_date("data.start", &data.start)?,
                price: 100.0,
                seed: data.seed,
            }))
        }
    }
}

pub(super) fn execution(raw: &RawConfig) -> Result<ExecutionSetup, ConfigError> {
    match (&raw.execution, &raw.broker) {
        (Some(short), None) => Ok(ExecutionSetup::Short(engine(short)?)),
        (None, Some(full)) => Ok(ExecutionSetup::Broker(Box::new(broker::setup(full)?))),
        (None, None) => Err(ConfigError::Execution { found: "nothing says what trading costs" }),
        (Some(_), Some(_)) => {
            Err(ConfigError::Execution { found: "[execution] and [broker] are both there" })
        }
    }
}

fn engine(e: &raw::RawExecution) -> Result<EngineRules, ConfigError> {
    for (field, value) in [
        ("execution.commission_bp", e.commission_bp),
        ("execution.half_spread_bp", e.half_spread_bp),
        ("execution.slippage_bp", e.slippage_bp),
        ("execution.borrow_rate", e.borrow_rate),
    ] {
        require(value.is_finite() && (0.0..5000.0).contains(&value), field, value, "from 0 to 5000")?;
    }
    let cash = e.initial_cash;
    require((1e-6..=1e15).contains(&cash), "execution.initial_cash", cash, "from 1e-6 to 1e15")?;
    let ruin = e.ruin_fraction;
    require((0.0..1.0).contains(&ruin), "execution.ruin_fraction", ruin, "at least 0 and less than 1")?;
    Ok(EngineRules {
        costs: CostModel {
            commission: BasisPoints(e.commission_bp),
            half_spread: BasisPoints(e.half_spread_bp),
            slippage: BasisPoints(e.slippage_bp),
            borrow_rate: e.borrow_rate,
        },
        margin: e.margin,
        ruin_fraction: ruin,
    })
}

pub(super) fn decision(raw: &RawConfig, execution: &ExecutionSetup) -> Result<DecisionRules, ConfigError> {
    let d = &raw.decision;
    let window = raw.features.window;
    require((1..=4096).contains(&window), "features.window", window, "from 1 to 4096")?;
    require(
        (0.0..2.0).contains(&d.dead_band),
        "decision.dead_band",
        d.dead_band,
        "at least 0 and less than 2",
    )?;
    let trades = d.action != raw::Action::Discrete || d.dead_band < 1.0;
    require(
        trades,
        "decision.dead_band",
        d.dead_band,
        "less than 1 for discrete actions, or nothing is ever traded",
    )?;
    require(d.leverage.is_finite() && d.leverage > 0.0, "decision.leverage", d.leverage, "positive")?;
    let (leverage, max, one_way_cost) = match (execution, &raw.execution, &raw.broker) {
        (ExecutionSetup::Short(engine), Some(short), _) => {
            let max = short.max_exposure;
            require(
                max.is_finite() && max >= d.leverage,
                "execution.max_exposure",
                max,
                "at least decision.leverage",
            )?;
            let borrows = d.leverage > 1.0 && !short.margin;
            require(!borrows, "decision.leverage", d.leverage, "at most 1 while execution.margin is false")?;
            (d.leverage, max, engine.costs.one_way())
        }
        (ExecutionSetup::Broker(setup), _, Some(full)) => {
            require(d.leverage == 1.0, "decision.leverage", d.leverage, "left out: broker.size says it")?;
            // The costs of a broker are reckoned with where its ticket is sized.
            (setup.sizing.most().unwrap_or(1.0), full.max_exposure, 0.0)
        }
        _ => return Err(ConfigError::Execution { found: "nothing says what trading costs" }),
    };
    Ok(DecisionRules {
        action: match d.action {
            raw::Action::Discrete => ActionKind::Discrete,
            raw::Action::Continuous => ActionKind::Continuous,
            raw::Action::Band => ActionKind::Band,
        },
        dead_band: d.dead_band,
        long_only: d.long_only,
        sizing: Sizing::EquityFraction,
        leverage,
        one_way_cost,
        limits: Limits { max_exposure: max },
        window: raw.features.window,
        flat_when_blind: true,
    })
}

pub(super) fn regime(raw: &RawConfig, bars: Timeframe) -> Result<Option<RegimeRequest>, ConfigError> {
    let r = &raw.regime;
    let kind = match r.kind {
        raw::RegimeName::None => return Ok(None),
        raw::RegimeName::Rules => RegimeKind::Rules,
        raw::RegimeName::Hmm => RegimeKind::Hmm,
        raw::RegimeName::Changes => RegimeKind::Changes,
    };
    let request = RegimeRequest {
        kind,
        timeframe: match r.timeframe.as_str() {
            "" => bars,
            text => timeframe("regime.timeframe", text)?,
        },
        n_states: r.n_states,
        n_restarts: r.n_restarts,
        seed: r.seed,
        n_bars: r.n_bars,
        trend_t: r.trend_t,
        hysteresis: r.hysteresis,
        mean_run: r.mean_run,
        recent: r.recent,
        labeller: Labeller { enter: r.enter, dwell: r.dwell },
    };
    request.validate(bars).map_err(ConfigError::Regime)?;
    Ok(Some(request))
}

pub(super) fn check_ppo(raw: &RawConfig) -> Result<(), ConfigError> {
    let p = &raw.ppo;
    for (field, value) in [
        ("ppo.total_steps", p.total_steps),
        ("ppo.n_envs", p.n_envs as u64),
        ("ppo.horizon", p.horizon as u64),
        ("ppo.n_epochs", p.n_epochs as u64),
        ("ppo.minibatch_size", p.minibatch_size as u64),
        ("ppo.validate_every", p.validate_every),
    ] {
        require(value > 0, field, value, "at least 1")?;
    }
    let rows = p.n_envs * p.horizon;
    let divides = rows.is_multiple_of(p.minibatch_size);
    require(
        divides,
        "ppo.minibatch_size",
        p.minibatch_size,
        format!("a divisor of ppo.n_envs x ppo.horizon, {rows}"),
    )?;
    let whole = p.path_group > 0 && p.n_envs.is_multiple_of(p.path_group);
    require(whole, "ppo.path_group", p.path_group, format!("a divisor of ppo.n_envs, {}", p.n_envs))?;
    check_network(raw)?;
    if matches!(raw.network.trunk, raw::Trunk::Gru | raw::Trunk::Lstm) {
        let most = p.horizon;
        require(p.burn_in <= most, "ppo.burn_in", p.burn_in, format!("at most ppo.horizon, {most}"))?;
        let length = p.sequence_length;
        require(
            length > 0 && p.horizon.is_multiple_of(length),
            "ppo.sequence_length",
            length,
            format!("a divisor of ppo.horizon, {}", p.horizon),
        )?;
        require(
            p.minibatch_size.is_multiple_of(length),
            "ppo.minibatch_size",
            p.minibatch_size,
            format!("a multiple of ppo.sequence_length, {length}: a minibatch holds whole sequences"),
        )?;
    }
    for (field, value) in [("ppo.gamma", p.gamma), ("ppo.gae_lambda", p.gae_lambda)] {
        require((0.0..=1.0).contains(&value), field, value, "from 0 to 1")?;
    }
    for (field, value) in [
        ("ppo.clip_range", p.clip_range),
        ("ppo.learning_rate", p.learning_rate),
        ("ppo.max_grad_norm", p.max_grad_norm),
    ] {
        require(value.is_finite() && value > 0.0, field, value, "positive")?;
    }
    for (field, value) in [
        ("ppo.clip_range_value", p.clip_range_value),
        ("ppo.value_coefficient", p.value_coefficient),
        ("ppo.entropy_coefficient", p.entropy_coefficient),
        ("ppo.target_kl", p.target_kl),
    ] {
        require(value.is_finite() && value >= 0.0, field, value, "zero or more")?;
    }
    let hidden = &raw.network.hidden;
    require(
        hidden.iter().all(|&w| (1..=8192).contains(&w)),
        "network.hidden",
        format!("{hidden:?}"),
        "widths from 1 to 8192",
    )
}

/// Numbers so large that they can only be a slip, and would overflow.
pub(super) fn bounded(raw: &RawConfig) -> Result<(), ConfigError> {
    let name = &raw.run.name;
    let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0', '\n']);
    require(is_name, "run.name", format!("'{name}'"), "the name of a folder, without slashes")?;
    let (windows, walk, ppo) = (&raw.windows, &raw.walk_forward, &raw.ppo);
    for (field, value, most) in [
        ("windows.purge_bars", u64::from(windows.purge_bars), 1_000_000),
        ("walk_forward.n_folds", walk.n_folds as u64, 1000),
        ("walk_forward.test_days", u64::from(walk.test_days), 36_500),
        ("walk_forward.validation_days", u64::from(walk.validation_days), 36_500),
        ("walk_forward.train_days", u64::from(walk.train_days), 36_500),
        ("walk_forward.embargo_bars", u64::from(walk.embargo_bars), 1_000_000),
        ("cross_validation.n_groups", raw.cross_validation.n_groups as u64, 32),
        ("cross_validation.n_test_groups", raw.cross_validation.n_test_groups as u64, 31),
        ("cross_validation.embargo_bars", u64::from(raw.cross_validation.embargo_bars), 1_000_000),
        ("ppo.n_envs", ppo.n_envs as u64, 1 << 20),
        ("ppo.horizon", ppo.horizon as u64, 1 << 20),
        ("ppo.n_epochs", ppo.n_epochs as u64, 1000),
        ("ppo.total_steps", ppo.total_steps, 1_000_000_000_000_000),
        ("data.n_bars", raw.data.n_bars as u64, 100_000_000),
        ("episode.n_steps", raw.episode.n_steps as u64, 100_000_000),
    ] {
        require(value <= most, field, value, format!("at most {most}"))?;
    }
    let rows = ppo.n_envs * ppo.horizon;
    require(
        rows <= 1 << 28,
        "ppo.horizon",
        ppo.horizon,
        format!("so small that n_envs x horizon, {rows}, is at most 2^28"),
    )
}
