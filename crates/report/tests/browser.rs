//! Pages in a real browser: that no text of a measured system runs, that tables sort and filter, that a phone scrolls
//! tables and not the page, and how long ten thousand rows take.
//!
//! Needs Chromium (`apt-get install chromium`): without it the tests say so, and fail where CI is set.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "test code outside of #[test] functions"
)]

#[expect(dead_code, reason = "not every sample is looked at in a browser")]
#[path = "../src/tests/sample.rs"]
mod sample;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_report::html;
use tempfile::TempDir;

/// Longest time that the browser may take for a page.
const PATIENCE: Duration = Duration::from_secs(180);
/// Marks the document if it runs.
const CANARY: &str = "document.documentElement.setAttribute('data-canary','ran')";

/// A folder of pages and the browser that opens them.
struct Browser {
    program: &'static str,
    folder: TempDir,
}

impl Browser {
    /// `None`, loudly, where there is no browser; in CI that is a failure.
    fn find() -> Option<Self> {
        let runs = |program: &&str| {
            Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success())
        };
        let program =
            ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|program| runs(program));
        let Some(program) = program else {
            let why = "NOT TESTED: there is no Chromium to open reports with; apt-get install chromium";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
            eprintln!("{why}");
            return None;
        };
        Some(Self { program, folder: tempfile::tempdir().unwrap() })
    }

    fn write(&self, name: &str, page: &str) {
        std::fs::write(self.folder.path().join(name), page).unwrap();
    }

    /// Opens a page and gives what the document has become.
    fn open(&self, name: &str) -> String {
        let dom = self.folder.path().join("dom");
        let out = std::fs::File::create(&dom).unwrap();
        let page = format!("file://{}", self.folder.path().join(name).display());
        self.run(&["--dump-dom", &page], out.into());
        std::fs::read_to_string(dom).unwrap()
    }

    fn run(&self, arguments: &[&str], out: Stdio) {
        let profile = self.folder.path().join("profile");
        let child = Command::new(self.program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(arguments)
            .stdout(out)
            .stderr(Stdio::null())
            .spawn();
        wait(child.unwrap());
    }
}

fn wait(mut child: Child) {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return;
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the browser did not end within {PATIENCE:?}");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A page without its policy, and with a script of the test at its end.
fn with_script(page: &str, script: &str) -> String {
    let start = page.find("<meta http-equiv").unwrap();
    let end = start + page[start..].find('>').unwrap() + 1;
    let (head, tail) = (&page[..start], &page[end..]);
    format!("{head}{}", tail.replace("</body>", &format!("<script>{script}</script></body>")))
}

/// What a script of the test wrote into the document.
fn told(dom: &str) -> &str {
    let start = dom
        .find("data-told=\"")
        .unwrap_or_else(|| panic!("nothing was told: {}", &dom[..dom.len().min(2_000)]));
    dom[start + 11..].split('"').next().unwrap()
}

#[test]
fn hostile_texts_stay_texts_in_a_browser() {
    let Some(browser) = Browser::find() else { return };
    let payloads = [
        format!("<script>{CANARY}</script>"),
        format!("</title></style></script><script>{CANARY}</script>"),
        format!("\"><img src=x onerror={CANARY}>"),
        format!("'><svg onload=\"{CANARY}\">"),
        format!("--><iframe srcdoc=\"<script>parent.{CANARY}</script>\">"),
        "\u{202E}\u{2066}<b>\u{0}\u{1b}[2J`**[a](javascript:0)**".to_owned(),
    ];
    let hostile = payloads.join(" ");
    let (record, judgement) = sample::judgement::saying(&hostile);
    browser.write("hostile.html", &html(&record, Some(&judgement)));
    let dom = browser.open("hostile.html");
    assert!(!dom.contains("data-canary=\""), "a text ran");
    assert_eq!(dom.matches("<script").count(), 1, "only the page's own script is an element");
    for element in ["<img", "<iframe", "<svg onload"] {
        assert!(!dom.contains(element), "{element}");
    }
    let title = dom.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
    assert!(title.starts_with("&lt;script&gt;") && title.ends_with(": performance baseline"), "{title}");
    // The same text in a page that does not escape it does run: the test can fail.
    browser.write("control.html", &format!("<!doctype html><title>x</title><body>{hostile}"));
    assert!(browser.open("control.html").contains("data-canary=\"ran\""), "the canary can sing");
}

#[test]
fn the_policy_stops_what_would_get_through() {
    let Some(browser) = Browser::find() else { return };
    let page = html(&sample::judgement::record(), None);
    let injected = format!(
        "<main id=\"report\"><script>{CANARY}</script><img src=x onerror=\"{CANARY}\"><style>body{{display:none}}</style>"
    );
    let broken = page.replace("<main id=\"report\">", &injected);
    browser.write("injected.html", &broken);
    let dom = browser.open("injected.html");
    assert!(dom.contains("<img src=\"x\""), "the markup is in the page");
    assert!(!dom.contains("data-canary=\""), "and ran");
    browser.write("unprotected.html", &with_script(&broken, ""));
    assert!(browser.open("unprotected.html").contains("data-canary=\"ran\""), "the canary can sing");
}

#[test]
fn tables_sort_by_a_click_and_filter() {
    let Some(browser) = Browser::find() else { return };
    let page = with_script(
        &html(&sample::with_rows(300), None),
        r#"
        const table = [...document.querySelectorAll("table.grid")].find((one) => one.tHead.textContent.includes("Total"));
        const head = [...table.tHead.rows[0].cells].find((cell) => cell.textContent.trim() === "Total");
        const index = head.cellIndex;
        const shown = () => [...table.tBodies[0].rows].filter((row) => !row.hidden);
        const told = [shown().length];
        head.querySelector("button").click();
        told.push(head.getAttribute("aria-sort"), shown()[0].cells[index].textContent);
        head.querySelector("button").click();
        told.push(head.getAttribute("aria-sort"), shown()[0].cells[index].textContent, shown()[1].cells[index].textContent);
        const tools = table.closest(".scroll").previousElementSibling;
        const input = tools.querySelector("input");
        input.value = "S299";
        input.dispatchEvent(new Event("input"));
        told.push(shown().length, tools.querySelector("[role=status]").textContent);
        input.value = "";
        input.dispatchEvent(new Event("input"));
        tools.querySelector("button").click();
        told.push(shown().length);
        document.body.dataset.told = told.join("|");
        "#,
    );
    browser.write("rows.html", &page);
    let dom = browser.open("rows.html");
    let told: Vec<&str> = told(&dom).split('|').collect();
    // 300 rows are shown in part; a row's total is its number squared, in milliseconds.
    assert_eq!(told[..5], ["100", "ascending", "0ms", "descending", "89.4s"], "{told:?}");
    assert_eq!(told[6..], ["1", "1 of 300 rows", "300"], "{told:?}");
}

#[test]
fn a_phone_scrolls_tables_and_not_the_page() {
    let Some(browser) = Browser::find() else { return };
    let script = "parent.postMessage([document.documentElement.scrollWidth, innerWidth].join('|'), '*')";
    let (record, judgement) = (sample::judgement::record(), sample::judgement::judgement());
    browser.write("page.html", &with_script(&html(&record, Some(&judgement)), script));
    let long = "x".repeat(300);
    let (record, judgement) = sample::judgement::saying(&long);
    browser.write("long.html", &with_script(&html(&record, Some(&judgement)), script));
    for page in ["page.html", "long.html"] {
        browser.write(
            "phone.html",
            &format!(
                "<!doctype html><body><iframe width=360 height=800 src={page}></iframe><script>
                addEventListener('message', (event) => {{ document.body.dataset.told = event.data; }});</script>"
            ),
        );
        let dom = browser.open("phone.html");
        assert_eq!(told(&dom), "360|360", "{page}: width of the document and of the phone");
    }
}

#[test]
fn ten_thousand_rows_are_written_and_shown_in_a_moment() {
    let record = sample::with_rows(10_000);
    let judgement = sample::judgement::judgement();
    let mut page = html(&record, Some(&judgement));
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let started = Instant::now();
        page = html(&record, Some(&judgement));
        best = best.min(started.elapsed());
    }
    eprintln!("30,000 rows in three tables: {} KiB written in {best:?}", page.len() / 1_024);
    // What is not optimised is many times slower, and may share its processor: then only a runaway is told.
    let most = Duration::from_millis(if cfg!(debug_assertions) { 30_000 } else { 200 });
    assert!(best < most, "{best:?}");
    let Some(browser) = Browser::find() else { return };
    let timed = page.replacen("<script>", "<script>const started = performance.now();</script><script>", 1);
    let script = r#"
        const table = [...document.querySelectorAll("table.grid")].find((one) => one.tHead.textContent.includes("Total"));
        const ready = performance.now();
        document.body.getBoundingClientRect();
        const laid = performance.now();
        const head = [...table.tHead.rows[0].cells].find((cell) => cell.textContent.trim() === "Total");
        head.querySelector("button").click();
        document.body.getBoundingClientRect();
        const sorted = performance.now();
        document.body.dataset.told = [ready - started, laid - ready, sorted - laid].map(Math.round).join("|");
        "#;
    browser.write("large.html", &with_script(&timed, script));
    let dom = browser.open("large.html");
    let told: Vec<f64> = told(&dom).split('|').map(|part| part.parse().unwrap()).collect();
    eprintln!("script {} ms, layout {} ms, sorting 10,000 rows {} ms", told[0], told[1], told[2]);
    assert!(told.iter().sum::<f64>() < 10_000.0, "{told:?}");
}

/// Draws `docs/images/report.png`: `cargo test -p plimsoll-report --test browser -- --ignored`.
#[test]
#[ignore = "writes the picture of the README"]
fn the_picture_of_the_readme() {
    let browser = Browser::find().expect("there is a browser");
    let (record, judgement) = (sample::judgement::record(), sample::judgement::judgement());
    browser.write("report.html", &html(&record, Some(&judgement)));
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images/report.png");
    std::fs::create_dir_all(picture.parent().unwrap()).unwrap();
    let page = format!("file://{}", browser.folder.path().join("report.html").display());
    let out = format!("--screenshot={}", picture.display());
    browser.run(&[&out, "--window-size=1180,1250", &page], Stdio::null());
    assert!(std::fs::metadata(&picture).unwrap().len() < 300 * 1_024);
}

/// Writes pages to look at into the folder that REPORT_PAGES names.
#[test]
#[ignore = "writes pages"]
fn the_pages_to_look_at() {
    let folder = std::path::PathBuf::from(std::env::var_os("REPORT_PAGES").unwrap());
    let judgement = sample::judgement::judgement();
    std::fs::write(folder.join("judged.html"), html(&sample::judgement::record(), Some(&judgement))).unwrap();
    std::fs::write(folder.join("full.html"), html(&sample::full(), None)).unwrap();
    std::fs::write(folder.join("failed.html"), html(&sample::failed(), None)).unwrap();
    std::fs::write(folder.join("empty.html"), html(&sample::empty(), None)).unwrap();
}
