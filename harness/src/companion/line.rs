//! The harness's end of a line to a companion: an order is a line, and so is what is said to it.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Line {
    orders: UnixStream,
    answers: BufReader<UnixStream>,
    /// What error messages call the other end.
    name: &'static str,
    /// Answers that have not come: one that comes too late is to none of the orders after it.
    owed: u32,
    /// The beginning of an answer.
    begun: Vec<u8>,
}

impl Line {
    pub(crate) fn new(stream: UnixStream, name: &'static str) -> io::Result<Self> {
        let answers = BufReader::new(stream.try_clone()?);
        Ok(Self { orders: stream, answers, name, owed: 0, begun: Vec::new() })
    }

    /// Of which no answer is awaited.
    pub(crate) fn say(&mut self, order: &str) -> io::Result<()> {
        writeln!(self.orders, "{order}")
    }

    /// What is said to an order.
    pub(crate) fn ask(&mut self, order: &str, within: Duration) -> io::Result<String> {
        self.say(order)?;
        self.hear(within)
    }

    /// What is said next, without an order.
    pub(crate) fn hear(&mut self, within: Duration) -> io::Result<String> {
        let until = Instant::now() + within;
        self.owed += 1;
        loop {
            let said = self.next(until)?;
            self.owed -= 1;
            if self.owed == 0 {
                return Ok(said);
            }
        }
    }

    fn next(&mut self, until: Instant) -> io::Result<String> {
        loop {
            // None at all would be to wait for ever.
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.orders.set_read_timeout(Some(left))?;
            match self.answers.read_until(b'\n', &mut self.begun) {
                Ok(0) => return Err(io::Error::other(format!("{} has ended", self.name))),
                Ok(_) if self.begun.last() == Some(&b'\n') => {
                    let said = String::from_utf8_lossy(&self.begun).trim_end().to_owned();
                    self.begun.clear();
                    return Ok(said);
                }
                // Cut off by its end, which the next look shows.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::other(format!("{} does not answer", self.name)));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);
    const LATER: Duration = Duration::from_secs(60);

    fn pair() -> (Line, UnixStream) {
        let (ours, its) = UnixStream::pair().unwrap();
        (Line::new(ours, "it").unwrap(), its)
    }

    #[test]
    fn an_answer_that_comes_too_late_is_not_taken_for_that_to_the_next_order() {
        let (mut line, mut its) = pair();
        assert_eq!(line.ask("one", SOON).unwrap_err().to_string(), "it does not answer");
        its.write_all(b"to o").unwrap();
        assert_eq!(line.ask("two", SOON).unwrap_err().to_string(), "it does not answer");
        its.write_all(b"ne\nto two\nto three\n").unwrap();
        assert_eq!(line.ask("three", LATER).unwrap(), "to three");
        let mut orders = BufReader::new(its.try_clone().unwrap()).lines().map(Result::unwrap);
        assert_eq!([(); 3].map(|()| orders.next().unwrap()), ["one", "two", "three"]);
    }

    #[test]
    fn an_end_within_an_answer_is_an_end() {
        for said in ["", "half"] {
            let (mut line, mut its) = pair();
            its.write_all(said.as_bytes()).unwrap();
            drop(its);
            assert_eq!(line.hear(LATER).unwrap_err().to_string(), "it has ended", "{said}");
        }
    }
}
