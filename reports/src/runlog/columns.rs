//! The columns of a sweep that this version writes, and which of another writer's columns it knows.
//!
//! A new figure is a field of [`AgentSample`] and one line in [`COLUMNS`]. A column that a newer writer has
//! more is ignored. One that it lacks, and that is not optional here, is named to the reader: no figure is
//! made up for it.

use super::event::AgentSample;
use super::sweep::{Column, Sweep};

struct Figure {
    name: &'static str,
    unit: &'static str,
    /// May be absent from a row, or from the whole log.
    optional: bool,
    get: fn(&AgentSample) -> Option<u64>,
    /// False if the value is out of range.
    set: fn(&mut AgentSample, u64) -> bool,
}

fn small(field: &mut u32, value: u64) -> bool {
    u32::try_from(value).map(|value| *field = value).is_ok()
}

macro_rules! figure {
    ($name:literal, $unit:literal, $field:ident) => {
        Figure {
            name: $name,
            unit: $unit,
            optional: false,
            get: |s| Some(s.$field),
            set: |s, value| {
                s.$field = value;
                true
            },
        }
    };
    ($name:literal, $unit:literal, small $field:ident) => {
        Figure {
            name: $name,
            unit: $unit,
            optional: false,
            get: |s| Some(u64::from(s.$field)),
            set: |s, value| small(&mut s.$field, value),
        }
    };
    ($name:literal, $unit:literal, optional $field:ident) => {
        Figure {
            name: $name,
            unit: $unit,
            optional: true,
            get: |s| s.$field,
            set: |s, value| {
                s.$field = Some(value);
                true
            },
        }
    };
}

/// Of a worker's descendants: all of them are there, or none.
macro_rules! commands {
    ($name:literal, $unit:literal, $field:ident) => {
        Figure {
            name: $name,
            unit: $unit,
            optional: true,
            get: |s| s.commands.map(|commands| commands.$field),
            set: |s, value| {
                s.commands.get_or_insert_default().$field = value;
                true
            },
        }
    };
    ($name:literal, $unit:literal, small $field:ident) => {
        Figure {
            name: $name,
            unit: $unit,
            optional: true,
            get: |s| s.commands.map(|commands| u64::from(commands.$field)),
            set: |s, value| small(&mut s.commands.get_or_insert_default().$field, value),
        }
    };
}

/// In the order in which they are written.
const COLUMNS: [Figure; 19] = [
    figure!("incarnation", "number", small incarnation),
    figure!("rss", "KiB", rss_kib),
    figure!("rss_anon", "KiB", anon_kib),
    figure!("vsz", "KiB", vsz_kib),
    figure!("fds", "count", small fds),
    figure!("threads", "count", small threads),
    figure!("cpu", "us", cpu_us),
    figure!("voluntary_switches", "count", voluntary_switches),
    figure!("involuntary_switches", "count", involuntary_switches),
    figure!("pss", "KiB", optional pss_kib),
    Figure {
        name: "state",
        unit: "letter",
        optional: true,
        get: |s| s.state.map(u64::from),
        set: |s, value| {
            s.state = u32::try_from(value).ok().and_then(char::from_u32);
            s.state.is_some()
        },
    },
    commands!("commands", "count", small processes),
    commands!("commands_rss", "KiB", rss_kib),
    commands!("commands_rss_anon", "KiB", anon_kib),
    commands!("commands_vsz", "KiB", vsz_kib),
    commands!("commands_fds", "count", small fds),
    commands!("commands_threads", "count", small threads),
    commands!("commands_cpu", "us", cpu_us),
    Figure {
        name: "commands_pss",
        unit: "KiB",
        optional: true,
        get: |s| s.commands.and_then(|commands| commands.pss_kib),
        set: |s, value| {
            s.commands.get_or_insert_default().pss_kib = Some(value);
            true
        },
    },
];

/// As the header lists them.
pub fn all() -> Vec<Column> {
    COLUMNS.iter().map(|f| Column { name: f.name.to_owned(), unit: f.unit.to_owned() }).collect()
}

/// A row an agent.
pub fn sweep_of(agents: &[AgentSample]) -> Sweep {
    Sweep {
        places: agents.iter().map(|agent| agent.agent).collect(),
        columns: COLUMNS.iter().map(|f| agents.iter().map(f.get).collect()).collect(),
    }
}

/// How the columns of a log are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    /// For each of [`COLUMNS`], which column of the log it is.
    at: [Option<usize>; COLUMNS.len()],
}

/// The agents of a sweep, as far as they have all that they should.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unpacked {
    pub(super) agents: Vec<AgentSample>,
    /// The first column that a row lacks.
    pub(super) lacks: Option<&'static str>,
}

impl Mapping {
    pub(super) fn new(columns: &[Column]) -> Self {
        let find = |f: &Figure| columns.iter().position(|c| c.name == f.name && c.unit == f.unit);
        Self { at: COLUMNS.each_ref().map(find) }
    }

    /// The error names a column whose value no field takes.
    pub(super) fn unpack(&self, sweep: &Sweep) -> Result<Unpacked, &'static str> {
        let mut out = Unpacked { agents: Vec::with_capacity(sweep.places.len()), lacks: None };
        'rows: for (row, place) in sweep.places.iter().enumerate() {
            let mut agent = AgentSample { agent: *place, ..NOTHING };
            for (figure, at) in COLUMNS.iter().zip(self.at) {
                let value = at.and_then(|at| sweep.columns.get(at)?.get(row).copied().flatten());
                match value {
                    Some(value) if (figure.set)(&mut agent, value) => {}
                    Some(_) => return Err(figure.name),
                    None if figure.optional => {}
                    None => {
                        out.lacks.get_or_insert(figure.name);
                        continue 'rows;
                    }
                }
            }
            out.agents.push(agent);
        }
        Ok(out)
    }
}

pub(crate) const NOTHING: AgentSample = AgentSample {
    agent: 0,
    incarnation: 1,
    rss_kib: 0,
    anon_kib: 0,
    vsz_kib: 0,
    fds: 0,
    threads: 0,
    cpu_us: 0,
    voluntary_switches: 0,
    involuntary_switches: 0,
    pss_kib: None,
    state: None,
    commands: None,
};

#[cfg(test)]
mod tests {
    use super::super::event::CommandsSample;
    use super::*;

    fn agent() -> AgentSample {
        AgentSample {
            agent: 7,
            rss_kib: 100,
            fds: 9,
            cpu_us: 5,
            pss_kib: Some(80),
            state: Some('T'),
            ..NOTHING
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let commands = CommandsSample {
            processes: 2,
            rss_kib: 3,
            anon_kib: 1,
            vsz_kib: 4,
            fds: 5,
            threads: 6,
            cpu_us: 7,
            pss_kib: Some(2),
        };
        let unread = CommandsSample { pss_kib: None, ..commands };
        let agents = [
            agent(),
            AgentSample { agent: 8, pss_kib: None, state: None, ..agent() },
            AgentSample { agent: 9, commands: Some(commands), ..agent() },
            AgentSample { agent: 10, commands: Some(unread), ..agent() },
            AgentSample { agent: 11, commands: Some(CommandsSample::default()), ..agent() },
        ];
        let unpacked = Mapping::new(&all()).unpack(&sweep_of(&agents)).unwrap();
        assert_eq!(unpacked, Unpacked { agents: agents.to_vec(), lacks: None });
    }

    #[test]
    fn columns_of_a_newer_writer_are_ignored_and_missing_ones_are_named() {
        let (mut columns, mut sweep) = (all(), sweep_of(&[agent()]));
        columns.insert(0, Column { name: "swap".into(), unit: "KiB".into() });
        sweep.columns.insert(0, vec![Some(4)]);
        // Neither PSS, nor the state, nor a figure of the commands is there at all.
        columns.truncate(columns.len() - 10);
        sweep.columns.truncate(sweep.columns.len() - 10);
        let unpacked = Mapping::new(&columns).unpack(&sweep).unwrap();
        assert_eq!(unpacked.agents, [AgentSample { pss_kib: None, state: None, ..agent() }]);
        // In another unit it is another column.
        columns[2].unit = "MiB".into();
        let unpacked = Mapping::new(&columns).unpack(&sweep).unwrap();
        assert_eq!(unpacked, Unpacked { agents: vec![], lacks: Some("rss") });
    }

    #[test]
    fn a_value_that_no_field_takes_is_refused() {
        let mut sweep = sweep_of(&[agent()]);
        sweep.columns[4][0] = Some(1 << 40);
        assert_eq!(Mapping::new(&all()).unpack(&sweep), Err("fds"));
    }
}
