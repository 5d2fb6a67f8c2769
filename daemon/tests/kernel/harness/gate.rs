//! Where slow requests wait: the lab's servers ask it before they answer `/slow`, over a Unix socket, so that no
//! connection of it is in the namespace's TCP accounts. A request that is held has been read by the server.

use std::{
    io::{Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::mpsc,
    thread,
};

use super::wait::PATIENCE;

/// See the module.
pub(crate) struct Gate {
    taken: mpsc::Receiver<UnixStream>,
    held: Vec<UnixStream>,
}

impl Gate {
    /// Opens the gate of the server whose files are in `folder`.
    pub(crate) fn open(folder: &Path) -> Self {
        let path = folder.join("gate");
        let listener = UnixListener::bind(&path).unwrap();
        // Some servers do their work as nobody.
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        let (sender, taken) = mpsc::channel();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = [0; 4096];
                if stream.read(&mut request).is_err() || sender.send(stream).is_err() {
                    return;
                }
            }
        });
        let held = Vec::new();
        Self { taken, held }
    }

    /// Waits until `count` more requests are held.
    #[track_caller]
    pub(crate) fn hold(&mut self, count: usize) {
        for _ in 0..count {
            let stream = self.taken.recv_timeout(PATIENCE);
            self.held.push(stream.expect("the server asks at the gate"));
        }
    }

    /// Lets all that is held go. A server that has died meanwhile does not hear it.
    pub(crate) fn release(&mut self) {
        for mut stream in self.held.drain(..) {
            let _server_is_gone =
                stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nlate\n");
        }
    }
}
