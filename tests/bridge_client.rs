//! The client of the bridge: beside the bridge that ships over a simulated terminal, and beside one that lies.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cambist_bridge::{Action, BridgeError, Client, Order, OrderId, Outcome, Settings, Side};
use cambist_core::UnixNanos;
use cambist_core::clock::SystemClock;

const TOKEN: &str = "a-token-for-tests-and-nothing-else";

fn client(url: &str) -> Client {
    let settings = Settings {
        first_pause: Duration::from_millis(1),
        read_timeout: Duration::from_secs(2),
        order_timeout: Duration::from_secs(2),
        ..Settings::new(url, TOKEN)
    };
    Client::new(settings, Arc::new(SystemClock::start())).unwrap()
}

fn order(sequence: u32, action: Action) -> Order {
    let id = OrderId::derive(1, "BTCUSD", UnixNanos(0), sequence, 0);
    Order { id, symbol: "BTCUSD".to_owned(), comment: String::new(), action }
}

fn buy(sequence: u32, volume: f64) -> Order {
    let action =
        Action::Market { side: Side::Buy, volume, stop_loss: None, take_profit: None, deviation_points: 0 };
    order(sequence, action)
}

/// A process that is killed at the end.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn terminal(sets: &[&str]) -> (Killed, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cambist"));
    command.args([
        "terminal",
        "simulate",
        "configs/btc_broker.toml",
        "--from",
        "2023-03-10",
        "--listen",
        "127.0.0.1:0",
    ]);
    command.args(sets.iter().flat_map(|set| ["--set", set]));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split_whitespace().find_map(|word| word.strip_suffix(',').filter(|w| w.contains(':')));
    let address = address.unwrap_or_else(|| panic!("no address in '{line}'")).to_owned();
    (Killed(child), address)
}

fn bridge(folder: &Path, terminal: &str) -> (Killed, String) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = folder.join("bridge.toml");
    let text = format!(
        "[account]\nlogin = 1\nstrategy = 7\njournal = 'journal.sqlite'\n\
         [clock]\nserver_offset_minutes = 120\ndaylight_saving = 'us'\nsource = 'simulated'\n[serve]\nport = {port}\n\
         [caps]\nsymbols = ['BTCUSD']\nmax_lots = 0.5\nmax_net_lots = 1.0\norders_per_minute = 20\n\
         [safety]\ndead_man_s = 600\ndead_man = 'freeze'\n"
    );
    std::fs::write(&config, text).unwrap();
    let tools = std::env::var("CAMBIST_TOOLS").unwrap_or_else(|_| ".venv".to_owned());
    let child = Command::new(format!("{tools}/bin/python"))
        .args(["-m", "cambist_bridge"])
        .arg(&config)
        .env("PYTHONPATH", "bridge/standin:bridge")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CAMBIST_TERMINAL", terminal)
        .env("CAMBIST_BRIDGE_TOKEN", TOKEN)
        .stderr(std::fs::File::create(folder.join("log.jsonl")).unwrap())
        .spawn()
        .unwrap();
    let begun = Killed(child);
    let waits = |_: &usize| TcpStream::connect(("127.0.0.1", port)).is_err();
    let waited = (0..600).take_while(|n| {
        std::thread::sleep(Duration::from_millis(50));
        waits(n)
    });
    assert!(waited.count() < 600, "the bridge does not listen");
    (begun, format!("http://127.0.0.1:{port}"))
}

#[test]
fn the_bridge_is_traded_over_its_client() {
    let folder = tempfile::tempdir().unwrap();
    let (_terminal, address) = terminal(&[
        "data.source=synthetic",
        "data.kind=regime",
        "data.start=2022-06-01",
        "data.n_bars=20000",
        "broker.spread=fixed",
        "broker.spread_ticks=3",
        "windows.train_until=2022-12-01",
        "windows.validation_until=2023-01-01",
        "windows.test_until=2023-06-01",
        "windows.sealed_from=2024-09-01",
        "broker.latency_ms=0",
        "broker.books=hedging",
    ]);
    let (_bridge, url) = bridge(folder.path(), &address);
    let mut client = client(&url);
    let health = client.health().unwrap();
    assert!(health.connected && health.trading, "{health:?}");
    assert_eq!(client.account().unwrap().login, 1);
    let symbol = client.symbol("BTCUSD").unwrap();
    assert_eq!((symbol.volume_step, symbol.digits), (0.01, 2));
    let bars = client.bars("BTCUSD", "H1", 50).unwrap();
    assert_eq!(bars.len(), 50);
    assert!(bars[..49].iter().all(|bar| bar.complete) && !bars[49].complete);
    assert!(matches!(client.symbol("NO/SUCH?"), Err(BridgeError::Problem { status: 404, .. })));

    // Nobody trades without the lease.
    let lost = client.order(1, &buy(0, 0.1)).unwrap_err();
    assert!(
        matches!(&lost, BridgeError::Problem { status: 409, kind, .. } if kind == "/problems/lease-lost"),
        "{lost}"
    );
    let lease = client.take_lease("tests", None).unwrap();
    assert_eq!(client.renew_lease(lease.token).unwrap().token, lease.token);

    let Outcome::Confirmed(fill) = client.order(lease.token, &buy(0, 0.1)).unwrap() else {
        panic!("not confirmed")
    };
    assert_eq!((fill.volume, fill.deals.len()), (0.1, 1));
    // The same decision is the same order, whoever asks, and however often.
    assert_eq!(client.order(lease.token, &buy(0, 0.1)).unwrap(), Outcome::Confirmed(fill.clone()));
    assert_eq!(client.outcome(buy(0, 0.1).id).unwrap(), Some(Outcome::Confirmed(fill.clone())));
    assert_eq!(client.outcome(buy(99, 0.1).id).unwrap(), None);
    let position = client.positions().unwrap();
    assert_eq!(position[0].magic & 0xFFFF_FFFF_FFFF, buy(0, 0.1).id.bits());
    assert!(matches!(client.order(lease.token, &buy(1, 0.6)).unwrap(),
        Outcome::Refused { retcode: None, reason } if reason.contains("caps.max_lots")));
    let close = order(2, Action::Close { position: position[0].ticket, volume: None, deviation_points: 0 });
    assert!(matches!(client.order(lease.token, &close).unwrap(), Outcome::Confirmed(_)));
    assert!(client.positions().unwrap().is_empty() && client.orders().unwrap().is_empty());
    let deals = client.deals(UnixNanos(0)).unwrap();
    assert_eq!(deals.iter().filter(|deal| deal.kind < 2).count(), 2);

    // As an operator sees it.
    let output = Command::new(env!("CARGO_BIN_EXE_cambist"))
        .args(["bridge", "status", "--url", &url])
        .env("CAMBIST_BRIDGE_TOKEN", TOKEN)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("trading on") && said.contains("lease     1 of tests"),
        "{said}"
    );
    client.let_lease_go(lease.token).unwrap();
    assert!(client.renew_lease(lease.token).is_err());
}

/// A bridge that answers every request with `answers`, one after another and the last for ever; how many there were is counted.
fn liar(answers: Vec<String>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 65536];
            let _ = stream.read(&mut buffer);
            let n = count.fetch_add(1, Ordering::SeqCst);
            let answer = &answers[n.min(answers.len() - 1)];
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (url, asked)
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn what_cannot_be_is_not_believed() {
    let position = |more: &str| {
        let text = format!(
            "[{{\"ticket\":1,\"symbol\":\"BTCUSD\",\"type\":0,\"magic\":0,\"volume\":0.1,\"price_open\":5.0,\"sl\":0.0,\"tp\":0.0,\
             \"swap\":0.0,\"profit\":0.0,\"time_ms\":1{more}}}]"
        );
        http("200 OK", &text)
    };
    let asked = |answer: String| client(&liar(vec![answer]).0).positions();
    assert_eq!(asked(position("")).unwrap().len(), 1);
    for (answer, words) in [
        (position(",\"more\":1").replace("0.1,", "-0.1,"), "volume of position 1 is -0.1"),
        (position("").replace("5.0", "0.0"), "price_open of position 1 is 0"),
        (position("").replace("\"type\":0", "\"type\":7"), "type of position 1 is 7"),
        (position("000000000000000"), "time_ms of position 1"),
        (position("").replace("0.1,", "NaN,"), "not its API"),
        (position("").replace("0.1,", "\"0.1\","), "not its API"),
        (http("200 OK", "[]extra"), "not its API"),
        (http("200 OK", "<html>"), "not its API"),
    ] {
        // What was replaced has another length.
        let answer = http("200 OK", answer.split_once("\r\n\r\n").unwrap().1);
        let error = asked(answer.clone()).unwrap_err().to_string();
        assert!(error.contains(words), "{answer}: {error}");
    }
}

#[test]
fn reads_are_tried_again_and_orders_are_not() {
    let busy = || http("429 Too Many Requests", "{\"type\":\"/problems/too-many\",\"detail\":\"wait\"}");
    let (url, asked) = liar(vec![busy(), String::new(), http("200 OK", "[]")]);
    assert!(client(&url).orders().unwrap().is_empty());
    assert_eq!(asked.load(Ordering::SeqCst), 3, "busy, hung up, answered");

    let outcome = |answer: String| {
        let (url, asked) = liar(vec![answer]);
        let outcome = client(&url).order(1, &buy(0, 0.1));
        assert_eq!(asked.load(Ordering::SeqCst), 1, "an order is one request");
        outcome
    };
    let confirmed = |id: &str, volume: &str| {
        let text = format!(
            "{{\"id\":\"{id}\",\"state\":\"confirmed\",\"retcode\":10009,\"reason\":\"\",\"advice\":\"\",\"order\":1,\"deals\":[2],\
             \"volume\":{volume},\"price\":5.0,\"late\":false}}"
        );
        http("200 OK", &text)
    };
    let own = buy(0, 0.1).id.to_string();
    assert!(matches!(outcome(confirmed(&own, "0.1")).unwrap(), Outcome::Confirmed(_)));
    // Whatever is not clear is not known: hung up, an error of something in between, another's answer, nonsense, half an answer.
    for answer in [
        String::new(),
        http("500 Internal Server Error", "{\"type\":\"/problems/failed\",\"detail\":\"\"}"),
        http("502 Bad Gateway", "<html>a proxy's</html>"),
        confirmed("0123456789ab", "0.1"),
        confirmed(&own, "-0.1"),
        confirmed(&own, "\"x\""),
        confirmed(&own, "0.1").replace("{\"id\"", "{\"i"),
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"id\":".to_owned(),
    ] {
        let said = outcome(answer.clone()).unwrap();
        assert!(matches!(said, Outcome::Unknown(_)), "{answer}: {said:?}");
    }
    let paused = http("503 Service Unavailable", "{\"type\":\"/problems/paused\",\"detail\":\"the clock\"}");
    assert!(matches!(outcome(paused), Err(BridgeError::Problem { status: 503, .. })));
    // Nobody there: it never left.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(
        client(&format!("http://{closed}")).order(1, &buy(0, 0.1)),
        Err(BridgeError::Away { .. })
    ));
}

#[test]
fn a_bridge_that_is_gone_is_left_alone_for_a_while() {
    let (url, asked) = liar(vec![String::new()]);
    let mut client = client(&url);
    assert!(matches!(client.health(), Err(BridgeError::Away { .. })));
    assert_eq!(asked.load(Ordering::SeqCst), 4, "once, and three times more");
    // The fifth failure in a row opens the breaker: the next are not even asked.
    assert!(matches!(client.health(), Err(BridgeError::Resting(_))));
    assert_eq!(asked.load(Ordering::SeqCst), 5);
    // What must be tried is tried.
    assert!(matches!(client.order(1, &buy(0, 0.1)), Ok(Outcome::Unknown(_))));
    assert_eq!(asked.load(Ordering::SeqCst), 6);
    assert!(!format!("{client:?}").contains(TOKEN), "no secret in what may be logged");
    assert!(matches!(
        Client::new(Settings::new("ftp://x", TOKEN), Arc::new(SystemClock::start())),
        Err(BridgeError::Settings { .. })
    ));
}
