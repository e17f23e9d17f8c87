//! What a harness tells the process that serves a directory, and what that answers: a line each.

use crate::failing;
use crate::scenario::fault::{CallError, DiskFault};
use reports::runlog::event::Met;
use std::fmt;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Order {
    Arm { id: u32, what: DiskFault, seed: u64 },
    Disarm { id: u32 },
}

/// The first line of a server, which has all that it needs and waits for the mount,
pub(super) const LOADED: &str = "loaded";
/// the line that says that it is there,
pub(super) const SERVE: &str = "serve";
/// and that of one that serves its directory.
pub(super) const READY: &str = "ready";
/// Of an order that was carried out, with what it has to say.
pub(super) const DONE: &str = "done";

/// How a server says what an effect has met.
pub(super) fn met(Met { hit, of }: &Met) -> String {
    format!("{hit} of {of}")
}

/// `None` if it is not said in this way.
pub(super) fn read_met(said: &str) -> Option<Met> {
    let (hit, of) = said.split_once(" of ")?;
    Some(Met { hit: hit.parse().ok()?, of: of.parse().ok()? })
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disarm { id } => write!(f, "disarm {id}"),
            Self::Arm { id, what, seed } => {
                write!(f, "arm {id} {seed} ")?;
                match what {
                    DiskFault::Slow(delay) => write!(f, "slow {}", delay.as_nanos()),
                    DiskFault::Full => f.write_str("full"),
                    DiskFault::Fail { error, calls } => {
                        write!(f, "fail {} {}", error.name(), failing::said(*calls))
                    }
                }
            }
        }
    }
}

impl Order {
    /// `None` if it is not an order.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["disarm", id] => Some(Self::Disarm { id: id.parse().ok()? }),
            ["arm", id, seed, ref what @ ..] => {
                let what = match *what {
                    ["slow", ns] => DiskFault::Slow(Duration::from_nanos(ns.parse().ok()?)),
                    ["full"] => DiskFault::Full,
                    ["fail", error, how, many] => DiskFault::Fail {
                        error: CallError::of_name(error)?,
                        calls: failing::read(how, many)?,
                    },
                    _ => return None,
                };
                Some(Self::Arm { id: id.parse().ok()?, what, seed: seed.parse().ok()? })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fault::Which;

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let fail = |error, calls| DiskFault::Fail { error, calls };
        let mut orders = vec![Order::Disarm { id: 7 }];
        for what in [
            DiskFault::Slow(Duration::from_micros(1500)),
            DiskFault::Full,
            fail(CallError::Io, Which::Rate(0.1)),
            fail(CallError::Descriptors, Which::Rate(1.0)),
            fail(CallError::NoMemory, Which::Nth(3)),
            fail(CallError::NoSpace, Which::Nth(1)),
        ] {
            orders.push(Order::Arm { id: 3, what, seed: u64::MAX });
        }
        for order in orders {
            assert_eq!(Order::parse(&order.to_string()), Some(order), "{order}");
        }
        let some = Met { hit: 3, of: u64::MAX };
        assert_eq!((read_met(&met(&some)), read_met("3"), read_met("x of 3")), (Some(some), None, None));
        for line in
            ["", "arm", "arm 1 2 slow", "arm 1 2 fail ENONE nth 3", "disarm", "disarm x", "arm 1 2 full 3"]
        {
            assert_eq!(Order::parse(line), None, "{line}");
        }
    }
}
