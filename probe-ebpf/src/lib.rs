//! The pure half of the kernel programs: how turns are kept and how an end is classified. It compiles
//! for the host as well, where its tests run, and knows nothing of BPF.
#![cfg_attr(target_arch = "bpf", no_std)]

pub mod classify;
pub mod frames;
pub mod manner;
pub mod tcp;
pub mod turns;
