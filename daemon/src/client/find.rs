//! Finds what a person names by the beginning of its id.

use serde_json::Value;

use super::api::{AskError, Client, Query, path_of};

/// The one rollout whose id is or begins so; `latest` is the newest.
///
/// # Errors
/// When there is none, or more than one.
pub(crate) fn find_rollout(client: &Client, id: &str) -> Result<Value, AskError> {
    find_one(client, "/v1/rollouts", "rollouts", "rollout", id)
}

/// The one drain whose id is or begins so; `latest` is the newest.
///
/// # Errors
/// When there is none, or more than one.
pub(crate) fn find_drain(client: &Client, id: &str) -> Result<Value, AskError> {
    find_one(client, "/v1/drains", "drains", "drain", id)
}

/// The one incident whose id is or begins so; `latest` is the newest.
///
/// # Errors
/// When there is none, or more than one.
pub(crate) fn find_incident(client: &Client, id: &str) -> Result<Value, AskError> {
    find_one(client, "/v1/incidents", "incidents", "incident", id)
}

fn find_one(
    client: &Client,
    path: &str,
    list: &str,
    what: &str,
    id: &str,
) -> Result<Value, AskError> {
    let page = |query: Query| -> Result<Vec<Value>, AskError> {
        let page: Value = client.ask(path, &query)?;
        Ok(page[list].as_array().cloned().unwrap_or_default())
    };
    if id == "latest" {
        let newest = page(vec![("limit", "1".to_owned())])?.into_iter().next();
        return newest.ok_or_else(|| AskError::NoSuch {
            title: format!("there is no {what} yet"),
            allowed: Vec::new(),
        });
    }
    let missing = match client.ask(&path_of(path, id), &Query::new()) {
        Err(missing @ AskError::NoSuch { .. }) => missing,
        found => return found,
    };
    let begun = page(vec![("id", id.to_owned()), ("limit", "4".to_owned())])?;
    match begun.as_slice() {
        [] => Err(missing),
        [one] => Ok(one.clone()),
        several => {
            let ids = several.iter().filter_map(|value| value["id"].as_str());
            Err(AskError::Several {
                what: what.to_owned(),
                id: id.to_owned(),
                ids: ids.map(str::to_owned).collect(),
            })
        }
    }
}
