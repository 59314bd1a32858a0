//! Puts the code revision into the binary, for the artefacts it writes.

use std::process::Command;

fn main() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let revision = git(&["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    // What is not committed is not that revision.
    let dirty =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changed| !changed.is_empty());
    let mark = if dirty { "-dirty" } else { "" };
    println!("cargo::rustc-env=CAMBIST_REVISION={revision}{mark}");
    if let Some(folder) = git(&["rev-parse", "--absolute-git-dir"]) {
        println!("cargo::rerun-if-changed={folder}/logs/HEAD");
        ["crates", "agents", "envs"].iter().for_each(|f| println!("cargo::rerun-if-changed=../../{f}"));
    }
}
