//! The story as it is asked for: the read API against its own document, and the commands against the API, each
//! through the real HTTP server on loopback. Only who tells the story is a fixture.

mod story {
    mod api;
    mod commands;
    mod gate;
    mod pages;
    mod schema;
    mod server;
    mod since;
    mod spans;
}
