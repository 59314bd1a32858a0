//! Where text goes. A reader who leaves early (`| head`) ends the program quietly.

use std::io::{self, Write};

/// A line to standard output.
pub(crate) fn line(text: &str) {
    if writeln!(io::stdout().lock(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// A line to standard error.
pub(crate) fn error(text: &str) {
    // There is nowhere left to complain to.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
