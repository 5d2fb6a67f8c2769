//! SHIM
use super::SeriesLabels;
/// shim
#[derive(Debug)]
pub struct Windows;
impl Windows {
    /// shim
    pub fn new(_: u64) -> Self {
        Self
    }
    /// shim
    pub fn is_due(&self, _: u64) -> bool {
        true
    }
    /// shim
    pub fn look(&mut self, _now_ns: u64, _series: &[super::SeriesView]) {}
    /// shim
    pub fn baseline(&self, _: &SeriesLabels, _: u64) -> crate::story::Baseline {
        crate::story::Baseline::default()
    }
}
