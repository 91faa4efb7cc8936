//! What a role may lack, where the extension may be or not be, a replica, and a pooler in between: the record holds what
//! can be had, and says what is missing with the statement that mends it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

mod support;

use std::ffi::OsString;
use std::time::Duration;

use plimsoll_analysis::record::{BaselineRecord, SourceReason, SourceState};
use support::pg::{
    DATABASE, Options, Postgres, READER, READER_PASSWORD, request, request_as, rows, wait_for,
};
use support::servers::{Process, folder, free_port, program, wait_until};
use support::{message, run_for, source};

const LIMIT: Duration = Duration::from_secs(60);
/// Debian's, with the programs that the others lack.
const MAJOR: u32 = 15;

/// A table, and three runs of a statement that is slow.
async fn work(server: &Postgres) {
    server.sql(DATABASE, "CREATE TABLE IF NOT EXISTS farmer (id int); INSERT INTO farmer VALUES (1)").await;
    let client = server.admin(DATABASE).await;
    for _ in 0..3 {
        client.batch_execute("SELECT pg_sleep(0.12)").await.unwrap();
    }
}

async fn collected_as(server: &Postgres, user: &str) -> BaselineRecord {
    let (request, keys) = request_as(server.port, DATABASE, user, READER_PASSWORD);
    run_for(&request, keys, LIMIT).await
}

async fn collected(server: &Postgres) -> BaselineRecord {
    collected_as(server, READER).await
}

/// Partial with this reason, and a message that names what to do; what needs no such right is there.
fn is_partial(record: &BaselineRecord, reason: SourceReason, remedies: &[&str]) {
    let found = source(record);
    assert_eq!((found.state, found.reason), (SourceState::Partial, Some(reason)), "{found:?}");
    for remedy in remedies {
        assert!(message(record).contains(remedy), "{remedy:?} is not in {:?}", message(record));
    }
    let tables = record.database_metrics.as_ref().unwrap().top_tables.as_ref().unwrap();
    assert_eq!(tables.iter().map(|one| one.table.as_str()).collect::<Vec<_>>(), ["farmer"]);
    let analysis = record.database_analysis.as_ref().unwrap();
    assert!(analysis.settings.is_some() && analysis.server.is_some() && analysis.unused_indexes.is_some());
}

fn slow_texts(record: &BaselineRecord) -> Option<Vec<String>> {
    let slow = record.database_analysis.as_ref()?.slow_queries.as_ref()?;
    Some(slow.iter().filter_map(|one| one.query.clone()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_with_one_right_more_shows_more() {
    let Some(server) = Postgres::start(&Options::new(MAJOR)).await else { return };
    work(&server).await;
    for role in ["bare", "stats"] {
        server.sql(DATABASE, &format!("CREATE ROLE {role} LOGIN PASSWORD '{READER_PASSWORD}'")).await;
    }
    server.sql(DATABASE, "GRANT pg_read_all_stats TO stats").await;
    let _other = server.admin(DATABASE).await;

    // Nothing granted: what others run is hidden, and no figure is made up for it.
    let record = collected_as(&server, "bare").await;
    is_partial(&record, SourceReason::Forbidden, &["GRANT pg_monitor"]);
    assert_eq!(record.database_metrics.as_ref().unwrap().connections, None);
    assert_eq!(slow_texts(&record).unwrap_or_default(), Vec::<String>::new());

    // pg_read_all_stats alone is enough for all but settings that only administrators see.
    for role in ["stats", READER] {
        let record = collected_as(&server, role).await;
        assert_eq!(source(&record).state, SourceState::Collected, "{role}: {:?}", source(&record));
        assert_eq!(slow_texts(&record), Some(vec!["SELECT pg_sleep($1)".to_owned()]), "{role}");
        assert_eq!(record.database_metrics.unwrap().connections.unwrap().total, 1, "{role}");
        let warnings = &record.sources[0].warnings;
        assert!(warnings.is_empty(), "{role}: {warnings:?}");
    }

    // More than is needed is said.
    let (request, keys) = request_as(server.port, DATABASE, "postgres", support::pg::ADMIN_PASSWORD);
    let record = run_for(&request, keys, LIMIT).await;
    assert!(source(&record).warnings.iter().any(|text| text.contains("superuser")), "{:?}", source(&record));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_extension_the_rest_is_there_and_the_statement_that_adds_it() {
    let Some(server) = Postgres::start(&Options::new(MAJOR)).await else { return };
    work(&server).await;
    server.sql(DATABASE, "DROP EXTENSION pg_stat_statements").await;
    let record = collected(&server).await;
    is_partial(
        &record,
        SourceReason::ExtensionMissing,
        &["CREATE EXTENSION pg_stat_statements", "shared_preload_libraries"],
    );
    assert_eq!(slow_texts(&record), None);
    assert_eq!(record.database_metrics.as_ref().unwrap().query_time_p95_ms, None);
    assert!(record.database_metrics.unwrap().connections.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_that_is_not_preloaded_is_told_apart_from_a_missing_one() {
    let options = Options { preload: false, ..Options::new(MAJOR) };
    let Some(server) = Postgres::start(&options).await else { return };
    server.sql(DATABASE, "CREATE EXTENSION pg_stat_statements").await;
    work(&server).await;
    let record = collected(&server).await;
    is_partial(&record, SourceReason::ExtensionMissing, &["shared_preload_libraries", "restart"]);
    assert!(!message(&record).contains("CREATE EXTENSION"), "{}", message(&record));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_extension_is_found_in_whatever_schema_and_its_namesakes_are_not_called() {
    let Some(server) = Postgres::start(&Options::new(MAJOR)).await else { return };
    let schema = r#""Odd ""schema""; --""#;
    server.sql(DATABASE, "DROP EXTENSION pg_stat_statements").await;
    server.sql(DATABASE, &format!("CREATE SCHEMA {schema}")).await;
    server.sql(DATABASE, &format!("CREATE EXTENSION pg_stat_statements SCHEMA {schema}")).await;
    // A trap: whoever may create objects may name them as the collector's would be.
    server
        .sql(
            DATABASE,
            "CREATE TABLE public.trapped (who text); GRANT INSERT ON public.trapped TO PUBLIC; \
             CREATE FUNCTION public.pg_stat_statements(boolean) RETURNS TABLE (queryid bigint) LANGUAGE plpgsql AS \
               $$ BEGIN INSERT INTO public.trapped VALUES (current_user); END $$; \
             CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE plpgsql AS \
               $$ BEGIN INSERT INTO public.trapped VALUES (current_user); RETURN 'trap'; END $$; \
             CREATE FUNCTION public.pg_backend_pid() RETURNS int LANGUAGE plpgsql AS \
               $$ BEGIN RAISE EXCEPTION 'trap'; END $$; \
             CREATE FUNCTION public.trap(text, text) RETURNS boolean LANGUAGE plpgsql AS \
               $$ BEGIN RAISE EXCEPTION 'trap'; END $$; \
             CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.trap); \
             ALTER ROLE reader SET search_path = public, pg_catalog",
        )
        .await;
    work(&server).await;
    // Without the right on the schema: said, and the rest is there.
    let record = collected(&server).await;
    assert_eq!(source(&record).reason, Some(SourceReason::Forbidden), "{:?}", source(&record));
    assert!(message(&record).contains("GRANT USAGE ON SCHEMA"), "{}", message(&record));
    server.sql(DATABASE, &format!("GRANT USAGE ON SCHEMA {schema} TO {READER}")).await;
    let record = collected(&server).await;
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    assert_eq!(slow_texts(&record), Some(vec!["SELECT pg_sleep($1)".to_owned()]));
    assert_eq!(server.cell(DATABASE, "SELECT count(*) FROM public.trapped").await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_read_as_it_is_and_named_so() {
    let options = Options::new(MAJOR);
    let Some(primary) = Postgres::start(&options).await else { return };
    work(&primary).await;
    let replica = primary.start_replica(&options);
    let client = replica.admin(DATABASE).await;
    wait_for(&client, "SELECT pg_is_in_recovery()").await;
    for _ in 0..3 {
        client.batch_execute("SELECT pg_sleep(0.13)").await.unwrap();
    }
    let record = collected(&replica).await;
    assert_eq!(source(&record).state, SourceState::Collected, "{:?}", source(&record));
    let analysis = record.database_analysis.as_ref().unwrap();
    assert!(analysis.server.as_ref().unwrap().replica);
    // Its own statements, not the primary's.
    let slow = analysis.slow_queries.as_ref().unwrap();
    assert!(slow.len() == 1 && slow[0].calls == 3 && slow[0].avg_ms > 129.0, "{slow:?}");
    assert_eq!(record.database_metrics.unwrap().top_tables.unwrap()[0].table, "farmer");
}

/// A pgbouncer in front of a server.
fn pooler(server: &Postgres, mode: &str) -> Option<(Process, u16)> {
    let pgbouncer = program("PLIMSOLL_PGBOUNCER", Some("/usr/sbin/pgbouncer"))?;
    let (root, port) = (folder(), free_port());
    let users = format!("\"{READER}\" \"{READER_PASSWORD}\"\n");
    std::fs::write(root.join("users"), users).unwrap();
    let config = format!(
        "[databases]\n{DATABASE} = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = users\npool_mode = {mode}\ndefault_pool_size = 3\n",
        server.port
    );
    std::fs::write(root.join("pgbouncer.ini"), config).unwrap();
    for name in ["users", "pgbouncer.ini"] {
        let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(root.join(name), everyone).unwrap();
    }
    let command: [OsString; 2] = [pgbouncer.into(), "pgbouncer.ini".into()];
    let process = Process::start(&root, "TERM", &command);
    wait_until("pgbouncer listens", Duration::from_secs(20), || {
        assert!(!process.has_ended(), "{}", process.log());
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    Some((process, port))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_pgbouncer_both_ways_of_pooling_give_the_same_figures() {
    let Some(server) = Postgres::start(&Options::new(MAJOR)).await else { return };
    work(&server).await;
    for mode in ["session", "transaction"] {
        let Some((process, port)) = pooler(&server, mode) else { return };
        let (request, keys) = request_as(port, DATABASE, READER, READER_PASSWORD);
        let record = run_for(&request, keys, LIMIT).await;
        let found = source(&record);
        assert_eq!(found.state, SourceState::Collected, "{mode}: {found:?}\n{}", process.log());
        assert_eq!(slow_texts(&record), Some(vec!["SELECT pg_sleep($1)".to_owned()]), "{mode}");
        // Settings of ours must not stay on a connection that others will get.
        let client = {
            let mut config = tokio_postgres::Config::new();
            config.host("127.0.0.1").port(port).user(READER).password(READER_PASSWORD).dbname(DATABASE);
            let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        };
        for name in ["search_path", "statement_timeout", "lock_timeout", "default_transaction_read_only"] {
            let found =
                rows(&client, &format!("SELECT setting = reset_val FROM pg_settings WHERE name = '{name}'"))
                    .await;
            assert_eq!(found[0][0].as_deref(), Some("t"), "{mode}: {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_counts_is_kept_for_the_next_run() {
    let Some(server) = Postgres::start(&Options::new(MAJOR)).await else { return };
    work(&server).await;
    let (request, keys) = request(&server);
    let record = run_for(&request, keys, LIMIT).await;
    let counters = record.counters.unwrap().database.unwrap();
    let sleeps = server
        .cell(DATABASE, "SELECT queryid FROM pg_stat_statements WHERE query ~ 'pg_sleep' AND calls = 3")
        .await;
    let kept = counters.statements.iter().find(|one| one.query_id == sleeps).unwrap();
    assert_eq!((kept.calls, kept.rows), (3, 3));
    assert!(
        kept.total_ms >= 360.0 && kept.squares_ms2 >= kept.total_ms * kept.total_ms / 3.0 * 0.999,
        "{kept:?}"
    );
    assert!(counters.started.is_some() && counters.statements_reset.is_some());
}
