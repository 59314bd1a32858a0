//! `cambist backtest`.

use cambist_core::UnixNanos;
use cambist_core::clock::{Clock, SystemClock};
use cambist_lab::sweep::{self, Axis, RuleKind, Sort, Subject, Sweep, SweepRequest};
use cambist_lab::{LabError, Layers};

use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{BacktestArgs, MachineArgs};
use crate::{output, table};

pub(crate) fn run(args: &BacktestArgs, machine: &MachineArgs) -> anyhow::Result<()> {
    let layers = Layers::read(args.config.as_deref(), &args.set)?;
    let time = |text: &Option<String>| -> anyhow::Result<Option<UnixNanos>> {
        let parse = |text: &String| UnixNanos::parse(text).ok_or_else(|| LabError::Time(text.clone()));
        Ok(text.as_ref().map(parse).transpose()?)
    };
    let sort: Sort = args.sort.parse()?;
    let request = SweepRequest {
        subject: match (&args.rule, &args.run) {
            (_, Some(run)) => Subject::Policy(Box::new(cambist_lab::run::find(&machine.machine(), run)?)),
            (rule, None) => {
                let kind = RuleKind::named(rule.as_deref().unwrap_or(""))?;
                Subject::Rule { kind, long_only: args.long_only }
            }
        },
        axes: args.grid.iter().map(|text| text.parse()).collect::<Result<Vec<Axis>, _>>()?,
        from: time(&args.from)?,
        until: time(&args.until)?,
        by_environment: args.by_environment,
        sort,
    };
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new(0) };
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} combinations, {eta}")?);
    let clock = SystemClock::start();
    let progress = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let done = sweep::sweep(&layers, &request, &machine.machine(), &progress)?;
    bar.finish_and_clear();
    let seconds = clock.elapsed().as_secs_f64();
    if args.json {
        json(&done)?
    } else {
        text(&done, args.top, seconds)
    }
    if let Some(folder) = &args.out {
        for file in sweep::write(&done, sort, folder)? {
            output::line(&format!("{}", file.display()));
        }
    }
    Ok(())
}

fn json(sweep: &Sweep) -> anyhow::Result<()> {
    let head = sweep.head();
    for at in 0..sweep.outcomes.len() {
        let number =
            |text: String| text.parse::<f64>().map_or(serde_json::Value::String(text.clone()), Into::into);
        let row: serde_json::Map<String, serde_json::Value> =
            head.iter().cloned().zip(sweep.cells(at).into_iter().map(number)).collect();
        output::line(&serde_json::to_string(&row)?);
    }
    Ok(())
}

fn text(sweep: &Sweep, top: usize, seconds: f64) {
    let rows: Vec<Vec<String>> = sweep.ranking.iter().take(top).map(|&at| sweep.shown(at)).collect();
    output::line(&table::text(&sweep.head(), &rows));
    let n = sweep.outcomes.len();
    if !sweep.fast && sweep.is_rule {
        output::line(
            "A rule takes any target at once the equity: sizes, stops and limits of the config are a policy's.",
        );
    }
    let how = if sweep.fast { "by the fast path" } else { "through the environment" };
    let left = match sweep.grid.left_out {
        0 => String::new(),
        n => format!(", {n} left out because they make no sense"),
    };
    output::line(&format!(
        "{n} combinations{left}, {} bars, {}, {how}, {seconds:.2} s with reading the data. The best of many looks better \
         than it is.",
        sweep.n_bars, sweep.span
    ));
    if !sweep.seen.is_empty() {
        output::line(&format!(
            "The policy had seen some of these bars in {}: what it earned there proves nothing.",
            sweep.seen
        ));
    }
}
