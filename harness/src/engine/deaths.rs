//! When processes of the fleet end, as the kernel says: through a pidfd each, which no one can be late with but this
//! end's own thread.
//!
//! It takes a descriptor for each process, and runs only where a criterion asks for it. A process that no descriptor is left
//! for is not watched, and its death has no time.

use super::clock::Clock;
use crate::system::{Identity, descriptor_of};
use reports::runlog::event::AgentInfo;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::time::Timespec;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the thread looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(200);
/// Ends that are taken at once.
const AT_ONCE: usize = 64;

#[derive(Debug, Default)]
struct State {
    /// By pid: it is given to no other process while its descriptor is open and its parent has not waited for it.
    watched: HashMap<u32, OwnedFd>,
    ended_ns: HashMap<u32, u64>,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Ends {
    shared: Arc<(OwnedFd, Mutex<State>, AtomicBool)>,
    thread: Option<JoinHandle<()>>,
}

impl Ends {
    /// # Errors
    /// Says why nothing can be watched.
    pub fn start(clock: &Clock) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let shared = Arc::new((epoll, Mutex::new(State::default()), AtomicBool::new(false)));
        let (theirs, clock) = (Arc::clone(&shared), clock.clone());
        let thread = std::thread::Builder::new().name("ends".to_owned()).spawn(move || {
            let (epoll, state, over) = &*theirs;
            let mut events: Vec<epoll::Event> = Vec::with_capacity(AT_ONCE);
            let look = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK.subsec_nanos()) };
            while !over.load(Ordering::Acquire) {
                events.clear();
                // Interrupted, or nothing has ended.
                if epoll::wait(epoll, spare_capacity(&mut events), Some(&look)).is_err() {
                    continue;
                }
                let now_ns = clock.now_ns();
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                for event in &events {
                    let data = event.data;
                    let pid = u32::try_from(data.u64()).unwrap_or(0);
                    state.ended_ns.insert(pid, now_ns);
                    // Its end is told once: a closed descriptor is watched no more.
                    state.watched.remove(&pid);
                }
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// From now on, unless the process is gone or there is no descriptor for it.
    pub fn watch(&self, agents: &[AgentInfo]) {
        let (epoll, state, _) = &*self.shared;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        for agent in agents.iter().filter(|agent| agent.id != 0) {
            let identity = Identity { pid: agent.pid, start_ticks: agent.start_ticks };
            let Ok(descriptor) = descriptor_of(identity) else { continue };
            state.ended_ns.remove(&agent.pid);
            let data = epoll::EventData::new_u64(agent.pid.into());
            if epoll::add(epoll, descriptor.as_fd(), data, epoll::EventFlags::IN).is_ok() {
                state.watched.insert(agent.pid, descriptor);
            }
        }
    }

    /// When the process ended that was watched last under this pid.
    pub fn of(&self, pid: u32) -> Option<u64> {
        let state = self.shared.1.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended_ns.get(&pid).copied()
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.shared.2.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say, and ends with the next look.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reports::runlog::event::Role;

    #[test]
    fn the_end_of_a_process_is_seen_when_it_ends_and_not_before() {
        let clock = Clock::start();
        let ends = Ends::start(&clock).unwrap();
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let Identity { pid, start_ticks } = Identity::of(child.id()).unwrap();
        let name = "worker/0.0".to_owned();
        let other = start_ticks + 1;
        let agent = |start_ticks| AgentInfo {
            id: 1,
            role: Role::Worker,
            name: name.clone(),
            pid,
            start_ticks,
            incarnation: 1,
        };
        // Another process with its pid is not the one that is meant.
        ends.watch(&[agent(other)]);
        assert!(ends.shared.1.lock().unwrap().watched.is_empty());
        ends.watch(&[agent(start_ticks)]);
        assert_eq!(ends.of(pid), None);
        let before_ns = clock.now_ns();
        child.kill().unwrap();
        let ended_ns = loop {
            match ends.of(pid) {
                Some(ended_ns) => break ended_ns,
                None => std::thread::yield_now(),
            }
        };
        assert!((before_ns..=clock.now_ns()).contains(&ended_ns));
        child.wait().unwrap();
        assert!(ends.shared.1.lock().unwrap().watched.is_empty(), "its descriptor is closed");
    }
}
