//! `coordinator status`. The keys of its JSON are listed in `docs/status.md`.

use super::choose::unreadable;
use super::shown::fleet;
use super::{FAILED, OK, Place, print};
use crate::bus::directory::{Found, Owner};
use crate::client::status::{FleetStatus, of};
use crate::os::clock::unix_ns;
use serde::Serialize;
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator status --json")]
pub(super) struct Args {
    /// Show only the fleet with this name
    name: Option<String>,
    /// Print everything as JSON, including each worker; `docs/status.md` lists the keys
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Whether the supervisor of a fleet is alive.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum SupervisorState {
    Alive,
    Dead,
    /// It cannot be checked from this pid or time namespace.
    Elsewhere,
    /// The fleet's files do not tell.
    Unknown,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    owner: SupervisorState,
    status: Option<FleetStatus>,
    error: Option<String>,
}

pub(super) fn main(args: &Args) -> u8 {
    let found = match args.place.fleets() {
        Ok(found) => found,
        Err(status) => return status,
    };
    let chosen = |fleet: &&Found| args.name.as_ref().is_none_or(|name| *name == fleet.id);
    let rows: Vec<Row> = found.iter().filter(chosen).map(row).collect();
    if let Some(name) = &args.name
        && rows.is_empty()
    {
        print::error(format!("there is no fleet `{name}`"), "`coordinator status` lists the fleets");
        return FAILED;
    }
    if let ([Row { error: Some(error), .. }], Some(_), false) = (rows.as_slice(), &args.name, args.json) {
        return unreadable(error);
    }
    let text = if args.json {
        match serde_json::to_string_pretty(&rows) {
            Ok(text) => text + "\n",
            Err(error) => {
                print::error(error, "");
                return FAILED;
            }
        }
    } else if rows.is_empty() {
        format!("no fleets under {}\n", args.place.shm_dir.display())
    } else {
        rows.iter().map(text_of).collect()
    };
    print::text(text).err().unwrap_or(OK)
}

fn row(found: &Found) -> Row {
    let (owner, status) = match found.owner {
        Owner::Alive(_) => (SupervisorState::Alive, Some(of(&found.path))),
        // Its coordinators may continue until another supervisor adopts them.
        Owner::Dead(_) => {
            let continues = |status: &FleetStatus| {
                status
                    .coordinators
                    .iter()
                    .any(|one| one.process.is_live() && one.process.identity().is_alive())
            };
            (SupervisorState::Dead, of(&found.path).ok().filter(continues).map(Ok))
        }
        // Read without its processes: here, their pids and times mean others.
        Owner::Elsewhere => (SupervisorState::Elsewhere, None),
        Owner::Unknown => (SupervisorState::Unknown, Some(of(&found.path))),
    };
    let (status, error) = match status.transpose() {
        Ok(status) => (status, None),
        Err(error) => (None, Some(error.to_string())),
    };
    Row { name: found.id.clone(), owner, status, error }
}

fn text_of(row: &Row) -> String {
    let Some(status) = &row.status else {
        return match &row.error {
            Some(error) => format!("{}  cannot be read: {error}\n", row.name),
            None if matches!(row.owner, SupervisorState::Elsewhere) => format!(
                "{}  is owned in another pid or time namespace; `coordinator status` there shows it\n",
                row.name
            ),
            None => {
                format!(
                    "{}  its supervisor is dead; `coordinator clean` removes what the fleet left behind\n",
                    row.name
                )
            }
        };
    };
    let age = Duration::from_nanos(unix_ns().saturating_sub(status.started_unix_ns));
    fleet(&row.name, status, age)
}
