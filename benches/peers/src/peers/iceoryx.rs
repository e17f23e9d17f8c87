//! iceoryx2: publish-subscribe, one service each way; for the sleeping table with its event service beside it, since
//! publish-subscribe by itself cannot wait.
//!
//! Payloads are written into the loaned sample and read in place. The buffer is as deep as our ring, nothing is
//! overwritten (a lost message would fail the run), and a full buffer makes the sender try again.

use crate::link::{Link, Peer, Side, Terms};
use crate::payload::{Fill, See};
use anyhow::{Context, Result, anyhow, bail};
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::{
    Alignment, AllocationStrategy, BackpressureStrategy, Config, FileName, LogLevel, Node, NodeBuilder, Path,
    PortFactory, SemanticString, ServiceName, ipc, set_log_level,
};
use std::time::{Duration, Instant};

const DEPTH: usize = 1024;
const CONNECT: Duration = Duration::from_secs(10);

/// `SLEEPING`: a notification after every message, and a wait for one before every look.
pub struct PubSub<const SLEEPING: bool> {
    config: Config,
    size: usize,
}

impl<const SLEEPING: bool> Drop for PubSub<SLEEPING> {
    /// Its nodes leave a file behind each time, and more when they are killed.
    fn drop(&mut self) {
        let prefix = self.config.global.prefix.to_string();
        let Ok(files) = std::fs::read_dir("/dev/shm") else { return };
        for file in files.flatten() {
            if file.file_name().to_string_lossy().starts_with(&prefix) {
                let _ = std::fs::remove_file(file.path());
            }
        }
    }
}

pub struct End<const SLEEPING: bool> {
    publisher: Publisher<ipc::Service, [u8], ()>,
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    bells: Option<(Notifier<ipc::Service>, Listener<ipc::Service>)>,
    // after its ports: dropped last
    _node: Node<ipc::Service>,
}

fn text<E: std::fmt::Debug>(what: &'static str) -> impl Fn(E) -> anyhow::Error {
    move |error| anyhow!("{what}: {error:?}")
}

/// A configuration whose files are `room`'s and whose names in /dev/shm begin with `room`'s own.
pub fn config_in(room: &std::path::Path) -> Result<Config> {
    set_log_level(LogLevel::Error);
    let mut config = Config::default();
    let root = Path::new(room.to_string_lossy().as_bytes()).map_err(text("root path"))?;
    config.global.set_root_path(&root);
    let name = room.file_name().context("a directory with a name")?.to_string_lossy().into_owned();
    // Short: its sockets' names begin with this, and have 108 bytes in all.
    let own = name.trim_start_matches("sample-");
    config.global.prefix =
        FileName::new(format!("{}{own}-", crate::rooms::prefix()).as_bytes()).map_err(text("prefix"))?;
    Ok(config)
}

impl<const SLEEPING: bool> Peer for PubSub<SLEEPING> {
    type Link = End<SLEEPING>;

    fn prepare(terms: Terms<'_>) -> Result<Self> {
        Ok(Self { config: config_in(terms.room)?, size: terms.size })
    }

    fn connect(&self, side: Side) -> Result<Self::Link> {
        let node = NodeBuilder::new()
            .config(&self.config)
            .signal_handling_mode(iceoryx2::prelude::SignalHandlingMode::Disabled)
            .create::<ipc::Service>()
            .map_err(text("node"))?;
        let names = ["near", "far"];
        let (out, back) = (names[side.index()], names[1 - side.index()]);
        // both sides open both services, in the same order: who comes second finds what the first made
        let service = |name: &str| -> Result<_> {
            let name: ServiceName = name.try_into().map_err(text("name"))?;
            let deadline = Instant::now() + CONNECT;
            loop {
                let opened = node
                    .service_builder(&name)
                    .publish_subscribe::<[u8]>()
                    .payload_alignment(Alignment::new(64).context("alignment")?)
                    .enable_safe_overflow(false)
                    .subscriber_max_buffer_size(DEPTH)
                    .subscriber_max_borrowed_samples(2)
                    .history_size(0)
                    .max_publishers(1)
                    .max_subscribers(1)
                    .max_nodes(4)
                    .open_or_create();
                match opened {
                    Ok(service) => return Ok(service),
                    Err(error) if Instant::now() > deadline => bail!("service: {error:?}"),
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        };
        let (near, far) = (service(names[0])?, service(names[1])?);
        let (to, from) = if side == Side::Near { (near, far) } else { (far, near) };
        let publisher = to
            .publisher_builder()
            .initial_max_slice_len(self.size)
            .allocation_strategy(AllocationStrategy::Static)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(text("publisher"))?;
        let subscriber = from.subscriber_builder().buffer_size(DEPTH).create().map_err(text("subscriber"))?;
        let bell = |name: &str| -> Result<_> {
            let name: ServiceName = name.try_into().map_err(text("name"))?;
            let deadline = Instant::now() + CONNECT;
            loop {
                match node.service_builder(&name).event().max_nodes(4).open_or_create() {
                    Ok(service) => return Ok(service),
                    Err(error) if Instant::now() > deadline => bail!("event service: {error:?}"),
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        };
        let bells = if SLEEPING {
            let notifier = bell(out)?.notifier_builder().create().map_err(text("notifier"))?;
            let listener = bell(back)?.listener_builder().create().map_err(text("listener"))?;
            Some((notifier, listener))
        } else {
            None
        };
        // a sample sent before the other side has subscribed would be lost
        let deadline = Instant::now() + CONNECT;
        while to.dynamic_config().number_of_subscribers() == 0
            || from.dynamic_config().number_of_publishers() == 0
        {
            if Instant::now() > deadline {
                bail!("meeting the other side: not within {CONNECT:?}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(End { publisher, subscriber, bells, _node: node })
    }
}

impl<const SLEEPING: bool> Link for End<SLEEPING> {
    #[inline(always)]
    fn send(&mut self, len: usize, fill: impl Fill) -> Result<()> {
        let mut sample = self.publisher.loan_slice_uninit(len).map_err(text("loan"))?;
        let lent = sample.payload_mut();
        // SAFETY: `MaybeUninit<u8>` has the layout of `u8`; `fill` writes all of it before anything is read.
        let lent = unsafe { std::slice::from_raw_parts_mut(lent.as_mut_ptr().cast::<u8>(), lent.len()) };
        fill.bytes(lent);
        // SAFETY: written just above.
        let sample = unsafe { sample.assume_init() };
        let receivers = sample.send().map_err(text("send"))?;
        if receivers != 1 {
            bail!("delivered to {receivers} subscribers");
        }
        if let Some((notifier, _)) = &self.bells {
            notifier.notify().map_err(text("notify"))?;
        }
        Ok(())
    }

    #[inline(always)]
    fn take(&mut self, limit: usize, see: &mut impl See) -> Result<usize> {
        let mut taken = 0;
        loop {
            while taken < limit
                && let Some(sample) = self.subscriber.receive().map_err(text("receive"))?
            {
                see.bytes(sample.payload());
                taken += 1;
            }
            match &self.bells {
                Some((_, listener)) if taken == 0 => {
                    listener.blocking_wait(|_| ()).map_err(text("wait"))?;
                }
                _ => return Ok(taken),
            }
        }
    }
}
