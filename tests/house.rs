//! The dependency table of `ARCHITECTURE.md`, held to the code by `cargo metadata`; and the habits that can be counted.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Rows `| crates/x | … | core, risk |` of the table under "## The map".
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let map = text.split("## The map").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = map.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let uses = cells[3].split(',').map(str::trim).filter(|u| !u.is_empty() && *u != "–");
        (cells[1].trim_matches('`').to_owned(), uses.map(str::to_owned).collect())
    })
    .collect()
}

#[test]
fn the_dependency_table_is_the_code() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let mut code = BTreeMap::new();
    for package in metadata.workspace_packages().iter().filter(|p| p.name.as_str() != "cambist") {
        let folder = Path::new(package.manifest_path.as_str()).parent().unwrap();
        let folder = folder.strip_prefix(root()).unwrap().display().to_string();
        let uses = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
        let uses: BTreeSet<String> =
            uses.filter_map(|d| d.name.strip_prefix("cambist-").map(str::to_owned)).collect();
        code.insert(folder, uses);
    }
    assert_eq!(table(), code, "left: ARCHITECTURE.md, right: the manifests");
}

#[test]
fn heavy_libraries_stay_behind_one_door() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let users = |library: &str| -> BTreeSet<String> {
        let uses = |p: &&cargo_metadata::Package| p.dependencies.iter().any(|d| d.name == library);
        metadata.workspace_packages().into_iter().filter(uses).map(|p| p.name.to_string()).collect()
    };
    let only = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
    assert!(users("rand").is_empty(), "randomness comes through cambist_core::rng");
    assert_eq!(users("polars"), only(&["cambist-data"]));
    assert_eq!(users("burn"), only(&["cambist-nets"]));
    assert_eq!(
        users("sqlx"),
        only(&["cambist", "cambist-data", "cambist-live", "cambist-runs", "cambist-search", "cambist-store"])
    );
}

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        if entry.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&entry, out);
        } else if name.ends_with(".rs") {
            out.push(entry);
        }
    }
}

#[test]
fn files_are_short_open_with_their_purpose_and_are_safe() {
    let mut files = Vec::new();
    for folder in ["crates", "envs", "agents", "tests"] {
        sources(&root().join(folder), &mut files);
    }
    assert!(files.len() > 60, "only {} files found", files.len());
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        assert!(text.starts_with("//!"), "{shown} does not open with //!");
        let body = text.split("#[cfg(test)]").next().unwrap().lines().count();
        assert!(body <= 600, "{shown} has {body} lines before its tests");
        let unsafe_allowed = shown.starts_with("agents/policy/src/kernels/");
        let word = ["unsafe", " {"].concat();
        assert!(unsafe_allowed || !text.contains(&word), "{shown} has an unsafe block");
    }
}

/// Dependencies compile once: what `cargo run` selects of them is what `cargo test --workspace` selects.
#[test]
fn running_and_testing_use_the_same_dependencies() {
    let tree = |arguments: &[&str]| -> BTreeSet<String> {
        let output = std::process::Command::new(env!("CARGO"))
            .args(["tree", "--prefix", "none", "-f", "{p}|{f}"])
            .args(arguments)
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| line.replace(" (*)", "").replace(" (proc-macro)", "")).collect()
    };
    let running = tree(&["-e", "normal,build"]);
    let testing = tree(&["--workspace", "-e", "normal,build,dev"]);
    let differ: Vec<&String> = running.difference(&testing).collect();
    assert!(
        running.len() > 200 && differ.is_empty(),
        "other features when running: {differ:?}; see Cargo.toml"
    );
}
