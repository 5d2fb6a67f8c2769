//! The TOML file as a layer. Every mistake in it is found, not only the first; it does not judge values.

use std::{path::Path, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    keys::{self, KEYS},
    layers::{ConfigError, Layer, Origin, Typed},
};

/// Reads the file.
pub fn read(path: &Path) -> (Layer, Vec<ConfigError>) {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(source) => {
            let path = path.to_owned();
            (Layer::new(), vec![ConfigError::Read { path, source }])
        }
    }
}

/// Reads the text of a file that is called `path`.
pub(super) fn parse(path: &Path, text: &str) -> (Layer, Vec<ConfigError>) {
    let mut walk = Walk {
        path: path.into(),
        text,
        layer: Layer::new(),
        errors: Vec::new(),
    };
    match DeTable::parse(text) {
        Ok(table) => walk.table("", table.get_ref()),
        Err(error) => walk.errors.push(ConfigError::Syntax {
            path: path.to_owned(),
            line: walk.line(error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        }),
    }
    (walk.layer, walk.errors)
}

struct Walk<'a> {
    path: Arc<Path>,
    text: &'a str,
    layer: Layer,
    errors: Vec<ConfigError>,
}

impl Walk<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let line = self.line(name.span().start);
            if let DeValue::Table(inner) = value.get_ref() {
                if inner.is_empty() && !is_table(&key) {
                    self.unknown(key, line);
                } else {
                    self.table(&format!("{key}."), inner);
                }
                continue;
            }
            match keys::find(&key) {
                Some(known) => self.value(known, value, line),
                None => self.unknown(key, line),
            }
        }
    }

    fn value(&mut self, key: &'static keys::Key, value: &Spanned<DeValue<'_>>, line: usize) {
        let origin = Origin::File {
            path: Arc::clone(&self.path),
            line,
        };
        let items = match (value.get_ref(), key.shape) {
            (DeValue::Array(items), keys::Shape::List) => {
                items.iter().map(|item| scalar(item.get_ref())).collect()
            }
            (single, _) => scalar(single).map(|item| vec![item]),
        };
        match items {
            Some(items) => {
                self.layer.insert(key.name, Typed { items, origin });
            }
            None => self.errors.push(ConfigError::Value {
                origin,
                key: key.name,
                value: self.text[value.span()].to_owned(),
                expected: key.shape.expected().to_owned(),
            }),
        }
    }

    fn unknown(&mut self, key: String, line: usize) {
        self.errors.push(ConfigError::UnknownKey {
            path: self.path.to_path_buf(),
            line,
            nearest: keys::nearest(&key, KEYS.iter().map(|key| key.name)),
            key,
        });
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text[..at].matches('\n').count()
    }
}

fn is_table(name: &str) -> bool {
    KEYS.iter()
        .filter_map(|key| key.name.split_once('.'))
        .any(|(table, _)| table == name)
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number.to_string()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        _ => None,
    }
}
