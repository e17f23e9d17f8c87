//! The names that results are kept under: which peer, which table, which work. Data only: what runs them is
//! in `rows`.

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
