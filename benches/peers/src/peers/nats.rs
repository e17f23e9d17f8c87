//! NATS core: a server on a loopback port of its own, and on each side a plain client that pipelines.
//!
//! The client speaks the text protocol itself: what is measured is the broker, not a runtime around it. It knows
//! CONNECT, SUB, PUB, MSG, PING and PONG, and takes everything else for an error. Sent messages are gathered until
//! 64 KiB or a flush.

use super::server::Server;
use crate::link::{Link, Peer, Side, Terms};
use crate::payload::{Fill, See};
use anyhow::{Context, Result, bail};
use nix::unistd::Pid;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

pub const PROGRAM: &str = "nats-server";
const GATHER: usize = 64 << 10;

pub struct Core {
    server: Server,
    port: u16,
}

pub struct End {
    stream: TcpStream,
    subject: &'static str,
    out: Vec<u8>,
    message: Vec<u8>,
    /// Received and not yet taken: `from..to`.
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

impl Peer for Core {
    type Link = End;

    fn prepare(terms: Terms<'_>) -> Result<Self> {
        let room = terms.room.to_string_lossy();
        // port -1: one that is free, written into a file there
        let arguments = ["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", &room];
        let mut server = Server::start(PROGRAM, &arguments, terms.room)?;
        let file = terms.room.join(format!("nats-server_{}.ports", server.pid()));
        let port = server.when(|| {
            let text = fs::read_to_string(&file).ok()?;
            let ports: serde_json::Value = serde_json::from_str(&text).ok()?;
            let address = ports["nats"][0].as_str()?.to_owned();
            address.rsplit(':').next()?.parse().ok()
        })?;
        Ok(Self { server, port })
    }

    fn connect(&self, side: Side) -> Result<Self::Link> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).context("connecting to the server")?;
        stream.set_nodelay(true)?;
        let subjects = ["near", "far"];
        let mut end = End {
            stream,
            subject: subjects[side.index()],
            out: Vec::with_capacity(2 * GATHER),
            message: vec![0; 64 << 10],
            buffer: vec![0; 256 << 10],
            from: 0,
            to: 0,
        };
        let subject = subjects[1 - side.index()];
        write!(
            end.out,
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"echo\":false}}\r\nSUB {subject} 1\r\nPING\r\n"
        )?;
        end.flush()?;
        // INFO, then the PONG that says the subscription stands
        loop {
            let line = end.line()?;
            if line.starts_with("PONG") {
                return Ok(end);
            }
            if !line.starts_with("INFO") {
                bail!("the server said: {line}");
            }
        }
    }

    fn servers(&self) -> Vec<Pid> {
        vec![self.server.pid()]
    }
}

impl End {
    /// Waits for more bytes, behind those that are there.
    fn more(&mut self) -> Result<()> {
        if self.from > 0 {
            self.buffer.copy_within(self.from..self.to, 0);
            self.to -= self.from;
            self.from = 0;
        }
        let came = self.stream.read(&mut self.buffer[self.to..]).context("read")?;
        if came == 0 {
            bail!("the server hung up (a slow consumer?)");
        }
        self.to += came;
        Ok(())
    }

    /// Where the next line ends, if all of it is there.
    fn line_end(&self) -> Option<usize> {
        let at = self.buffer[self.from..self.to].iter().position(|byte| *byte == b'\n')?;
        Some(self.from + at)
    }

    fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.line_end() {
                let line = String::from_utf8_lossy(&self.buffer[self.from..end]).trim_end().to_owned();
                self.from = end + 1;
                return Ok(line);
            }
            self.more()?;
        }
    }

    /// Takes one message or control line off the buffer; false if it is not all there.
    fn one(&mut self, see: &mut impl See) -> Result<Option<bool>> {
        let Some(end) = self.line_end() else { return Ok(None) };
        let line = self.buffer[self.from..end].trim_ascii_end();
        if line.starts_with(b"MSG ") {
            // MSG <subject> <sid> <bytes>
            let len = line.rsplit(|byte| *byte == b' ').next().and_then(|len| std::str::from_utf8(len).ok());
            let len: usize = len.and_then(|len| len.parse().ok()).context("a MSG without a length")?;
            let start = end + 1;
            if self.to < start + len + 2 {
                return Ok(None);
            }
            see.bytes(&self.buffer[start..start + len]);
            self.from = start + len + 2;
            return Ok(Some(true));
        }
        if line == b"PING" {
            self.stream.write_all(b"PONG\r\n")?;
        } else if line != b"PONG" && !line.starts_with(b"INFO") {
            bail!("the server said: {}", String::from_utf8_lossy(line));
        }
        self.from = end + 1;
        Ok(Some(false))
    }
}

impl Link for End {
    fn send(&mut self, len: usize, fill: impl Fill) -> Result<()> {
        fill.bytes(&mut self.message[..len]);
        write!(self.out, "PUB {} {len}\r\n", self.subject)?;
        self.out.extend_from_slice(&self.message[..len]);
        self.out.extend_from_slice(b"\r\n");
        if self.out.len() >= GATHER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.out).context("write")?;
        self.out.clear();
        Ok(())
    }

    fn take(&mut self, limit: usize, see: &mut impl See) -> Result<usize> {
        let mut taken = 0;
        while taken < limit {
            match self.one(see)? {
                Some(message) => taken += usize::from(message),
                None if taken > 0 => break,
                None => self.more()?,
            }
        }
        Ok(taken)
    }
}
