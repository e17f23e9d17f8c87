//! What is measured with whom: the rows of the tables, and how many messages make a sample.

use crate::catalogue::{Table, Who, Work};
use crate::link::Peer;
use crate::pair::{Figures, Measured, Placing, Plan, sample};
use crate::peers::{files, floors, iceoryx, kernel, nats, ours, redis_streams};
use crate::work::{one_way, open_loop, ping_pong};
use crate::{batch, fan, fleet};
use anyhow::{Result, bail};

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
    [polling(), sleeping(), fanning(), batching(), forking()].concat()
}

fn polling() -> Vec<Row> {
    use Who::{AeronClaim, AeronOffer, BulkDirtyFloor, BulkFloor, Iceoryx2, Ours, OursLent};
    let mut rows = Vec::new();
    let mut row = |key: String, title: String, work, size, who: &[Who]| {
        let who = who.to_vec();
        rows.push(Row { key, title, table: Table::Poll, work, size, placing: Placing::Apart, who });
    };
    let library = [Ours, OursLent, AeronOffer, AeronClaim, Iceoryx2];
    for size in [64, 1024] {
        row(
            format!("poll-oneway-{size}"),
            format!("one way, {}", bytes(size)),
            Work::OneWay,
            size,
            &[&library[..], &[BulkFloor, BulkDirtyFloor]].concat(),
        );
        row(
            format!("poll-pingpong-{size}"),
            format!("ping-pong, {}", bytes(size)),
            Work::PingPong,
            size,
            &library,
        );
    }
    for millions in [1, 5] {
        row(
            format!("poll-open-{millions}m"),
            format!("open loop, {millions} M/s, 64 B"),
            Work::OpenLoop { per_second: f64::from(millions) * 1e6 },
            64,
            &library,
        );
    }
    rows
}

fn sleeping() -> Vec<Row> {
    use Who::{Files, FutexFloor, Iceoryx2Event, Nats, Ours, Pipe, Queue, Redis, Seqpacket, ZeroMq};
    let mut rows = Vec::new();
    for (placing, key, title) in
        [(Placing::Together, "same", "same core"), (Placing::Apart, "cross", "two cores")]
    {
        rows.push(Row {
            key: format!("sleep-pingpong-{key}"),
            title: format!("ping-pong, 64 B, {title}"),
            table: Table::Sleep,
            work: Work::PingPong,
            size: 64,
            placing,
            who: vec![Ours, FutexFloor, Seqpacket, Pipe, Queue, Iceoryx2Event, ZeroMq, Nats, Redis, Files],
        });
    }
    for size in [64, 1024] {
        rows.push(Row {
            key: format!("sleep-oneway-{size}"),
            title: format!("one way, {}, two cores", bytes(size)),
            table: Table::Sleep,
            work: Work::OneWay,
            size,
            placing: Placing::Apart,
            who: vec![Ours, Seqpacket, Pipe, Queue, Iceoryx2Event, ZeroMq, Nats, Redis, Files],
        });
    }
    rows
}

fn fanning() -> Vec<Row> {
    use Who::{FutexFloor, Ours, Seqpacket};
    let sizes = [16, 100, 708].into_iter().flat_map(|workers| [1, 16].map(|window| (workers, window)));
    sizes
        .map(|(workers, window)| Row {
            key: format!("fan-{workers}-{window}"),
            title: format!("{workers} workers, window {window}, 64 B"),
            table: Table::Fan,
            work: Work::Fan { workers, window },
            size: 64,
            placing: Placing::Apart,
            who: if window == 1 { vec![Ours, Seqpacket, FutexFloor] } else { vec![Ours, Seqpacket] },
        })
        .collect()
}

fn batching() -> Vec<Row> {
    let row = |per_second: Option<f64>| {
        let thousands = per_second.map(|rate| rate / 1e3);
        Row {
            key: thousands.map_or("batch-max".to_owned(), |rate| format!("batch-{rate:.0}k")),
            title: thousands.map_or("all due at once".to_owned(), |rate| format!("{rate:.0} k/s")),
            table: Table::Batch,
            work: Work::Batch { per_second },
            size: 64,
            placing: Placing::Apart,
            who: vec![Who::Ours, Who::Batch1, Who::Batch10, Who::Batch100],
        }
    };
    batch::RATES.into_iter().map(row).collect()
}

fn forking() -> Vec<Row> {
    vec![Row {
        key: "fleet-fork-708".to_owned(),
        title: "708 processes forked, started and seen to run".to_owned(),
        table: Table::Fleet,
        work: Work::Fork { processes: 708 },
        size: 64,
        placing: Placing::Apart,
        who: vec![Who::ForkFloor],
    }]
}

/// Messages (trips, for a ping-pong) of a sample: a tenth to half a second of work.
fn messages(who: Who, row: &Row) -> u64 {
    match row.work {
        Work::OneWay => messages_one_way(who, row),
        Work::PingPong if row.table == Table::Poll => 150_000,
        Work::PingPong => match (who, row.placing) {
            (Who::Nats | Who::Redis | Who::ZeroMq | Who::Files, _) => 2_500,
            (_, Placing::Apart) => 5_000,
            (_, Placing::Together) => 25_000,
        },
        Work::OpenLoop { per_second } => (per_second / 3.0) as u64,
        // at high rates ten thousand are over before anything settles
        Work::Batch { per_second: Some(rate) } if rate < 1e6 => 10_000,
        Work::Batch { .. } => 100_000,
        Work::Fan { window, .. } => match (who, window) {
            (Who::Ours, 1) => 100_000,
            (Who::Ours, _) => 1_000_000,
            (_, 1) => 60_000,
            (_, _) => 200_000,
        },
        Work::Fork { processes } => processes as u64,
    }
}

fn messages_one_way(who: Who, row: &Row) -> u64 {
    let (small, large) = match who {
        Who::BulkFloor | Who::BulkDirtyFloor => (16 << 20, 2 << 20),
        Who::Ours | Who::OursLent | Who::AeronOffer | Who::AeronClaim if row.table == Table::Poll => {
            (16 << 20, 2 << 20)
        }
        Who::Ours => (4 << 20, 1 << 20),
        Who::Iceoryx2 => (1_000_000, 400_000),
        Who::Pipe => (400_000, 300_000),
        Who::ZeroMq => (400_000, 100_000),
        Who::Nats => (300_000, 50_000),
        Who::Redis => (60_000, 30_000),
        Who::Files => (4_000, 4_000),
        _ => (150_000, 150_000),
    };
    if row.size == 64 { small } else { large }
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
