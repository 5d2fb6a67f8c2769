//! Spring Boot's four servers, each with its graceful shutdown.

use super::{
    flight::{Change::Stop, answered, unanswered},
    idle,
};
use crate::harness::crowd::Transport;

/// Shorter than the requests in flight take.
fn limited(server: &str) {
    let how = (libc::SIGTERM, Stop);
    unanswered("spring", &[server, "1s"], how, Transport::Plain);
}

#[test]
fn tomcat_limited() {
    limited("tomcat");
}

#[test]
fn jetty_limited() {
    limited("jetty");
}

#[test]
fn undertow_limited() {
    limited("undertow");
}

#[test]
fn netty_limited() {
    limited("netty");
}

#[test]
fn tomcat_idle() {
    idle::stop("spring", &["tomcat"], libc::SIGTERM);
}

#[test]
fn jetty_idle() {
    idle::stop("spring", &["jetty"], libc::SIGTERM);
}

#[test]
fn tomcat_answers() {
    answered("spring", &["tomcat"], libc::SIGTERM, Stop);
}

#[test]
fn jetty_answers() {
    answered("spring", &["jetty"], libc::SIGTERM, Stop);
}

#[test]
fn undertow_answers() {
    answered("spring", &["undertow"], libc::SIGTERM, Stop);
}

#[test]
fn netty_answers() {
    answered("spring", &["netty"], libc::SIGTERM, Stop);
}
