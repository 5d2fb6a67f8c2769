//! `finwatch deploy` as a pipeline meets it: what arrives, what is printed where, and exit codes.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    process::{Command, Output},
};

use finwatch::deploy::Outcome;
use finwatch_engine::model::{DeployStage, Source, WorkloadRef};
use serde_json::Value;

use super::server::{Server, Setup};

pub(crate) fn deploy(args: &[&str], token: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_finwatch"));
    command
        .arg("deploy")
        .args(args)
        .env_remove("FINWATCH_TOKEN")
        // A proxy must not be asked for finwatch.
        .env("http_proxy", "http://127.0.0.1:1");
    if let Some(token) = token {
        command.env("FINWATCH_TOKEN", token);
    }
    command.output().expect("the binary runs")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_flag_arrives() {
    let mut server = Server::start(Setup::default());
    let url = server.url();
    let args = [
        "start",
        "--workload",
        "checkout",
        "--namespace",
        "shop",
        "--kind",
        "deployment",
        "--port",
        "8080",
        "--revision",
        "v42",
        "--link",
        "https://ci.example/1",
        "--link",
        "https://ci.example/2",
        "--id",
        "build-42",
        "--time",
        "2026-01-31T12:00:00+01:00",
        "--url",
        &url,
    ];
    let output = deploy(&args, None);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "accepted: checkout started, id build-42\n");
    assert!(
        stderr(&output).starts_with("warning: finwatch's clock finds the event's time late"),
        "{}",
        stderr(&output)
    );
    let event = server.events().remove(0);
    assert_eq!(
        (event.source, event.stage),
        (Source::Cli, DeployStage::Started)
    );
    assert_eq!(
        event.workload,
        WorkloadRef {
            namespace: Some("shop".into()),
            kind: Some("deployment".into()),
            name: "checkout".into(),
            port: Some(8080),
        }
    );
    assert_eq!(
        event.links,
        ["https://ci.example/1", "https://ci.example/2"]
    );
    assert_eq!(event.revision.as_deref(), Some("v42"));
    assert_eq!(event.event_time.to_string(), "2026-01-31T11:00:00Z");
    let again = deploy(&args, None);
    assert_eq!(again.status.code(), Some(0));
    assert!(
        stdout(&again).starts_with("duplicate: checkout"),
        "{}",
        stdout(&again)
    );
    assert!(server.events().is_empty());
}

#[test]
fn the_three_stages_have_random_ids_of_their_own() {
    let mut server = Server::start(Setup::default());
    let url = format!("{}/v1/deploys/", server.url());
    for stage in ["start", "finish", "fail"] {
        let output = deploy(
            &[stage, "-w", "checkout", "--url", &url, "-o", "json"],
            None,
        );
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let told: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        assert_eq!(told["result"], "accepted");
        assert!(told["id"].as_str().is_some_and(|id| id.starts_with("cli-")));
        assert!(stderr(&output).is_empty());
    }
    let events = server.events();
    let stages: Vec<_> = events.iter().map(|event| event.stage).collect();
    use DeployStage::{Failed, Finished, Started};
    assert_eq!(stages, [Started, Finished, Failed]);
    assert_ne!(events[0].id, events[1].id);
    assert_eq!(server.tallies.get(Source::Cli, Outcome::Accepted), 3);
}

#[test]
fn the_token_comes_from_a_file_or_the_environment() {
    let server = Server::start(Setup {
        token: Some("t0ken"),
        ..Setup::default()
    });
    let url = server.url();
    let args = ["start", "--workload", "x", "--url", &url];
    let file = server.folder.path().join("token");
    let from_file = [&args[..], &["--token-file", file.to_str().expect("UTF-8")]].concat();
    assert_eq!(deploy(&from_file, Some("wrong")).status.code(), Some(0));
    assert_eq!(deploy(&args, Some("t0ken")).status.code(), Some(0));
    let refused = deploy(&args, None);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).starts_with(
            "error: finwatch refused the event: there is no Authorization header; send the header"
        ),
        "{}",
        stderr(&refused)
    );
    let json = deploy(&[&args[..], &["-o", "json"]].concat(), Some("wrong"));
    assert_eq!(json.status.code(), Some(1));
    let told: Value = serde_json::from_str(&stdout(&json)).expect("JSON");
    assert_eq!(told["error"], "the token is not the right one");
}

#[test]
fn what_the_server_refuses_is_told_and_the_code_is_1() {
    let server = Server::start(Setup::default());
    let url = server.url();
    let args = [
        "start",
        "--workload",
        "x",
        "--link",
        "ftp://x",
        "--url",
        &url,
    ];
    let output = deploy(&args, None);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("`links[0]` is no http:// or https:// address"),
        "{}",
        stderr(&output)
    );
    assert!(stdout(&output).is_empty());
}

#[test]
fn nobody_there_is_code_4() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    drop(taken);
    let url = format!("http://{address}");
    let output = deploy(&["start", "--workload", "x", "--url", &url], None);
    assert_eq!(output.status.code(), Some(4));
    let told = stderr(&output);
    assert!(
        told.starts_with(&format!(
            "error: cannot reach finwatch at {url}/v1/deploys: "
        )) && told.contains("deploys.listen"),
        "{told}"
    );
}

#[test]
fn somebody_else_there_is_told() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", other.local_addr().expect("its address"));
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().expect("a client");
        let mut buffer = [0; 4_096];
        let _head = stream.read(&mut buffer).expect("a request");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
            .expect("written");
    });
    let output = deploy(&["start", "--workload", "x", "--url", &url], None);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("answered 200 and is not finwatch's intake"),
        "{}",
        stderr(&output)
    );
    serving.join().expect("no panic");
}

#[test]
fn mistakes_on_the_command_line_are_code_2() {
    for (args, told) in [
        (&["start"][..], "--workload"),
        (&["begin", "--workload", "x"], "begin"),
        (&["start", "--workload", "x", "--port", "0"], "--port"),
        (&["start", "--workload", "x", "--time", "noon"], "--time"),
        (
            &["start", "--workload", "x", "--url", "https://x"],
            "must begin with http://",
        ),
        (
            &["start", "--workload", "x", "--url", "localhost"],
            "must begin with http://",
        ),
        (&["start", "--workload", "x", "--url", "http://"], "--url"),
        (
            &["start", "--workload", "x", "--token-file", "/nonexistent"],
            "cannot read --token-file /nonexistent",
        ),
    ] {
        let output = deploy(args, None);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(told),
            "{args:?}: {}",
            stderr(&output)
        );
    }
    let empty = deploy(&["start", "--workload", "x"], Some("\n"));
    assert_eq!(empty.status.code(), Some(2));
    assert!(stderr(&empty).contains("there is no token in FINWATCH_TOKEN"));
}
