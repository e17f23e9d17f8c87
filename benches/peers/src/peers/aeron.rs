//! Aeron IPC: one exclusive publication each way, a media driver in a process of its own.
//!
//! Given its best known way: no idle strategy on either side, fragment limit 256, the driver in SHARED mode with its
//! default back-off (it owns no processor here), client conductors invoked by the ends themselves while connecting,
//! so that no thread of a client competes with the two that measure. Both ways of sending are measured: `offer`,
//! which copies, and `try_claim`, which lends.
//!
//! Terms are of the default 64 MiB. Shorter ones are slower where the driver shares its processor, because it is the
//! driver that moves the window along: 16 MiB gave 20, 4 MiB 6 and 1 MiB 1.5 million messages a second where 64 MiB
//! gave 30. Pages allocated ahead, a window of a whole term, and a driver of real-time or raised priority gained
//! nothing that held from run to run.

use crate::link::{Link, Peer, Side, Terms};
use crate::pair::Child;
use crate::payload::{Fill, See};
use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::Pid;
use rusteron_client::{
    Aeron, AeronContext, AeronExclusivePublication, AeronImage, AeronOfferError, AeronSubscription, Handlers,
};
use rusteron_media_driver::{AeronDriver, AeronDriverContext, bindings::aeron_threading_mode_enum};
use std::ffi::CString;
use std::path::Path;
use std::time::{Duration, Instant};

const CONNECT: Duration = Duration::from_secs(10);
const STREAMS: [i32; 2] = [1001, 1002];

pub fn version() -> String {
    format!("{} (rusteron)", Aeron::version_text())
}

/// `CLAIM`: send by `try_claim`, else by `offer`.
pub struct Exclusive<const CLAIM: bool> {
    driver: Child<()>,
    directory: CString,
    channel: CString,
}

pub struct End<const CLAIM: bool> {
    publication: AeronExclusivePublication,
    image: AeronImage,
    scratch: Vec<u8>,
    // after what was made by it: dropped last
    _subscription: AeronSubscription,
    _aeron: Aeron,
}

fn drive(directory: &Path) -> Result<()> {
    let context = AeronDriverContext::new()?;
    context.set_dir(&CString::new(directory.to_string_lossy().as_bytes())?)?;
    context.set_dir_delete_on_start(true)?;
    context.set_threading_mode(aeron_threading_mode_enum::AERON_THREADING_MODE_SHARED)?;
    let driver = AeronDriver::new(&context)?;
    driver.start(true)?;
    loop {
        driver.main_idle_strategy(driver.main_do_work()?);
    }
}

impl<const CLAIM: bool> Peer for Exclusive<CLAIM> {
    type Link = End<CLAIM>;

    fn prepare(terms: Terms<'_>) -> Result<Self> {
        let directory = terms.room.join("aeron");
        Ok(Self {
            driver: Child::fork(|| drive(&directory))?,
            directory: CString::new(directory.to_string_lossy().as_bytes())?,
            channel: c"aeron:ipc".to_owned(),
        })
    }

    fn connect(&self, side: Side) -> Result<Self::Link> {
        let deadline = Instant::now() + CONNECT;
        while !Path::new(self.directory.to_str()?).join("cnc.dat").exists() {
            if Instant::now() > deadline {
                bail!("the media driver did not start");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let context = AeronContext::new()?;
        context.set_dir(&self.directory)?;
        context.set_use_conductor_agent_invoker(true)?;
        let aeron = Aeron::new(&context)?;
        aeron.start()?;
        let until = |what: &str, done: &mut dyn FnMut() -> Result<bool>| -> Result<()> {
            while !done()? {
                if Instant::now() > deadline {
                    bail!("{what}: not within {CONNECT:?}");
                }
                aeron.main_do_work()?;
                std::thread::sleep(Duration::from_micros(200));
            }
            Ok(())
        };
        let (out, back) = (STREAMS[side.index()], STREAMS[1 - side.index()]);
        let adding = aeron.async_add_exclusive_publication(&self.channel, out)?;
        let mut publication = None;
        until("adding a publication", &mut || {
            publication = adding.poll()?;
            Ok(publication.is_some())
        })?;
        let publication = publication.context("a publication")?;
        let adding = aeron.async_add_subscription(&self.channel, back, Handlers::NONE, Handlers::NONE)?;
        let mut subscription = None;
        until("adding a subscription", &mut || {
            subscription = adding.poll()?;
            Ok(subscription.is_some())
        })?;
        let subscription = subscription.context("a subscription")?;
        let mut image = None;
        until("meeting the other side", &mut || {
            image = subscription.image_at_index(0);
            Ok(image.is_some() && publication.is_connected())
        })?;
        let image = image.context("an image")?;
        Ok(End { publication, image, scratch: vec![0; 64 << 10], _subscription: subscription, _aeron: aeron })
    }

    fn servers(&self) -> Vec<Pid> {
        vec![self.driver.pid()]
    }
}

#[cold]
fn refused(error: &AeronOfferError) -> Result<()> {
    if error.is_retryable() { Ok(()) } else { Err(anyhow!("offer: {error}")) }
}

impl<const CLAIM: bool> Link for End<CLAIM> {
    #[inline(always)]
    fn send(&mut self, len: usize, fill: impl Fill) -> Result<()> {
        if CLAIM {
            let mut claim = loop {
                match self.publication.try_claim_owned(len) {
                    Ok(claim) => break claim,
                    Err(error) => refused(&error)?,
                }
            };
            fill.bytes(claim.data());
            claim.commit()?;
            return Ok(());
        }
        let message = &mut self.scratch[..len];
        fill.bytes(message);
        loop {
            match self.publication.offer(message) {
                Ok(_) => return Ok(()),
                Err(error) => refused(&error)?,
            }
        }
    }

    #[inline(always)]
    fn take(&mut self, limit: usize, see: &mut impl See) -> Result<usize> {
        Ok(self.image.poll_fn(|message, _| see.bytes(message), limit)? as usize)
    }
}
