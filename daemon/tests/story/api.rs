//! The read API: each documented route answers, each served route is documented, what comes is as documented, and
//! what is asked for is what comes.

use std::{env, fs, path::Path};

use serde_json::Value;

use super::{
    schema::differences,
    server::{Server, Told},
};

fn document() -> Value {
    finwatch::http::openapi_document()
}

/// Paths of the document with an id of the sample in the place of `{id}`.
fn paths(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().expect("paths");
    let concrete = |path: &str| {
        let id = if path.contains("rollouts") {
            "r-20261122T171000-nginx"
        } else if path.contains("incidents") {
            "checkout-3000-20261122T150000Z"
        } else {
            "1a2043c7240-2400-443"
        };
        (path.to_owned(), path.replace("{id}", id))
    };
    paths.keys().map(|path| concrete(path)).collect()
}

#[test]
fn the_written_document_is_the_one_that_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let declared = serde_json::to_string_pretty(&document()).expect("JSON") + "\n";
    if env::var_os("FINWATCH_WRITE_DOCS").is_some() {
        fs::write(&path, &declared).expect("written");
    }
    assert!(
        fs::read_to_string(&path).expect("the file") == declared,
        "docs/openapi.json is stale: write it anew with FINWATCH_WRITE_DOCS=1 cargo test -p finwatch --test story"
    );
    let server = Server::start(Told::nothing());
    assert_eq!(server.json("/v1/openapi.json"), document());
}

#[test]
fn each_documented_route_answers_as_documented() {
    let server = Server::start(Told::sample());
    let document = document();
    for (path, concrete) in paths(&document) {
        let answer = server.json(&concrete);
        let schema = &document["paths"][&path]["get"]["responses"]["200"]["content"]["application/json"]
            ["schema"];
        if path == "/v1/openapi.json" {
            assert_eq!(answer["openapi"], "3.1.0");
            continue;
        }
        assert_eq!(
            differences(&document, schema, &answer),
            [""; 0],
            "{concrete}"
        );
        for list in ["services", "drains", "rollouts", "incidents", "closes"] {
            if let Some(list) = answer.get(list).filter(|_| !path.ends_with("{id}")) {
                assert!(list.as_array().expect("a list").len() > 2, "{path}");
            }
        }
    }
}

#[test]
fn each_served_route_is_documented() {
    let server = Server::start(Told::sample());
    let problem = server.get("/v1/everything");
    let problem: Value = serde_json::from_str(&problem.body).expect("JSON");
    let served: Vec<_> = problem["allowed"].as_array().expect("a list").clone();
    let document = document();
    let documented: Vec<_> = document["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .collect();
    assert_eq!(served.len(), documented.len());
    for path in served {
        assert!(documented.iter().any(|known| **known == path), "{path}");
    }
}

#[test]
fn the_document_holds_together() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    match value {
                        Value::String(text) if name == "$ref" => found.push(text),
                        value => references(value, found),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        assert!(
            document
                .pointer(reference.trim_start_matches('#'))
                .is_some(),
            "{reference}"
        );
    }
    for (name, schema) in document["components"]["schemas"]
        .as_object()
        .expect("schemas")
    {
        let properties = schema["properties"].as_object().into_iter().flatten();
        for (property, schema) in properties {
            assert!(
                schema.get("description").is_some(),
                "{name}.{property} is not explained"
            );
        }
    }
}

/// Each declared value of each parameter is taken by each route that declares it, and no other.
#[test]
fn parameters_are_as_documented() {
    let server = Server::start(Told::sample());
    let document = document();
    for (path, concrete) in paths(&document) {
        let operation = &document["paths"][&path]["get"];
        for parameter in operation["parameters"].as_array().expect("a list") {
            if parameter["in"] == "path" {
                continue;
            }
            let name = parameter["name"].as_str().expect("a name");
            let schema = &parameter["schema"];
            let right: Vec<String> = match schema["enum"].as_array() {
                Some(words) => words
                    .iter()
                    .map(|w| w.as_str().expect("a word").to_owned())
                    .collect(),
                None if name == "since" => {
                    vec!["15m".to_owned(), "2026-11-22T16%3A52%3A01Z".to_owned()]
                }
                None if schema["type"] == "integer" => {
                    vec![schema["minimum"].to_string(), schema["maximum"].to_string()]
                }
                None => vec!["nginx".to_owned()],
            };
            for value in right {
                let answer = server.get(&format!("{concrete}?{name}={value}"));
                assert_eq!(
                    answer.status, 200,
                    "{concrete}?{name}={value}: {}",
                    answer.body
                );
            }
            let twice = server.get(&format!("{concrete}?{name}=1&{name}=1"));
            assert_eq!(twice.status, 400, "{}", twice.body);
        }
        let answer = server.get(&format!("{concrete}?nonsense=1"));
        assert_eq!(
            (answer.status, answer.content_type.as_str()),
            (400, "application/problem+json")
        );
        let problem: Value = serde_json::from_str(&answer.body).expect("JSON");
        let schema =
            &operation["responses"]["400"]["content"]["application/problem+json"]["schema"];
        assert_eq!(differences(&document, schema, &problem), [""; 0]);
        assert_eq!(problem["title"], "there is no parameter `nonsense` here");
    }
}

fn ids(server: &Server, list: &str, query: &str) -> Vec<String> {
    let answer = server.json(&format!("/v1/{list}{query}"));
    let values = answer[list].as_array().expect("a list");
    values
        .iter()
        .map(|value| value["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[test]
fn lists_hold_what_was_asked_for() {
    let server = Server::start(Told::sample());
    const LIVE: &str = "1a20477f4a0-3300-8080";
    const CRASH: &str = "1a2046a3900-3100-8080";
    const CLEAN: &str = "1a2043c7240-2400-443";
    const CUT: &str = "1a2042bfc62-1200-443";
    for (query, wanted) in [
        ("", &[LIVE, CRASH, CLEAN, CUT][..]),
        ("?workload=nginx", &[CLEAN, CUT]),
        ("?workload=nginx.service", &[CLEAN, CUT]),
        ("?workload=checkout&namespace=shop", &[LIVE, CRASH]),
        ("?namespace=", &[CLEAN, CUT]),
        ("?namespace=other", &[]),
        ("?port=8080", &[LIVE, CRASH]),
        ("?verdict=fail", &[CUT]),
        ("?verdict=inconclusive&state=ended", &[CRASH]),
        ("?kind=reload", &[CLEAN]),
        ("?state=running", &[LIVE]),
        ("?since=2026-11-22T17%3A10%3A00Z", &[LIVE, CRASH, CLEAN]),
        ("?since=2026-11-22T17:10:00.001Z", &[LIVE, CRASH]),
        ("?id=1a2043c72", &[CLEAN]),
    ] {
        assert_eq!(ids(&server, "drains", query), wanted, "{query}");
    }
    const SHOP: &str = "r-20261122T181458-checkout";
    const RELOAD: &str = "r-20261122T171000-nginx";
    const STOP: &str = "r-20261122T165158-nginx";
    for (query, wanted) in [
        ("", &[SHOP, RELOAD, STOP][..]),
        ("?workload=nginx.service", &[RELOAD, STOP]),
        ("?workload=nginx", &[RELOAD, STOP]),
        ("?source=github", &[SHOP]),
        ("?namespace=shop", &[SHOP]),
        ("?port=443&verdict=pass", &[RELOAD]),
        ("?state=ended&limit=1", &[RELOAD]),
    ] {
        assert_eq!(ids(&server, "rollouts", query), wanted, "{query}");
    }
    for (query, wanted) in [
        ("", 4),
        ("?cut=any", 2),
        ("?cut=none", 2),
        ("?cut=unread", 1),
        ("?outcome=reset_sent&role=server", 2),
        ("?origin=local&phase=draining", 2),
        ("?phase=steady", 1),
        ("?since=2026-11-22T18%3A00%3A00.004Z", 2),
        ("?workload=checkout", 2),
        ("?limit=3", 3),
    ] {
        let answer = server.json(&format!("/v1/closes{query}"));
        assert_eq!(
            answer["closes"].as_array().expect("a list").len(),
            wanted,
            "{query}"
        );
        assert_eq!(answer["more"], query == "?limit=3");
    }
    for (query, wanted) in [
        ("", 3),
        ("?role=client", 1),
        ("?phase=draining", 1),
        ("?port=443", 1),
    ] {
        let answer = server.json(&format!("/v1/services{query}"));
        assert_eq!(
            answer["services"].as_array().expect("a list").len(),
            wanted,
            "{query}"
        );
    }
}

#[test]
fn a_limit_says_that_there_is_more() {
    let server = Server::start(Told::sample());
    for (query, more) in [
        ("?limit=4", false),
        ("?limit=3", true),
        ("?limit=1&port=443", true),
    ] {
        assert_eq!(
            server.json(&format!("/v1/drains{query}"))["more"],
            more,
            "{query}"
        );
    }
}

#[test]
fn one_that_ends_while_the_list_is_told_comes_once() {
    let mut told = Told::sample();
    let mut ended = told.drains[0].clone();
    ended.ended_at = Some(ended.started_at);
    told.drains.insert(1, ended);
    let server = Server::start(told);
    assert_eq!(ids(&server, "drains", "?port=8080&state=running").len(), 1);
    assert_eq!(ids(&server, "drains", "?port=8080").len(), 2);
}

#[test]
fn an_id_that_is_not_there_is_answered_with_the_nearest() {
    let server = Server::start(Told::sample());
    let answer = server.get("/v1/drains/1a2042bfc62-1201-443");
    assert_eq!(
        (answer.status, answer.content_type.as_str()),
        (404, "application/problem+json")
    );
    let problem: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(problem["title"], "there is no drain `1a2042bfc62-1201-443`");
    assert_eq!(problem["allowed"][0], "1a2042bfc62-1200-443");
    for path in [
        "/v1/rollouts/x%2Fy%20z",
        "/v1/rollouts/%ff",
        "/v1",
        "/v1/",
        "/v1/drains/",
    ] {
        let answer = server.get(path);
        let is_refused = matches!(answer.status, 400 | 404);
        assert!(is_refused, "{path}: {} {}", answer.status, answer.body);
    }
}
