//! Pages as a browser gets them: their shape, their policy, and that texts stay texts.

use proptest::prelude::*;

use crate::html;
use crate::tests::sample;

/// Names of the elements in their order, with the names of their attributes: the shape of a page without its texts.
fn shape(page: &str) -> Vec<String> {
    let mut shape = Vec::new();
    let mut rest = without(page);
    while let Some(start) = rest.find('<') {
        rest = rest.split_off(start + 1);
        let mut element = String::new();
        let mut quoted = false;
        let end = rest.find(|c: char| {
            quoted ^= c == '"';
            if !quoted && c != '>' && c != '"' {
                element.push(c);
            }
            c == '>' && !quoted
        });
        rest = rest.split_off(end.expect("every tag ends"));
        // A number in a text may give its cell a key to sort by, and a long word a style.
        shape.push(element.replace(" data-v=", "").replace(" class=", ""));
    }
    shape
}

/// That two pages have one shape; where not, only the place is shown at which they part.
fn assert_same(one: &[String], other: &[String], text: &str) {
    let parting = one.iter().zip(other).position(|(one, other)| one != other);
    let at = parting.unwrap_or_else(|| one.len().min(other.len()));
    assert!(one == other, "{text:?}: {:?} for {:?} at element {at}", one.get(at), other.get(at));
}

/// A page without its style sheet and its script, which are not of the record.
fn without(page: &str) -> String {
    let mut page = page.to_owned();
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let (start, end) = (page.find(open).unwrap(), page.find(close).unwrap());
        page.replace_range(start + open.len()..end, "");
    }
    page
}

#[test]
fn a_page_asks_nobody_for_anything_and_names_what_may_run() {
    let page = html(&sample::judgement::record(), Some(&sample::judgement::judgement()));
    let policy =
        page.split("Content-Security-Policy\" content=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(policy.starts_with("default-src &#39;none&#39;; style-src &#39;sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let body = without(&page);
    for asking in
        [" src=", "@import", "url(", " style=", " onclick", "<iframe", "<link rel=\"stylesheet", "<base"]
    {
        assert!(!body.contains(asking), "{asking}");
    }
    // The one address names SVG's vocabulary inside the icon.
    assert_eq!(page.matches("://").count(), 1);
    assert_eq!(page.matches("<script>").count(), 1);
}

#[test]
fn the_verdict_stands_before_every_figure() {
    let page = html(&sample::judgement::record(), Some(&sample::judgement::judgement()));
    let places = [
        "4 of 6 met",
        "Improved",
        "class=\"tiles\"",
        "id=\"objectives\"",
        "id=\"comparison\"",
        "id=\"findings\"",
        "id=\"window\"",
        "id=\"web\"",
        "id=\"basis\"",
    ];
    let found: Vec<usize> =
        places.iter().map(|place| page.find(place).unwrap_or_else(|| panic!("{place}"))).collect();
    assert!(found.is_sorted(), "{found:?}");
}

#[test]
fn every_link_within_a_page_has_its_place_and_places_are_unique() {
    let record = sample::judgement::record();
    for page in [
        html(&record, Some(&sample::judgement::judgement())),
        html(&sample::empty(), None),
        html(&sample::failed(), None),
    ] {
        let mut ids: Vec<&str> =
            page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "ids are unique");
        for link in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            // A tile may speak of a section that has nothing to show.
            let may_be_absent = ["sources", "comparison"].contains(&link);
            assert!(ids.binary_search(&link).is_ok() || may_be_absent, "#{link}");
        }
    }
}

#[test]
fn a_figure_leads_to_its_basis() {
    let record = sample::judgement::record();
    let page = html(&record, None);
    let number = record.basis.keys().position(|path| path == "web_metrics.page_load_p95_ms").unwrap() + 1;
    assert!(
        page.contains(&format!(
            "2.1s<a class=\"source\" title=\"Where this comes from\" href=\"#b{number}\">"
        ))
    );
    let row = page.split(&format!("<tr id=\"b{number}\">")).nth(1).unwrap().split("</tr>").next().unwrap();
    for part in [
        "web_metrics.page_load_p95_ms",
        "web.latencyHistogram",
        "99.8%",
        "12,156,480",
        "between 2s and 2.5s",
        "2026-11-16 02:00:11",
    ] {
        assert!(row.contains(part), "{part} in {row}");
    }
}

#[test]
fn a_page_without_anything_is_still_one() {
    let page = html(&sample::empty(), None);
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(!page.contains("<table") && !page.contains("<figure"), "{page}");
    assert!(page.contains("Complete"));
}

#[test]
fn hostile_texts_change_nothing_but_text() {
    let (_, judgement) = sample::judgement::saying("calm");
    let calm = shape(&html(&sample::saying("calm"), Some(&judgement)));
    for text in [
        "<script>alert(1)</script>",
        "</title><script>alert(1)</script>",
        "</style></script><!-- x",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "<svg/onload=alert(1)>",
        "]]><![CDATA[ <b>",
        "&lt;b&gt; &#60;b&#62; &amp;",
        "javascript:alert(1)",
        "\u{1b}[2J\u{7}\u{202E}\u{2066}\u{2028}\u{0}\u{FEFF}",
        "**b** [a](b) | `c`",
    ] {
        let text = format!("{text} end");
        let (_, judgement) = sample::judgement::saying(&text);
        let page = html(&sample::saying(&text), Some(&judgement));
        assert_same(&shape(&page), &calm, &text);
        let is_steering = |c: char| {
            (c.is_control() && c != '\n') || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!page.chars().any(is_steering), "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_text_becomes_markup(text in "[<>&\"'`/=a-z! \u{0}-\u{20}\u{202a}-\u{202e}-]{0,40}") {
        let text = format!("a{text}z");
        let (_, calm) = sample::judgement::saying("calm");
        let (_, judgement) = sample::judgement::saying(&text);
        let page = html(&sample::saying(&text), Some(&judgement));
        assert_same(&shape(&page), &shape(&html(&sample::saying("calm"), Some(&calm))), &text);
    }
}
