//! What a route of the read API is: where it is, what may be asked, and who answers. It knows none of them.

use schemars::{Schema, SchemaGenerator};

use super::{
    Story,
    parameters::{Asked, Parameter},
    problem::Problem,
};

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    /// As axum and OpenAPI write it.
    pub(super) path: &'static str,
    /// Name of the operation, for generated clients.
    pub(super) operation: &'static str,
    /// What it answers, in a sentence.
    pub(super) summary: &'static str,
    /// Its query parameters.
    pub(super) parameters: &'static [&'static Parameter],
    /// The form of its answer.
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
    /// Its answer, as JSON.
    pub(super) answer: fn(&dyn Story, &Question) -> Result<Vec<u8>, Problem>,
}

/// What is asked of a route.
#[derive(Debug)]
pub(super) struct Question {
    /// The query.
    pub(super) asked: Asked,
    /// The last part of a path that ends in `{id}`.
    pub(super) id: Option<String>,
}
