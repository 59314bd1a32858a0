//! Members side by side, what they take from each other, and ensembles: as a population's policy, from chosen runs, and everywhere a
//! policy goes.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]
#![cfg(unix)]

mod support;

use std::path::{Path, PathBuf};

use cambist_lab::artefact::Artefact;
use cambist_policy::{PolicySpec, TrainedPolicy};
use serde_json::Value;
use support::{OPEN_GATE, cambist, refused, text, works};

const SMALL: &str = include_str!("fixtures/small.toml");

/// A folder with the small config, whose regimes are known but not shown.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!("{SMALL}\n[regime]\nkind = \"hmm\"\nobserve = false\n");
    std::fs::write(folder.path().join("small.toml"), config).unwrap();
    folder
}

/// Trains with `sets` and further arguments; returns the run's folder.
fn train(folder: &Path, sets: &[&str], more: &[&str]) -> PathBuf {
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let said = works(folder, &[&["train", "small.toml", "--json"], more, &sets].concat());
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    folder.join(last["folder"].as_str().unwrap())
}

fn artefact(run: &Path) -> (Artefact, TrainedPolicy, String) {
    Artefact::load_from(&run.join("artefact")).unwrap()
}

fn report(run: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(run.join("report.json")).unwrap()).unwrap()
}

fn name(run: &Path) -> &str {
    run.file_name().unwrap().to_str().unwrap()
}

/// Every member of a population is the run it would have been alone; an ensemble of those runs is the population's policy.
#[test]
fn a_population_is_its_members_and_an_ensemble_of_runs_is_a_population() {
    let folder = folder();
    let path = folder.path();
    let rules = ["ensemble.disagreement=0.5"];
    let together = train(path, &[&rules[..], &["population.size=3"]].concat(), &["--threads", "2"]);
    let (population, policy, hash) = artefact(&together);
    let one = train(path, &[&rules[..], &["population.size=3"]].concat(), &["--threads", "1"]);
    assert_eq!(hash, artefact(&one).2, "threads change nothing");
    let seeds = ["run.seed=1", "run.seed=2", "run.seed=3"];
    let alone: Vec<PathBuf> = seeds.iter().map(|seed| train(path, &[seed], &[])).collect();
    for (index, run) in alone.iter().enumerate() {
        let (own, network, _) = artefact(run);
        assert_eq!(network.networks()[0], policy.networks()[index]);
        let (own, member) = (&own.members[0], &population.members[index]);
        assert_eq!((&own.looks, &own.months), (&member.looks, &member.months));
        assert_eq!(own.looks.len(), 4, "after updates 15, 30, 45 and 60");
        assert_eq!(
            own.months.iter().map(|m| m.month.as_str()).collect::<Vec<_>>(),
            ["2020-12", "2021-01", "2021-02"]
        );
        // Months are what the validation account made; the best look chose the weights.
        let best = own.looks.iter().max_by(|a, b| a.score.total_cmp(&b.score)).unwrap();
        assert_eq!(best.update, own.chosen_update);
        assert!((best.sharpe - own.ratings[0].sharpe).abs() < 1e-9);
    }

    let runs: Vec<&str> = alone.iter().map(|run| name(run)).collect();
    let how = ["--disagreement", "0.5", "--name", "chosen"];
    let said = works(path, &[&["ensemble"], &runs[..], &how].concat());
    assert!(said.contains("validation Sharpe") && said.contains(runs[2]), "{said}");
    let mut chosen = std::fs::read_dir(path.join("runs")).unwrap().map(|e| e.unwrap().path());
    let chosen = chosen.find(|p| name(p).ends_with("-chosen")).unwrap();
    let (made, from_runs, _) = artefact(&chosen);
    assert_eq!(from_runs, policy);
    assert_eq!(report(&chosen)["tracks"][0], report(&together)["tracks"][0], "the same account, bar by bar");
    assert_eq!(made.steps, 3 * artefact(&alone[0]).0.steps);
    let listed = works(path, &["runs", "list"]);
    assert!(listed.contains(name(&chosen)) && listed.contains("ensemble"), "{listed}");

    let how = ["--combination", "weighted", "--by-regime", "--name", "weighted", "--json"];
    let said: Value = serde_json::from_str(&works(path, &[&["ensemble"], &runs[..], &how].concat())).unwrap();
    let weighted = path.join(said["folder"].as_str().unwrap());
    let (content, ..) = artefact(&weighted);
    let PolicySpec::Ensemble(spec) = &content.policy else { panic!("no ensemble") };
    assert_eq!((spec.members.len(), spec.weights.len()), (3, 3), "on the whole, and two regimes");
    let ratings = &content.members[0].ratings;
    assert_ne!(ratings[1].sharpe, ratings[2].sharpe, "a regime is not another");
    assert!(ratings[1].standard_error > ratings[0].standard_error, "and fewer bars say less");
    assert!(content.members.iter().all(|m| m.ratings[0].expected > 0.0 || m.ratings[0].weight == 0.0));

    an_ensemble_goes_everywhere(path, &chosen);
    ensembles_that_are_none(path, &alone, &together, &chosen);
}

/// Evaluation, parts, grids, promotion.
fn an_ensemble_goes_everywhere(path: &Path, run: &Path) {
    let own = name(run);
    let before = report(run)["tracks"][0].clone();
    works(path, &["evaluate", own]);
    assert_eq!(report(run)["tracks"][0], before, "evaluated again");
    works(path, &["evaluate", own, "--window", "validation"]);
    let said = works(path, &["evaluate", own, "--by", "member", "--stress"]);
    assert!(said.contains("together") && said.contains("costs doubled"), "{said}");
    assert!(works(path, &["evaluate", own, "--by", "regime"]).contains("bars"));
    let kept: Value =
        serde_json::from_str(&std::fs::read_to_string(run.join("by-member.json")).unwrap()).unwrap();
    assert_eq!(kept["test"].as_array().unwrap().len(), 4);
    let grid = works(path, &["backtest", "--run", own, "--grid", "execution.commission_bp=0,3,30", "--json"]);
    let rows: Vec<Value> = grid.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let test = report(run)["judgement"]["scores"][0]["total_return"].as_f64().unwrap();
    assert!(
        (rows[1]["return"].as_f64().unwrap() - test).abs() < 1e-12,
        "as configured, it is the test: {rows:?}"
    );
    assert!(rows[0]["costs"].as_f64() < rows[2]["costs"].as_f64());
    std::fs::write(path.join("open.toml"), OPEN_GATE).unwrap();
    // It was chosen in no study, so one gate cannot be met; all others are looked at.
    let output = cambist(path, &["promote", own, "--gate", "open.toml"]).output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(
        said.contains("trained anew under 1 other seeds") && said.contains("each trained anew"),
        "{said}"
    );
}

fn ensembles_that_are_none(path: &Path, alone: &[PathBuf], population: &Path, chosen: &Path) {
    let first = name(&alone[0]);
    let no = |args: &[&str]| refused(path, &[&["ensemble"], args].concat());
    assert!(no(&[first]).contains("two at least"));
    assert!(no(&[first, first]).contains("hold the same policy"));
    assert!(no(&[first, "nobody"]).contains("nobody"));
    let second = name(&alone[1]);
    assert!(no(&[name(population), second]).contains("would vote twice"), "its second member");
    let both = ["--disagreement", "0.5", "--set", "ensemble.disagreement=0.0"];
    assert!(no(&[&[first, second], &both[..]].concat()).contains("write one of them"));
    assert!(no(&[first, second, "--disagreement", "-1"]).contains("from 0 to 100"));
    assert!(no(&[first, second, "--name", ""]).contains("run.name is ''"));
    assert!(no(&[first, second, "--set", "ppo.gamma=0.5"]).contains("what its members were trained with"));
    assert!(no(&[first, second, "--shrinkage", "2"]).contains("ensemble.shrinkage is 2"));
    assert!(no(&[first, second, "--set", "ensemble.by_regime=true"]).contains("ensemble.by_regime"));
    for (set, field) in [
        ("windows.validation_until=\"2021-02-01\"", "windows"),
        ("features.columns=[\"return(1)\"]", "observation"),
        ("decision.dead_band=0.3", "decision rules"),
        ("execution.commission_bp=4.0", "costs and account"),
    ] {
        let other = train(path, &[set, "ppo.total_steps=2048"], &[]);
        let said = no(&[first, name(&other)]);
        assert!(said.contains(&format!("{} differ in their {field}", name(&other))), "{said}");
    }
    // Members of ensembles join one by one, with other networks too; nothing of an ensemble is lost by going through another.
    let wider = train(
        path,
        &["network.hidden=[8]", "network.trunk=\"gru\"", "network.trunk_width=4", "ppo.total_steps=8192"],
        &[],
    );
    let said =
        works(path, &["ensemble", name(population), name(&wider), "--combination", "majority", "--json"]);
    let made: Value = serde_json::from_str(&said).unwrap();
    let (made, policy, _) = artefact(&path.join(made["folder"].as_str().unwrap()));
    assert_eq!(policy.networks().len(), 4);
    assert!(made.members[0].name.ends_with("seed 1"), "{}", made.members[0].name);
    assert_eq!(made.members[1].chosen.as_ref().unwrap().config.run.seed, 2);
    assert!(no(&[name(chosen), name(chosen)]).contains("hold the same policy"));
}

/// The worst copy the best, say so, and the same whatever the threads and wherever it was interrupted.
#[test]
fn members_exchange_what_they_learned() {
    let folder = folder();
    let path = folder.path();
    let sets = ["population.size=4", "population.exchange_every=15", "ppo.entropy_coefficient=0.02"];
    let run = train(path, &sets, &["--threads", "2"]);
    let (content, _, hash) = artefact(&run);
    assert_eq!(hash, artefact(&train(path, &sets, &["--threads", "1"])).2);
    let inherited: Vec<(usize, u64, usize)> = content
        .members
        .iter()
        .enumerate()
        .flat_map(|(index, m)| m.inherited.iter().map(move |i| (index, i.update, i.from)))
        .collect();
    // One of four, after updates 15, 30 and 45; after the last there is nobody to learn from it.
    assert_eq!(inherited.len(), 3, "{inherited:?}");
    for (to, update, from) in inherited {
        let at = |member: usize| {
            content.members[member].looks.iter().find(|look| look.update == update).unwrap().score
        };
        let scores: Vec<f64> = (0..4).map(at).collect();
        assert!(scores.iter().all(|s| at(to) <= *s) && scores.iter().all(|s| at(from) >= *s), "{scores:?}");
    }
    let scalars = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(scalars.contains("member/03/validation_sharpe") && scalars.contains("/inherited_from"));
    // They are one policy: apart, nobody could train them anew.
    let other = train(path, &["run.seed=9", "ppo.total_steps=2048"], &[]);
    assert!(refused(path, &["ensemble", name(&run), name(&other)]).contains("learned from each other"));
    // Members that begin alike and never exchange are another policy.
    assert_ne!(hash, artefact(&train(path, &["population.size=4", "ppo.entropy_coefficient=0.02"], &[])).2);

    let set_all: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    for (set, wanted) in [
        ("population.exchange_every=7", "a multiple of ppo.validate_every"),
        ("population.exchange_share=0.6", "at most 0.5"),
        ("population.size=0", "from 1 to 1024"),
        ("population.explore=[]", "a setting at least"),
        ("ensemble.disagreement=-1.0", "from 0 to 100"),
        ("ppo.entropy_coefficient=0.0", "a factor changes no zero"),
    ] {
        let said = refused(path, &[&["train", "small.toml"], &set_all[..], &["--set", set]].concat());
        assert!(said.contains(wanted), "{set}: {said}");
    }
    let alone = ["--set", "population.exchange_every=15"];
    assert!(
        refused(path, &[&["train", "small.toml"], &alone[..]].concat())
            .contains("where population.size is 1")
    );
}

/// A population in a sweep, under several seeds, and with one member that loses its numbers.
#[test]
fn a_population_is_trained_wherever_a_policy_is() {
    let folder = folder();
    let path = folder.path();
    let args = ["train", "small.toml", "--quiet", "--seeds", "2", "--set", "population.size=2"];
    works(path, &[&args[..], &["--set", "ppo.total_steps=8192"]].concat());
    let mut seeds: Vec<u64> = std::fs::read_dir(path.join("runs"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.join("artefact").is_dir())
        .flat_map(|p| artefact(&p).0.members.into_iter().map(|m| m.seed))
        .collect();
    seeds.sort_unstable();
    assert_eq!(seeds, [1, 2, 3, 4], "no two members under one seed");
    let sets = ["population.size=2", "ppo.learning_rate=1e30", "ppo.total_steps=8192"];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let output = cambist(path, &[&["train", "small.toml", "--quiet"], &sets[..]].concat()).output().unwrap();
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("last_good-0"), "{said}");
}
