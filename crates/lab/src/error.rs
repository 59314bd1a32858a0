//! Whatever can go wrong in an experiment.

use cambist_data::DataError;
use cambist_evaluate::report::ReportError;
use cambist_features::FeatureError;
use cambist_market::MarketError;
use cambist_nets::LearnError;
use cambist_policy::WeightsError;
use cambist_ppo::TrainError;
use cambist_runs::RunError;

use crate::config::ConfigError;

/// An error of an experiment.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A terminal needs a broker.
    #[error("a terminal needs the section [broker]: the short form, [execution], knows no orders")]
    NoBroker,
    /// Live trading.
    #[error(transparent)]
    Live(#[from] cambist_live::LiveError),
    /// A terminal.
    #[error(transparent)]
    Terminal(#[from] cambist_terminal::SetupError),
    /// What is to go wrong on a terminal's line.
    #[error("{}: {reason}; configs/terminal_faults.toml shows every field", path.display())]
    Faults {
        /// The file.
        path: std::path::PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// The config.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The features.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// The environment.
    #[error(transparent)]
    Market(#[from] MarketError),
    /// The trainer.
    #[error(transparent)]
    Train(#[from] TrainError<MarketError>),
    /// A loss or gradient was not finite.
    #[error(
        "update {update}: {reason}. The last good weights are in {kept}; --set ppo.on_not_finite=halve goes back to them and on at half the learning rate"
    )]
    NotFinite {
        /// The update, from 0.
        update: u64,
        /// What was not finite.
        reason: LearnError,
        /// Where the last good weights are.
        kept: String,
    },
    /// Learning.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// Runs and artefacts.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A checkpoint of another config.
    #[error("the checkpoint is of another config: {fields}")]
    OtherConfig {
        /// Fields that differ, with both values.
        fields: String,
    },
    /// Nothing is left to do.
    #[error("{0} is finished: there is nothing to go on with")]
    Finished(String),
    /// A state cannot be kept or gone on from.
    #[error(transparent)]
    State(#[from] cambist_core::StateError),
    /// Trials fail one after the other.
    #[error("{times} trials of {study} failed in a row: the note cambist:error of each says why")]
    TrialsFail {
        /// How many.
        times: u32,
        /// Of which study.
        study: String,
    },
    /// Workers die one after the other.
    #[error("workers died {times} times in a row, the last with {how}: what they said above says why")]
    WorkersDie {
        /// How often.
        times: u32,
        /// How the last ended.
        how: String,
    },
    /// Not a condition.
    #[error("'{0}' is no condition: write FIELD OP VALUE with one of = != > >= < <=, such as sharpe>1")]
    Filter(String),
    /// No run has such a metric.
    #[error("no run has the metric '{metric}'; there are: {known}")]
    NoMetric {
        /// What was asked.
        metric: String,
        /// Those there are.
        known: String,
    },
    /// Sealed rows are opened by somebody, for something.
    #[error("say who opens the sealed rows, and why: --who and --why")]
    NoReason,
    /// A run is of one study.
    #[error("the run was chosen in the study '{own}', so '{named}' cannot be counted in its place")]
    OtherStudy {
        /// What its config says.
        own: String,
        /// What was asked for.
        named: String,
    },
    /// None of a study's trials is this run.
    #[error("none of the trials of study '{study}' has the parameters of this run: it was not chosen there")]
    NoSuchTrial {
        /// The study.
        study: String,
    },
    /// A gate that makes no sense.
    #[error("{}: {reason}", path.display())]
    Gate {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No promotion.
    #[error("there is no promotion of '{0}', or it could be one of several: give the whole name")]
    NotPromoted(String),
    /// A promotion that does not hold.
    #[error("the promotion does not hold: {0}")]
    Promotion(#[from] cambist_runs::promotion::PromotionError),
    /// A study that another program made.
    #[error("the study '{0}' was not made by cambist sweep: its workers would not know what to train")]
    ForeignStudy(String),
    /// A search.
    #[error(transparent)]
    Search(#[from] cambist_search::SearchError),
    /// Weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Reports.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The kernels asked for are not there.
    #[error(transparent)]
    Kernel(#[from] cambist_policy::kernels::KernelError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] cambist_store::FileError),
    /// No regimes asked for.
    #[error("the config asks for no regimes: set regime.kind to rules, hmm or changes")]
    NoRegime,
    /// A sweep that cannot be.
    #[error(transparent)]
    Sweep(#[from] crate::sweep::SweepError),
    /// A regime model.
    #[error(transparent)]
    Regime(#[from] cambist_regime::RegimeError),
    /// Bars that a broker's terms do not fit.
    #[error(transparent)]
    Feed(#[from] cambist_execution::FeedError),
    /// A series beside the bars cannot be used.
    #[error("{}{}: {reason}", path.display(), if *line > 0 { format!(", line {line}") } else { String::new() })]
    Series {
        /// The file.
        path: std::path::PathBuf,
        /// The line, from 1; 0 for the whole file.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// No conversion rate.
    #[error(
        "there is no rate of {symbol} in the ten days before {time}: import its bars, or give broker.conversion_rate"
    )]
    NoRate {
        /// The data set.
        symbol: String,
        /// The bar that needs it.
        time: String,
    },
    /// A volume that is not one of the instrument's.
    #[error(transparent)]
    Rim(#[from] cambist_execution::RimError),
    /// An order the broker does not take.
    #[error("the broker refuses the order: {0}")]
    Refused(#[from] cambist_execution::Refused),
    /// Not a size.
    #[error("--lots {0}: write a positive number")]
    Lots(String),
    /// Not a time.
    #[error("'{0}' is not a time: write one such as 2023-03-05T14:00")]
    Time(String),
    /// After the last bar.
    #[error("there is no bar at or after {at}: the data end at {last}")]
    NoBar {
        /// What was asked.
        at: String,
        /// Where they end.
        last: String,
    },
    /// A bar too thin for the smallest order.
    #[error(
        "rule 9: the share of the volume of the bar at {at} that an order may take is less than a lot step, so nothing fills"
    )]
    NothingFilled {
        /// The bar.
        at: String,
    },
    /// A value cannot be written as JSON.
    #[error("cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A chart cannot be drawn.
    #[error(transparent)]
    Chart(#[from] cambist_evaluate::chart::ChartError),
    /// The environment breaks the contract.
    #[error(transparent)]
    Contract(#[from] cambist_core::check::EnvFault),
    /// A window without bars.
    #[error(
        "the {window} window, {span}, holds {n_bars} bars of the data, which reach from {first} to {last}: move windows.{field}"
    )]
    EmptyWindow {
        /// Train, validation, test or sealed.
        window: &'static str,
        /// Its dates.
        span: String,
        /// Bars inside.
        n_bars: usize,
        /// First bar there is.
        first: String,
        /// Last bar there is.
        last: String,
        /// The field to move.
        field: &'static str,
    },
    /// An artefact that does not fit what it is used with.
    #[error("the artefact's {field} is {artefact}, here it is {here}: they must be the same")]
    Mismatch {
        /// Which field.
        field: &'static str,
        /// The artefact's.
        artefact: String,
        /// What is here.
        here: String,
    },
    /// A field that no run has.
    #[error(
        "none of the {n} runs has a field '{field}': write name, experiment, market, status, seed, a metric such as sharpe, or a field of the config such as ppo.gamma"
    )]
    UnknownField {
        /// What was written.
        field: String,
        /// Runs there are.
        n: usize,
    },
    /// A run of another kind.
    #[error("{run} is not of that kind: go on with `cambist {command} --resume {run}`")]
    OtherKind {
        /// The run.
        run: String,
        /// What goes on with it.
        command: &'static str,
    },
    /// Members that cannot act as one.
    #[error("these members make no ensemble: {reason}")]
    Ensemble {
        /// Why.
        reason: String,
    },
    /// Sealed rows were asked for that do not exist.
    #[error("nothing is sealed: windows.sealed_from is empty, and `cambist data seal` was not used")]
    NothingSealed,
    /// An unknown window.
    #[error(
        "there is no window '{0}': choose train, validation or test; sealed rows are for `cambist unseal`"
    )]
    UnknownWindow(String),
}
