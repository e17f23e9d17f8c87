//! `coordinator events`: one line per event.

use super::choose::{fleet, unreadable};
use super::top::reader_has_gone;
use super::{FAILED, OK, Place, print};
use crate::client::events::{Follower, Seen};
use crate::os::clock::unix_ns;
use jiff::Timestamp;
use std::time::Duration;

/// How often a follower looks for new events.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator events demo --follow --since 5m")]
pub(super) struct Args {
    /// Name of the fleet; may be omitted if there is only one
    name: Option<String>,
    /// Keep printing new events until the fleet ends
    #[arg(long, short)]
    follow: bool,
    /// Print a JSON object per line; `docs/status.md` lists the keys
    #[arg(long)]
    json: bool,
    /// Only events since then: a time ago such as 30s, 5m or 2h, or a point in time as `events` prints it
    #[arg(long, value_name = "TIME", value_parser = since, allow_hyphen_values = true)]
    since: Option<Since>,
    #[command(flatten)]
    place: Place,
}

/// CLOCK_REALTIME, ns.
#[derive(Debug, Clone, Copy)]
struct Since(u64);

fn since(text: &str) -> Result<Since, String> {
    if let Ok(ago) = super::time::time(text) {
        return Ok(Since(unix_ns().saturating_sub(ago.as_nanos() as u64)));
    }
    let at: Timestamp = text.parse().map_err(|_| {
        format!(
            "`{text}` is not a time: write 30s, 5m or 2h, or a point in time such as 2026-01-31T12:00:00Z"
        )
    })?;
    Ok(Since(u64::try_from(at.as_nanosecond()).unwrap_or(0)))
}

pub(super) fn main(args: &Args) -> u8 {
    let found = match fleet(&args.place, args.name.as_deref()) {
        Ok(found) => found,
        Err(status) => return status,
    };
    let mut follower = match Follower::attach(&found.path) {
        Ok(follower) => follower,
        Err(error) => return unreadable(error),
    };
    loop {
        // Checked before reading, so that every event before the end is read.
        let is_last = !args.follow || follower.has_ended();
        let seen = match if is_last { follower.rest() } else { follower.poll() } {
            Ok(seen) => seen,
            Err(error) => return unreadable(error),
        };
        let mut text = String::new();
        for seen in &seen {
            if args.since.is_some_and(|since| seen.unix_ns < since.0) {
                continue;
            }
            match line(seen, args.json) {
                Ok(line) => text.push_str(&line),
                Err(error) => {
                    print::error(error, "");
                    return FAILED;
                }
            }
            text.push('\n');
        }
        match print::output_while_read(text.as_bytes()) {
            Ok(true) => {}
            Ok(false) => return OK,
            Err(status) => return status,
        }
        if is_last {
            return OK;
        }
        if reader_has_gone(LOOK) {
            return OK;
        }
    }
}

#[derive(serde::Serialize)]
struct Line<'a> {
    time: &'a str,
    #[serde(flatten)]
    seen: &'a Seen,
}

fn line(seen: &Seen, json: bool) -> Result<String, serde_json::Error> {
    let at = moment(seen.unix_ns);
    if !json {
        return Ok(format!("{at} {} {} {}", seen.source, seen.subject, seen.what));
    }
    serde_json::to_string(&Line { time: &at, seen })
}

/// In UTC, to the microsecond.
pub(super) fn moment(unix_ns: u64) -> String {
    Timestamp::from_nanosecond(unix_ns.into()).map_or_else(|_| unix_ns.to_string(), |at| format!("{at:.6}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_its_microseconds_and_is_read_again() {
        let text = moment(1_700_000_000_000_001_999);
        assert_eq!(text, "2023-11-14T22:13:20.000001Z");
        assert_eq!(since(&text).unwrap().0, 1_700_000_000_000_001_000);
        assert!(since("yesterday").is_err());
        assert!(since("5m").unwrap().0 < unix_ns());
    }
}
