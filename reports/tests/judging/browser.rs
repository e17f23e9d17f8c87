//! The reports in a real browser: nothing is asked for, nothing complains, nothing overflows, and everyone can read it.
//!
//! With `REPORT_PICTURES=DIR`, a picture of every page at every width is left there.

mod chromium;
mod pages;

use std::path::PathBuf;

use crate::skips::has_or_skips;
use chromium::{Browser, Shown, Tab};
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

/// Each page at each width, light and dark.
fn everywhere(mut look: impl FnMut(&mut Tab<'_>, &Page, Shown)) {
    let Some(mut browser) = browser() else { return };
    let mut tab = browser.tab();
    for page in pages::all() {
        for width in WIDTHS {
            for dark in [false, true] {
                look(&mut tab, &page, Shown { width, dark });
            }
        }
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
            let scheme = if shown.dark { "dark" } else { "light" };
            let file = dir.join(format!("{}-{}-{scheme}.png", page.name, shown.width));
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
    let noise = tab.open(&file, Shown { width: 390, dark: false });
    assert_eq!(noise.requests.len(), 1, "{noise:?}");
    assert!(!noise.complaints.is_empty(), "{noise:?}");
    assert!(tab.evaluate("document.documentElement.scrollWidth").as_u64().unwrap() > 390);
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
