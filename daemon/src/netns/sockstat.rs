//! The text of `/proc/<pid>/net/sockstat`.

/// The number behind `tw` in the line `TCP: inuse 5 orphan 0 tw 3 alloc 7 mem 1`.
pub(super) fn time_wait(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_ascii_whitespace();
    words.find(|word| *word == "tw")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::time_wait;

    #[test]
    fn the_field_is_found_by_name() {
        let text =
            "sockets: used 9\nTCP: inuse 5 orphan 0 tw 31 alloc 7 mem 1\nUDP: inuse 0 mem 0\n";
        assert_eq!(time_wait(text), Some(31));
        assert_eq!(time_wait("UDP: inuse 0 tw 3\n"), None);
        assert_eq!(time_wait("TCP: inuse 5 tw\n"), None);
        assert_eq!(time_wait("TCP: inuse 5 tw x\n"), None);
    }
}
