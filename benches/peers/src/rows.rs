//! What is measured with whom: the rows of the tables, and how many messages make a sample.

use crate::link::Peer;
use crate::pair::{Figures, Measured, Placing, Plan, sample};
use crate::peers::{files, floors, iceoryx, kernel, nats, ours, redis_streams};
use crate::work::{one_way, open_loop, ping_pong};
use crate::{batch, fan, fleet};
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// Whose figure it is. The order is that of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    Ours,
    OursLent,
    AeronOffer,
    AeronClaim,
    Iceoryx2,
    Iceoryx2Event,
    Seqpacket,
    Pipe,
    Queue,
    ZeroMq,
    Nats,
    Redis,
    Files,
    BulkFloor,
    BulkDirtyFloor,
    FutexFloor,
    ForkFloor,
    Batch1,
    Batch10,
    Batch100,
}

impl Who {
    pub fn name(self) -> &'static str {
        match self {
            Who::Ours => "ours",
            Who::OursLent => "ours, lent",
            Who::AeronOffer => "Aeron IPC, offer",
            Who::AeronClaim => "Aeron IPC, try_claim",
            Who::Iceoryx2 => "iceoryx2",
            Who::Iceoryx2Event => "iceoryx2 + event",
            Who::Seqpacket => "SEQPACKET + epoll",
            Who::Pipe => "pipe",
            Who::Queue => "POSIX mq",
            Who::ZeroMq => "ZeroMQ ipc",
            Who::Nats => "NATS core",
            Who::Redis => "Redis Streams",
            Who::Files => "files + flock",
            Who::BulkFloor => "floor: bulk hand-off",
            Who::BulkDirtyFloor => "floor: bulk, dirtied",
            Who::FutexFloor => "floor: bare futex",
            Who::ForkFloor => "floor: bare fork loop",
            Who::Batch1 => "fixed batches of 1",
            Who::Batch10 => "fixed batches of 10",
            Who::Batch100 => "fixed batches of 100",
        }
    }
}

/// Which of the tables a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Table {
    Poll,
    Sleep,
    Fan,
    Batch,
    Fleet,
}

impl Table {
    pub const ALL: [Table; 5] = [Table::Poll, Table::Sleep, Table::Fan, Table::Batch, Table::Fleet];

    pub fn title(self) -> &'static str {
        match self {
            Table::Poll => "Poll against poll: both sides have a processor and never sleep",
            Table::Sleep => "Sleep against sleep: each waits by the means it has for waiting",
            Table::Fan => "Fan-out and gather: one process asks, as many as named answer",
            Table::Batch => {
                "Batching: messages at a fixed rate to a receiver that waits when it finds nothing"
            }
            Table::Fleet => "Fleets",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    OneWay,
    PingPong,
    OpenLoop {
        per_second: f64,
    },
    Fan {
        workers: usize,
        window: usize,
    },
    /// `per_second`: None is as fast as it goes.
    Batch {
        per_second: Option<f64>,
    },
    Fork {
        processes: usize,
    },
}

impl Work {
    /// Whether the figure that counts is a rate (more is better) or a latency (less is better).
    pub fn is_rate(self) -> bool {
        matches!(self, Work::OneWay | Work::Fan { .. })
    }
}

#[derive(Debug, Clone)]
pub struct Row {
    pub key: String,
    pub title: String,
    pub table: Table,
    pub work: Work,
    pub size: usize,
    pub placing: Placing,
    pub who: Vec<Who>,
}

fn bytes(size: usize) -> &'static str {
    if size == 1024 { "1 KiB" } else { "64 B" }
}

pub fn all() -> Vec<Row> {
    use Who::{
        AeronClaim, AeronOffer, Batch1, Batch10, Batch100, BulkDirtyFloor, BulkFloor, Files, ForkFloor,
        FutexFloor, Iceoryx2, Iceoryx2Event, Nats, Ours, OursLent, Pipe, Queue, Redis, Seqpacket, ZeroMq,
    };
    let mut rows = Vec::new();
    let mut row = |key: String, title: String, table, work, size, placing, who: &[Who]| {
        rows.push(Row { key, title, table, work, size, placing, who: who.to_vec() });
    };
    for size in [64, 1024] {
        row(
            format!("poll-oneway-{size}"),
            format!("one way, {}", bytes(size)),
            Table::Poll,
            Work::OneWay,
            size,
            Placing::Apart,
            &[Ours, OursLent, AeronOffer, AeronClaim, Iceoryx2, BulkFloor, BulkDirtyFloor],
        );
        row(
            format!("poll-pingpong-{size}"),
            format!("ping-pong, {}", bytes(size)),
            Table::Poll,
            Work::PingPong,
            size,
            Placing::Apart,
            &[Ours, OursLent, AeronOffer, AeronClaim, Iceoryx2],
        );
    }
    for millions in [1, 5] {
        row(
            format!("poll-open-{millions}m"),
            format!("open loop, {millions} M/s, 64 B"),
            Table::Poll,
            Work::OpenLoop { per_second: f64::from(millions) * 1e6 },
            64,
            Placing::Apart,
            &[Ours, OursLent, AeronOffer, AeronClaim, Iceoryx2],
        );
    }
    let sleepers = [Ours, FutexFloor, Seqpacket, Pipe, Queue, Iceoryx2Event, ZeroMq, Nats, Redis, Files];
    for (placing, key, title) in
        [(Placing::Together, "same", "same core"), (Placing::Apart, "cross", "two cores")]
    {
        row(
            format!("sleep-pingpong-{key}"),
            format!("ping-pong, 64 B, {title}"),
            Table::Sleep,
            Work::PingPong,
            64,
            placing,
            &sleepers,
        );
    }
    for size in [64, 1024] {
        row(
            format!("sleep-oneway-{size}"),
            format!("one way, {}, two cores", bytes(size)),
            Table::Sleep,
            Work::OneWay,
            size,
            Placing::Apart,
            &[Ours, Seqpacket, Pipe, Queue, Iceoryx2Event, ZeroMq, Nats, Redis, Files],
        );
    }
    for workers in [16, 100, 708] {
        for window in [1, 16] {
            row(
                format!("fan-{workers}-{window}"),
                format!("{workers} workers, window {window}, 64 B"),
                Table::Fan,
                Work::Fan { workers, window },
                64,
                Placing::Apart,
                if window == 1 { &[Ours, Seqpacket, FutexFloor] } else { &[Ours, Seqpacket] },
            );
        }
    }
    for per_second in batch::RATES {
        let thousands = per_second.map(|rate| rate / 1e3);
        row(
            thousands.map_or("batch-max".to_owned(), |rate| format!("batch-{rate:.0}k")),
            thousands.map_or("all due at once".to_owned(), |rate| format!("{rate:.0} k/s")),
            Table::Batch,
            Work::Batch { per_second },
            64,
            Placing::Apart,
            &[Ours, Batch1, Batch10, Batch100],
        );
    }
    row(
        "fleet-fork-708".to_owned(),
        "708 processes forked, started and seen to run".to_owned(),
        Table::Fleet,
        Work::Fork { processes: 708 },
        64,
        Placing::Apart,
        &[ForkFloor],
    );
    rows
}

/// Messages (trips, for a ping-pong) of a sample: a tenth to half a second of work.
fn messages(who: Who, row: &Row) -> u64 {
    let small = row.size == 64;
    let sleeping_across = row.placing == Placing::Apart;
    match (row.work, who) {
        (Work::OneWay, Who::BulkFloor | Who::BulkDirtyFloor) => {
            if small {
                16 << 20
            } else {
                2 << 20
            }
        }
        (Work::OneWay, Who::Ours | Who::OursLent | Who::AeronOffer | Who::AeronClaim)
            if row.table == Table::Poll =>
        {
            if small {
                16 << 20
            } else {
                2 << 20
            }
        }
        (Work::OneWay, Who::Ours) => {
            if small {
                4 << 20
            } else {
                1 << 20
            }
        }
        (Work::OneWay, Who::Iceoryx2) => {
            if small {
                1_000_000
            } else {
                400_000
            }
        }
        (Work::OneWay, Who::Pipe) => {
            if small {
                400_000
            } else {
                300_000
            }
        }
        (Work::OneWay, Who::ZeroMq) => {
            if small {
                400_000
            } else {
                100_000
            }
        }
        (Work::OneWay, Who::Nats) => {
            if small {
                300_000
            } else {
                50_000
            }
        }
        (Work::OneWay, Who::Redis) => {
            if small {
                60_000
            } else {
                30_000
            }
        }
        (Work::OneWay, Who::Files) => 4_000,
        (Work::OneWay, _) => 150_000,
        (Work::PingPong, _) if row.table == Table::Poll => 150_000,
        (Work::PingPong, Who::Nats | Who::Redis | Who::ZeroMq | Who::Files) => 2_500,
        (Work::PingPong, _) => {
            if sleeping_across {
                5_000
            } else {
                25_000
            }
        }
        (Work::OpenLoop { per_second }, _) => (per_second / 3.0) as u64,
        // at high rates ten thousand are over before anything settles
        (Work::Batch { per_second }, _) => {
            if per_second.is_some_and(|rate| rate < 1e6) {
                10_000
            } else {
                100_000
            }
        }
        (Work::Fan { window, .. }, Who::Ours) => {
            if window == 1 {
                100_000
            } else {
                1_000_000
            }
        }
        (Work::Fan { window, .. }, _) => {
            if window == 1 {
                60_000
            } else {
                200_000
            }
        }
        (Work::Fork { processes }, _) => processes as u64,
    }
}

/// One sample of one row with one peer. `fraction`: less work, for a quick look.
pub fn run(who: Who, row: &Row, plan: &Plan<'_>, fraction: u64) -> Result<Measured> {
    let messages = (messages(who, row) / fraction).max(200);
    match row.work {
        Work::Fan { workers, window } => return fan::run(who, plan, workers, window, messages),
        Work::Batch { per_second } => return batch::run(who, plan, per_second, messages),
        Work::Fork { processes } => return fleet::fork_floor(plan, processes),
        Work::OneWay | Work::PingPong | Work::OpenLoop { .. } => {}
    }
    let sleeping = row.table == Table::Sleep;
    match who {
        Who::Ours if sleeping => drive::<ours::Bus<true, false>>(row, plan, messages),
        Who::Ours => drive::<ours::Bus<false, false>>(row, plan, messages),
        Who::OursLent => drive::<ours::Bus<false, true>>(row, plan, messages),
        #[cfg(feature = "aeron")]
        Who::AeronOffer => drive::<crate::peers::aeron::Exclusive<false>>(row, plan, messages),
        #[cfg(feature = "aeron")]
        Who::AeronClaim => drive::<crate::peers::aeron::Exclusive<true>>(row, plan, messages),
        Who::Iceoryx2 => drive::<iceoryx::PubSub<false>>(row, plan, messages),
        Who::Iceoryx2Event => drive::<iceoryx::PubSub<true>>(row, plan, messages),
        Who::Seqpacket => drive::<kernel::Seqpacket>(row, plan, messages),
        Who::Pipe => drive::<kernel::Pipe>(row, plan, messages),
        Who::Queue => drive::<kernel::Queue>(row, plan, messages),
        #[cfg(feature = "zeromq")]
        Who::ZeroMq => drive::<crate::peers::zeromq::Pair>(row, plan, messages),
        Who::Nats => drive::<nats::Core>(row, plan, messages),
        Who::Redis => drive::<redis_streams::Streams>(row, plan, messages),
        Who::Files => drive::<files::Inboxes>(row, plan, messages),
        Who::BulkFloor => drive::<floors::Bulk<false>>(row, plan, messages),
        Who::BulkDirtyFloor => drive::<floors::Bulk<true>>(row, plan, messages),
        Who::FutexFloor => drive::<floors::Futex>(row, plan, messages),
        who => bail!("{} is no peer of this row", who.name()),
    }
}

fn drive<P: Peer>(row: &Row, plan: &Plan<'_>, messages: u64) -> Result<Measured> {
    match row.size {
        64 => sized::<P, 64>(row.work, plan, messages),
        1024 => sized::<P, 1024>(row.work, plan, messages),
        size => bail!("no row has messages of {size} bytes"),
    }
}

fn sized<P: Peer, const SIZE: usize>(work: Work, plan: &Plan<'_>, messages: u64) -> Result<Measured> {
    sample::<P>(plan, |side, link, clock| -> Result<Option<Figures>> {
        match work {
            Work::OneWay => one_way::<P::Link, SIZE>(side, link, clock, messages),
            Work::PingPong => ping_pong::<P::Link, SIZE>(side, link, clock, messages),
            Work::OpenLoop { per_second } => {
                open_loop::<P::Link, SIZE>(side, link, clock, messages, per_second)
            }
            _ => bail!("this work takes more than a pair"),
        }
    })
}

/// Who is here, in which version, and who is not, and why.
pub fn presence() -> Vec<(&'static str, Vec<Who>, Result<String, String>)> {
    let program = |name: &str| {
        crate::machine::first_line(name, &["--version"])
            .ok_or_else(|| format!("`{name}` is not installed: run ci/install-peers.sh"))
    };
    let locked = |name: &str| Ok(crate::store::locked_version(name));
    vec![
        #[cfg(feature = "aeron")]
        ("Aeron", vec![Who::AeronOffer, Who::AeronClaim], Ok(crate::peers::aeron::version())),
        #[cfg(not(feature = "aeron"))]
        (
            "Aeron",
            vec![Who::AeronOffer, Who::AeronClaim],
            Err("not built in: ci/install-peers.sh, then `--features all-peers`".to_owned()),
        ),
        ("iceoryx2", vec![Who::Iceoryx2, Who::Iceoryx2Event], locked("iceoryx2")),
        #[cfg(feature = "zeromq")]
        ("ZeroMQ", vec![Who::ZeroMq], Ok(crate::peers::zeromq::version())),
        #[cfg(not(feature = "zeromq"))]
        (
            "ZeroMQ",
            vec![Who::ZeroMq],
            Err("not built in: ci/install-peers.sh, then `--features all-peers`".to_owned()),
        ),
        ("NATS", vec![Who::Nats], program(nats::PROGRAM)),
        ("Redis", vec![Who::Redis], program(redis_streams::PROGRAM)),
    ]
}
