//! Whether every reader of JSON reads the same value from a result. What is syntactically right may still be a value that few can
//! read, or that each reads in its own way.

use std::collections::HashSet;

/// Values inside each other that a result may have: more than any known reader of JSON takes by default is of no use.
pub(super) const DEPTH_MAX: usize = 500;

/// An object or a list that is open.
enum Open {
    /// With the keys so far.
    Object(HashSet<String>),
    List,
}

/// A walk over text that is known to be JSON.
struct Walk<'a> {
    json: &'a str,
    open: Vec<Open>,
    /// The last string, which is a key if a colon follows it.
    string: &'a str,
}

/// `json` must be valid JSON.
///
/// # Errors
/// What readers of JSON do not agree upon.
pub(super) fn interoperable(json: &str) -> Result<(), &'static str> {
    let bytes = json.as_bytes();
    let mut walk = Walk { json, open: Vec::new(), string: "" };
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b'"' => walk.string(at)?,
            b'-' | b'0'..=b'9' => number(&json[at..])?,
            b':' => {
                walk.key()?;
                1
            }
            b'{' => walk.enter(Open::Object(HashSet::new()))?,
            b'[' => walk.enter(Open::List)?,
            b'}' | b']' => {
                walk.open.pop();
                1
            }
            _ => 1,
        };
    }
    Ok(())
}

impl Walk<'_> {
    fn enter(&mut self, what: Open) -> Result<usize, &'static str> {
        self.open.push(what);
        if self.open.len() > DEPTH_MAX {
            return Err("its result is nested more than 500 levels deep, which most readers of JSON refuse");
        }
        Ok(1)
    }

    /// Of the string that begins at `from`: how many bytes it has with its quotes.
    fn string(&mut self, from: usize) -> Result<usize, &'static str> {
        let bytes = self.json.as_bytes();
        let mut at = from + 1;
        // The first half of a pair was the last thing.
        let mut is_open = false;
        loop {
            let escaped = bytes.get(at).filter(|byte| **byte == b'\\').and_then(|_| bytes.get(at + 1));
            let unit = escaped.filter(|kind| **kind == b'u').and_then(|_| {
                let digits = bytes.get(at + 2..at + 6).and_then(|digits| std::str::from_utf8(digits).ok());
                u16::from_str_radix(digits?, 16).ok()
            });
            let is_second = unit.is_some_and(|unit| (0xdc00..0xe000).contains(&unit));
            if is_second != is_open {
                return Err(
                    "its result has half of a surrogate pair (`\\ud800` to `\\udfff`), which is not a character",
                );
            }
            is_open = unit.is_some_and(|unit| (0xd800..0xdc00).contains(&unit));
            at += match (escaped, unit) {
                (_, Some(_)) => 6,
                (Some(_), None) => 2,
                (None, _) => 1,
            };
            if matches!(bytes.get(at - 1), Some(b'"') | None) && escaped.is_none() {
                self.string = self.json.get(from..at).unwrap_or_default();
                return Ok(at - from);
            }
        }
    }

    /// The last string is a key of the innermost object.
    fn key(&mut self) -> Result<(), &'static str> {
        let Some(Open::Object(keys)) = self.open.last_mut() else { return Ok(()) };
        // However it is spelled: `\u0061` is `a`.
        let key = serde_json::from_str(self.string).unwrap_or_else(|_| self.string.to_owned());
        if keys.insert(key) {
            return Ok(());
        }
        Err(
            "its result has an object with the same key twice, of which readers of JSON take one or the other",
        )
    }
}

/// Of the number at the beginning: how many bytes it has.
fn number(json: &str) -> Result<usize, &'static str> {
    let of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let len = json.bytes().take_while(of_number).count();
    if json[..len].parse().is_ok_and(f64::is_infinite) {
        return Err("its result has a number that no double can hold, which many readers of JSON refuse");
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_counts_twice_only_within_one_object_and_however_it_is_spelled() {
        for twice in [r#"{"a":1,"a":2}"#, r#"[{"b":{"a":1 , "\u0061" : 2}}]"#, r#"{"":0,"x":[],"":{}}"#] {
            assert!(interoperable(twice).unwrap_err().contains("the same key twice"), "{twice}");
        }
        for fine in [
            r#"{"a":{"a":{"a":"a"}},"b":"a"}"#,
            r#"[{"a":1},{"a":1}]"#,
            r#"{"a":"x","A":"a:","b":"{\"a\":1,\"a\":2}"}"#,
            r#"["a","a",":"]"#,
            r#""a""#,
            r#""\\""#,
        ] {
            assert_eq!(interoperable(fine), Ok(()), "{fine}");
        }
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            "\\PC*".prop_map(Into::into),
            r#"["\\{}:\[\],ax]{0,9}"#.prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                proptest::collection::hash_map(r#"["\\{}:\[\],ax]{0,4}"#, inner, 0..6)
                    .prop_map(|map| { serde_json::Value::Object(map.into_iter().collect()) }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_a_writer_of_json_writes_is_readable(value in value()) {
            prop_assert_eq!(interoperable(&value.to_string()), Ok(()));
            prop_assert_eq!(interoperable(&serde_json::to_string_pretty(&value).unwrap()), Ok(()));
        }

        #[test]
        fn an_object_that_has_any_of_its_members_twice_is_not(value in value(), key in r#"["\\ax]{0,4}"#) {
            let key = serde_json::to_string(&key).unwrap();
            let twice = format!("{{{key}:{value},{key}:{value}}}");
            prop_assert!(interoperable(&twice).is_err());
        }
    }
}
