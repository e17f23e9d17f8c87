//! `kind = "agent"`: a program that each worker keeps running, and that answers a line of JSON for each task.

use super::ROOM_BYTES;
use super::exec::{Surrounded, Surroundings};
use crate::scenario::cursor::{Fields, Sited};
use crate::scenario::form::{Filled, Span, Text};
use crate::scenario::mistake::Mistake;
use crate::scenario::table::{Key, Presence, Preset};
use crate::scenario::unit::size_text;
use coordinator::config::AGENT_STARTUP;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) static QUESTION: Key<Filled> = Key {
    name: "question",
    form: Filled(Text { words: "JSON; `{}` becomes the task's number", examples: &[r#"{"add": [1, {}]}"#] }),
    presence: Presence::Optional("`null`"),
    says: "Agent: the `question` of each task.",
};

pub(super) static ANSWER: Key<Filled> = Key {
    name: "answer",
    form: Filled(Text { words: "JSON; `{}` becomes the task's number", examples: &["{}"] }),
    presence: Presence::Optional("not compared"),
    says: "Agent: what the `answer` in the program's result must be.",
};

pub(super) static START_TIMEOUT: Key<Span> = Key {
    name: "start_timeout",
    form: Span::POSITIVE,
    presence: Presence::Default(Preset::Duration(AGENT_STARTUP)),
    says: "Agent: time from the start of the program until it reads its first task. It does not count as the task's.",
};

#[derive(Debug)]
pub(super) struct RawAgent {
    question: Option<Sited<String>>,
    answer: Option<Sited<String>>,
    start_timeout: Option<Sited<Duration>>,
}

pub(super) fn read(fields: &Fields<'_>, found: &mut Vec<Mistake>) -> RawAgent {
    RawAgent {
        question: fields.value(&QUESTION, found),
        answer: fields.value(&ANSWER, found),
        start_timeout: fields.value(&START_TIMEOUT, found),
    }
}

/// The program, and what each task asks of it.
///
/// A task is `{"number": N, "key": "…", "question": …}`. The result must be an object with the same `key`, which cannot be
/// guessed, and where the scenario says what the answer is, with that as its `answer`.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    program: Program,
    question: Option<String>,
    answer: Option<String>,
    output_max_bytes: u32,
}

/// What each worker keeps running: the same for all tasks of a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Never empty.
    pub command: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub cwd: Option<String>,
    pub start_timeout: Duration,
}

impl Agent {
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The line for the task with this number; `tag` tells it from every other task of the run.
    pub fn question(&self, seed: u64, tag: u64, number: u64) -> String {
        let key = key(seed, tag);
        let question = self.question.as_ref().map_or_else(|| "null".to_owned(), |text| filled(text, number));
        format!(r#"{{"number":{number},"key":"{key}","question":{question}}}"#)
    }

    /// What is wrong with the result of that task: a sentence fragment.
    pub fn wrong(&self, result: &[u8], seed: u64, tag: u64, number: u64) -> Option<String> {
        let result = match serde_json::from_slice::<Json>(result) {
            Ok(result) => result,
            Err(error) => return Some(format!("the agent's result is not JSON that can be read: {error}")),
        };
        match result.get("key").and_then(Json::as_str) {
            Some(found) if found == key(seed, tag) => {}
            Some(_) => return Some("the agent's result has the key of another question".to_owned()),
            None => {
                return Some("the agent's result has no `key`: it must have that of its question".to_owned());
            }
        }
        let wanted: Json = serde_json::from_str(&filled(self.answer.as_ref()?, number)).ok()?;
        let found = result.get("answer").unwrap_or(&Json::Null);
        (*found != wanted).then(|| {
            // The beginning tells enough.
            let shown: String = found.to_string().chars().take(80).collect();
            format!("the agent's answer is {shown}, and not {wanted}")
        })
    }

    /// Bytes of the longest question and of the longest result.
    pub(super) fn bytes(&self) -> u32 {
        let longest = u32::try_from(self.question(0, 0, u64::MAX).len()).unwrap_or(u32::MAX);
        longest.max(self.output_max_bytes)
    }

    pub(super) fn words(&self) -> String {
        // In one line, whatever the script in it looks like.
        let command = self.program.command.join(" ");
        format!("agent {}", command.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// No program can know it but from its question.
fn key(seed: u64, tag: u64) -> String {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(tag.to_le_bytes()).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    format!("{:016x}", u64::from_be_bytes(first))
}

fn filled(text: &str, number: u64) -> String {
    text.replace("{}", &number.to_string())
}

/// Whether it is JSON for every number: a number may stand where a value may, or within a string.
fn check_json(text: &Sited<String>, found: &mut Vec<Mistake>) -> bool {
    match serde_json::from_str::<Json>(&filled(&text.value, 7)) {
        Ok(_) => true,
        Err(error) => {
            let message = format!("`{}` is not JSON once `{{}}` is a number: {error}", text.path);
            text.reject(found, message, "write one value of JSON, such as '{\"add\": [1, {}]}'");
            false
        }
    }
}

pub(super) fn check(raw: RawAgent, given: Surrounded, found: &mut Vec<Mistake>) -> Option<Agent> {
    let texts = [&raw.question, &raw.answer];
    let are_json = texts.into_iter().flatten().filter(|text| !check_json(text, found)).count() == 0;
    let Surroundings { command, env, cwd, output_max_bytes } = given.check(found)?;
    if !are_json {
        return None;
    }
    let start_timeout = raw.start_timeout.map_or(AGENT_STARTUP, |at| at.value);
    let agent = Agent {
        program: Program { command: command.value.clone(), env, cwd, start_timeout },
        question: raw.question.map(|at| at.value),
        answer: raw.answer.map(|at| at.value),
        output_max_bytes,
    };
    if agent.bytes() > ROOM_BYTES {
        let room = size_text(u64::from(ROOM_BYTES));
        let message =
            format!("`{}`: its question does not fit into a task, which holds {room}", command.path);
        command.reject(found, message, "ask a shorter question");
        return None;
    }
    Some(agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(answer: Option<&str>) -> Agent {
        let command = vec!["a".to_owned()];
        let program =
            Program { command, env: BTreeMap::new(), cwd: None, start_timeout: Duration::from_secs(1) };
        let question = Some(r#"{"double": {}}"#.to_owned());
        Agent { program, question, answer: answer.map(ToOwned::to_owned), output_max_bytes: 64 }
    }

    #[test]
    fn only_the_answer_to_this_very_question_is_one() {
        let asked = agent(None);
        let line: Json = serde_json::from_str(&asked.question(7, 3, 12)).unwrap();
        assert_eq!((&line["number"], &line["question"]["double"]), (&12.into(), &12.into()));
        let key = line["key"].as_str().unwrap();
        let wrong = |agent: &Agent, result: &str| agent.wrong(result.as_bytes(), 7, 3, 12);
        let right = format!(r#"{{"key":"{key}","answer":24}}"#);
        assert_eq!(wrong(&asked, &right), None);
        assert_eq!(
            asked.wrong(right.as_bytes(), 7, 4, 12).unwrap(),
            "the agent's result has the key of another question"
        );
        assert!(wrong(&asked, r#"{"answer":24}"#).unwrap().contains("has no `key`"));
        assert!(wrong(&asked, "24 ").unwrap().contains("has no `key`"));
        assert!(wrong(&asked, "{").unwrap().contains("is not JSON"));
        let told = agent(Some(r#"{"of": {}}"#));
        assert!(wrong(&told, &right).unwrap().contains(r#"answer is 24, and not {"of":12}"#));
        assert_eq!(wrong(&told, &format!(r#"{{"key":"{key}","answer":{{"of":12}}}}"#)), None);
    }
}
