//! What this program prints: data on standard output; reports, warnings and errors on standard error.

use super::outlet::{Outlet, Stream};
use super::{UNFIT, console, fit};
use std::fmt::Display;
use std::io::ErrorKind;

/// Writes data to standard output. A closed pipe (`| head`) is no error; anything else that keeps the data from arriving
/// is one, since the data is what was asked for.
pub(super) fn output(bytes: &[u8]) -> Result<(), u8> {
    output_while_read(bytes).map(|_| ())
}

/// As [`output`], for people: as wide as the terminal is.
pub(super) fn text(text: String) -> Result<(), u8> {
    output(fit::for_stream(Stream::Stdout, text).as_bytes())
}

/// As [`output`]; false if the reader has closed the pipe.
pub(super) fn output_while_read(bytes: &[u8]) -> Result<bool, u8> {
    match Outlet::open(Stream::Stdout).write_in_time(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(unwritable(&error)),
    }
}

/// Reports that standard output cannot be written; the exit status for it.
pub(super) fn unwritable(cause: &std::io::Error) -> u8 {
    error(format_args!("cannot write to standard output: {cause}"), "");
    UNFIT
}

/// Prints how far the program has got.
pub(super) fn report(what: impl Display) {
    console::line(&what.to_string());
}

/// Prints something that is worth knowing and no reason to stop.
pub(super) fn warn(what: impl Display) {
    console::line(&format!("warning: {what}"));
}

/// Prints what went wrong and, if `hint` is not empty, what to do about it.
pub(super) fn error(what: impl Display, hint: &str) {
    let hint = if hint.is_empty() { String::new() } else { format!("\nhint: {hint}") };
    console::line(&format!("error: {what}{hint}"));
}
