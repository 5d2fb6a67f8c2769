//! SHIM
#![expect(missing_docs, reason = "shim")]
use crate::story::{DeployEvent, Drain, Gap, Rollout, Start};
use jiff::Timestamp;
#[derive(Debug, Default, Clone)]
pub struct CorrelatorOptions {
    pub window: std::time::Duration,
    pub quiet: std::time::Duration,
    pub judge: super::JudgeOptions,
}
#[derive(Debug)]
pub struct Correlator;
impl Correlator {
    pub fn new(_: CorrelatorOptions) -> Self {
        Self
    }
    pub fn event(&mut self, _: DeployEvent) {}
    pub fn start(&mut self, _: Start) {}
    pub fn gap(&mut self, _: Gap) {}
    pub fn drain(&mut self, _: Drain) {}
    pub fn tick(&mut self, _: Timestamp) {}
    pub fn running(&self) -> Vec<Rollout> {
        Vec::new()
    }
    pub fn ended(&mut self) -> Vec<Rollout> {
        Vec::new()
    }
}
