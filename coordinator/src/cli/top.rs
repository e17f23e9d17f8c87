//! `coordinator top`: the status of a fleet, live.

mod frame;
mod screen;

use super::choose::{fleet, unreadable};
use super::{INTERRUPTED, OK, Place, UNFIT, console, print};
use crate::client::status::{FleetStatus, Watch};
use crate::os::clock::unix_ns;
use frame::{Size, frame};
pub(super) use screen::reader_has_gone;
use screen::{Input, Screen};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator top demo --interval 500ms")]
pub(super) struct Args {
    /// Name of the fleet; may be omitted if there is only one
    name: Option<String>,
    /// Time between two updates
    #[arg(long, short, value_name = "TIME", default_value = "1s", value_parser = super::time::time, allow_hyphen_values = true)]
    interval: Duration,
    /// Print it once, with the rates of one interval
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn main(args: &Args) -> u8 {
    let found = match fleet(&args.place, args.name.as_deref()) {
        Ok(found) => found,
        Err(status) => return status,
    };
    let mut watch = match Watch::attach(&found.path) {
        Ok(watch) => watch,
        Err(error) => return unreadable(error),
    };
    let first = match watch.read() {
        Ok(first) => first,
        Err(error) => return unreadable(error),
    };
    let mut looks = Looks { name: found.id, watch, before: None, now: first };
    if !args.once && std::io::stdout().is_terminal() && console::obeys_escapes() {
        on_screen(&mut looks, args.interval)
    } else {
        one_after_the_other(&mut looks, args)
    }
}

/// Two readings make a rate.
struct Looks {
    name: String,
    watch: Watch,
    before: Option<FleetStatus>,
    now: FleetStatus,
}

impl Looks {
    fn again(&mut self) -> Result<(), crate::bus::error::BusError> {
        let now = self.watch.read()?;
        self.before = Some(std::mem::replace(&mut self.now, now));
        Ok(())
    }

    fn frame(&self, size: Option<Size>) -> Vec<String> {
        let age = Duration::from_nanos(unix_ns().saturating_sub(self.now.started_unix_ns));
        frame(&self.name, self.before.as_ref(), &self.now, age, size)
    }
}

/// For a file or a pipe: whole frames, with an empty line between them.
fn one_after_the_other(looks: &mut Looks, args: &Args) -> u8 {
    let mut is_first = true;
    loop {
        if args.once || !is_first {
            if reader_has_gone(args.interval) {
                return OK;
            }
            if let Err(error) = looks.again() {
                return unreadable(error);
            }
        }
        let mut text = looks.frame(None).join("\n") + "\n";
        if !is_first {
            text.insert(0, '\n');
        }
        is_first = false;
        match print::output_while_read(text.as_bytes()) {
            Ok(true) => {}
            Ok(false) => return OK,
            Err(status) => return status,
        }
        if args.once || looks.watch.has_ended() {
            return OK;
        }
    }
}

fn on_screen(looks: &mut Looks, interval: Duration) -> u8 {
    let mut screen = match Screen::enter() {
        Ok(screen) => screen,
        Err(error) => {
            print::error(
                format!("cannot draw on this terminal: {error}"),
                "`--once` prints the status instead",
            );
            return UNFIT;
        }
    };
    let end = until_the_end(looks, &mut screen, interval);
    // Before anything is printed.
    drop(screen);
    match end {
        Ok(End::Fleet) => {
            print::warn(format!("`{}` has ended", looks.name));
            OK
        }
        Ok(End::Key) => OK,
        Ok(End::Signal) => INTERRUPTED,
        Err(Trouble::Bus(error)) => unreadable(error),
        Err(Trouble::Terminal(error)) => {
            print::error(format!("cannot write to the terminal: {error}"), "");
            UNFIT
        }
    }
}

enum End {
    /// A key was pressed.
    Key,
    Signal,
    Fleet,
}

enum Trouble {
    Bus(crate::bus::error::BusError),
    Terminal(std::io::Error),
}

fn until_the_end(looks: &mut Looks, screen: &mut Screen, interval: Duration) -> Result<End, Trouble> {
    let mut next = Instant::now() + interval;
    loop {
        screen.show(&looks.frame(Some(screen.size()))).map_err(Trouble::Terminal)?;
        match screen.wait(next.saturating_duration_since(Instant::now())).map_err(Trouble::Terminal)? {
            Input::End => return Ok(End::Key),
            Input::Signal => return Ok(End::Signal),
            Input::Resized => continue,
            Input::Nothing => {}
        }
        if Instant::now() < next {
            continue;
        }
        next = Instant::now() + interval;
        if looks.watch.has_ended() {
            return Ok(End::Fleet);
        }
        looks.again().map_err(Trouble::Bus)?;
    }
}
