//! TLS records in one direction of a connection: their types and sizes, which are not encrypted. It knows nothing of what is in them;
//! in TLS 1.3 most of the handshake, and the alerts, look like data.

/// Record header of RFC 8446 section 5.1: type, version, length.
const HEADER: usize = 5;
/// The type of application data.
const DATA: u8 = 23;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Records {
    header: Vec<u8>,
    /// What the record under way has still to come, behind its header.
    rest: usize,
    /// Sizes of the whole records that may be data, in their order.
    data: Vec<usize>,
}

impl Records {
    /// Takes what was sent next.
    pub(super) fn take(&mut self, mut sent: &[u8]) {
        while !sent.is_empty() {
            if self.header.len() < HEADER {
                let length = sent.len().min(HEADER - self.header.len());
                self.header.extend(&sent[..length]);
                self.rest = match self.header[..] {
                    [_, _, _, high, low] => usize::from(u16::from_be_bytes([high, low])),
                    _ => 0,
                };
                sent = &sent[length..];
            } else {
                let length = sent.len().min(self.rest);
                self.rest -= length;
                sent = &sent[length..];
            }
            if self.header.len() == HEADER && self.rest == 0 {
                self.end();
            }
        }
    }

    /// How many records are of this size.
    pub(super) fn count(&self, size: usize) -> usize {
        self.data.iter().filter(|data| **data == size).count()
    }

    /// The sizes, in their order.
    pub(super) fn sizes(&self) -> &[usize] {
        &self.data
    }

    fn end(&mut self) {
        let (kind, size) = (self.header[0], &self.header[3..]);
        if kind == DATA {
            let size = u16::from_be_bytes([size[0], size[1]]);
            self.data.push(size.into());
        }
        self.header.clear();
    }
}
