//! The kernel programs of finwatch, one entry point each: shells that hand their arguments to a room.
//!
//! They observe, classify and count; they never decide, delay or change anything.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod bpf;

/// A BPF object has no entry of its own; this is for tools that compile the whole workspace.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
