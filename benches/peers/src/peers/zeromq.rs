//! ZeroMQ over `ipc://`: a PAIR socket on each side, one I/O thread each, high-water mark as it comes (1000).

use crate::link::{Link, Peer, Side, Terms};
use crate::payload::{Fill, See};
use anyhow::{Context as _, Result, bail};
use zmq::{Context, Message, PAIR, Socket};

pub fn version() -> String {
    let (major, minor, patch) = zmq::version();
    format!("{major}.{minor}.{patch}")
}

pub struct Pair {
    address: String,
}

pub struct End {
    socket: Socket,
    message: Message,
    _context: Context,
}

impl Peer for Pair {
    type Link = End;

    fn prepare(terms: Terms<'_>) -> Result<Self> {
        Ok(Self { address: format!("ipc://{}/zeromq", terms.room.display()) })
    }

    fn connect(&self, side: Side) -> Result<Self::Link> {
        let context = Context::new();
        let socket = context.socket(PAIR)?;
        match side {
            Side::Near => socket.bind(&self.address).context("bind")?,
            // tries again by itself until the other side listens
            Side::Far => socket.connect(&self.address).context("connect")?,
        }
        Ok(End { socket, message: Message::new(), _context: context })
    }
}

impl Link for End {
    fn send(&mut self, len: usize, fill: impl Fill) -> Result<()> {
        // memory that ZeroMQ takes over: nothing is copied on this side
        let mut message = Message::with_size(len);
        fill.bytes(&mut message);
        self.socket.send(message, 0).context("zmq_send")
    }

    fn take(&mut self, limit: usize, see: &mut impl See) -> Result<usize> {
        let mut taken = 0;
        while taken < limit {
            let flags = if taken == 0 { 0 } else { zmq::DONTWAIT };
            match self.socket.recv(&mut self.message, flags) {
                Ok(()) => see.bytes(&self.message),
                Err(zmq::Error::EAGAIN) if taken > 0 => break,
                Err(error) => bail!("zmq_recv: {error}"),
            }
            taken += 1;
        }
        Ok(taken)
    }
}
