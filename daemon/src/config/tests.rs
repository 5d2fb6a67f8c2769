//! Whose word counts, and what is said of mistakes.

use std::path::Path;

use super::*;

fn file(text: &str) -> (Layer, Vec<String>) {
    let (layer, errors) = file::parse(Path::new("finwatch.toml"), text);
    (layer, errors.iter().map(ToString::to_string).collect())
}

fn env(vars: &[(&str, &str)]) -> Layer {
    let owned = vars
        .iter()
        .map(|(name, value)| (String::from(*name), String::from(*value)));
    from_env(owned).0
}

fn flag(name: &str, value: &str) -> Layer {
    let key = KEYS.iter().find(|key| key.flag == name).expect("a flag");
    Layer::from([(key.name, typed(key, value, Origin::Flag(key.flag)))])
}

fn errors(layer: Layer) -> Vec<String> {
    match Config::new(&Effective::new([layer])) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn defaults_need_no_file() {
    let config = Config::new(&Effective::new([])).expect("the defaults are right");
    assert_eq!(config.listen, ["[::]:10346".parse().expect("an address")]);
    assert_eq!((config.series.servers, config.series.clients), (1_000, 200));
    assert!(!config.keep_capabilities);
}

#[test]
fn flag_over_environment_over_file_over_default() {
    let (file, wrong) = file("[series]\nserver_limit = 1\nclient_limit = 1\nretention = \"2h\"\n");
    assert!(wrong.is_empty());
    let env = env(&[
        ("FINWATCH_SERIES_SERVER_LIMIT", "2"),
        ("FINWATCH_SERIES_CLIENT_LIMIT", "2"),
    ]);
    let effective = Effective::new([file, env, flag("series-server-limit", "3")]);
    let config = Config::new(&effective).expect("a configuration");
    assert_eq!((config.series.servers, config.series.clients), (3, 2));
    assert_eq!(config.series.retention_ns, 7_200_000_000_000);
    let origin = |name| {
        effective
            .get(keys::find(name).expect("a key"))
            .origin
            .to_string()
    };
    assert_eq!(origin("series.server_limit"), "flag --series-server-limit");
    assert_eq!(
        origin("series.client_limit"),
        "environment variable FINWATCH_SERIES_CLIENT_LIMIT"
    );
    assert_eq!(origin("series.retention"), "finwatch.toml:4");
    assert_eq!(origin("listen"), "default");
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_nearest() {
    let (_, wrong) =
        file("[series]\nserver_limit = 1\nserver_limt = 2\n\n[probe]\nxyzzy = 1\n[nothing]\n");
    assert_eq!(
        wrong,
        [
            "finwatch.toml:7: unknown key `nothing`; `finwatch config show` lists every key",
            "finwatch.toml:6: unknown key `probe.xyzzy`; `finwatch config show` lists every key",
            "finwatch.toml:3: unknown key `series.server_limt`; did you mean `series.server_limit`?",
        ]
    );
}

#[test]
fn a_file_that_is_not_toml_is_told_by_its_line() {
    let (_, wrong) = file("listen = \"[::]:1\"\nlog = = 1\n");
    assert_eq!(wrong.len(), 1);
    assert!(
        wrong[0].starts_with("finwatch.toml:2: not valid TOML: "),
        "{wrong:?}"
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_told_with_what_is_expected() {
    let (layer, wrong) = file(
        "listen = \"nowhere\"\n[series]\nserver_limit = 1.5\nclient_limit = \"many\"\nretention = 5\n",
    );
    assert_eq!(
        wrong,
        ["finwatch.toml:3: `series.server_limit` is `1.5`, expected a whole number"]
    );
    assert_eq!(
        errors(layer),
        [
            "finwatch.toml:1: `listen` is `nowhere`, expected an address and port, as in 127.0.0.1:10346 or [::]:10346",
            "finwatch.toml:4: `series.client_limit` is `many`, expected a number from 0 to 100000",
            "finwatch.toml:5: `series.retention` is `5`, expected a time from 60s to 2592000s, as in 500ms, 15s, 5m or 1h",
        ]
    );
}

#[test]
fn lists_may_be_arrays_or_typed_with_commas() {
    let (layer, wrong) =
        file("listen = [\"127.0.0.1:1\", \"[::1]:2\"]\n[series]\ndeny_ports = [22, 25]\n");
    assert!(wrong.is_empty());
    let env = env(&[("FINWATCH_ALLOW_WORKLOADS", "nginx.service, web-*")]);
    let config = Config::new(&Effective::new([layer, env])).expect("a configuration");
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.series.filter.deny_ports, [22, 25]);
    assert_eq!(config.series.filter.allow_workloads.len(), 2);
}

#[test]
fn the_ring_is_a_power_of_two_within_bounds() {
    for bad in ["65535", "32768", "536870912", "-1", "x"] {
        assert_eq!(errors(flag("ring-bytes", bad)).len(), 1, "{bad}");
    }
    assert!(errors(flag("ring-bytes", "65536")).is_empty());
}

#[test]
fn deploy_events_from_other_hosts_need_a_token() {
    assert_eq!(
        errors(flag("deploys-listen", "127.0.0.1:10347,0.0.0.0:10347")),
        [
            "flag --deploys-listen: `deploys.listen` is `0.0.0.0:10347`, expected an address and port, as in \
             127.0.0.1:10347; others than loopback need deploys.token_file"
        ]
    );
    let mut layer = flag("deploys-listen", "0.0.0.0:10347");
    layer.extend(flag("deploys-token-file", "/etc/finwatch/token"));
    assert!(errors(layer).is_empty());
    assert!(errors(flag("deploys-listen", "[::1]:1")).is_empty());
    assert!(errors(flag("deploys-listen", "")).is_empty());
}

#[test]
fn unknown_variables_are_told_but_not_those_of_kubernetes() {
    let vars = [
        "FINWATCH_LISTN",
        "FINWATCH_PORT_10346_TCP",
        "FINWATCH_SERVICE_HOST",
        "FINWATCH_CONFIG",
        "HOME",
    ];
    let (layer, unknown) = from_env(vars.map(|name| (name.to_owned(), "x".to_owned())));
    assert!(layer.is_empty());
    assert_eq!(unknown, ["FINWATCH_LISTN"]);
}

#[test]
fn an_unreadable_file_is_an_error_with_its_cause() {
    let (_, errors) = read_file(Path::new("/nonexistent/finwatch.toml"));
    assert_eq!(errors.len(), 1);
    let source = std::error::Error::source(&errors[0])
        .expect("a cause")
        .to_string();
    assert!(source.contains("No such file"), "{source}");
}
