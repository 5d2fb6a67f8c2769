//! Checks values against the schemas of an OpenAPI 3.1 document: the words of JSON Schema that are used there,
//! and a panic at any other, so that nothing is passed by not being understood. Stricter than the standard in one
//! thing: a property that the schema does not name is a mistake.

use serde_json::Value;

/// Everything in which `value` differs from `schema`, each with its place.
pub(crate) fn differences(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(document, schema, value, "", &mut found);
    found
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if *schema == Value::Bool(true) {
        return;
    }
    let words = schema.as_object().expect("a schema is an object");
    for (word, wanted) in words {
        match word.as_str() {
            "$ref" => {
                let path = wanted
                    .as_str()
                    .expect("a reference")
                    .trim_start_matches('#');
                let target = document.pointer(path);
                let target = target.unwrap_or_else(|| panic!("{at}: {wanted} leads nowhere"));
                check(document, target, value, at, found);
            }
            "type" => {
                let types: Vec<&str> = match wanted {
                    Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
                    one => one.as_str().into_iter().collect(),
                };
                if !types.iter().any(|name| is_of_type(name, value)) {
                    found.push(format!("{at}: {value} is none of {types:?}"));
                }
            }
            "properties" => {
                let Some(object) = value.as_object() else {
                    continue;
                };
                for (name, value) in object {
                    match wanted.get(name) {
                        Some(schema) => {
                            check(document, schema, value, &format!("{at}/{name}"), found);
                        }
                        None => found.push(format!("{at}/{name} is not documented")),
                    }
                }
            }
            "required" => {
                for name in wanted.as_array().expect("a list") {
                    let name = name.as_str().expect("a name");
                    if value.is_object() && value.get(name).is_none() {
                        found.push(format!("{at}/{name} is missing"));
                    }
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, wanted, item, &format!("{at}/{index}"), found);
                }
            }
            "enum" => {
                if !wanted.as_array().expect("a list").contains(value) {
                    found.push(format!("{at}: {value} is none of {wanted}"));
                }
            }
            "const" => {
                if wanted != value {
                    found.push(format!("{at}: {value} is not {wanted}"));
                }
            }
            "anyOf" | "oneOf" => {
                let fits = wanted
                    .as_array()
                    .expect("a list")
                    .iter()
                    .filter(|schema| differences(document, schema, value).is_empty());
                let fits = fits.count();
                if fits == 0 || word == "oneOf" && fits > 1 {
                    found.push(format!("{at}: {value} fits {fits} of {word}"));
                }
            }
            "minimum" | "maximum" => {
                let (Some(value), Some(bound)) = (value.as_f64(), wanted.as_f64()) else {
                    continue;
                };
                if (word == "minimum" && value < bound) || (word == "maximum" && value > bound) {
                    found.push(format!("{at}: {value} is past the {word} {bound}"));
                }
            }
            "format" => check_format(wanted.as_str().expect("a name"), value, at, found),
            "description" | "title" | "default" => {}
            word => panic!("{at}: the schema word `{word}` is not known here"),
        }
    }
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        name => panic!("the type `{name}` is not known here"),
    }
}

fn check_format(name: &str, value: &Value, at: &str, found: &mut Vec<String>) {
    let is_right = match (name, value) {
        ("date-time", Value::String(text)) => text.parse::<jiff::Timestamp>().is_ok(),
        ("uint8", Value::Number(n)) => n.as_u64().is_some_and(|n| n <= 0xff),
        ("uint16", Value::Number(n)) => n.as_u64().is_some_and(|n| n <= 0xffff),
        ("uint32", Value::Number(n)) => n.as_u64().is_some_and(|n| n <= 0xffff_ffff),
        ("uint64", Value::Number(n)) => n.is_u64(),
        ("double", Value::Number(n)) => n.is_f64() || n.is_u64(),
        (_, Value::Null) => true,
        (name, value) => panic!("{at}: the format `{name}` of {value} is not known here"),
    };
    if !is_right {
        found.push(format!("{at}: {value} is no {name}"));
    }
}

#[test]
fn every_sort_of_difference_is_found() {
    let document = serde_json::json!({"components": {"schemas": {"Point": {
        "type": "object",
        "properties": {
            "x": {"type": "integer", "format": "uint8", "minimum": 0},
            "at": {"type": ["string", "null"], "format": "date-time"},
            "kind": {"oneOf": [{"const": "a"}, {"enum": ["b", "c"]}]},
        },
        "required": ["x"],
    }}}});
    let schema =
        serde_json::json!({"type": "array", "items": {"$ref": "#/components/schemas/Point"}});
    let found = |value: Value| differences(&document, &schema, &value);
    let right = serde_json::json!([{"x": 1, "at": "2026-11-22T16:52:01Z", "kind": "b"}, {"x": 0, "at": null}]);
    assert_eq!(found(right), [""; 0]);
    for (wrong, words) in [
        (serde_json::json!({}), ": {} is none of [\"array\"]"),
        (serde_json::json!([{}]), "/0/x is missing"),
        (serde_json::json!([{"x": 256}]), "/0/x: 256 is no uint8"),
        (
            serde_json::json!([{"x": 1, "y": 2}]),
            "/0/y is not documented",
        ),
        (
            serde_json::json!([{"x": 1, "at": "noon"}]),
            "/0/at: \"noon\" is no date-time",
        ),
        (
            serde_json::json!([{"x": 1, "kind": "d"}]),
            "/0/kind: \"d\" fits 0 of oneOf",
        ),
    ] {
        assert_eq!(found(wrong), [words]);
    }
}
