//! What a task is: its way from a line of a list to a message for the fleet.

use super::template::{Template, Values};
use super::time;
use crate::client::Task;
use crate::config::PAYLOAD_MAX;
use crate::wire::command::Command;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What a line of a list of tasks may have.
const KEYS: [&str; 9] = ["id", "command", "args", "input", "stdin", "env", "cwd", "timeout", "deadline"];
/// And one that is a number.
const RETRIES: &str = "retries";
/// Bytes of an id.
const ID_MAX: usize = 256;

/// A task as a list has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) id: String,
    pub(super) number: u64,
    /// What it is called beside its id, where it has an input and no id of its own.
    pub(super) input: Option<Vec<u8>>,
    pub(super) argv: Vec<Vec<u8>>,
    /// What a long-lived agent is asked, as JSON; then there is no command but the agent's.
    pub(super) question: Option<String>,
    pub(super) stdin: Option<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: Option<String>,
    pub(super) own: Own,
    /// What gets all of its output: stdout, and stderr.
    pub(super) files: Option<[Option<String>; 2]>,
}

/// What a task says for itself where others take what the command line says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Duration>,
    pub(super) retries: Option<u8>,
}

/// A task that is ready to be sent.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) number: u64,
    pub(super) input: Option<Vec<u8>>,
    pub(super) own: Own,
    /// Of what it runs.
    pub(super) hash: u64,
    pub(super) message: Message,
}

#[derive(Debug)]
pub(super) enum Message {
    Exec(Vec<u8>),
    Command(Vec<u8>),
    Agent(Vec<u8>),
}

/// What does the tasks.
#[derive(Debug)]
pub(super) enum Doer {
    /// A command for each; empty where each brings its own.
    Command(Template),
    /// A program that stays, and is given a line of JSON for each.
    Agent(Vec<String>),
}

impl Doer {
    fn command(&self) -> Option<&Template> {
        match self {
            Self::Command(template) => Some(template),
            Self::Agent(_) => None,
        }
    }
}

impl Job {
    pub(super) fn task(&self) -> Task<'_> {
        match &self.message {
            Message::Exec(body) => Task::Exec(body),
            Message::Command(body) => Task::Command(body),
            Message::Agent(question) => Task::Agent(question),
        }
    }

    /// Bytes of its message.
    pub(super) fn size(&self) -> usize {
        let (Message::Exec(body) | Message::Command(body) | Message::Agent(body)) = &self.message;
        body.len()
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        match &self.input {
            Some(input) => format!("{:?}", String::from_utf8_lossy(input)),
            None => format!("{:?}", self.id),
        }
    }
}

impl Spec {
    /// A line of input, or the number of an agent.
    pub(super) fn plain(id: String, number: u64, input: &[u8], argv: Vec<Vec<u8>>) -> Self {
        Self { id, number, input: Some(input.to_vec()), argv, ..Self::default() }
    }

    /// For an agent that stays.
    pub(super) fn ask(&mut self, question: &str, doer: &Doer) {
        self.question = Some(question.to_owned());
        if let Doer::Agent(command) = doer {
            self.argv = command.iter().map(|word| word.clone().into_bytes()).collect();
        }
    }

    pub(super) fn hash(&self) -> u64 {
        let mut hasher = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for argument in &self.argv {
            add(argument);
        }
        if let Some(question) = &self.question {
            add(question.as_bytes());
        }
        add(b"stdin");
        add(self.stdin.as_deref().unwrap_or_default().as_bytes());
        for (name, value) in &self.env {
            add(name.as_bytes());
            add(value.as_bytes());
        }
        add(self.cwd.as_deref().unwrap_or_default().as_bytes());
        first_8(&hasher.finalize())
    }

    pub(super) fn job(self) -> Result<Job, String> {
        let hash = self.hash();
        let Self { id, number, input, argv, question, stdin, env, cwd, own, files } = self;
        if argv.iter().any(|argument| argument.contains(&0)) {
            return Err("an argument contains a NUL, which no program can be given".to_owned());
        }
        if question.is_none() && argv.first().is_none_or(Vec::is_empty) {
            return Err("the command has no program".to_owned());
        }
        let message = if let Some(question) = question {
            Message::Agent(question.into_bytes())
        } else if stdin.is_none() && env.is_empty() && cwd.is_none() && files.is_none() {
            let mut body = argv.join(&0);
            body.push(0);
            Message::Exec(body)
        } else {
            let argv =
                argv.into_iter().map(String::from_utf8).collect::<Result<Vec<_>, _>>().map_err(|_| {
                    "an argument is no UTF-8, and a task with surroundings of its own wants text".to_owned()
                })?;
            let cwd = cwd.as_deref().map(absolute).transpose()?;
            let [stdout_file, stderr_file] = files.unwrap_or_default();
            let command = Command { argv, env, cwd, stdin, stdout_file, stderr_file, ..Command::default() };
            Message::Command(command.to_body().map_err(|error| error.to_string())?)
        };
        let job = Job { id, number, input, own, hash, message };
        if job.size() > PAYLOAD_MAX as usize {
            return Err(format!(
                "the task has {} bytes, and at most {PAYLOAD_MAX} can be sent: keep what is large in a file",
                job.size()
            ));
        }
        Ok(job)
    }

    /// As a shell would run it.
    pub(super) fn in_shell(&self) -> String {
        let mut words = Vec::new();
        if self.cwd.is_some() || !self.env.is_empty() {
            words.push("env".to_owned());
            if let Some(cwd) = &self.cwd {
                words.extend(["-C".to_owned(), quoted(cwd.as_bytes())]);
            }
            words.extend(self.env.iter().map(|(name, value)| quoted(format!("{name}={value}").as_bytes())));
        }
        words.extend(self.argv.iter().map(|argument| quoted(argument)));
        if let Some(stdin) = self.stdin.as_ref().or(self.question.as_ref()) {
            words.extend(["<<<".to_owned(), quoted(stdin.as_bytes())]);
        }
        words.join(" ")
    }
}

/// The fleet may be at home elsewhere.
pub(super) fn absolute(path: &str) -> Result<String, String> {
    let whole = std::path::absolute(path).map_err(|error| format!("{path:?} is no path: {error}"))?;
    whole
        .into_os_string()
        .into_string()
        .map_err(|_| format!("{path:?} is in a directory whose name is no UTF-8"))
}

pub(super) fn first_8(digest: &[u8]) -> u64 {
    u64::from_be_bytes(*digest.first_chunk().expect("a digest has 32 bytes"))
}

/// So that a shell reads it as one word.
pub(super) fn quoted(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./,:=@%+".contains(byte);
    let text = String::from_utf8_lossy(word);
    if !word.is_empty() && word.iter().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Reads a line of a list of tasks; every mistake of it. `line` is its number in the file, `number` the task's.
pub(super) fn read(line: &[u8], line_number: u64, number: u64, doer: &Doer) -> Result<Spec, Vec<String>> {
    let pairs: Pairs<'_> = serde_json::from_slice(line).map_err(|error| {
        // There is one line, and its number is known.
        let said = error.to_string();
        let said = said.split(" at line ").next().unwrap_or(&said);
        vec![format!("column {}: {said}", error.column())]
    })?;
    let mut reader = Reader { spec: Spec { number, ..Spec::default() }, wrong: Vec::new(), seen: Vec::new() };
    let (mut command, mut args, mut input) = (None, None, None);
    for (key, raw) in pairs.0 {
        if reader.seen.contains(&key) {
            reader.wrong.push(format!("`{key}` is there twice"));
            continue;
        }
        let value: Value = serde_json::from_str(raw.get()).map_err(|error| vec![error.to_string()])?;
        match key.as_str() {
            "command" => command = reader.strings(&key, value),
            "args" => args = reader.strings(&key, value),
            "input" => input = Some((raw.get(), as_text(raw, value))),
            _ => reader.take(&key, value),
        }
        reader.seen.push(key);
    }
    let Reader { mut spec, mut wrong, seen } = reader;
    let has = |key: &str| seen.iter().any(|seen| seen == key);
    if spec.id.is_empty() && !has("id") {
        spec.id = line_number.to_string();
    }
    let Some(template) = doer.command() else {
        let useless = ["command", "args", "stdin", "env", "cwd"].into_iter().filter(|key| has(key));
        wrong.extend(
            useless.map(|key| format!("`{key}` is of no use to an agent: what it is to do is its `input`")),
        );
        let Some((question, _)) = input.filter(|_| wrong.is_empty()) else {
            if !has("input") {
                wrong.push("it has no `input`, which is what the agent is to do".to_owned());
            }
            return Err(wrong);
        };
        spec.ask(question, doer);
        return Ok(spec);
    };
    let whats: Vec<_> = ["command", "args", "input"].into_iter().filter(|key| has(key)).collect();
    if let [first, second, ..] = whats[..] {
        wrong.push(format!("`{first}` and `{second}` do not go together"));
    } else if !has("command") && template.is_empty() {
        wrong.push("it has no `command`, and no command follows `--`".to_owned());
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let values = Values { input: input.as_ref().map(|(_, text)| text.as_bytes()), number, id: &spec.id };
    spec.argv = match (command, args) {
        (Some(command), _) => command,
        (None, Some(args)) => {
            let mut argv = template.fill(&values);
            argv.extend(args);
            argv
        }
        (None, None) => template.fill_or_append(&values),
    };
    Ok(spec)
}

/// A string is itself, anything else its JSON.
fn as_text(raw: &RawValue, value: Value) -> String {
    match value {
        Value::String(text) => text,
        _ => raw.get().to_owned(),
    }
}

struct Reader {
    spec: Spec,
    wrong: Vec<String>,
    seen: Vec<String>,
}

impl Reader {
    fn take(&mut self, key: &str, value: Value) {
        match (key, value) {
            ("id", Value::Number(id)) => self.spec.id = id.to_string(),
            ("id", Value::String(id)) => self.id(id),
            ("id", _) => self.wrong.push("`id` is neither a string nor a number".to_owned()),
            ("stdin", Value::String(text)) => self.spec.stdin = Some(text),
            ("cwd", Value::String(path)) => self.cwd(path),
            ("env", Value::Object(env)) => {
                for (name, value) in env {
                    self.variable(name, value);
                }
            }
            ("env", _) => self.wrong.push(r#"`env` is no object of strings, as in {"LANG":"C"}"#.to_owned()),
            ("timeout", Value::String(text)) => self.spec.own.timeout = self.time(key, &text),
            ("deadline", Value::String(text)) => self.spec.own.deadline = self.time(key, &text),
            ("timeout" | "deadline", _) => {
                self.wrong
                    .push(format!(r#"`{key}` is no time in a string, as in "500ms", "30s", "10m" or "2h""#));
            }
            ("stdin" | "cwd", _) => self.wrong.push(format!("`{key}` is no string")),
            (RETRIES, value) => match value.as_u64().and_then(|count| u8::try_from(count).ok()) {
                Some(count) if count < u8::MAX => self.spec.own.retries = Some(count),
                _ => self.wrong.push("`retries` is no number from 0 to 254".to_owned()),
            },
            (key, _) => self.unknown(key),
        }
    }

    fn id(&mut self, id: String) {
        if id.is_empty() {
            self.wrong.push("`id` is empty".to_owned());
        } else if id.len() > ID_MAX {
            self.wrong.push(format!("`id` has {} bytes, and at most {ID_MAX} are allowed", id.len()));
        } else if id.chars().any(char::is_control) {
            self.wrong.push("`id` has a control character".to_owned());
        }
        self.spec.id = id;
    }

    fn cwd(&mut self, path: String) {
        if path.is_empty() || path.contains('\0') {
            self.wrong.push("`cwd` is no path".to_owned());
        }
        self.spec.cwd = Some(path);
    }

    fn variable(&mut self, name: String, value: Value) {
        if name.is_empty() || name.contains(['=', '\0']) {
            self.wrong.push(format!("{name:?} in `env` is no name of a variable"));
        }
        match value {
            Value::String(value) if !value.contains('\0') => {
                self.spec.env.insert(name, value);
            }
            Value::String(_) => self.wrong.push(format!("`env.{name}` contains a NUL")),
            _ => self.wrong.push(format!("`env.{name}` is no string")),
        }
    }

    fn time(&mut self, key: &str, text: &str) -> Option<Duration> {
        time(text).map_err(|wrong| self.wrong.push(format!("`{key}`: {wrong}"))).ok()
    }

    fn strings(&mut self, key: &str, value: Value) -> Option<Vec<Vec<u8>>> {
        let wrong = match value {
            Value::Array(values) if key == "args" || !values.is_empty() => {
                let strings: Option<Vec<_>> =
                    values.iter().map(|value| value.as_str().map(|text| text.as_bytes().to_vec())).collect();
                if strings.is_some() {
                    return strings;
                }
                format!("`{key}` is no array of strings alone")
            }
            Value::String(line) => {
                let line = serde_json::to_string(&line).unwrap_or_default();
                format!(r#"`{key}` is no array of strings; for a shell's line write ["sh","-c",{line}]"#)
            }
            Value::Array(_) => format!("`{key}` is empty"),
            _ => format!("`{key}` is no array of strings"),
        };
        self.wrong.push(wrong);
        None
    }

    fn unknown(&mut self, key: &str) {
        let nearest = KEYS
            .iter()
            .chain([&RETRIES])
            .map(|known| (strsim::damerau_levenshtein(known, key), *known))
            .min()
            .filter(|(distance, known)| *distance <= known.len() / 2 + 1);
        self.wrong.push(match nearest {
            Some((_, known)) => format!("unknown key `{key}`; is `{known}` meant?"),
            None => format!("unknown key `{key}`; there are {} and {RETRIES}", KEYS.join(", ")),
        });
    }
}

/// An object with its keys as they come, those that come twice too.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"a task as a JSON object, as in {"id":"a1","command":["echo","hi"]}"#)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(words: &[&str]) -> Doer {
        let words: Vec<_> = words.iter().map(Into::into).collect();
        Doer::Command(Template::new(&words))
    }

    fn good(line: &str, words: &[&str]) -> Spec {
        read(line.as_bytes(), 7, 3, &template(words)).unwrap()
    }

    fn argv(line: &str, words: &[&str]) -> Vec<String> {
        good(line, words).argv.into_iter().map(|word| String::from_utf8(word).unwrap()).collect()
    }

    fn bad(line: &str) -> Vec<String> {
        read(line.as_bytes(), 7, 3, &template(&[])).unwrap_err()
    }

    #[test]
    fn a_line_says_all_that_a_task_can_be() {
        let spec = good(
            r#"{"id":"a1","command":["sh","-c","cat"],"stdin":"x","env":{"A":"1"},"cwd":"/tmp","timeout":"30s","retries":2,"deadline":"10m"}"#,
            &[],
        );
        assert_eq!((spec.id.as_str(), spec.number), ("a1", 3));
        assert_eq!(spec.argv, [&b"sh"[..], b"-c", b"cat"]);
        assert_eq!((spec.stdin.as_deref(), spec.cwd.as_deref()), (Some("x"), Some("/tmp")));
        assert_eq!(spec.env["A"], "1");
        let own = Own {
            timeout: Some(Duration::from_secs(30)),
            deadline: Some(Duration::from_secs(600)),
            retries: Some(2),
        };
        assert_eq!(spec.own, own);
        assert_eq!(spec.in_shell(), "env -C /tmp A=1 sh -c cat <<< x");
    }

    #[test]
    fn what_a_line_leaves_out_comes_from_the_command_line() {
        assert_eq!(good("{}", &["true"]).id, "7");
        assert_eq!(argv("{}", &["echo", "{}"]), ["echo", "7"]);
        assert_eq!(argv("{}", &["true"]), ["true"]);
        assert_eq!(argv(r#"{"input":"a b"}"#, &["echo"]), ["echo", "a b"]);
        assert_eq!(argv(r#"{"input":{"k":[1]}}"#, &["echo", "{}", "{#}"]), ["echo", r#"{"k":[1]}"#, "3"]);
        assert_eq!(argv(r#"{"args":["x","y"]}"#, &["echo", "-n"]), ["echo", "-n", "x", "y"]);
        assert_eq!(argv(r#"{"command":["own"]}"#, &["echo"]), ["own"]);
        assert_eq!(good(r#"{"id":5}"#, &["true"]).id, "5");
    }

    #[test]
    fn every_mistake_of_a_line_is_named() {
        let wrong =
            bad(r#"{"id":"","comand":["x"],"retries":-1,"timeout":5,"deadline":"5","env":{"A":1},"cwd":""}"#);
        assert_eq!(wrong.len(), 8, "{wrong:#?}");
        for words in [
            "`id` is empty",
            "unknown key `comand`; is `command` meant?",
            "`retries` is no number from 0 to 254",
            "`timeout` is no time",
            "`deadline`: `5` is no time",
            "`env.A` is no string",
            "`cwd` is no path",
            "no command follows `--`",
        ] {
            assert!(wrong.iter().any(|wrong| wrong.contains(words)), "{words}: {wrong:#?}");
        }
    }

    #[test]
    fn what_is_no_task_is_refused_in_words() {
        for (line, words) in [
            ("", "column 0: EOF"),
            ("[1]", "expected a task as a JSON object"),
            (r#"{"command":["a"]"#, "column 16"),
            (r#"{"command":"echo hi"}"#, r#"write ["sh","-c","echo hi"]"#),
            (r#"{"command":[]}"#, "`command` is empty"),
            (r#"{"command":["a",1]}"#, "array of strings alone"),
            (r#"{"command":["a"],"command":["b"]}"#, "`command` is there twice"),
            (r#"{"command":["a"],"input":"b"}"#, "`command` and `input` do not go together"),
            (r#"{"command":["a"],"id":"a\nb"}"#, "control character"),
            (r#"{"command":["a"],"zzzzzzzz":1}"#, "unknown key `zzzzzzzz`; there are id, command"),
            (r#"{"command":["a"]} {}"#, "trailing characters"),
        ] {
            let wrong = bad(line);
            assert!(wrong.len() == 1 && wrong[0].contains(words), "{line}: {wrong:?}");
        }
    }

    #[test]
    fn an_agent_is_asked_with_its_input_and_nothing_else() {
        let agent = Doer::Agent(vec!["python3".to_owned(), "a.py".to_owned()]);
        let spec = read(br#"{"input":{"z":1,"a":1.50},"retries":1}"#, 7, 3, &agent).unwrap();
        assert_eq!(spec.question.as_deref(), Some(r#"{"z":1,"a":1.50}"#));
        assert_eq!(spec.in_shell(), r#"python3 a.py <<< '{"z":1,"a":1.50}'"#);
        assert!(matches!(spec.job().unwrap().message, Message::Agent(_)));
        let wrong = read(br#"{"command":["x"],"cwd":"/","input":1}"#, 7, 3, &agent).unwrap_err();
        assert!(wrong.len() == 2 && wrong[0].contains("`command` is of no use to an agent"), "{wrong:?}");
        let wrong = read(b"{}", 7, 3, &agent).unwrap_err();
        assert!(wrong[0].contains("no `input`"), "{wrong:?}");
    }

    #[test]
    fn a_hash_is_of_what_is_run_and_of_nothing_else() {
        let hash = |line: &str| good(line, &["echo"]).hash();
        let one = hash(r#"{"id":"a","args":["x"],"timeout":"5s"}"#);
        assert_eq!(one, hash(r#"{"id":"b","args":["x"],"retries":5}"#));
        for other in [
            r#"{"args":["y"]}"#,
            r#"{"args":["x",""]}"#,
            r#"{"args":["x"],"stdin":"x"}"#,
            r#"{"args":["x"],"cwd":"/"}"#,
            r#"{"args":["x"],"env":{"A":"b"}}"#,
        ] {
            assert_ne!(one, hash(other), "{other}");
        }
    }

    #[test]
    fn a_message_carries_what_a_program_can_be_given() {
        let nul = Spec { argv: vec![b"a\0b".to_vec()], ..Spec::default() };
        assert!(nul.job().unwrap_err().contains("NUL"));
        let bytes = Spec { argv: vec![b"cat".to_vec(), b"\xff".to_vec()], ..Spec::default() };
        assert!(matches!(bytes.job().unwrap().message, Message::Exec(body) if body == b"cat\0\xff\0"));
        let large = Spec { argv: vec![vec![b'a'; PAYLOAD_MAX as usize]], ..Spec::default() };
        assert!(large.job().unwrap_err().contains("keep what is large in a file"));
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_see_more() {
        for (word, wanted) in [("a.b/c", "a.b/c"), ("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'")] {
            assert_eq!(quoted(word.as_bytes()), wanted);
        }
    }
}
