//! What the kernel offers: SEQPACKET sockets with epoll, pipes, POSIX message queues. Every wait is a sleep.

use crate::link::{Link, Peer, Side, Terms};
use crate::payload::{Fill, See};
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_close, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::sys::stat::Mode;
use nix::unistd::{pipe2, read, write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

/// Unix SEQPACKET: one system call a message each way, and an `epoll_wait` before each look.
pub struct Seqpacket {
    ends: [OwnedFd; 2],
    size: usize,
}

pub struct SeqpacketEnd {
    socket: OwnedFd,
    epoll: Epoll,
    buffer: Vec<u8>,
}

impl Peer for Seqpacket {
    type Link = SeqpacketEnd;

    fn prepare(terms: Terms<'_>) -> Result<Self> {
        let (near, far) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .context("socketpair")?;
        Ok(Self { ends: [near, far], size: terms.size })
    }

    fn connect(&self, side: Side) -> Result<Self::Link> {
        let socket = self.ends[side.index()].try_clone()?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("epoll_create")?;
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, 0)).context("epoll_ctl")?;
        Ok(SeqpacketEnd { socket, epoll, buffer: vec![0; self.size] })
    }
}

impl Link for SeqpacketEnd {
    fn send(&mut self, len: usize, fill: impl Fill) -> Result<()> {
        fill.bytes(&mut self.buffer[..len]);
        let sent = send(self.socket.as_raw_fd(), &self.buffer[..len], MsgFlags::empty()).context("send")?;
        if sent != len {
            bail!("sent {sent} of {len} bytes");
        }
        Ok(())
    }

    fn take(&mut self, limit: usize, see: &mut impl See) -> Result<usize> {
        self.epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE).context("epoll_wait")?;
        let mut taken = 0;
        while taken < limit {
            match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => bail!("the other side hung up"),
                Ok(len) => see.bytes(&self.buffer[..len]),
                Err(Errno::EAGAIN) => break,
                Err(error) => bail!("recv: {error}"),
            }
            taken += 1;
        }
        Ok(taken)
    }
}

/// A pipe each way. Messages are of one size, so the reader may take many with one call.
pub struct Pipe {
    near_to_far: (OwnedFd, OwnedFd),
    far_to_near: (OwnedFd, OwnedFd),
    size: usize,
}

pub struct PipeEnd {
    from: OwnedFd,
    to: OwnedFd,
    size: usize,
    out: Vec<u8>,
    buffer: Vec<u8>,
    /// Bytes of a message whose rest has not come.
    kept: usize,
}

impl Peer for Pipe {
    type Link = PipeEnd;

    fn prepare(terms: Terms<'_>) -> Result<Self> {
        let new = || pipe2(OFlag::O_CLOEXEC).context("pipe");
        Ok(Self { near_to_far: new()?, far_to_near: new()?, size: terms.size })
    }

    fn connect(&self, side: Side) -> Result<Self::Link> {
        let (from, to) = match side {
            Side::Near => (&self.far_to_near.0, &self.near_to_far.1),
            Side::Far => (&self.near_to_far.0, &self.far_to_near.1),
        };
        Ok(PipeEnd {
            from: from.try_clone()?,
            to: to.try_clone()?,
            size: self.size,
            out: vec![0; self.size],
            buffer: vec![0; 256 * self.size],
            kept: 0,
        })
    }
}

impl Link for PipeEnd {
    fn send(&mut self, len: usize, fill: impl Fill) -> Result<()> {
        fill.bytes(&mut self.out[..len]);
        // whole or not at all: it is less than PIPE_BUF
        let sent = write(&self.to, &self.out[..len]).context("write")?;
        if sent != len {
            bail!("wrote {sent} of {len} bytes");
        }
        Ok(())
    }

    fn take(&mut self, limit: usize, see: &mut impl See) -> Result<usize> {
        let most = (limit * self.size).min(self.buffer.len());
        let came = read(&self.from, &mut self.buffer[self.kept..most]).context("read")?;
        if came == 0 {
            bail!("the other side hung up");
        }
        let held = self.kept + came;
        let whole = held / self.size;
        self.buffer[..whole * self.size].chunks_exact(self.size).for_each(|message| see.bytes(message));
        self.buffer.copy_within(whole * self.size..held, 0);
        self.kept = held - whole * self.size;
        Ok(whole)
    }
}

/// POSIX message queues of the default depth, 10.
pub struct Queue {
    queues: Rc<Queues>,
    size: usize,
}

/// By side: what that side sends goes here. Closed with the last end.
struct Queues(Vec<MqdT>);

impl Drop for Queues {
    fn drop(&mut self) {
        for queue in self.0.drain(..) {
            let _ = mq_close(queue);
        }
    }
}

pub struct QueueEnd {
    queues: Rc<Queues>,
    side: Side,
    buffer: Vec<u8>,
}

const QUEUE_DEPTH: i64 = 10;

impl Peer for Queue {
    type Link = QueueEnd;

    fn prepare(terms: Terms<'_>) -> Result<Self> {
        let new = |which: &str| -> Result<MqdT> {
            let name = format!("/peers-{}-{which}", nix::unistd::getpid());
            let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR | MQ_OFlag::O_CLOEXEC;
            let attributes = MqAttr::new(0, QUEUE_DEPTH, terms.size as i64, 0);
            let queue = mq_open(name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR, Some(&attributes))
                .context("mq_open: see /proc/sys/fs/mqueue")?;
            // it lives on in the descriptors that the two processes inherit
            mq_unlink(name.as_str()).context("mq_unlink")?;
            Ok(queue)
        };
        Ok(Self { queues: Rc::new(Queues(vec![new("near")?, new("far")?])), size: terms.size })
    }

    fn connect(&self, side: Side) -> Result<Self::Link> {
        Ok(QueueEnd { queues: self.queues.clone(), side, buffer: vec![0; self.size] })
    }
}

impl Link for QueueEnd {
    fn send(&mut self, len: usize, fill: impl Fill) -> Result<()> {
        fill.bytes(&mut self.buffer[..len]);
        mq_send(&self.queues.0[self.side.index()], &self.buffer[..len], 0).context("mq_send")
    }

    fn take(&mut self, _limit: usize, see: &mut impl See) -> Result<usize> {
        let len = mq_receive(&self.queues.0[1 - self.side.index()], &mut self.buffer, &mut 0)
            .context("mq_receive")?;
        see.bytes(&self.buffer[..len]);
        Ok(1)
    }
}
