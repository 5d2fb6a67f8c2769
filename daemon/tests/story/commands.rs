//! What the commands print, to the letter: the expected texts are in `expected/`, written anew with
//! `FINWATCH_WRITE_EXPECTED=1`.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::server::{Server, Told};

/// How a command ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The binary, in a time zone that is one hour ahead, as nothing but its arguments say.
pub(crate) fn finwatch(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_finwatch"));
    command
        .args(args)
        .env("TZ", "CET-1")
        .env_remove("FINWATCH_URL")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE");
    command
}

pub(crate) fn run(command: &mut Command) -> Ran {
    let output = command.output().expect("the binary runs");
    Ran {
        code: output.status.code().expect("it was not killed"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A command that is answered: what it prints, and nothing on standard error.
fn printed(server: &Server, args: &[&str]) -> String {
    let ran = run(finwatch(args).args(["--url", &server.url()]));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
    ran.out
}

/// In lines that fit a terminal.
pub(crate) fn assert_expected(name: &str, printed: &str) {
    assert_expected_text(name, printed);
    for line in printed.lines() {
        assert!(line.chars().count() <= 100, "too wide: {line}");
        assert_eq!(line, line.trim_end(), "ends with a space");
    }
}

fn assert_expected_text(name: &str, printed: &str) {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/story/expected/{name}"));
    if env::var_os("FINWATCH_WRITE_EXPECTED").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, printed).expect("written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(
        expected == printed,
        "{name} differs; expected:\n{expected}\nprinted:\n{printed}"
    );
}

#[test]
fn tables_are_as_expected() {
    let server = Server::start(Told::sample());
    for (name, args) in [
        ("services.txt", &["services"][..]),
        ("services-client.txt", &["services", "--port", "5432"]),
        ("drains.txt", &["drains"]),
        (
            "drains-nginx.txt",
            &["drains", "-w", "nginx", "--kind", "stop"],
        ),
        ("rollouts.txt", &["rollouts"]),
        ("rollouts-pass.txt", &["rollouts", "--verdict", "pass"]),
        ("incidents.txt", &["incidents"]),
        (
            "incidents-idle.txt",
            &["incidents", "--cause", "idle-timeout-race"],
        ),
    ] {
        assert_expected(name, &printed(&server, args));
    }
}

#[test]
fn reports_are_as_expected() {
    let server = Server::start(Told::sample());
    for (name, args) in [
        (
            "glance-cut.txt",
            &["rollouts", "show", "r-20261122T165158-nginx"][..],
        ),
        ("glance-clean.txt", &["rollouts", "show", "r-20261122T17"]),
        ("glance-running.txt", &["rollouts", "show", "latest"]),
        ("glance-crash.txt", &["drains", "show", "1a2046a39"]),
        ("glance-recycled.txt", &["incidents", "show", "latest"]),
        ("glance-idle.txt", &["incidents", "show", "checkout"]),
        ("glance-refused.txt", &["incidents", "show", "nginx"]),
    ] {
        let report = printed(&server, args);
        assert_expected(name, &report);
        assert!(report.lines().count() <= 10, "{name}: {report}");
    }
}

#[test]
fn everything_is_as_expected() {
    let server = Server::start(Told::sample());
    let everything = |args: &[&str]| printed(&server, &[args, &["--verbose"]].concat());
    for (name, args) in [
        (
            "show-cut.txt",
            &["rollouts", "show", "r-20261122T165158-nginx"][..],
        ),
        ("show-clean.txt", &["rollouts", "show", "r-20261122T17"]),
        ("show-running.txt", &["rollouts", "show", "latest"]),
        ("show-crash.txt", &["drains", "show", "1a2046a39"]),
        ("show-recycled.txt", &["incidents", "show", "latest"]),
        ("show-idle.txt", &["incidents", "show", "checkout"]),
    ] {
        assert_expected(name, &everything(args));
    }
}

#[test]
fn reports_and_lists_are_there_for_a_comment_too() {
    let server = Server::start(Told::sample());
    for (name, args) in [
        ("services.md", &["services"][..]),
        ("rollouts.md", &["rollouts"]),
        ("drains.md", &["drains"]),
        ("incidents.md", &["incidents"]),
        ("glance-idle.md", &["incidents", "show", "checkout"]),
        ("glance-cut.md", &["rollouts", "show", "r-20261122T1651"]),
        (
            "show-cut.md",
            &["rollouts", "show", "r-20261122T1651", "--verbose"],
        ),
    ] {
        let args = [args, &["-o", "markdown"]].concat();
        assert_expected_text(name, &printed(&server, &args));
    }
}

#[test]
fn what_is_not_there_is_not_said_but_for_the_cut() {
    let server = Server::start(Told::sample());
    let clean = printed(&server, &["rollouts", "show", "r-20261122T17", "--verbose"]);
    assert_eq!(clean.matches("connections cut  0\n").count(), 2, "{clean}");
    for absent in [
        "refused",
        "RSTs",
        "unanswered",
        "never read",
        "gave up",
        "accept queue",
        "lost",
    ] {
        assert!(!clean.contains(absent), "{absent}: {clean}");
    }
}

#[test]
fn json_is_what_the_daemon_says() {
    let server = Server::start(Told::sample());
    let json = |args: &[&str]| -> Value {
        let text = printed(&server, &[args, &["-o", "json"]].concat());
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str(&text).expect("JSON")
    };
    assert_eq!(json(&["services"]), server.json("/v1/services"));
    assert_eq!(json(&["drains"]), server.json("/v1/drains"));
    assert_eq!(json(&["rollouts"]), server.json("/v1/rollouts"));
    assert_eq!(json(&["incidents"]), server.json("/v1/incidents"));
    assert_eq!(
        json(&["rollouts", "show", "latest"]),
        server.json("/v1/rollouts")["rollouts"][0]
    );
    assert_eq!(
        json(&["drains", "show", "1a2043c72"]),
        server.json("/v1/drains/1a2043c7240-2400-443")
    );
}

#[test]
fn colours_are_for_whoever_wants_them() {
    let server = Server::start(Told::sample());
    let url = server.url();
    let args = ["rollouts", "--url", &url];
    let plain = run(&mut finwatch(&args)).out;
    assert!(!plain.contains('\x1b'), "no terminal, no colours");
    let coloured = run(finwatch(&args).env("CLICOLOR_FORCE", "1")).out;
    assert!(
        coloured.contains("\x1b[1m\x1b[31mfail\x1b[0m"),
        "{coloured:?}"
    );
    let refused = run(finwatch(&args).arg("--no-color").env("CLICOLOR_FORCE", "1")).out;
    assert_eq!(refused, plain);
    let refused = run(finwatch(&args).env("NO_COLOR", "1")).out;
    assert_eq!(refused, plain);
}

#[test]
fn an_empty_list_says_so_on_standard_error() {
    let server = Server::start(Told::nothing());
    for (command, words) in [
        ("services", "no services\n"),
        ("drains", "no drains\n"),
        ("rollouts", "no rollouts\n"),
        ("incidents", "no incidents\n"),
    ] {
        let ran = run(finwatch(&[command]).env("FINWATCH_URL", server.url()));
        assert_eq!(
            (ran.code, ran.out.as_str(), ran.err.as_str()),
            (0, "", words)
        );
    }
    let ran = run(finwatch(&["rollouts", "show", "latest"]).env("FINWATCH_URL", server.url()));
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (1, "error: there is no rollout yet\n")
    );
}

#[test]
fn a_list_that_is_cut_short_says_so() {
    let server = Server::start(Told::sample());
    let ran = run(finwatch(&["drains", "--limit", "1"]).args(["--url", &server.url()]));
    assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
    assert_eq!(ran.err, "there are more; --limit shows them\n");
}

#[test]
fn an_id_that_is_wrong_is_answered_with_those_that_are_right() {
    let server = Server::start(Told::sample());
    let ran = run(finwatch(&["rollouts", "show", "r-2"]).args(["--url", &server.url()]));
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.err,
        "error: more than one rollout begins with `r-2`: r-20261122T181458-checkout, r-20261122T171000-nginx, \
         r-20261122T165158-nginx\n"
    );
    let ran =
        run(finwatch(&["drains", "show", "1a2042bfc62-1200-443x"]).args(["--url", &server.url()]));
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.starts_with(
            "error: there is no drain `1a2042bfc62-1200-443x`; the nearest: 1a2042bfc62-1200-443"
        ),
        "{}",
        ran.err
    );
}

#[test]
fn a_daemon_that_cannot_be_asked_is_named_with_a_remedy() {
    let gone = Server::start(Told::nothing());
    let url = gone.url();
    drop(gone);
    for args in [
        &["services"][..],
        &["drains"],
        &["rollouts"],
        &["rollouts", "--watch"],
        &["verdict"],
    ] {
        let ran = run(finwatch(args).args(["--url", &url]));
        assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{args:?}");
        assert_eq!(
            ran.err,
            format!(
                "error: cannot ask finwatch at {url}: Connection refused (os error 111); is the daemon running \
                 (`systemctl status finwatch`), and does it listen there? --url or FINWATCH_URL names another address\n"
            )
        );
    }
    let ran = run(&mut finwatch(&["services", "--url", "https://127.0.0.1:1"]));
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("it must begin with http://"),
        "{}",
        ran.err
    );
}

#[test]
fn somebody_else_on_the_port_is_told_from_a_daemon() {
    let server = Server::start(Told::nothing());
    // A path that the server has, and that is no read API.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let other = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().expect("a question");
        let mut request = [0; 1024];
        let read = stream.read(&mut request).expect("a question");
        assert!(read > 0);
        let body = "<html>";
        write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .expect("an answer");
    });
    let ran = run(finwatch(&["services"]).args(["--url", &url]));
    other.join().expect("no panic");
    assert_eq!(ran.code, 4);
    assert!(
        ran.err
            .contains("is no finwatch of this version (status 404)"),
        "{}",
        ran.err
    );
    drop(server);
}

#[test]
fn a_watch_tells_what_changes_and_outlives_a_restart_of_the_daemon() {
    let mut told = Told::sample();
    let later = told.rollouts.remove(0);
    let server = Server::start(told);
    let mut child = finwatch(&["rollouts", "--watch", "-o", "json", "--url", &server.url()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("UTF-8");
        serde_json::from_str(&line).expect("JSON")
    };
    assert_eq!(next()["id"], "r-20261122T165158-nginx", "the oldest first");
    assert_eq!(next()["id"], "r-20261122T171000-nginx");
    server.told().rollouts.insert(0, later);
    assert_eq!(next()["id"], "r-20261122T181458-checkout");
    server.wait_until_seen();
    server.told().rollouts[0].counts.opened = 77;
    let changed = next();
    assert_eq!(
        (&changed["id"], &changed["counts"]["opened"]),
        (&Value::from("r-20261122T181458-checkout"), &Value::from(77))
    );
    child.kill().expect("killed");
    child.wait().expect("its end");
}

#[test]
fn a_reader_that_goes_is_no_mistake() {
    let server = Server::start(Told::sample());
    let mut child = finwatch(&["rollouts", "show", "latest", "--url", &server.url()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("its end");
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
