//! The reports in a real browser: nothing is asked for, nothing complains, nothing overflows, and everyone can read it.
//!
//! With `REPORT_PICTURES=DIR`, a picture of every page at every width is left there.

mod chromium;
mod pages;

use std::path::PathBuf;

use crate::skips::has_or_skips;
use chromium::{Browser, Look, Shown, Tab};
use pages::Page;

/// A phone, a tablet, a desk.
const WIDTHS: [u32; 3] = [390, 820, 1_280];
/// Names the unpacked file `axe.min.js` of the npm package axe-core.
const AXE: &str = "AXE_CORE";

fn browser() -> Option<Browser> {
    let program = chromium::program();
    has_or_skips("Chromium (Debian: apt-get install chromium)", program.is_some())
        .then(|| Browser::start(program.unwrap()))
}

/// A sheet of A4 without its margins, in CSS pixels.
const PAPER: u32 = 718;

/// Each page at each width, light and dark, and on paper.
fn everywhere(mut look: impl FnMut(&mut Tab<'_>, &Page, Shown)) {
    let Some(mut browser) = browser() else { return };
    let mut tab = browser.tab();
    for page in pages::all() {
        for width in WIDTHS {
            for scheme in [Look::Light, Look::Dark] {
                look(&mut tab, &page, Shown { width, look: scheme });
            }
        }
        look(&mut tab, &page, Shown { width: PAPER, look: Look::Print });
    }
}

#[test]
fn a_page_asks_for_nothing_complains_of_nothing_and_fits_its_width() {
    let pictures = std::env::var_os("REPORT_PICTURES").map(PathBuf::from);
    everywhere(|tab, page, shown| {
        let noise = tab.open(&page.file(), shown);
        assert!(noise.requests.is_empty(), "{} {shown:?} asks for {:?}", page.name, noise.requests);
        assert!(noise.complaints.is_empty(), "{} {shown:?}: {:?}", page.name, noise.complaints);
        let wide = tab.evaluate("document.documentElement.scrollWidth").as_u64().unwrap();
        let beyond = tab.evaluate(BEYOND);
        assert!(wide <= u64::from(shown.width), "{} {shown:?} is {wide} pixels wide: {beyond}", page.name);
        if let Some(dir) = &pictures {
            let look = format!("{:?}", shown.look).to_lowercase();
            let file = dir.join(format!("{}-{}-{look}.png", page.name, shown.width));
            std::fs::write(file, tab.picture()).unwrap();
        }
    });
}

/// The elements that reach over the right edge.
const BEYOND: &str = "[...document.body.querySelectorAll('*')]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.wide, figure'))
    .slice(0, 5).map(e => e.outerHTML.slice(0, 200))";

#[test]
fn a_page_that_overflows_is_noticed() {
    let Some(mut browser) = browser() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wide.html");
    std::fs::write(&file, "<!doctype html><meta charset=utf-8><title>w</title><p style='width:900px'>x<script src=a.js></script>").unwrap();
    let mut tab = browser.tab();
    let noise = tab.open(&file, Shown { width: 390, look: Look::Light });
    assert_eq!(noise.requests.len(), 1, "{noise:?}");
    assert!(!noise.complaints.is_empty(), "{noise:?}");
    assert!(tab.evaluate("document.documentElement.scrollWidth").as_u64().unwrap() > 390);
}

/// What is folded on a screen is read on paper.
#[test]
fn a_decision_that_is_printed_folds_nothing() {
    let Some(mut browser) = browser() else { return };
    let mut tab = browser.tab();
    let closed = "[...document.querySelectorAll('details:not([open]) > .inside')]";
    let is_seen =
        "e.checkVisibility({ contentVisibilityAuto: true }) && e.getBoundingClientRect().height > 10";
    for page in pages::all().iter().filter(|page| page.name.starts_with("gate-go")) {
        tab.open(&page.file(), Shown { width: PAPER, look: Look::Light });
        assert_eq!(tab.evaluate(&format!("{closed}.some(e => {is_seen})")), false, "{}", page.name);
        tab.open(&page.file(), Shown { width: PAPER, look: Look::Print });
        assert!(tab.evaluate(&format!("{closed}.length")).as_u64() > Some(0), "{} folds nothing", page.name);
        assert_eq!(tab.evaluate(&format!("{closed}.every(e => {is_seen})")), true, "{}", page.name);
    }
}

/// Decision, reason and next step are on the first screen of a desk, and the decision is on that of a phone.
#[test]
fn a_decision_has_its_reason_and_the_next_step_on_the_first_screen() {
    let Some(mut browser) = browser() else { return };
    let mut tab = browser.tab();
    let bottom = |selector| format!("document.querySelector('{selector}').getBoundingClientRect().bottom");
    for page in pages::all().iter().filter(|page| page.name.starts_with("gate-") && page.name != "gate-fail")
    {
        for (width, selector) in [(1_280, ".verdict"), (1_280, ".next"), (390, ".verdict strong")] {
            tab.open(&page.file(), Shown { width, look: Look::Light });
            let at = tab.evaluate(&bottom(selector)).as_f64().unwrap();
            assert!(at <= 900.0, "{} has {selector} at {at} at {width}", page.name);
        }
    }
}

#[test]
fn axe_finds_contrast_labels_and_structure_in_order() {
    let axe = std::env::var_os(AXE).map(|file| std::fs::read_to_string(&file).unwrap());
    if !has_or_skips("axe-core: AXE_CORE=…/package/axe.min.js, from `npm pack axe-core`", axe.is_some()) {
        return;
    }
    let axe = axe.unwrap();
    everywhere(|tab, page, shown| {
        tab.open(&page.file(), shown);
        tab.evaluate(&format!("{axe};0"));
        let found = tab.evaluate(
            "axe.run(document, { resultTypes: ['violations'] }).then(r => r.violations.map(v =>
                v.id + ': ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + ' ' + n.failureSummary).join(' | ')))",
        );
        let found = found.as_array().unwrap();
        assert!(found.is_empty(), "{} {shown:?}: {found:#?}", page.name);
    });
}
