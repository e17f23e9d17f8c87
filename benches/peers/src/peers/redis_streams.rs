//! Redis Streams: a server on a Unix socket of its own, without persistence; XADD into one stream each way, XREAD
//! with BLOCK out of it. Sent messages are pipelined, 128 at a time or until a flush.

use super::server::Server;
use crate::link::{Link, Peer, Side, Terms};
use crate::payload::{Fill, See};
use anyhow::{Context, Result, bail};
use nix::unistd::Pid;
use redis::{Client, Connection, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Value, cmd, pipe};
use std::path::PathBuf;

pub const PROGRAM: &str = "redis-server";
const GATHER: usize = 128;
/// Entries taken with one XREAD.
const COUNT: usize = 200;
/// What a stream may grow to; more than any sample sends.
const KEPT: usize = 1_000_000;

pub struct Streams {
    server: Server,
    socket: PathBuf,
}

pub struct End {
    connection: Connection,
    out: &'static str,
    from: &'static str,
    pipeline: redis::Pipeline,
    gathered: usize,
    message: Vec<u8>,
    /// The last entry taken: the next XREAD goes on behind it.
    last: Vec<u8>,
}

fn info(socket: &std::path::Path) -> Result<ConnectionInfo> {
    Ok(ConnectionAddr::Unix(socket.to_owned()).into_connection_info()?)
}

impl Peer for Streams {
    type Link = End;

    fn prepare(terms: Terms<'_>) -> Result<Self> {
        let socket = terms.room.join("redis.sock");
        let path = socket.to_string_lossy();
        let arguments = ["--port", "0", "--unixsocket", &path, "--save", "", "--appendonly", "no"];
        let mut server = Server::start(PROGRAM, &arguments, terms.room)?;
        server.when(|| {
            let mut connection = Client::open(info(&socket).ok()?).ok()?.get_connection().ok()?;
            cmd("PING").exec(&mut connection).ok()
        })?;
        Ok(Self { server, socket })
    }

    fn connect(&self, side: Side) -> Result<Self::Link> {
        let connection =
            Client::open(info(&self.socket)?)?.get_connection().context("connecting to the server")?;
        let streams = ["near", "far"];
        Ok(End {
            connection,
            out: streams[side.index()],
            from: streams[1 - side.index()],
            pipeline: pipe(),
            gathered: 0,
            message: vec![0; 64 << 10],
            last: b"0".to_vec(),
        })
    }

    fn servers(&self) -> Vec<Pid> {
        vec![self.server.pid()]
    }
}

impl Link for End {
    fn send(&mut self, len: usize, fill: impl Fill) -> Result<()> {
        fill.bytes(&mut self.message[..len]);
        let message = &self.message[..len];
        self.pipeline
            .cmd("XADD")
            .arg(self.out)
            .arg("MAXLEN")
            .arg("~")
            .arg(KEPT)
            .arg("*")
            .arg("d")
            .arg(message)
            .ignore();
        self.gathered += 1;
        if self.gathered >= GATHER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.gathered > 0 {
            self.pipeline.exec(&mut self.connection).context("XADD")?;
            self.pipeline.clear();
            self.gathered = 0;
        }
        Ok(())
    }

    fn take(&mut self, limit: usize, see: &mut impl See) -> Result<usize> {
        let reply: Value = cmd("XREAD")
            .arg("COUNT")
            .arg(limit.min(COUNT))
            .arg("BLOCK")
            .arg(0)
            .arg("STREAMS")
            .arg(self.from)
            .arg(&self.last[..])
            .query(&mut self.connection)
            .context("XREAD")?;
        // [[stream, [[id, [field, value]], …]]]
        let Some(Value::Array(stream)) = first(&reply) else { bail!("XREAD gave {reply:?}") };
        let Some(Value::Array(entries)) = stream.get(1) else { bail!("XREAD gave {reply:?}") };
        for entry in entries {
            let Value::Array(entry) = entry else { bail!("an entry is {entry:?}") };
            let (Some(Value::BulkString(id)), Some(Value::Array(fields))) = (entry.first(), entry.get(1))
            else {
                bail!("an entry is {entry:?}")
            };
            let Some(Value::BulkString(message)) = fields.get(1) else { bail!("fields are {fields:?}") };
            see.bytes(message);
            self.last.clone_from(id);
        }
        Ok(entries.len())
    }
}

fn first(value: &Value) -> Option<&Value> {
    match value {
        Value::Array(values) => values.first(),
        _ => None,
    }
}
