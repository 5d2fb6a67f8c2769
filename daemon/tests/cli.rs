//! The binary as a user meets it: configuration and its mistakes, exit codes, what goes to which stream.

use std::{
    io::Write as _,
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use tempfile::NamedTempFile;

fn finwatch(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_finwatch"))
        .args(args)
        .env_remove("FINWATCH_CONFIG")
        .output()
        .expect("the binary runs")
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn path(file: &NamedTempFile) -> &str {
    Path::to_str(file.path()).expect("UTF-8")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_right_file_is_said_to_be_right() {
    let file = file("listen = \"127.0.0.1:1\"\n[series]\nserver_limit = 5\n");
    let output = finwatch(&["config", "check", path(&file)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("configuration is valid"));
}

#[test]
fn every_mistake_in_a_file_is_told_and_the_code_is_2() {
    let file = file("[series]\nserver_limt = 5\nclient_limit = \"many\"\n");
    let output = finwatch(&["config", "check", path(&file)]);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(
        told.contains(":2: unknown key `series.server_limt`; did you mean `series.server_limit`?"),
        "{told}"
    );
    assert!(
        told.contains(":3: `series.client_limit` is `many`"),
        "{told}"
    );
    assert!(stdout(&output).is_empty());
}

#[test]
fn a_missing_file_is_told_with_its_cause() {
    let output = finwatch(&["daemon", "--config", "/nonexistent/finwatch.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(
        told.contains("/nonexistent/finwatch.toml: No such file"),
        "{told}"
    );
}

#[test]
fn what_is_shown_can_be_read_again_and_names_its_origins() {
    let first = file("[series]\ndeny_ports = [22, 25]\n");
    let output = finwatch(&["config", "show", path(&first), "--series-retention", "2h"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let shown = stdout(&output);
    assert!(
        shown.contains("series.retention = \"2h\"  # flag --series-retention\n"),
        "{shown}"
    );
    assert!(
        shown.contains("series.deny_ports = [\"22\", \"25\"]"),
        "{shown}"
    );
    let again = finwatch(&["config", "check", path(&file(&shown))]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
}

#[test]
fn a_port_in_use_ends_the_daemon_with_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let output = finwatch(&["daemon", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.contains("error: ") && !told.contains("panicked"),
        "{told}"
    );
}

#[test]
fn an_empty_list_of_addresses_is_refused() {
    let output = finwatch(&["daemon", "--listen", ""]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("flag --listen: `listen` is ``, expected at least one of"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_diagnosis_is_explained_and_an_unknown_one_is_a_mistake() {
    let output = finwatch(&["explain", "requests-cut"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("requests-cut (fail)\n"));

    let output = finwatch(&["explain", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("\"name\": \"clean-drain\""));

    let output = finwatch(&["explain", "request-cut"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).is_empty());
    assert!(
        stderr(&output).contains("did you mean `requests-cut`?"),
        "{}",
        stderr(&output)
    );
}
