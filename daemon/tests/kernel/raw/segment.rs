//! One TCP segment in its IP packet, to and from bytes. It knows nothing of connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// A segment and the addresses it travels between, which are of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    /// A multiple of four bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Segment {
    /// Whether every flag of `flags` is set.
    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// How far it moves the sequence number.
    pub(crate) fn length(&self) -> u32 {
        self.payload.len() as u32 + u32::from(self.has(SYN)) + u32::from(self.has(FIN))
    }

    /// The packet, with both checksums.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut tcp = self.encode_tcp();
        let mut packet = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut pseudo = Vec::from(source.octets());
                pseudo.extend(destination.octets());
                pseudo.extend([0, TCP]);
                pseudo.extend((tcp.len() as u16).to_be_bytes());
                seal(&pseudo, &mut tcp);
                header_v4(source, destination, tcp.len())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut pseudo = Vec::from(source.octets());
                pseudo.extend(destination.octets());
                pseudo.extend((tcp.len() as u32).to_be_bytes());
                pseudo.extend([0, 0, 0, TCP]);
                seal(&pseudo, &mut tcp);
                header_v6(source, destination, tcp.len())
            }
            (source, destination) => panic!("{source} and {destination} are of two families"),
        };
        packet.extend(tcp);
        packet
    }

    /// The segment of a packet, or `None` when the packet carries none: neighbour discovery and
    /// multicast reports travel on the same device.
    pub(crate) fn decode(packet: &[u8]) -> Option<Self> {
        let (source, destination, tcp): (IpAddr, IpAddr, &[u8]) = match packet.first()? >> 4 {
            4 if *packet.get(9)? == TCP => {
                let header = usize::from(packet[0] & 15) * 4;
                let address = |at: usize| <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok();
                let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
                (
                    Ipv4Addr::from(address(12)?).into(),
                    Ipv4Addr::from(address(16)?).into(),
                    packet.get(header..total)?,
                )
            }
            6 if *packet.get(6)? == TCP => {
                let address = |at: usize| <[u8; 16]>::try_from(packet.get(at..at + 16)?).ok();
                (
                    Ipv6Addr::from(address(8)?).into(),
                    Ipv6Addr::from(address(24)?).into(),
                    packet.get(40..)?,
                )
            }
            _ => return None,
        };
        let header = usize::from(tcp.get(12)? >> 4) * 4;
        let short = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let long = |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);
        Some(Self {
            source,
            destination,
            source_port: short(0),
            destination_port: short(2),
            options: tcp.get(20..header)?.to_vec(),
            payload: tcp.get(header..)?.to_vec(),
            seq: long(4),
            ack: long(8),
            flags: tcp[13],
            window: short(14),
        })
    }

    fn encode_tcp(&self) -> Vec<u8> {
        let header = 20 + self.options.len();
        assert!(
            header.is_multiple_of(4) && header <= 60,
            "options of odd length"
        );
        let mut tcp = Vec::with_capacity(header + self.payload.len());
        tcp.extend(self.source_port.to_be_bytes());
        tcp.extend(self.destination_port.to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.extend([(header as u8 / 4) << 4, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(&self.options);
        tcp.extend(&self.payload);
        tcp
    }
}

const TCP: u8 = 6;

fn header_v4(source: Ipv4Addr, destination: Ipv4Addr, payload: usize) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend((20 + payload as u16).to_be_bytes());
    // Identification 0, "don't fragment", 64 hops.
    header.extend([0, 0, 0x40, 0, 64, TCP, 0, 0]);
    header.extend(source.octets());
    header.extend(destination.octets());
    let sum = checksum(&[&header]).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    header
}

fn header_v6(source: Ipv6Addr, destination: Ipv6Addr, payload: usize) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend((payload as u16).to_be_bytes());
    header.extend([TCP, 64]);
    header.extend(source.octets());
    header.extend(destination.octets());
    header
}

/// Puts the checksum into a TCP segment whose checksum field is zero.
fn seal(pseudo: &[u8], tcp: &mut [u8]) {
    let sum = checksum(&[pseudo, tcp]).to_be_bytes();
    tcp[16..18].copy_from_slice(&sum);
}

/// RFC 1071. Every part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u32::from(u16::from_be_bytes([pair[0], low]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn example(source: &str, destination: &str, payload: &[u8]) -> Segment {
    Segment {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        source_port: 40_000,
        destination_port: 80,
        seq: 0xffff_fff0,
        ack: 7,
        flags: ACK | PSH,
        window: 512,
        options: vec![2, 4, 5, 180],
        payload: payload.to_vec(),
    }
}

#[test]
fn a_segment_survives_the_round_trip() {
    for (source, destination) in [("10.0.0.2", "10.0.0.1"), ("fd00::2", "fd00::1")] {
        for payload in [&b""[..], b"odd", b"even"] {
            let segment = example(source, destination, payload);
            assert_eq!(Segment::decode(&segment.encode()), Some(segment));
        }
    }
}

#[test]
fn checksums_sum_to_zero() {
    let packet = example("10.0.0.2", "10.0.0.1", b"odd").encode();
    assert_eq!(checksum(&[&packet[..20]]), 0);
    let length = (packet.len() - 20) as u16;
    let mut pseudo = packet[12..20].to_vec();
    pseudo.extend([0, TCP]);
    pseudo.extend(length.to_be_bytes());
    assert_eq!(checksum(&[&pseudo, &packet[20..]]), 0);
}

#[test]
fn the_checksum_of_the_standard() {
    // The example of RFC 1071, section 3: the sum is 0xddf2.
    assert_eq!(
        checksum(&[&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]]),
        !0xddf2
    );
}

#[test]
fn other_packets_are_not_segments() {
    assert_eq!(Segment::decode(&[]), None);
    assert_eq!(Segment::decode(&[0x45; 20]), None);
    assert_eq!(Segment::decode(&[0x60; 39]), None);
    let mut cut = example("10.0.0.2", "10.0.0.1", b"").encode();
    cut.truncate(30);
    assert_eq!(Segment::decode(&cut), None);
}
