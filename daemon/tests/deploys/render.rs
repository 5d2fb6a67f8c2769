//! As much of Go's templates as the guide uses: `{{.a.b.c}}` over a JSON object, where what is absent is `<no value>`.

use serde_json::Value;

pub(crate) fn render(template: &str, data: &Value) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (path, behind) = after.split_once("}}").expect("a closed action");
        text.push_str(before);
        let path = path.strip_prefix('.').expect("a plain field");
        let found = path.split('.').try_fold(data, |value, key| value.get(key));
        match found {
            Some(Value::String(found)) => text.push_str(found),
            Some(Value::Null) | None => text.push_str("<no value>"),
            Some(found) => text.push_str(&found.to_string()),
        }
        rest = behind;
    }
    text + rest
}

/// The literal block (`key: |`) of this key in YAML, without its indentation.
pub(crate) fn block<'a>(yaml: &'a str, key: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = yaml.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() != format!("{key}: |") {
            continue;
        }
        let outer = line.len() - line.trim_start().len();
        let inside =
            |line: &&'a str| line.trim().is_empty() || line.len() - line.trim_start().len() > outer;
        let mut block = String::new();
        while let Some(line) = lines.next_if(inside) {
            block.push_str(line.trim());
            block.push('\n');
        }
        blocks.push(block);
    }
    blocks
}
