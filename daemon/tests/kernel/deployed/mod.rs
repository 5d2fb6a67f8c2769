//! finwatch as it is deployed: with the manifests' rights and no more, and scraped by a real Prometheus.

mod born_late;
mod daemon;
mod prometheus;
mod queries;
mod rights;
mod run;
mod scraped;
mod web;
