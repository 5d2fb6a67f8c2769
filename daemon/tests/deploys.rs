//! Deploy events over real loopback connections: the router behind the real HTTP server, `finwatch deploy` against it,
//! and every recipe of the guide. No root, no kernel programs.

mod deploys {
    pub(crate) mod server;

    mod cli;
    mod guide;
    mod hostile;
    mod http;
    mod known;
    mod render;
}
