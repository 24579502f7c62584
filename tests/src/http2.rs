//! Just enough HTTP/2 to open streams, reset them, and read frames.

use std::io;

use crate::client::Connection;

/// What opens a connection with prior knowledge: the preface and empty settings.
#[must_use]
pub fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes
}

/// The same from a client that takes no byte of any answer before it says so.
#[must_use]
pub fn preface_with_shut_windows() -> Vec<u8> {
    const INITIAL_WINDOW_SIZE: u8 = 4;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[0, INITIAL_WINDOW_SIZE, 0, 0, 0, 0]));
    bytes
}

/// A HEADERS frame that is a whole GET request.
#[must_use]
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    const END_STREAM_AND_HEADERS: u8 = 0x5;
    frame(
        1,
        END_STREAM_AND_HEADERS,
        stream,
        &header_block("GET", path),
    )
}

/// A HEADERS frame that begins a request whose headers go on in CONTINUATION frames.
#[must_use]
pub fn get_unfinished(stream: u32, path: &str) -> Vec<u8> {
    const END_STREAM: u8 = 0x1;
    frame(1, END_STREAM, stream, &header_block("GET", path))
}

/// A HEADERS frame that begins a request whose body follows in DATA frames.
#[must_use]
pub fn begin(stream: u32, method: &str, path: &str) -> Vec<u8> {
    const END_HEADERS: u8 = 0x4;
    frame(1, END_HEADERS, stream, &header_block(method, path))
}

/// A DATA frame that does not end the body.
#[must_use]
pub fn data(stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(0, 0, stream, bytes)
}

/// A WINDOW_UPDATE frame.
#[must_use]
pub fn opens_window(stream: u32, bytes: u32) -> Vec<u8> {
    frame(8, 0, stream, &bytes.to_be_bytes())
}

/// A CONTINUATION frame that does not end the headers.
#[must_use]
pub fn continuation(stream: u32, index: usize) -> Vec<u8> {
    let (name, value) = (format!("x-{index:05}"), "v".repeat(100));
    let mut block = vec![0];
    for text in [name, value] {
        block.push(u8::try_from(text.len()).expect("a short header"));
        block.extend(text.into_bytes());
    }
    frame(9, 0, stream, &block)
}

/// An RST_STREAM frame.
#[must_use]
pub fn reset(stream: u32) -> Vec<u8> {
    const CANCEL: u32 = 8;
    frame(3, 0, stream, &CANCEL.to_be_bytes())
}

/// A frame as received.
#[derive(Debug)]
pub struct Frame {
    /// Its type: 0 DATA, 1 HEADERS, 3 RST_STREAM, 4 SETTINGS, 7 GOAWAY.
    pub kind: u8,
    /// The stream it belongs to.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Reads one frame.
///
/// # Errors
/// When the peer closes or stalls.
pub fn receive(connection: &mut Connection) -> io::Result<Frame> {
    let head = connection.receive_exactly(9)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    let payload =
        connection.receive_exactly(usize::try_from(length).expect("a frame fits in memory"))?;
    Ok(Frame {
        kind: head[3],
        stream,
        payload,
    })
}

fn header_block(method: &str, path: &str) -> Vec<u8> {
    // Static table: 6 is `:scheme http`; 2 names `:method`, 4 `:path` and 1 `:authority`.
    let mut block = vec![0x86];
    for (name, value) in [(2, method), (4, path), (1, "localhost")] {
        block.push(name);
        block.extend(length(value.len()));
        block.extend(value.as_bytes());
    }
    block
}

/// An integer with a prefix of 7 bits (RFC 7541, section 5.1).
fn length(length: usize) -> Vec<u8> {
    let Some(mut rest) = length.checked_sub(127) else {
        return vec![u8::try_from(length).expect("less than a prefix")];
    };
    let mut bytes = vec![127];
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).expect("7 bits") | 0x80);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).expect("7 bits"));
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a short payload")
        .to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}
