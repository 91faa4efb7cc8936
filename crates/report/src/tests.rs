//! Whole reports: as they read, and that nothing of the measured world can change their shape.

use plimsoll_analysis::judgement::Judgement;
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use unicode_width::UnicodeWidthStr as _;

use crate::document::{Block, Grid, Text, numbers, words};
use crate::escape::clean;
use crate::{Summary, markdown, summary, table};

pub(crate) mod sample;

/// Every extension that could make markup of a text.
fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_MATH
        | Options::ENABLE_HEADING_ATTRIBUTES
}

/// The shape of a document: everything but its text.
fn shape(markdown: &str) -> Vec<String> {
    Parser::new_ext(markdown, options())
        .filter(|event| !matches!(event, Event::Text(_)))
        .map(|event| match event {
            Event::Code(_) => "Code".to_owned(),
            event => format!("{event:?}"),
        })
        .collect()
}

/// The texts of a document as its reader sees them: one a heading, paragraph, list item and cell.
fn texts(markdown: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut text = String::new();
    for event in Parser::new_ext(markdown, options()) {
        match event {
            Event::Text(part) | Event::Code(part) => text.push_str(&part),
            Event::Start(Tag::Strong) | Event::End(TagEnd::Strong) => {}
            Event::Start(Tag::Heading { .. } | Tag::Paragraph | Tag::Item | Tag::TableCell) => text.clear(),
            Event::End(TagEnd::Heading(_) | TagEnd::Paragraph | TagEnd::Item | TagEnd::TableCell) => {
                texts.push(std::mem::take(&mut text));
            }
            Event::Start(Tag::List(_) | Tag::Table(_) | Tag::TableHead | Tag::TableRow)
            | Event::End(TagEnd::List(_) | TagEnd::Table | TagEnd::TableHead | TagEnd::TableRow) => {}
            other => texts.push(format!("{other:?}")),
        }
    }
    texts
}

/// One block of each kind that begins with, ends with and holds nothing but a text.
fn blocks(text: &str) -> Vec<Block> {
    let plain = || Text::default().outside(text);
    let mut grid = Grid::new([words("Word"), numbers("Number"), words("Last")]);
    grid.row([Some(text.to_owned()), Some("1".to_owned()), Some(text.to_owned())]);
    let mut blocks = vec![Block::Title(plain()), Block::Paragraph(plain())];
    let named = Text::default().strong(text).plain(": ").outside(text);
    blocks.push(Block::List(vec![plain(), named, Text::default().strong("S1").plain(" ").code(text)]));
    blocks.extend(grid.block());
    blocks
}

#[test]
fn a_full_record_reads_well() {
    insta::assert_snapshot!("full_markdown", markdown(&sample::full(), None));
    insta::assert_snapshot!("full_table", table(&sample::full(), None, Some(100)));
}

#[test]
fn what_was_judged_comes_first_and_reads_well() {
    let (record, judgement) = (sample::judgement::record(), sample::judgement::judgement());
    let head = |text: &str, end: &str| text[..text.find(end).unwrap()].to_owned();
    insta::assert_snapshot!("judged_markdown", head(&markdown(&record, Some(&judgement)), "## Sources"));
    insta::assert_snapshot!(
        "judged_table",
        head(&table(&record, Some(&judgement), Some(100)), "\nSources\n")
    );
}

#[test]
fn the_short_table_is_the_one_that_the_success_criteria_ask_for() {
    let text = markdown(&sample::judgement::record(), Some(&sample::judgement::judgement()));
    let table: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("| Metric ")).take(6).collect();
    assert_eq!(
        table.join("\n"),
        "\
| Metric             | Before | After | Improvement |
| ------------------ | -----: | ----: | ----------: |
| Page Load (P95)    |   4.2s |  2.1s |         50% |
| API Response (P95) |  800ms | 350ms |         56% |
| DB Query (P95)     |  250ms |  85ms |         66% |
| Cache Hit Rate     |    72% |   94% |         31% |"
    );
}

#[test]
fn a_record_that_is_not_compared_says_why() {
    let why = "the record of the baseline before is gone; name one that is kept";
    let judgement = Judgement {
        comparison: None,
        not_compared: Some(why.to_owned()),
        objectives: Vec::new(),
        findings: Vec::new(),
        trend: Vec::new(),
        ..sample::judgement::judgement()
    };
    let text = markdown(&sample::empty(), Some(&judgement));
    assert!(text.contains("Change: **not compared**. Findings: **none**."), "{text}");
    assert!(text.contains(&format!("**Not compared**: {why}.")), "{text}");
    assert!(!text.contains("## Objectives") && !text.contains("## Trend"), "{text}");
    assert_eq!(summary(&sample::empty(), Some(&judgement)), Summary::default());
}

#[test]
fn columns_of_kubectl_have_the_verdicts() {
    let summary = summary(&sample::judgement::record(), Some(&sample::judgement::judgement()));
    assert_eq!((summary.objectives.as_deref(), summary.change.as_deref()), (Some("4/6"), Some("Improved")));
}

#[test]
fn a_table_for_a_file_is_whole_and_one_for_a_terminal_fits() {
    let mut record = sample::full();
    let long = "a-workload-with-a-very-long-name-that-no-terminal-of-eighty-columns-can-show";
    record.kubernetes.as_mut().unwrap().workloads[0].name = long.to_owned();
    assert!(table(&record, None, None).contains(long));
    for width in [40, 80, 90] {
        let text = table(&record, None, Some(width));
        let widest = text.lines().map(unicode_width::UnicodeWidthStr::width).max().unwrap();
        assert!(widest <= width, "{widest} of {width}");
        assert!(!text.contains(long));
    }
}

#[test]
fn a_failed_source_is_named_with_its_remedy_first() {
    insta::assert_snapshot!("failed_markdown", markdown(&sample::failed(), None));
    insta::assert_snapshot!("failed_table", table(&sample::failed(), None, Some(100)));
}

#[test]
fn little_coverage_is_marked_and_missing_figures_say_why() {
    let record = sample::partial_coverage();
    insta::assert_snapshot!("partial_markdown", markdown(&record, None));
    insta::assert_snapshot!("partial_table", table(&record, None, Some(100)));
}

#[test]
fn a_database_and_a_cache_without_faults_are_said_to_have_none() {
    let record = sample::nothing_found();
    insta::assert_snapshot!("nothing_found_markdown", markdown(&record, None));
    insta::assert_snapshot!("nothing_found_table", table(&record, None, Some(100)));
}

#[test]
fn a_source_that_was_read_in_part_says_what_is_missing_and_why() {
    let record = sample::in_part();
    insta::assert_snapshot!("in_part_markdown", markdown(&record, None));
    insta::assert_snapshot!("in_part_table", table(&record, None, Some(100)));
}

#[test]
fn an_empty_record_has_no_sections() {
    insta::assert_snapshot!("empty_markdown", markdown(&sample::empty(), None));
    insta::assert_snapshot!("empty_table", table(&sample::empty(), None, Some(100)));
}

#[test]
fn the_columns_of_kubectl_are_short() {
    let columns = |record| {
        let summary = summary(&record, None);
        [summary.page_p95, summary.api_p95, summary.requests, summary.errors, summary.coverage]
    };
    let full = [Some("412ms"), Some("181ms"), Some("20.1/s, 19.8/s"), Some("0.123%, 0%"), Some("99.8%")];
    assert_eq!(columns(sample::full()), full.map(|text| text.map(str::to_owned)));
    let partial = [Some("4.2ms"), None, Some("20/s, –"), None, Some("14.2%")];
    assert_eq!(columns(sample::partial_coverage()), partial.map(|text| text.map(str::to_owned)));
    assert_eq!(summary(&sample::empty(), None), Summary::default());
}

#[test]
fn a_percentile_past_the_last_bucket_is_only_bounded_from_below() {
    let mut record = sample::full();
    let basis = record.basis.get_mut("web_metrics.page_load_p95_ms").unwrap();
    basis.resolution_ms = Some(vec![2_500.0]);
    record.web_metrics.as_mut().unwrap().page_load_p95_ms = Some(2_500.0);
    assert_eq!(summary(&record, None).page_p95.as_deref(), Some(">2.5s"));
}

#[test]
fn one_section_alone_has_one_figure_a_column() {
    let mut record = sample::full();
    record.web_metrics = None;
    record.basis.retain(|path, _| !path.starts_with("web_metrics"));
    assert_eq!(summary(&record, None).requests.as_deref(), Some("19.8/s"));
    assert!(!markdown(&record, None).contains("## Web"));
}

#[test]
fn a_pod_with_dots_in_its_name_has_its_own_coverage() {
    let mut record = sample::empty();
    let cpu = [("node.local".to_owned(), 3.0)].into_iter().collect();
    record.infrastructure_metrics = Some(plimsoll_analysis::record::InfrastructureMetrics {
        cpu_usage_by_pod: Some(cpu),
        ..Default::default()
    });
    let mut basis = sample::basis();
    record.basis.insert("infrastructure_metrics.cpu_usage_by_pod".to_owned(), basis.clone());
    basis.coverage_percent = Some(12.5);
    record.basis.insert("infrastructure_metrics.cpu_usage_by_pod.node.local".to_owned(), basis);
    assert!(markdown(&record, None).contains("12.5%, not judged"), "{}", markdown(&record, None));
}

#[test]
fn a_pod_that_was_held_back_says_how_much() {
    let mut record = sample::full();
    assert!(!markdown(&record, None).contains("Throttled"));
    let pod = "odoo-7f9c8d6b54-x2x9k".to_owned();
    let throttled = [(pod, 37.5)].into_iter().collect();
    record.infrastructure_metrics.as_mut().unwrap().cpu_throttled_percent_by_pod = Some(throttled);
    let text = markdown(&record, None);
    let row = text.lines().find(|line| line.starts_with("| odoo-7f9c8d6b54-x2x9k")).unwrap();
    assert!(row.contains("37.5%"), "{row}");
    assert!(text.contains("in which it was held back at its limit"), "{text}");
}

#[test]
fn a_list_that_was_read_and_is_empty_is_said_to_be_empty() {
    let mut record = sample::full();
    record.api_metrics.as_mut().unwrap().top_endpoints = Some(indexmap::IndexMap::new());
    record.infrastructure_metrics = Some(plimsoll_analysis::record::InfrastructureMetrics::default());
    record.basis.retain(|path, _| !path.starts_with("infrastructure_metrics"));
    let text = markdown(&record, None);
    assert!(text.contains("No endpoint answered a request within the window."), "{text}");
    assert!(text.contains("No pod of the namespace was seen within the window."), "{text}");
}

#[test]
fn a_table_of_one_row_and_one_of_many_are_whole() {
    for rows in [1, 500] {
        let record = sample::with_rows(rows);
        let heads = ["\n| S", "\n| /api/v1/endpoints-", "\n| pod-"];
        let text = markdown(&record, None);
        for head in heads {
            assert!(text.matches(head).count() >= rows as usize, "{head} of {rows}");
        }
        let page = crate::html(&record, None);
        for name in ["<th scope=\"row\">/api/v1/endpoints-", "<th scope=\"row\">pod-"] {
            assert_eq!(page.matches(name).count(), rows as usize, "{name}");
        }
    }
}

#[test]
fn hostile_texts_change_nothing_but_text() {
    let calm = shape(&markdown(&sample::saying("calm"), None));
    for text in [
        "a | b || c |",
        "a \\| b \\",
        "\\",
        "`code` ``code`` ```\ncode",
        "<script>alert(1)</script><!-- x --><img src=x onerror=y>",
        "[a](javascript:x) ![b](http://x/y.png) [^1] [c][d] <http://x>",
        "**bold** __bold__ *i* _i_ ~~gone~~ $x$ $$y$$",
        "line\n\n# heading\n\n---\n| a | b |\n|---|---|\n",
        "- item\n1. item\n> quote\n    code",
        "&lt;b&gt; &#60; &amp;",
        "# ## {#id .class}",
        "\u{1b}[2J\u{7}\u{202E}\u{2028}\u{0}",
        "[ ] task",
        "===",
        "---",
        "1)",
    ] {
        let text = format!("{text} end");
        assert_eq!(shape(&markdown(&sample::saying(&text), None)), calm, "{text:?}");
    }
}

#[test]
fn a_very_long_text_is_cut() {
    let text = markdown(&sample::saying(&"x".repeat(100_000)), None);
    assert!(text.len() < 150_000, "{} bytes", text.len());
}

/// Texts with much of what Markdown and terminals act on.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,60}",
        "[-|\\\\`<>&*_~#\\[\\](){}!$=+:.0-9a-z \n\t]{0,60}",
        "[\\x00-\\x20\u{7f}-\u{9f}\u{200b}-\u{202e}\u{2028}a-c|]{0,60}",
        "(&lt;|&#60;|<b>|</b>|\\[a\\]\\(b\\)|\\*\\*|__|`|\\||\\\\|# |- |1\\. |[a-z ]){0,16}",
        "[牛乳🐄é|\u{301}]{0,120}",
    ]
}

proptest! {
    #[test]
    fn a_text_is_read_back_as_it_was_and_stays_in_its_cell(text in hostile()) {
        let text = format!("{text}z");
        let written = crate::markdown::render(&blocks(&text));
        let (line, code, cell) = (clean(&text, 1024), clean(&text, 256), clean(&text, 256));
        let number = "1".to_owned();
        let mut expected = vec![line.clone(), line.clone(), line.clone(), format!("{cell}: {line}"), format!("S1 {code}")];
        expected.extend(["Word", "Number", "Last"].map(str::to_owned));
        expected.extend([cell.clone(), number, cell]);
        prop_assert_eq!(texts(&written), expected, "{}", written);
    }

    #[test]
    fn no_text_of_the_record_becomes_markup(text in hostile()) {
        // A text of its own at both ends keeps it from being empty, in which case emphasis rightly vanishes.
        let written = markdown(&sample::saying(&format!("a{text}z")), None);
        prop_assert_eq!(shape(&written), shape(&markdown(&sample::saying("calm"), None)), "{}", written);
    }

    #[test]
    fn no_text_of_the_record_reaches_a_terminals_control(text in hostile()) {
        let written = table(&sample::saying(&text), None, Some(100));
        for line in written.lines() {
            prop_assert!(line.width() <= 100, "{} columns: {}", line.width(), line);
            prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
        }
    }
}
