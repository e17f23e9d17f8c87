//! A headless Chromium, spoken to over a pipe in its DevTools protocol: messages in JSON, each ended by a zero byte.
//!
//! Everything that a page asks the network for and everything that it complains of is kept.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAMS: [&str; 2] = ["chromium", "chromium-browser"];

/// The browser, with a profile of its own that is removed with it.
pub(crate) struct Browser {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    next: u64,
    /// What arrived while an answer was waited for.
    events: Vec<Value>,
    _profile: TempDir,
}

/// What a page did beside being shown.
#[derive(Debug, Default)]
pub(crate) struct Noise {
    /// Addresses other than its own.
    pub(crate) requests: Vec<String>,
    /// Console messages, exceptions and warnings of the browser.
    pub(crate) complaints: Vec<String>,
}

/// Whether there is one.
pub(crate) fn program() -> Option<&'static str> {
    let answers = |program: &&str| {
        let mut version = Command::new(program);
        version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    PROGRAMS.into_iter().find(answers)
}

impl Browser {
    pub(crate) fn start(program: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The browser reads commands from descriptor 3 and writes answers to 4. It refuses to sandbox itself as root.
        let line = "exec \"$0\" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
                    --remote-debugging-pipe --user-data-dir=\"$1\" about:blank 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut process = Command::new("sh")
            .args(["-c", line, program])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let to = process.stdin.take().unwrap();
        let from = BufReader::new(process.stdout.take().unwrap());
        Self { process, to, from, next: 0, events: Vec::new(), _profile: profile }
    }

    fn read(&mut self) -> Value {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message).unwrap();
        assert_eq!(message.pop(), Some(0), "the browser has ended");
        serde_json::from_slice(&message).unwrap()
    }

    /// The result of a command, of a page or of the browser.
    fn call(&mut self, session: Option<&str>, method: &str, params: &Value) -> Value {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        self.to.write_all(message.to_string().as_bytes()).unwrap();
        self.to.write_all(&[0]).unwrap();
        loop {
            let answer = self.read();
            if answer["id"] == self.next {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    /// Opens a tab. Pages in it are shown at `width` CSS pixels, dark or light, for print or for a screen.
    pub(crate) fn tab(&mut self) -> Tab<'_> {
        let target = self.call(None, "Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session =
            self.call(None, "Target.attachToTarget", &attach)["sessionId"].as_str().unwrap().to_owned();
        let mut tab = Tab { browser: self, session };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tab.call(&format!("{domain}.enable"), &json!({}));
        }
        tab
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) struct Tab<'a> {
    browser: &'a mut Browser,
    session: String,
}

/// How a page is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) width: u32,
    pub(crate) look: Look,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Light,
    Dark,
    /// On paper, which is light.
    Print,
}

impl Tab<'_> {
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        let session = self.session.clone();
        self.browser.call(Some(&session), method, params)
    }

    /// Loads a file, and returns what the page did meanwhile.
    pub(crate) fn open(&mut self, file: &Path, shown: Shown) -> Noise {
        let metrics = json!({
            "width": shown.width, "height": 900, "deviceScaleFactor": 1, "mobile": shown.width < 640,
        });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
        let (scheme, media) = match shown.look {
            Look::Light => ("light", "screen"),
            Look::Dark => ("dark", "screen"),
            Look::Print => ("light", "print"),
        };
        let media = json!({
            "media": media, "features": [{ "name": "prefers-color-scheme", "value": scheme }],
        });
        self.call("Emulation.setEmulatedMedia", &media);
        self.browser.events.clear();
        let url = format!("file://{}", file.display());
        self.call("Page.navigate", &json!({ "url": url }));
        while !self.browser.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.browser.read();
            self.browser.events.push(event);
        }
        // Whatever a script did at the load has been told of before this answer.
        self.evaluate("0");
        self.noise(&url)
    }

    fn noise(&self, own: &str) -> Noise {
        let mut noise = Noise::default();
        for event in &self.browser.events {
            let params = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Network.requestWillBeSent" if params["request"]["url"] != own => {
                    noise.requests.push(params["request"]["url"].to_string());
                }
                "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded" => {
                    noise.complaints.push(params.to_string());
                }
                _ => {}
            }
        }
        noise
    }

    /// The value of an expression; of a promise, what it settles on.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", &params);
        assert!(result["exceptionDetails"].is_null(), "{}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// The whole page as a PNG.
    pub(crate) fn picture(&mut self) -> Vec<u8> {
        use base64::Engine as _;
        let params = json!({ "format": "png", "captureBeyondViewport": true });
        let shot = self.call("Page.captureScreenshot", &params);
        base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
    }
}
