//! What each query of a page or an endpoint asks, and how long its answer may be kept.

use crate::draw::{Draws, mix};

/// Farmers in the database.
pub const FARMERS: u64 = 2_500;
/// People who use the web application; their sessions fill the cache.
const USERS: u64 = 400;
/// Days of collections in the database that are asked for.
const DAYS: u64 = 80;

/// A question: SQL with parameters, and the place of its answer in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// One statement that gives one row with one text, which may be null.
    pub sql: &'static str,
    /// Values of `$1`, `$2`, ...
    pub parameters: Vec<i32>,
    /// Where the answer is kept; nowhere when absent.
    pub kept: Option<Kept>,
}

/// A place in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Key: `session:ID` or `cache:WHAT`.
    pub key: String,
    /// For how long, in seconds.
    pub seconds: u64,
    /// The database is asked even if the key is there: a login.
    pub renew: bool,
}

/// A page shows what one person sees, so all of an answer comes as one JSON text.
const USER: &str = "SELECT row_to_json(u)::text FROM (SELECT id, code, name, collection_center_id, joined, \
    repeat('x', 400) AS settings FROM dairy_farmer WHERE code = 'F' || lpad($1::int::text, 5, '0')) u";
const FARMER: &str = "SELECT row_to_json(f)::text FROM (SELECT id, code, name, collection_center_id, joined \
    FROM dairy_farmer WHERE id = $1::int) f";
const MENU: &str = "SELECT json_agg(c)::text FROM (SELECT collection_center_id, count(*) AS farmers \
    FROM dairy_farmer WHERE active GROUP BY collection_center_id ORDER BY collection_center_id) c";
const CENTERS: &str = "SELECT json_agg(c)::text FROM (SELECT collection_center_id, count(*) AS collections, \
    sum(quantity) AS quantity, avg(fat) AS fat, avg(snf) AS snf, sum(amount) AS amount FROM dairy_collection \
    WHERE date = current_date - $1::int GROUP BY collection_center_id) c";
const PRODUCTS: &str = "SELECT json_agg(p)::text FROM (SELECT product_id, min(name) AS name, sum(quantity) AS sold \
    FROM account_move_line GROUP BY product_id ORDER BY sold DESC LIMIT 40) p";
const PRICES: &str = "SELECT json_agg(p)::text FROM (SELECT product_id, max(price_unit) AS price \
    FROM account_move_line WHERE move_id IN (SELECT id FROM account_move WHERE date >= current_date - 7) \
    GROUP BY product_id ORDER BY product_id) p";
const ORDERS: &str = "SELECT json_agg(o)::text FROM (SELECT m.id, m.name, m.date, m.amount_total, count(*) AS lines \
    FROM account_move m JOIN account_move_line l ON l.move_id = m.id WHERE m.partner_id = $1::int \
    GROUP BY m.id ORDER BY m.date DESC LIMIT 20) o";
const FARMER_HISTORY: &str = "SELECT json_agg(h)::text FROM (SELECT date, shift, quantity, fat, snf, amount \
    FROM dairy_collection WHERE farmer_id = $1::int AND date >= current_date - 30 ORDER BY date, shift) h";
const PAYMENT_PERIOD: &str = "SELECT json_agg(p)::text FROM (SELECT period_start, period_end, quantity, amount, state \
    FROM dairy_payment WHERE farmer_id = $1::int AND period_start >= current_date - $2::int \
    AND period_end <= current_date ORDER BY period_start) p";
const DAILY_SUMMARY: &str = "SELECT json_agg(s)::text FROM (SELECT date, collection_center_id, shift, \
    COUNT(*) AS collections, SUM(quantity) AS total_quantity, AVG(fat) AS avg_fat, AVG(snf) AS avg_snf, \
    SUM(amount) AS total_amount FROM dairy_collection WHERE date BETWEEN current_date - $1::int - 6 AND \
    current_date - $1::int GROUP BY date, collection_center_id, shift) s";
const DAILY_SUMMARY_VIEW: &str = "SELECT json_agg(s)::text FROM (SELECT date, collection_center_id, shift, \
    collections, total_quantity, avg_fat, avg_snf, total_amount FROM mv_daily_collection_summary \
    WHERE date BETWEEN current_date - $1::int - 6 AND current_date - $1::int) s";

fn to_i32(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn kept(key: String, seconds: u64) -> Option<Kept> {
    Some(Kept { key, seconds, renew: false })
}

/// What the query of a name asks. `choice` decides about whom or which day; `view` says that the materialised view is there.
///
/// Some farmers and people are asked for more often than others: the square of an even draw, so that half of the questions
/// are about a quarter of them.
#[must_use]
pub fn ask(name: &str, choice: u64, view: bool) -> Ask {
    let mut draws = Draws::of(choice, 0, 0);
    let unit = draws.unit();
    // A float cast saturates, and the product is below the bound.
    let of = |bound: u64| 1 + (unit * unit * bound as f64) as u64;
    let (user, farmer) = (of(USERS), of(FARMERS));
    let day = draws.below(DAYS);
    let session = || format!("session:{:016x}", mix(user));
    let ask = |sql, parameters: &[u64], kept| Ask {
        sql,
        parameters: parameters.iter().map(|&value| to_i32(value)).collect(),
        kept,
    };
    match name {
        "session" => ask(USER, &[user], kept(session(), 1_800)),
        "user" => ask(USER, &[user], Some(Kept { key: session(), seconds: 1_800, renew: true })),
        "menu" => ask(MENU, &[], kept("cache:menu".to_owned(), 300)),
        "products" => ask(PRODUCTS, &[], kept("cache:products".to_owned(), 60)),
        "prices" => ask(PRICES, &[], kept("cache:prices".to_owned(), 30)),
        "orders" => ask(ORDERS, &[farmer], kept(format!("cache:orders:{farmer}"), 60)),
        "farmer" => ask(FARMER, &[farmer], kept(format!("cache:farmer:{farmer}"), 600)),
        "farmer_history" => ask(FARMER_HISTORY, &[farmer], None),
        "payment_period" => ask(PAYMENT_PERIOD, &[farmer, 180], None),
        "daily_summary" => {
            let sql = if view { DAILY_SUMMARY_VIEW } else { DAILY_SUMMARY };
            ask(sql, &[day], kept(format!("cache:daily-summary:{day}"), 60))
        }
        _ => ask(CENTERS, &[day], kept(format!("cache:centers:{day}"), 60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::Role;

    #[test]
    fn every_query_of_every_route_is_known_and_keeps_its_keys_apart() {
        for role in [Role::Odoo, Role::Api] {
            for query in role.routes().iter().flat_map(|route| route.queries) {
                let question = ask(query.name, 7, true);
                assert_eq!(question, ask(query.name, 7, true));
                // "centers" is what an unknown name would ask.
                assert_eq!(question == ask("unknown", 7, true), query.name == "centers", "{}", query.name);
                let parameters = question.sql.matches("::int").count() >= question.parameters.len();
                assert!(parameters, "{}", query.name);
                if let Some(kept) = question.kept {
                    assert!(
                        kept.key.starts_with("session:") || kept.key.starts_with("cache:"),
                        "{}",
                        kept.key
                    );
                    assert!(kept.seconds > 0);
                }
            }
        }
    }

    #[test]
    fn farmers_and_days_stay_in_the_database() {
        let parameter = |name: &str, choice| ask(name, choice, false).parameters[0];
        for choice in 0..5_000 {
            assert!((1..=2_500).contains(&parameter("farmer_history", choice)));
            assert!((1..=400).contains(&parameter("session", choice)));
            assert!((0..80).contains(&parameter("daily_summary", choice)));
        }
    }

    #[test]
    fn a_few_are_asked_for_more_often() {
        let often = (0..10_000).filter(|&choice| ask("farmer", choice, false).parameters[0] <= 625).count();
        // Half of them, within four standard errors of a share.
        assert!((4_800..=5_200).contains(&often), "{often}");
    }
}
