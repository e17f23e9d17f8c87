//! Seals through the program: what they show, and what no one can get past them. The run never happened; its log is as real
//! as any.

use harness::provenance::contradiction;
use harness::scenario::{Plan, PlanOptions, Scenario, Selection, Source};
use harness::synthetic::Synthetic;
use reports::seal::{PublicKey, pae, verify};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const HARNESS: &str = env!("CARGO_BIN_EXE_harness");

/// A run and its scenario, in a directory of their own.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let text = include_str!("../../../scenarios/smoke.toml");
        std::fs::write(desk.path("smoke.toml"), text).unwrap();
        desk.run("one", text, |_| ());
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes the log of a run of `text`, bent, and judges it.
    fn run(&self, name: &str, text: &str, bend: impl Fn(&mut Synthetic)) -> PathBuf {
        self.run_of(name, (text, &Selection::default()), bend)
    }

    fn run_of(
        &self,
        name: &str,
        (text, selection): (&str, &Selection),
        bend: impl Fn(&mut Synthetic),
    ) -> PathBuf {
        let scenario = Scenario::parse(&Source::new("smoke.toml", text.to_owned()), selection).unwrap();
        let options = PlanOptions { seed: Some(7), fallback_seed: 7, rehearsal: None };
        let mut run = Synthetic::of(&Plan::new(scenario, &options));
        run.header().run_id = format!("smoke-{}", name.replace('/', "-").to_lowercase());
        bend(&mut run);
        let directory = self.path(name);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("run.log"), run.log().unwrap()).unwrap();
        reports::judge(&directory, contradiction).unwrap();
        directory
    }

    fn harness(&self, arguments: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } =
            Command::new(HARNESS).args(arguments).current_dir(self.0.path()).output().unwrap();
        let text = [stdout, stderr].concat();
        (status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    /// A key pair as `openssl` makes it: private and public.
    fn keys(&self, name: &str) -> (String, String) {
        let (private, public) = (format!("{name}.pem"), format!("{name}.pub.pem"));
        self.openssl(&["genpkey", "-algorithm", "ed25519", "-out", &private]);
        self.openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
        (private, public)
    }

    fn openssl(&self, arguments: &[&str]) {
        let done = Command::new("openssl").args(arguments).current_dir(self.0.path()).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn sealed(&self, runs: &[&str], key: Option<&str>) -> Vec<u8> {
        let out = self.path("sealed.tar");
        let _ = std::fs::remove_file(&out);
        let key = key.map(|key| vec!["--key", key]).unwrap_or_default();
        let (code, said) = self.harness(&[&["seal"], runs, &key].concat());
        assert_eq!(code, 0, "{said}");
        std::fs::read(out).unwrap()
    }

    /// Exit code and text of `verify` of these bytes.
    fn verified(&self, bundle: &[u8], more: &[&str]) -> (i32, String) {
        std::fs::write(self.path("found.tar"), bundle).unwrap();
        self.harness(&[&["verify", "found.tar"], more].concat())
    }
}

/// The content of each file, by its name, in order.
fn contents(bundle: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(bundle);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        (name, content)
    };
    archive.entries().unwrap().map(read).collect()
}

/// An archive as the program writes it.
fn packed(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        archive.append(&header(name, content.len() as u64, tar::EntryType::Regular), &content[..]).unwrap();
    }
    archive.into_inner().unwrap()
}

fn header(name: &str, size: u64, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    // By hand: `set_path` refuses some of the names that are tried here.
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    header
}

#[test]
fn a_seal_holds_and_says_who_made_it() {
    let desk = Desk::new();
    let (private, public) = desk.keys("ours");
    let (_, other) = desk.keys("theirs");
    let signed = desk.sealed(&["one"], Some(&private));
    let (code, said) = desk.verified(&signed, &["--key", &public]);
    assert_eq!(code, 0, "{said}");
    let id = PublicKey::from_pem(&std::fs::read_to_string(desk.path(&public)).unwrap()).unwrap().id();
    assert!(said.contains("PASS") && said.contains(&format!("signed by {id}")), "{said}");
    let (code, said) = desk.verified(&signed, &["--key", &other]);
    assert!(code == 10 && said.contains("it is not signed by"), "{code} {said}");
    // One of several keys is enough.
    assert_eq!(desk.verified(&signed, &["--key", &other, "--key", &public]).0, 0);
    let unsigned = desk.sealed(&["one"], None);
    assert_eq!(desk.verified(&unsigned, &[]).0, 0);
    let (code, said) = desk.verified(&unsigned, &["--key", &public]);
    assert!(code == 10 && said.contains("it is unsigned"), "{code} {said}");
}

#[test]
fn the_same_runs_are_the_same_bytes_whatever_their_order() {
    let desk = Desk::new();
    desk.run("two", include_str!("../../../scenarios/smoke.toml"), |_| ());
    assert_eq!(desk.sealed(&["one", "two"], None), desk.sealed(&["two", "one"], None));
    let (code, said) = desk.harness(&["seal", "one", "one", "--out", "twice.tar"]);
    assert!(code == 64 && said.contains("it is named twice"), "{code} {said}");
    assert!(!desk.path("twice.tar").exists());
    let (code, said) = desk.harness(&["seal", "one"]);
    assert!(code == 20 && said.contains("a seal is not written over"), "{code} {said}");
}

/// The oracle is another program: it checks the signature over what the protocol says is signed.
#[test]
fn openssl_verifies_the_signature() {
    let desk = Desk::new();
    let (private, public) = desk.keys("ours");
    let files = contents(&desk.sealed(&["one"], Some(&private)));
    let seal: serde_json::Value = serde_json::from_slice(&files[0].1).unwrap();
    let decode = |field: &serde_json::Value| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(field.as_str().unwrap()).unwrap()
    };
    let payload = decode(&seal["payload"]);
    std::fs::write(desk.path("message"), pae("application/vnd.in-toto+json", &payload)).unwrap();
    std::fs::write(desk.path("signature"), decode(&seal["signatures"][0]["sig"])).unwrap();
    desk.openssl(&[
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        &public,
        "-rawin",
        "-in",
        "message",
        "-sigfile",
        "signature",
    ]);
    let statement: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://in-toto.io/attestation/test-result/v0.1");
    assert_eq!(statement["predicate"]["result"], "PASSED");
    // Each subject is named with the hash that sha256sum prints.
    for (subject, (name, content)) in statement["subject"].as_array().unwrap().iter().zip(&files[1..]) {
        std::fs::write(desk.path("content"), content).unwrap();
        let sum = Command::new("sha256sum").arg(desk.path("content")).output().unwrap().stdout;
        assert_eq!(subject["name"], *name.as_str());
        assert!(String::from_utf8(sum).unwrap().starts_with(subject["digest"]["sha256"].as_str().unwrap()));
    }
    assert_eq!(statement["subject"].as_array().unwrap().len(), files.len() - 1);
}

#[test]
fn nothing_in_a_bundle_can_be_changed_unseen() {
    let desk = Desk::new();
    let bundle = desk.sealed(&["one"], None);
    let files = contents(&bundle);
    assert_eq!(packed(&files), bundle);
    for index in 1..files.len() {
        let mut changed = files.clone();
        changed[index].1.push(b' ');
        let (code, said) = desk.verified(&packed(&changed), &[]);
        let named = format!("`{}` was changed after it was sealed", files[index].0);
        assert!(code == 10 && said.contains(&named), "{code} {said}");
        let mut without = files.clone();
        without.remove(index);
        let (code, said) = desk.verified(&packed(&without), &[]);
        assert!(code == 10 && said.contains("is not there any more"), "{code} {said}");
    }
    let mut more = files.clone();
    more.push(("smoke-one/more.txt".to_owned(), b"more".to_vec()));
    let (code, said) = desk.verified(&packed(&more), &[]);
    assert!(code == 10 && said.contains("is not among the sealed files"), "{code} {said}");
}

/// A log can be changed with all of its checksums and hashes, but not the signature.
#[test]
fn a_forged_log_with_a_new_seal_is_not_signed() {
    let desk = Desk::new();
    let (private, public) = desk.keys("ours");
    let text = include_str!("../../../scenarios/smoke.toml");
    let failed = |run: &mut Synthetic| {
        run.load_rounds().for_each(|(_, round)| round.duplicates = 1);
    };
    desk.run("bad", text, failed);
    let honest = contents(&desk.sealed(&["bad"], Some(&private)));
    assert!(!desk.verified(&packed(&honest), &["--key", &public]).1.contains("PASS  "));
    // The same run id, made good, and sealed again without the key.
    desk.run("bad", text, |_| ());
    let mut forged = contents(&desk.sealed(&["bad"], None));
    let (code, said) = desk.verified(&packed(&forged), &["--key", &public]);
    assert!(code == 10 && said.contains("it is unsigned"), "{code} {said}");
    // With the honest seal in front, the files are not the sealed ones.
    forged[0] = honest[0].clone();
    let (code, said) = desk.verified(&packed(&forged), &["--key", &public]);
    assert!(code == 10 && said.contains("was changed after it was sealed"), "{code} {said}");
}

#[test]
fn what_the_log_does_not_say_is_not_sealed() {
    let desk = Desk::new();
    // As logs of before were, which do not hold the text of their scenario.
    desk.run("one", include_str!("../../../scenarios/smoke.toml"), |run| run.header().sources.clear());
    let verdict = desk.path("one/verdict.json");
    let text = std::fs::read_to_string(&verdict).unwrap();
    std::fs::write(&verdict, text.replacen("\"PASS\"", "\"FAIL\"", 1)).unwrap();
    let (code, said) = desk.harness(&["seal", "one"]);
    assert!(code == 64 && said.contains("its verdict.json is not what its log says"), "{code} {said}");
    std::fs::write(&verdict, text).unwrap();
    let scenario = std::fs::read_to_string(desk.path("smoke.toml")).unwrap();
    std::fs::write(desk.path("smoke.toml"), scenario.replacen(">= 100%", ">= 90%", 1)).unwrap();
    let (code, said) = desk.harness(&["seal", "one"]);
    assert!(code == 64 && said.contains("is not the scenario that ran"), "{code} {said}");
    std::fs::write(desk.path("then.toml"), scenario).unwrap();
    let (code, said) = desk.harness(&["seal", "one", "--scenario", "then.toml"]);
    assert_eq!(code, 0, "{said}");
    for (arguments, words) in [
        (&["seal", "nowhere"][..], "cannot seal `nowhere`"),
        (&["seal", "one", "--key", "smoke.toml"], "it is not an ed25519 private key in PEM"),
        (&["verify", "nowhere"], "cannot read `nowhere`"),
        (&["verify", "smoke.toml"], "this is not a bundle of sealed runs"),
        (&["verify", "sealed.tar", "--key", "none.pem"], "cannot read the key `none.pem`"),
    ] {
        let (code, said) = desk.harness(arguments);
        assert!(
            code == 64 && said.contains(words) && said.contains("hint: "),
            "{arguments:?}: {code} {said}"
        );
    }
}

#[test]
fn a_run_is_sealed_though_its_scenario_has_changed_since() {
    let desk = Desk::new();
    std::fs::remove_file(desk.path("smoke.toml")).unwrap();
    let files = contents(&desk.sealed(&["one"], None));
    let scenario = files.iter().find(|(name, _)| name == "smoke-one/scenario.toml").unwrap();
    assert_eq!(scenario.1, include_bytes!("../../../scenarios/smoke.toml"));
}

#[test]
fn hostile_archives_are_bad_input() {
    let desk = Desk::new();
    let bundle = desk.sealed(&["one"], None);
    let refused = |bundle: &[u8], words: &str| {
        let (code, said) = desk.verified(bundle, &[]);
        assert!(code == 64 && said.contains(words) && said.contains("hint: "), "{words}: {code} {said}");
    };
    // Of an entry like this in front of the others.
    let with = |name: &str, size: u64, kind| {
        let header = header(name, size, kind);
        [header.as_bytes().as_slice(), &bundle].concat()
    };
    let regular = tar::EntryType::Regular;
    for name in ["../../etc/passwd", "/etc/passwd", "a/../b", "a/b/c", "", ".ssh", "Caf\u{e9}"] {
        refused(&with(name, 0, regular), "has a name that no file of a bundle has");
    }
    for kind in
        [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Directory, tar::EntryType::Fifo]
    {
        refused(&with("seal.json", 0, kind), "is not a regular file");
    }
    for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader, tar::EntryType::GNUSparse] {
        refused(&with("seal.json", 0, kind), "is not a regular file");
    }
    refused(&with("seal.json", 1 << 32, regular), "larger than the bundle");
    refused(&with("seal.json", 0, regular), "is duplicated");
    refused(&with("a.json", 0, regular), "its first file is `a.json`");
    for cut in [0, 1, 511, 512, 600, bundle.len() / 2, bundle.len() - 1024, bundle.len() - 1] {
        let (code, said) = desk.verified(&bundle[..cut], &[]);
        assert!(code == 64 && said.contains("hint: "), "cut at {cut}: {code} {said}");
    }
    refused(&[&bundle[..], b"more"].concat(), "something follows the end of the archive");
    let mut touched = bundle.clone();
    // The owner of the first file, with the checksum that belongs to it.
    let mut header = header("seal.json", contents(&bundle)[0].1.len() as u64, regular);
    header.set_uid(1);
    header.set_cksum();
    touched[..512].copy_from_slice(header.as_bytes());
    refused(&touched, "has a header that `harness seal` does not write");
    let mut files = contents(&bundle);
    files[0].1 = b"{}".to_vec();
    refused(&packed(&files), "its seal is not a DSSE envelope");
}

/// With any other byte, the seal does not hold.
#[test]
fn no_single_byte_of_a_bundle_is_free() {
    let desk = Desk::new();
    let bundle = desk.sealed(&["one"], None);
    let mut step = 0;
    for at in (0..bundle.len()).step_by(bundle.len() / 97) {
        step += 1;
        let mut changed = bundle.clone();
        changed[at] ^= 1 << (step % 8);
        assert!(
            !verify(Cursor::new(&changed), &[], contradiction).is_ok_and(|found| found.holds()),
            "byte {at}"
        );
    }
    let found = verify(Cursor::new(&bundle), &[], contradiction).unwrap();
    assert!(found.holds() && found.runs.len() == 1);
    // Unsigned, it has no signer.
    assert_eq!(found.signers_of(&found.runs[0].logs_sha256), [] as [String; 0]);
}

/// What a gate asks: by which of the listed keys a run was sealed.
#[test]
fn who_sealed_a_run_is_known_by_its_logs() {
    let desk = Desk::new();
    let (private, public) = desk.keys("ours");
    let bundle = desk.sealed(&["one"], Some(&private));
    let key = PublicKey::from_pem(&std::fs::read_to_string(desk.path(&public)).unwrap()).unwrap();
    let found = verify(Cursor::new(&bundle), std::slice::from_ref(&key), contradiction).unwrap();
    let signers = |run: &Path| found.signers_of(&reports::run_dir::logs_sha256(run).unwrap()).to_vec();
    assert_eq!(signers(&desk.path("one")), [key.id()]);
    let other = desk.run("two", include_str!("../../../scenarios/smoke.toml"), |_| ());
    assert_eq!(signers(&other), [] as [String; 0]);
}

/// `harness verify` reads what `harness seal` writes, and nothing beside it.
#[test]
fn a_seal_is_refused_for_what_no_seal_has_and_fails_for_what_is_not_true() {
    let desk = Desk::new();
    let (private, public) = desk.keys("ours");
    let (_, other) = desk.keys("theirs");
    let files = contents(&desk.sealed(&["one"], Some(&private)));
    let text = String::from_utf8(files[0].1.clone()).unwrap();
    let seal: serde_json::Value = serde_json::from_str(&text).unwrap();
    let field = |name: &str| seal["signatures"][0][name].as_str().unwrap().to_owned();
    let (keyid, sig) = (field("keyid"), field("sig"));
    let with = |what: &str, by: &str| {
        assert!(what.is_empty() || text.matches(what).count() == 1, "{what}: {text}");
        let mut files = files.clone();
        files[0].1 = if what.is_empty() { text.clone() } else { text.replace(what, by) }.into_bytes();
        packed(&files)
    };
    assert_eq!(desk.verified(&with("", ""), &["--key", &public]).0, 0, "nothing is replaced");
    let (_, from) = text.split_once("\"signatures\": [\n").unwrap();
    let (signature, _) = from.split_once("\n  ]").unwrap();
    for (what, by, why) in [
        (signature, &*format!("{signature},\n{signature}"), "has 2 signatures"),
        (&*keyid, "damaged", "the `keyid` of its signature is `damaged`"),
        (&*sig, "AAAA", "its signature is not 64 bytes in base64"),
        ("\"keyid\"", "\"more\": 1,\n      \"keyid\"", "that `harness seal` does not write"),
        ("\"payload\":", "\"more\": 1,\n  \"payload\":", "that `harness seal` does not write"),
    ] {
        for key in [&["--key", &*public][..], &[]] {
            let (code, said) = desk.verified(&with(what, by), key);
            assert!(code == 64 && said.contains(why), "{why} {key:?}: {code} {said}");
        }
    }
    // The name of a key is not signed.
    let theirs = PublicKey::from_pem(&std::fs::read_to_string(desk.path(&other)).unwrap()).unwrap().id();
    let renamed = with(&keyid, &theirs);
    let (code, said) = desk.verified(&renamed, &["--key", &public]);
    assert!(code == 10 && said.contains(&format!("and names another key, {theirs}")), "{code} {said}");
    let (code, said) = desk.verified(&renamed, &["--key", &other]);
    assert!(code == 10 && said.contains("it is not signed by"), "{code} {said}");
    let (code, said) = desk.verified(&renamed, &[]);
    assert!(code == 0 && said.contains("check that with --key"), "{code} {said}");
}

/// A log whose checksums are right is held against itself.
#[test]
fn a_log_that_hides_what_its_command_has_changed_contradicts_itself() {
    let desk = Desk::new();
    let text = include_str!("../../../scenarios/smoke.toml");
    for (command, words) in [
        ("harness run smoke.toml --set load.duration=6s --seed 7", "the command sets 1 keys"),
        ("harness run smoke.toml --profile ci --seed 7", "the command asks for the profile ci"),
        ("harness run smoke.toml --seed=7 --profile=ci", "the command asks for the profile ci"),
        ("harness run smoke.toml --seed=8", "the command has seed 8, and the header 7"),
        ("harness run smoke.toml --seed 7 --rehearse=9x", "the command asks for a rehearsal"),
    ] {
        let directory = desk.run("hidden", text, |run| command.clone_into(&mut run.header().command));
        let judged = reports::judge(&directory, contradiction).unwrap().judgement;
        let why = judged.reasons.join(" ");
        assert!(judged.verdict == reports::Verdict::Inconclusive && why.contains(words), "{why}");
    }
    let text = format!("{text}\n[profile.ci]\nload.warm_up = \"900ms\"\n");
    let sets = vec!["load.warm_up=1s".to_owned()];
    let selection = Selection { profile: Some("ci".to_owned()), sets };
    let named = desk.run_of("named", (text.as_str(), &selection), |run| {
        "harness run smoke.toml --set load.warm_up=1s --profile ci --seed 7"
            .clone_into(&mut run.header().command);
    });
    assert_eq!(reports::judge(&named, contradiction).unwrap().judgement.verdict, reports::Verdict::Pass);
}

/// An option in a word of another option, or in the name of a file, is not one of the harness's.
#[test]
fn a_command_is_read_as_a_shell_reads_it() {
    let desk = Desk::new();
    let text = include_str!("../../../scenarios/smoke.toml");
    let command = "harness run '/runs of --profile ci/smoke.toml' --out 'a --seed 9 --rehearse 9x' --seed 7";
    let run = desk.run("quoted", text, |run| command.clone_into(&mut run.header().command));
    assert_eq!(reports::judge(&run, contradiction).unwrap().judgement.verdict, reports::Verdict::Pass);
}

#[test]
fn criteria_that_are_weaker_than_the_text_beside_them_pass_nowhere() {
    let desk = Desk::new();
    let text = include_str!("../../../scenarios/smoke.toml");
    let weaker = |run: &mut Synthetic| "delivery.rate >= 1%".clone_into(&mut run.header().criteria[0].pass);
    desk.run("runs/smoke/20260102T030405Z-1", text, weaker);
    let run = "runs/smoke/20260102T030405Z-1";
    let why = "the header has \"delivery.rate >= 1%\" for criteria[0].pass";
    for arguments in [&["judge", run][..], &["report", run], &["judge", run, "--scenario", "smoke.toml"]] {
        let (code, said) = desk.harness(arguments);
        assert_eq!(code, 12, "{arguments:?}: {said}");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
    let (_, listed) = desk.harness(&["list", "--runs", "runs"]);
    assert!(listed.contains("INCONCLUSIVE"), "{listed}");
    let (_, told) = desk.harness(&["history", "runs"]);
    assert!(told.contains(why), "{told}");
    let (code, sealed) = desk.harness(&["seal", run, "--out", "sealed.tar"]);
    assert!(code == 0 && sealed.contains("INCONCLUSIVE"), "{sealed}");
}

#[test]
fn a_list_of_runs_shows_what_the_logs_say() {
    let desk = Desk::new();
    let text = include_str!("../../../scenarios/smoke.toml");
    let twice = |run: &mut Synthetic| run.load_rounds().for_each(|(_, round)| round.duplicates = 1);
    desk.run("runs/smoke/20260102T030405Z-1", text, |_| ());
    let bad = desk.run("runs/smoke/20260102T030406Z-2", text, twice);
    let listed = || {
        let (code, json) = desk.harness(&["list", "--runs", "runs", "--json"]);
        assert_eq!(code, 0, "{json}");
        let runs: serde_json::Value = serde_json::from_str(&json).unwrap();
        let one = |run: &serde_json::Value| {
            (
                run["verdict"].as_str().unwrap().to_owned(),
                run["satisfies_gate"].clone(),
                run["verified"].clone(),
            )
        };
        runs.as_array().unwrap().iter().map(one).collect::<Vec<_>>()
    };
    let honest =
        [("FAIL".to_owned(), false.into(), true.into()), ("PASS".to_owned(), true.into(), true.into())];
    assert_eq!(listed(), honest);
    let verdict = std::fs::read_to_string(bad.join("verdict.json")).unwrap();
    std::fs::write(bad.join("verdict.json"), verdict.replace("\"FAIL\"", "\"PASS\"")).unwrap();
    assert_eq!(listed()[0], ("FAIL".to_owned(), false.into(), false.into()));
    let (_, text) = desk.harness(&["list", "--runs", "runs"]);
    assert!(text.contains("FAIL, and verdict.json says something else"), "{text}");
}
