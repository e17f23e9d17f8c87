//! Ways to pass a gate by accident or on purpose: none works, and each says why.

use insta::assert_snapshot;
use reports::gate::exhibit::Exhibit;
use reports::gate::index::{self, Entry, Index};
use reports::gate::plan::{Runs, Select, Whose};
use reports::render::gate::text;
use reports::runlog::event::Header;

use super::{History, green, ran, red, why_not};
use crate::synthetic::{Run, SCENARIO, sha256_of};

/// A history of one run, which does not count.
#[track_caller]
fn refused(history: &History, why: &str) {
    let decision = history.decide();
    assert_eq!((decision.outcome, decision.exit.code), ("INCONCLUSIVE", 12), "{}", text(&decision));
    let said = why_not(&decision, &history.exhibits[0].directory);
    assert!(said.contains(why), "{said}");
    assert!(text(&decision).contains(why), "the reason is not shown: {}", text(&decision));
}

#[test]
fn a_rehearsal_does_not_count() {
    let run = Run { rehearsal: Some(60.0), ..Run::default() };
    refused(&History::of(vec![ran(20, &run, |_| ())]), "it is a rehearsal, compressed 60 times");
}

#[test]
fn overrides_and_profiles_that_no_gate_names_do_not_count() {
    let run = Run { overrides: vec!["load.duration=6s".into()], ..Run::default() };
    refused(&History::of(vec![ran(20, &run, |_| ())]), "overrides: load.duration=6s");
    let run = Run { profile: Some("ci"), ..Run::default() };
    refused(&History::of(vec![ran(20, &run, |_| ())]), "profile ci, which this gate does not name");
}

#[test]
fn a_partial_fleet_does_not_count() {
    let partial = ran(20, &Run::default(), |header| header.plan.workers_asked = Some(40));
    refused(&History::of(vec![partial]), "its fleet was partial: 6 of 40 workers");
}

#[test]
fn weaker_criteria_under_the_same_name_do_not_count() {
    let weaker = ran(20, &Run::default(), |header| {
        header.sources[0].text.push_str("# weaker");
        header.scenario.sha256 = sha256_of(&header.sources[0].text);
    });
    refused(&History::of(vec![weaker]), "another text of the scenario: its SHA-256 begins with c17619a0a9aa");
}

/// The pinned text, under whose name a weaker one passes.
#[test]
fn a_scenario_that_is_not_the_pinned_one_is_refused_with_both_hashes() {
    let text = format!("{SCENARIO}# weaker");
    let weaker = sha256_of(&text);
    let pinned = sha256_of(SCENARIO);
    let pin = |runs: &mut Runs| runs.sha256 = Some(pinned.clone());
    assert_eq!(History::of(vec![green(20)]).asking(pin).decide().outcome, "PASS", "the pinned text counts");
    // The file was weakened, and was run as it stands.
    let of_weaker = ran(20, &Run::default(), |header| {
        header.sources[0].text.clone_from(&text);
        header.scenario.sha256.clone_from(&weaker);
    });
    let mut history = History::of(vec![of_weaker.clone()]);
    history.recipes[0].sha256.clone_from(&weaker);
    assert_eq!(history.decide().outcome, "PASS", "without a pin, the file as it stands is what is asked for");
    let refused_file = history.asking(pin).decide();
    assert_eq!(refused_file.exit.code, 12);
    let found = &refused_file.evidence[0].found;
    assert!(found.contains(&weaker) && found.contains(&pinned), "{found}");
    assert!(
        refused_file.next[0].what.contains("bring the asked text of synthetic.toml back"),
        "{refused_file:#?}"
    );
    // The file was put back, and the run of the weaker one is still there.
    let history = History::of(vec![of_weaker]).asking(pin);
    refused(&history, &format!("its SHA-256 is {weaker}, and the plan asks for {pinned}"));
}

#[test]
fn another_host_and_another_build_do_not_count_where_this_one_is_asked() {
    let host = ran(20, &Run::default(), |header| header.host.fingerprint = "f1-beef".into());
    let history = History::of(vec![host]).asking(|runs| runs.host = Whose::This);
    refused(&history, "another host: its fingerprint is f1-beef, this one's f1-f00d");
    let build = ran(20, &Run::default(), |header| header.build.git = "7654321".into());
    let history = History::of(vec![build.clone()]).asking(|runs| runs.build = Whose::This);
    refused(&history, "another build: 7654321, and this one is 1234567");
    // Digits that any commit could begin with are none.
    for few in ["", "1", "123456"] {
        let short = ran(20, &Run::default(), |header| header.build.git = few.into());
        refused(&History::of(vec![short]).asking(|runs| runs.build = Whose::This), "it is of another build");
    }
    let dirty = ran(20, &Run::default(), |header| header.build.dirty = true);
    refused(
        &History::of(vec![dirty]).asking(|runs| runs.build = Whose::This),
        "changes that are in no commit",
    );
    assert_eq!(History::of(vec![build]).decide().outcome, "PASS", "where any build is asked, it counts");
}

#[test]
fn stale_runs_and_runs_of_the_future_do_not_count() {
    let history = |day: &'static str| {
        History::of(vec![ran(20, &Run::default(), |header| header.started_utc = day.into())])
    };
    refused(&history("2025-12-20T12:00:00Z"), "it is stale");
    refused(&history("2026-02-02T12:00:00Z"), "after 2026-02-01T12:00:00Z");
    refused(&history("yesterday"), "its start cannot be read");
}

#[test]
fn a_copy_of_a_run_does_not_count_twice() {
    let of = |second: Exhibit| History::of(vec![green(20), second]).asking(|runs| runs.runs = 2).decide();
    let there = |directory: &str, exhibit: Exhibit| Exhibit { directory: directory.into(), ..exhibit };
    for place in ["runs/synthetic/a", "runs/synthetic/z"] {
        let same = of(there(place, green(20)));
        assert_eq!(same.outcome, "INCONCLUSIVE", "{place}");
        let said: Vec<&str> = same.evidence[0].runs.iter().filter_map(|run| run.why_not.as_deref()).collect();
        assert!(said.len() == 1 && said[0].contains("its log is that of runs/synthetic/"), "{said:?}");
    }
    assert_eq!(of(green(21)).outcome, "PASS", "another run is another run");
    let unhashed = |day| Exhibit { log_sha256: String::new(), records_sha256: String::new(), ..green(day) };
    let both = History::of(vec![unhashed(20), unhashed(21)]).asking(|runs| runs.runs = 2).decide();
    assert_eq!(both.outcome, "PASS", "two logs that could not be read again are not one by that");
}

/// A copy can have another id, another start and another machine in its header. What it recorded stays.
#[test]
fn a_copy_under_another_header_is_found_by_what_it_recorded() {
    let bends: [fn(&mut Header); 3] = [
        |header| header.run_id = "synthetic-99".into(),
        |header| {
            header.run_id = "another-01".into();
            header.started_utc = "2026-01-31T12:00:00Z".into();
        },
        |header| {
            header.run_id = "another-02".into();
            header.host.machine = "another".into();
            header.build.git = "7654321".into();
        },
    ];
    for bend in bends {
        let renamed = Exhibit { log_sha256: "another".into(), ..ran(20, &Run::default(), bend) };
        let directory = renamed.directory.clone();
        // In whatever order the directories lie.
        for exhibits in [vec![green(20), renamed.clone()], vec![renamed.clone(), green(20)]] {
            let decision = History::of(exhibits).asking(|runs| runs.runs = 2).decide();
            assert_eq!(decision.outcome, "INCONCLUSIVE", "{directory}");
            let copies: Vec<&str> =
                decision.evidence[0].runs.iter().filter_map(|run| run.why_not.as_deref()).collect();
            assert_eq!(copies.len(), 1, "{copies:?}");
            assert!(copies[0].contains("recorded, under another header: it is a copy"), "{copies:?}");
        }
    }
    // A run that is too old makes no new one, whatever date its copy has.
    let old = ran(20, &Run::default(), |header| header.started_utc = "2025-11-20T12:00:00Z".into());
    let again = Exhibit { directory: "runs/synthetic/0".into(), log_sha256: "new".into(), ..green(20) };
    let decision = History::of(vec![again, old]).decide();
    assert_eq!(decision.outcome, "INCONCLUSIVE", "{decision:#?}");
}

/// Runs side by side begin at the same time: each counts, in whatever order their directories lie.
#[test]
fn runs_that_began_in_the_same_millisecond_are_two_runs() {
    let at =
        |id: &'static str, exhibit: Exhibit| Exhibit { directory: format!("runs/synthetic/{id}"), ..exhibit };
    let noon = |header: &mut Header| header.started_utc = "2026-01-20T12:00:00Z".into();
    let lossy = Run { failed: |_| 3, ..Run::default() };
    for (green_first, red_first) in [("a", "b"), ("b", "a")] {
        let mut exhibits =
            vec![at(green_first, ran(20, &Run::default(), noon)), at(red_first, ran(21, &lossy, noon))];
        exhibits.sort_by(|a, b| a.directory.cmp(&b.directory));
        let decision = History::of(exhibits).decide();
        assert_eq!(decision.outcome, "FAIL", "{green_first} {}", text(&decision));
        assert!(decision.evidence[0].found.contains("1 PASS, 1 FAIL"), "{}", decision.evidence[0].found);
    }
    let both = vec![at("a", ran(20, &Run::default(), noon)), at("b", ran(21, &Run::default(), noon))];
    assert_eq!(History::of(both).asking(|runs| runs.runs = 2).decide().outcome, "PASS");
}

/// Of two logs with one id, no order of directories picks the better one.
#[test]
fn of_two_logs_with_one_id_the_worse_one_counts_unless_the_index_knows_the_other() {
    let with_id = |directory: &str, exhibit: Exhibit| Exhibit { directory: directory.into(), ..exhibit };
    let bad =
        ran(19, &Run { failed: |_| 3, ..Run::default() }, |header| header.run_id = "synthetic-20".into());
    for (a, b) in [("runs/synthetic/a", "runs/synthetic/b"), ("runs/synthetic/b", "runs/synthetic/a")] {
        let exhibits = vec![with_id(a, green(20)), with_id(b, bad.clone())];
        assert_eq!(History::of(exhibits.clone()).decide().outcome, "FAIL");
        let known = History::of(exhibits).indexed(&[with_id(a, green(20))]).decide();
        assert_eq!(known.outcome, "PASS", "{}", text(&known));
        assert_eq!(known.headline(), "PASS, with 1 run beside it that did not pass");
    }
}

#[test]
fn a_run_that_no_listed_key_has_sealed_does_not_count_where_a_signature_is_asked() {
    let of = |signers: &[&str]| {
        let signers = signers.iter().map(|key| (*key).to_owned()).collect();
        History::of(vec![Exhibit { signers, ..green(20) }])
            .asking(|runs| runs.signed_by = vec!["ci.pub.pem".into()])
    };
    refused(&of(&[]), "it is in no seal that is signed by ci.pub.pem");
    refused(&of(&["another.pub.pem"]), "it is in no seal that is signed by ci.pub.pem");
    assert_eq!(of(&["ci.pub.pem"]).decide().outcome, "PASS");
}

/// A signature is asked for what speaks for a gate: a red run is not made invisible by not sealing it.
#[test]
fn a_red_run_counts_against_a_gate_whether_or_not_anyone_has_sealed_it() {
    let sealed = |exhibit: Exhibit| Exhibit { signers: vec!["ci.pub.pem".to_owned()], ..exhibit };
    let of = |exhibits: Vec<Exhibit>| {
        History::of(exhibits).asking(|runs| runs.signed_by = vec!["ci.pub.pem".into()])
    };
    let decision = of(vec![sealed(green(20)), red(21)]).decide();
    assert_eq!((decision.outcome, decision.exit.code), ("FAIL", 10), "{}", text(&decision));
    assert!(
        text(&decision).contains("it did not pass, so it counts against all the same"),
        "{}",
        text(&decision)
    );
    // One that does not say is no better.
    let cut = ran(21, &Run { end: None, ..Run::default() }, |_| ());
    assert_eq!(of(vec![sealed(green(20)), cut]).decide().outcome, "INCONCLUSIVE");
    // It is none of the runs that are asked for, also where its failure is waived.
    let mut waived = of(vec![red(21)]);
    waived.gate.waivers.push(super::waiver("all delivered", "2026-12-31"));
    assert_eq!(waived.decide().outcome, "INCONCLUSIVE", "no key vouches for it");
    waived.exhibits.push(sealed(green(20)));
    assert_eq!(waived.decide().headline(), "CONDITIONAL by a waiver");
    // Nor does it push another one out of the latest.
    let latest = of(vec![sealed(red(20)), green(21)]).asking(|runs| runs.select = Select::Latest(1));
    assert_eq!(latest.decide().outcome, "FAIL");
    // Without a signature, what passed counts neither way.
    let beside = of(vec![sealed(green(20)), green(21)]).asking(|runs| runs.runs = 2);
    refused_second(&beside.decide());
}

#[track_caller]
fn refused_second(decision: &reports::gate::decision::Decision) {
    assert_eq!(decision.outcome, "INCONCLUSIVE");
    let why = why_not(decision, "runs/synthetic/synthetic-21");
    assert!(why.contains("it is in no seal that is signed by ci.pub.pem"), "{why}");
}

#[test]
fn one_green_after_nine_reds_is_shown_as_exactly_that() {
    let mut exhibits: Vec<Exhibit> = (10..19).map(red).collect();
    exhibits.push(green(20));
    let decision = History::of(exhibits).decide();
    assert_eq!(decision.outcome, "FAIL");
    assert!(
        decision.evidence[0].notes.iter().any(|note| note.contains("one PASS after 9 that did not pass"))
    );
    assert!(decision.evidence[0].found.contains("1 PASS, 9 FAIL"), "{}", decision.evidence[0].found);
}

#[test]
fn a_stated_rule_selects_and_what_it_leaves_out_is_shown() {
    let mut exhibits: Vec<Exhibit> = (10..13).map(red).collect();
    exhibits.extend((20..23).map(green));
    let history = History::of(exhibits).asking(|runs| {
        runs.runs = 3;
        runs.select = Select::Latest(3);
    });
    assert_snapshot!(text(&history.decide()));
}

#[test]
fn nine_reds_that_were_deleted_are_noticed() {
    let mut all: Vec<Exhibit> = (10..19).map(red).collect();
    all.push(green(20));
    let history = History::of(vec![green(20)]).indexed(&all);
    assert_eq!(history.decide().outcome, "INCONCLUSIVE");
    assert_snapshot!(text(&history.decide()));
}

#[test]
fn a_run_that_passed_may_be_removed_and_so_may_one_that_would_not_count() {
    let rehearsal = ran(12, &Run { rehearsal: Some(2.0), failed: |_| 3, ..Run::default() }, |_| ());
    let all = [green(10), rehearsal, green(20)];
    assert_eq!(History::of(vec![green(20)]).indexed(&all).decide().outcome, "PASS");
}

/// Its line in the index is from its beginning: it had no end.
#[test]
fn a_run_that_was_killed_and_then_deleted_is_noticed() {
    let killed = ran(15, &Run { end: None, ..Run::default() }, |_| ());
    let header = Header {
        run_id: "synthetic-15".into(),
        started_utc: "2026-01-15T12:00:00Z".into(),
        ..Run::default().header()
    };
    let begun = Entry::begun(&header, "synthetic/synthetic-15".into());
    let of = |exhibits: Vec<Exhibit>, ongoing: &[&str]| {
        let mut history = History::of(exhibits).indexed(&[green(20)]);
        history.index.entries.insert(0, begun.clone());
        history.ongoing = ongoing.iter().map(|place| super::going(place)).collect();
        history.decide()
    };
    let gone = of(vec![green(20)], &[]);
    assert_eq!(gone.outcome, "INCONCLUSIVE");
    let note = &gone.evidence[0].notes[0];
    assert!(
        note.contains("1 run in the window is in the index") && note.contains("synthetic/synthetic-15"),
        "{note}"
    );
    assert!(note.contains("killed before their end"), "{note}");
    // As long as it is there, it counts as what its log shows; as long as it goes on, as nothing.
    let there = of(vec![killed, green(20)], &[]);
    assert!(!there.evidence[0].notes.iter().any(|note| note.contains("in the index")), "{there:#?}");
    assert_eq!((there.outcome, there.evidence[0].runs[0].counts), ("INCONCLUSIVE", true));
    assert_eq!(of(vec![green(20)], &["runs/synthetic/synthetic-15"]).outcome, "PASS");
    // It has no hash in the index. Another run whose log cannot be hashed is not it.
    let unhashed =
        Exhibit { log_sha256: String::new(), judged: Err("it cannot be read".into()), ..green(19) };
    let mut history = History::of(vec![unhashed, green(20)]).indexed(&[green(19), green(20)]);
    history.index.entries.insert(0, begun);
    let gone = history.decide();
    let notes = &gone.evidence[0].notes;
    assert_eq!(gone.outcome, "INCONCLUSIVE", "{notes:?}");
    assert!(notes[0].contains("synthetic/synthetic-15"), "{notes:?}");
}

#[test]
fn a_log_that_was_changed_after_the_run_does_not_count() {
    let forged = Exhibit { log_sha256: "another".into(), ..green(20) };
    let history = History::of(vec![forged]).indexed(&[red(20)]);
    refused(&history, "changed after the run: it was FAIL when it ended");
}

#[test]
fn a_log_that_does_not_verify_is_no_evidence_and_is_not_ignored() {
    let damaged = Exhibit { judged: Err("line 7: its checksum is wrong".into()), ..red(19) };
    refused(&History::of(vec![damaged.clone()]), "its log does not verify: line 7");
    let beside = History::of(vec![damaged, green(20)]).decide();
    assert_eq!(beside.outcome, "INCONCLUSIVE", "it may have been the worst");
}

#[test]
fn a_run_whose_header_is_believed_is_shown_as_that() {
    let old = |header: &mut Header| {
        header.format.minor = 6;
        header.sources.clear();
    };
    let decision = History::of(vec![ran(20, &Run::default(), old)]).decide();
    assert_eq!(decision.outcome, "PASS");
    let said =
        "note: runs/synthetic/synthetic-20: the header could not be checked against the scenario's text";
    assert!(text(&decision).contains(said), "{}", text(&decision));
}

#[test]
fn an_index_that_does_not_verify_leaves_the_question_open() {
    let mut history = History::of(vec![green(20)]);
    history.index = index::read(&b"{\"run_id\":\"x\"}\n"[..]);
    assert_ne!(history.index, Index::default());
    let decision = history.decide();
    assert_eq!(decision.outcome, "INCONCLUSIVE");
    assert!(decision.evidence[0].notes[0].contains("index of runs does not verify"), "{decision:#?}");
}

/// Cut in its last line, without a line, with a changed byte: the line is named, and nothing passes by what cannot be seen.
#[test]
fn a_cut_or_damaged_index_is_named_by_its_line_and_decides_nothing() {
    let history = History::of(vec![green(20)]).indexed(&[red(18), red(19), green(20)]);
    let mut whole = Vec::new();
    for entry in &history.index.entries {
        let line = index::add(&*whole, entry).unwrap().line;
        whole.extend(line);
    }
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let changed = String::from_utf8(whole.clone()).unwrap().replacen("FAIL", "PASS", 1).into_bytes();
    for (bytes, line, what) in [
        (whole[..whole.len() - 9].to_vec(), "line 3: ", "stops in its middle"),
        (lines[0][..20].to_vec(), "line 1: ", "stops in its middle"),
        ([lines[0], lines[2]].concat(), "line 2: ", "its checksum is"),
        ([lines[1], lines[2]].concat(), "line 1: ", "its checksum is"),
        (changed, "line 1: ", "its checksum is"),
        (b"\n".to_vec(), "line 1: ", "no checksum"),
    ] {
        let mut history = History::of(vec![green(20)]);
        history.index = index::read(&*bytes);
        let decision = history.decide();
        assert_eq!(decision.outcome, "INCONCLUSIVE", "{what} at {line}");
        let note = &decision.evidence[0].notes[0];
        assert!(note.contains("does not verify") && note.contains(line) && note.contains(what), "{note}");
        assert!(decision.next[0].what.contains("bring the index of runs back"), "{:?}", decision.next);
    }
}

/// The reds and what followed them were cut off the index: the green run that came later is there, and is not in it.
#[test]
fn lines_cut_off_the_end_of_the_index_are_noticed_by_a_later_run() {
    let indexed = |exhibits: &[Exhibit]| {
        let mut history = History::of(vec![green(5), green(20)]).indexed(exhibits);
        for entry in &mut history.index.entries {
            let run = exhibits.iter().filter_map(|one| one.judged.as_ref().ok());
            let run = run.clone().find(|run| run.judgement.run_id == entry.run_id).unwrap();
            entry.machine = Some(run.host.machine.clone());
        }
        history
    };
    let whole = indexed(&[green(5), green(20)]);
    assert_eq!(whole.decide().outcome, "PASS");
    let cut = indexed(&[green(5)]).decide();
    assert_eq!(cut.outcome, "INCONCLUSIVE");
    let note = &cut.evidence[0].notes[0];
    assert!(note.contains("synthetic-20 is not in the index of runs") && note.contains("cut off"), "{note}");
    assert!(cut.next[0].what.contains("bring the index of runs back"), "{:?}", cut.next);
    // What ran before there was an index, or elsewhere, was never in it.
    let mut old = indexed(&[green(20)]);
    assert_eq!(old.decide().outcome, "PASS");
    old = indexed(&[green(5)]);
    old.exhibits[1] = ran(20, &Run::default(), |header| header.host.machine = "another".into());
    assert_eq!(old.decide().outcome, "PASS");
}

#[test]
fn an_interrupted_run_is_no_pass_whatever_its_criteria_say() {
    let run = Run { end: Some(reports::runlog::event::EndReason::Interrupted), ..Run::default() };
    let decision = History::of(vec![ran(20, &run, |_| ())]).decide();
    assert_eq!(decision.outcome, "INCONCLUSIVE");
}

#[test]
fn a_criterion_that_the_scenario_does_not_have_is_no_pass() {
    let history = History::of(vec![green(20)]).asking(|runs| runs.criteria = vec!["all deliverd".into()]);
    let decision = history.decide();
    assert_eq!(decision.outcome, "INCONCLUSIVE");
    assert!(
        decision.evidence[0].found.contains("did you mean `all delivered`?"),
        "{}",
        decision.evidence[0].found
    );
}

#[test]
fn a_file_that_is_old_cut_or_of_the_future_is_no_evidence() {
    let mut history = History::of(Vec::new());
    history.gate.evidence = vec![super::coverage()];
    history.lcov = Some("SF:a.rs\nLF:100\nLH:99\n");
    assert!(history.decide().evidence[0].found.contains("ends within the record"));
    history.lcov = Some("SF:a.rs\nFNF:1\nFNH:1\nend_of_record\n");
    assert!(history.decide().evidence[0].found.contains("has no `coverage.lines`"));
    history.lcov = Some("SF:a.rs\nLF:100\nLH:99\nend_of_record\n");
    let decided_at = |changed: &str| {
        let mut inputs = history.inputs();
        inputs.files.get_mut(&super::lcov()).unwrap().changed = changed.parse().unwrap();
        super::plans::alone(&history.gate, &inputs)
    };
    assert_eq!(decided_at("2026-01-31T00:00:00Z").outcome, "PASS");
    assert!(decided_at("2025-12-01T00:00:00Z").evidence[0].found.contains("old, and may be 30 d"));
    assert!(decided_at("2026-02-03T00:00:00Z").evidence[0].found.contains("in the future"));
}
