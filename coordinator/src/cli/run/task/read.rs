//! Reads a line of a list of tasks, with all its mistakes.

use super::super::super::json;
use super::super::super::policy::grace;
use super::super::super::time::time;
use super::super::template::Values;
use super::{Doer, Spec};
use crate::os::stop::parse_signal;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::time::Duration;

/// The keys of a task.
const KEYS: [&str; 12] = [
    "id",
    "command",
    "args",
    "input",
    "stdin",
    "env",
    "cwd",
    "timeout",
    "deadline",
    "retries",
    "stop_signal",
    "grace",
];
/// The longest id, in bytes.
const ID_MAX: usize = 256;

/// Reads a line of a list of tasks. `line_number` is its number in the file, `number` that of the task. The error is all
/// mistakes of the line.
pub(in crate::cli::run) fn read(
    line: &[u8],
    line_number: u64,
    number: u64,
    doer: &Doer,
) -> Result<Spec, Vec<String>> {
    let pairs: Pairs<'_> = serde_json::from_slice(line).map_err(|error| {
        // The caller names the line of the file.
        vec![format!("column {}: {}", error.column(), json::in_words(&error))]
    })?;
    let mut reader = Reader { spec: Spec { number, ..Spec::default() }, wrong: Vec::new(), seen: Vec::new() };
    let (mut command, mut args, mut input) = (None, None, None);
    for (key, raw) in pairs.0 {
        if reader.seen.contains(&key) {
            reader.wrong.push(format!("`{key}` is duplicated"));
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
        return question(spec, doer, input.map(|(raw, _)| raw), &seen, wrong);
    };
    let whats: Vec<_> = ["command", "args", "input"].into_iter().filter(|key| has(key)).collect();
    if let [first, second, ..] = whats[..] {
        wrong.push(format!("`{first}` and `{second}` cannot be used together"));
    } else if !has("command") && template.is_empty() {
        wrong.push("`command` is missing, and no command follows `--`".to_owned());
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

/// A task of an agent program: it has an `input`, and nothing that only a command can use.
fn question(
    mut spec: Spec,
    doer: &Doer,
    input: Option<&str>,
    seen: &[String],
    mut wrong: Vec<String>,
) -> Result<Spec, Vec<String>> {
    let has = |key: &&str| seen.iter().any(|seen| seen == key);
    let for_commands = ["command", "args", "stdin", "env", "cwd"].into_iter().filter(has);
    wrong
        .extend(for_commands.map(|key| {
            format!("`{key}` cannot be used with an agent program, which gets the `input` alone")
        }));
    for key in ["stop_signal", "grace"].into_iter().filter(has) {
        let option = key.replace('_', "-");
        wrong.push(format!(
            "`{key}` cannot be used with an agent program: `--{option}` sets it for all its tasks"
        ));
    }
    match input {
        None => wrong.push("`input` is missing: it is what the agent program gets".to_owned()),
        Some(input) if wrong.is_empty() => {
            spec.ask(input, doer);
            return Ok(spec);
        }
        Some(_) => {}
    }
    Err(wrong)
}

/// The text of a string, or the JSON of anything else.
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
            ("id", _) => self.wrong.push("`id` must be a string or a number".to_owned()),
            ("stdin", Value::String(text)) => self.spec.stdin = Some(text),
            ("cwd", Value::String(path)) => self.cwd(path),
            ("env", Value::Object(env)) => {
                for (name, value) in env {
                    self.variable(name, value);
                }
            }
            ("env", _) => self
                .wrong
                .push(r#"`env` must be an object whose values are strings, as in {"LANG":"C"}"#.to_owned()),
            ("timeout", Value::String(text)) => self.spec.own.timeout = self.time(key, &text),
            ("deadline", Value::String(text)) => self.spec.own.deadline = self.time(key, &text),
            ("stop_signal", Value::String(name)) => {
                self.spec.stop.signal =
                    parse_signal(&name).map_err(|why| self.wrong.push(format!("`stop_signal`: {why}"))).ok();
            }
            ("grace", Value::String(text)) => {
                self.spec.stop.grace =
                    grace(&text).map_err(|why| self.wrong.push(format!("`grace`: {why}"))).ok();
            }
            ("timeout" | "deadline" | "grace", _) => {
                self.wrong.push(format!(
                    r#"`{key}` must be a string with a time, such as "500ms", "30s" or "1h 30m""#
                ));
            }
            ("stdin" | "cwd" | "stop_signal", _) => self.wrong.push(format!("`{key}` must be a string")),
            ("retries", value) => match value.as_u64().and_then(|count| u8::try_from(count).ok()) {
                Some(count) if count < u8::MAX => self.spec.own.retries = Some(count),
                _ => self.wrong.push("`retries` must be a number from 0 to 254".to_owned()),
            },
            (key, _) => self.unknown(key),
        }
    }

    fn id(&mut self, id: String) {
        if id.is_empty() {
            self.wrong.push("`id` must not be empty".to_owned());
        } else if id.len() > ID_MAX {
            self.wrong.push(format!("`id` has {} bytes, and at most {ID_MAX} are allowed", id.len()));
        } else if id.chars().any(char::is_control) {
            self.wrong.push("`id` must not contain a control character".to_owned());
        }
        self.spec.id = id;
    }

    fn cwd(&mut self, path: String) {
        if path.is_empty() || path.contains('\0') {
            self.wrong.push("`cwd` must be a path".to_owned());
        }
        self.spec.cwd = Some(path);
    }

    fn variable(&mut self, name: String, value: Value) {
        if name.is_empty() || name.contains(['=', '\0']) {
            self.wrong.push(format!("{name:?} in `env` is not a valid variable name"));
        }
        match value {
            Value::String(value) if !value.contains('\0') => {
                self.spec.env.insert(name, value);
            }
            Value::String(_) => self.wrong.push(format!("`env.{name}` must not contain a NUL")),
            _ => self.wrong.push(format!("`env.{name}` must be a string")),
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
                format!("`{key}` must be an array of strings only")
            }
            Value::String(line) => {
                let line = serde_json::to_string(&line).unwrap_or_default();
                format!(
                    r#"`{key}` must be an array of strings; for a shell command write ["sh","-c",{line}]"#
                )
            }
            Value::Array(_) => format!("`{key}` must not be empty"),
            _ => format!("`{key}` must be an array of strings"),
        };
        self.wrong.push(wrong);
        None
    }

    fn unknown(&mut self, key: &str) {
        self.wrong.push(format!("unknown key `{key}`; {}", notation::suggest::hint(key, &KEYS)));
    }
}

/// An object with its keys in order, including duplicates.
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
    use super::super::super::template::Template;
    use super::super::{Message, Own, OwnStop};
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
    fn a_line_can_have_every_key_of_a_task() {
        let spec = good(
            r#"{"id":"a1","command":["sh","-c","cat"],"stdin":"x","env":{"A":"1"},"cwd":"/tmp","timeout":"30s","retries":2,"deadline":"10m","stop_signal":"int","grace":"2s"}"#,
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
        let stop =
            OwnStop { signal: Some(nix::sys::signal::Signal::SIGINT), grace: Some(Duration::from_secs(2)) };
        assert_eq!(spec.stop, stop);
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
            "`id` must not be empty",
            "unknown key `comand`; did you mean `command`?",
            "`retries` must be a number from 0 to 254",
            "`timeout` must be a string with a time",
            "`deadline`: `5` has no unit",
            "`env.A` must be a string",
            "`cwd` must be a path",
            "no command follows `--`",
        ] {
            assert!(wrong.iter().any(|wrong| wrong.contains(words)), "{words}: {wrong:#?}");
        }
    }

    #[test]
    fn a_line_that_is_not_a_task_is_refused_with_the_reason() {
        for (line, words) in [
            ("", "column 0: it is not valid JSON: it ends too early; close every quote"),
            ("[1]", "expected a task as a JSON object"),
            (r#"{"command":["a"]"#, "column 16"),
            (r#"{"command":"echo hi"}"#, r#"write ["sh","-c","echo hi"]"#),
            (r#"{"command":[]}"#, "`command` must not be empty"),
            (r#"{"command":["a",1]}"#, "array of strings only"),
            (r#"{"command":["a"],"command":["b"]}"#, "`command` is duplicated"),
            (r#"{"command":["a"],"input":"b"}"#, "`command` and `input` cannot be used together"),
            (r#"{"command":["a"],"id":"a\nb"}"#, "control character"),
            (r#"{"command":["a"],"stop_signal":"X"}"#, "`stop_signal`: `X` is not the name of a signal"),
            (r#"{"command":["a"],"stop_signal":9}"#, "`stop_signal` must be a string"),
            (r#"{"command":["a"],"grace":"2m"}"#, "`grace`: `2m` is too long; write at most 60s"),
            (r#"{"command":["a"],"grace":2}"#, "`grace` must be a string with a time"),
            (r#"{"command":["a"],"zzzzzzzz":1}"#, "unknown key `zzzzzzzz`; known here: `id`, `command`"),
            (r#"{"command":["a"]} {}"#, "something follows its end; write one value per line"),
            ("nope", "column 2: it is not valid JSON: write text in double quotes, and an object in braces"),
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
        assert!(
            wrong.len() == 2 && wrong[0].contains("`command` cannot be used with an agent program"),
            "{wrong:?}"
        );
        let wrong = read(b"{}", 7, 3, &agent).unwrap_err();
        assert!(wrong[0].contains("`input` is missing"), "{wrong:?}");
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
}
