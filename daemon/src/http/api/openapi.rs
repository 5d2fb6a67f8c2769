//! The OpenAPI document of the read API, made from the table of routes and the types that are sent.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{problem::Problem, route::Route};

/// The document of these routes, OpenAPI 3.1.
pub(super) fn document(routes: &[Route]) -> Value {
    let mut schemas = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let problem = schemas.subschema_for::<Problem>();
    let mut paths = Map::new();
    for route in routes {
        let has_id = route.path.ends_with("{id}");
        let mut parameters: Vec<Value> = route
            .parameters
            .iter()
            .map(|parameter| parameter.document())
            .collect();
        if has_id {
            parameters.push(json!({
                "name": "id",
                "in": "path",
                "description": "Its id",
                "required": true,
                "schema": {"type": "string"},
            }));
        }
        let wrong = |what: &str| {
            json!({
                "description": what,
                "content": {"application/problem+json": {"schema": problem}},
            })
        };
        let mut responses = json!({
            "200": {
                "description": route.summary,
                "content": {"application/json": {"schema": (route.schema)(&mut schemas)}},
            },
            "400": wrong("A parameter that is not known, or a value that makes no sense"),
            "500": wrong("The answer could not be made"),
            "503": wrong("Too many questions at once"),
        });
        if has_id {
            responses["404"] = wrong("There is none with this id; the nearest ids are named");
        }
        paths.insert(
            route.path.to_owned(),
            json!({"get": {
                "operationId": route.operation,
                "summary": route.summary,
                "parameters": parameters,
                "responses": responses,
            }}),
        );
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "finwatch",
            "summary": "What stops, reloads and rollouts did to the clients of the servers on this host",
            "description": "Read only. Times are RFC 3339, UTC. Fields and parameters may be added and are never renamed: \
                            ignore fields that you do not know.",
            "version": "1",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:10346"}],
        "paths": paths,
        "components": {"schemas": schemas.take_definitions(true)},
    })
}
