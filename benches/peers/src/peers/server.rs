//! A broker that a sample starts for itself and ends by its pid.

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Server {
    process: Child,
    log: std::path::PathBuf,
}

impl Server {
    /// Starts a program in `room`; what it says goes to a file there. It dies with this process.
    pub fn start(program: &str, arguments: &[&str], room: &Path) -> Result<Self> {
        let log = room.join("server.log");
        let out = File::create(&log)?;
        let me = nix::unistd::getpid();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(room).stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out);
        // SAFETY: between fork and exec only prctl and getppid are called, both async-signal-safe.
        unsafe {
            command.pre_exec(move || crate::pair::end_with(me).map_err(std::io::Error::other));
        }
        let process = command.spawn().with_context(|| format!("starting {program}"))?;
        Ok(Self { process, log })
    }

    /// Waits until `ready` gives something.
    pub fn when<T>(&mut self, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + START;
        loop {
            if let Some(value) = ready() {
                return Ok(value);
            }
            let ended = self.process.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                let last = said.lines().last().unwrap_or("nothing").to_owned();
                match ended {
                    Some(status) => bail!("the server ended with {status}; it said: {last}"),
                    None => bail!("the server is not ready after {START:?}; it said: {last}"),
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id() as i32)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
