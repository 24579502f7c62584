//! A plain connection: bytes in, and bytes or parts of files out.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rustix::io::Errno;
use rustix::net::SendAncillaryBuffer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Sleep;

use super::activity::Activity;
use super::sendfile::system::{FILE_FOLLOWS, send_file};
use super::sendfile::{Files, Next, Part, shortened};
use super::stall::Patience;

/// The bytes of files that one connection may send before others have their turn: some 2 ms where
/// the client is on the same machine; elsewhere the network is full long before. Each turn costs
/// a wake-up of another thread, and mostly a move to its processor.
const TURN: usize = 16 * 1024 * 1024;

/// What a client may still send after the answer that ended its connection.
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// How long to wait for the first of it: a client that sends nothing needs no patience.
const LINGER_FIRST: Duration = Duration::from_millis(250);

/// How long it may take for all of that.
const LINGER_TIME: Duration = Duration::from_secs(5);

/// What is copied at once where the kernel cannot send from the file.
const COPY: usize = 64 * 1024;

/// How every HTTP/2 connection begins.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An accepted stream socket.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection without TLS.
///
/// Writes of bytes that are the mapping of a file (see [`super::sendfile`]) become `sendfile(2)`.
pub struct Plain {
    socket: Socket,
    /// Bytes that were read to find out which protocol the client speaks.
    peeked: Bytes,
    files: Arc<Files>,
    activity: Arc<Activity>,
    /// With a client that takes nothing of what is sent.
    patience: Patience,
    /// File bytes sent since other tasks last had their turn.
    sent: usize,
    /// Set when the kernel cannot send a file of this kind to this socket.
    copies: bool,
    /// Set when the last answer was sent while the client was still sending.
    lingers: Option<Linger>,
}

/// The end of a connection whose client has not read its last answer yet: closing the socket with
/// bytes unread would make the kernel throw that answer away (RFC 9112, section 9.6).
struct Linger {
    read: usize,
    until: Pin<Box<Sleep>>,
}

impl Linger {
    fn new() -> Self {
        Self {
            read: 0,
            until: Box::pin(tokio::time::sleep(LINGER_FIRST)),
        }
    }

    /// Whether to read on after `length` more bytes.
    fn goes_on(&mut self, length: usize) -> bool {
        if self.read == 0 {
            self.until.set(tokio::time::sleep(LINGER_TIME));
        }
        self.read += length;
        length > 0 && self.read < LINGER_BYTES && !self.until.is_elapsed()
    }
}

impl Plain {
    pub(super) fn new(
        socket: Socket,
        files: Arc<Files>,
        activity: Arc<Activity>,
        stall_timeout: Duration,
    ) -> Self {
        Self {
            socket,
            peeked: Bytes::new(),
            files,
            activity,
            patience: Patience::new(stall_timeout),
            sent: 0,
            copies: false,
            lingers: None,
        }
    }

    /// Whether the client begins as HTTP/2 does; what was read is read again by the next reader.
    pub(super) async fn begins_http2(&mut self) -> io::Result<bool> {
        let mut read = BytesMut::with_capacity(HTTP2_PREFACE.len());
        while read.len() < HTTP2_PREFACE.len() && HTTP2_PREFACE.starts_with(&read) {
            let rest = HTTP2_PREFACE.len() - read.len();
            if (&mut *self).take(rest as u64).read_buf(&mut read).await? == 0 {
                break;
            }
        }
        let http2 = read == HTTP2_PREFACE;
        self.peeked = read.freeze();
        Ok(http2)
    }

    /// The first `length` bytes, or fewer when no more come; they are read again by the next
    /// reader.
    pub(crate) async fn peek(&mut self, length: usize) -> io::Result<Bytes> {
        let mut read = BytesMut::with_capacity(length);
        while read.len() < length {
            let rest = length - read.len();
            if (&mut *self).take(rest as u64).read_buf(&mut read).await? == 0 {
                break;
            }
        }
        self.peeked = read.freeze();
        Ok(self.peeked.clone())
    }

    fn poll_write_some(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match self.files.next(buffers) {
            Next::Memory => Pin::new(&mut self.socket).poll_write_vectored(cx, buffers),
            Next::Head(count) => self.socket.poll_write_more(cx, &buffers[..count]),
            Next::File(part) if self.copies => self.poll_copy(cx, &part),
            Next::File(part) => self.poll_send_file(cx, &part),
        };
        let written = ready!(self.patience.poll(cx, written))?;
        self.activity.wrote();
        Poll::Ready(Ok(written))
    }

    /// Reads and forgets what the client is still sending, up to its end of the connection or the
    /// limits.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [const { MaybeUninit::uninit() }; 16 * 1024];
        let linger = self.lingers.get_or_insert_with(Linger::new);
        loop {
            let mut buffer = ReadBuf::uninit(&mut bytes);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Pending => return linger.until.as_mut().poll(cx),
                Poll::Ready(Ok(())) if linger.goes_on(buffer.filled().len()) => {}
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
    }

    fn poll_send_file(&mut self, cx: &mut Context<'_>, part: &Part) -> Poll<io::Result<usize>> {
        if self.sent >= TURN {
            self.sent = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let sent = self.socket.poll_io(cx, |socket| send_file(socket, part));
        match sent {
            Poll::Pending => self.sent = 0,
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(shortened())),
            Poll::Ready(Ok(length)) => self.sent += length,
            Poll::Ready(Err(ref error)) if cannot_send_file(error) => {
                self.copies = true;
                return self.poll_copy(cx, part);
            }
            Poll::Ready(Err(_)) => {}
        }
        sent
    }

    fn poll_copy(&mut self, cx: &mut Context<'_>, part: &Part) -> Poll<io::Result<usize>> {
        ready!(self.socket.poll_write_ready(cx))?;
        let mut buffer = vec![0; part.length.min(COPY)];
        let length = part.file.read_at(&mut buffer, part.offset)?;
        if length == 0 {
            return Poll::Ready(Err(shortened()));
        }
        Pin::new(&mut self.socket).poll_write(cx, &buffer[..length])
    }
}

fn cannot_send_file(error: &io::Error) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.peeked.is_empty() {
            let length = self.peeked.len().min(buffer.remaining());
            buffer.put_slice(&self.peeked[..length]);
            self.peeked.advance(length);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.activity.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_some(cx, &[IoSlice::new(buffer)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_some(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingers.is_none() {
            ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
        }
        self.poll_linger(cx).map(Ok)
    }
}

impl Socket {
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => stream.poll_write_ready(cx),
            Socket::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    fn try_io<T>(&self, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self {
            Socket::Tcp(stream) => stream.try_io(Interest::WRITABLE, operation),
            Socket::Unix(stream) => stream.try_io(Interest::WRITABLE, operation),
        }
    }

    /// Runs a non-blocking write of the system's as soon as the socket is ready for it.
    fn poll_io<T>(
        &self,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.poll_write_ready(cx))?;
            let result = self.try_io(|| Ok(operation(self.as_fd())?));
            match result {
                Err(error) if is_transient(&error) => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Writes `buffers` and tells the kernel that more follows at once, so that a head does not
    /// leave in a packet of its own.
    fn poll_write_more(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_io(cx, |socket| {
            let mut nothing = SendAncillaryBuffer::new(&mut [] as &mut [MaybeUninit<u8>]);
            rustix::net::sendmsg(socket, buffers, &mut nothing, FILE_FOLLOWS)
        })
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, buffer),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, buffer),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What a pair of sockets carries of `part`, and whether writing it succeeded.
    async fn copied(content: &[u8], part: Part) -> (Vec<u8>, io::Result<()>) {
        let (near, mut far) = UnixStream::pair().unwrap();
        let (files, activity) = (Arc::default(), Activity::new());
        let mut near = Plain::new(
            Socket::Unix(near),
            files,
            activity,
            Duration::from_secs(600),
        );
        part.file.as_ref().write_all(content).unwrap();
        let sending = async move {
            let mut part = part;
            while part.length > 0 {
                let poll = |cx: &mut Context<'_>| near.poll_copy(cx, &part);
                let length = std::future::poll_fn(poll).await?;
                part.offset += length as u64;
                part.length -= length;
            }
            near.shutdown().await
        };
        let mut received = Vec::new();
        let (sent, read) = tokio::join!(sending, far.read_to_end(&mut received));
        read.unwrap();
        (received, sent)
    }

    fn part(offset: u64, length: usize) -> Part {
        let file: File = tempfile::tempfile().unwrap();
        Part {
            file: Arc::new(file),
            offset,
            length,
        }
    }

    #[tokio::test]
    async fn a_file_that_the_kernel_cannot_send_is_copied() {
        let content: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
        let (received, sent) = copied(&content, part(7, 299_000)).await;
        sent.unwrap();
        assert!(received == content[7..299_007]);

        let (_, sent) = copied(&content, part(0, 300_001)).await;
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_not_waited_for() {
        let (near, _far) = UnixStream::pair().unwrap();
        let limit = Duration::from_millis(50);
        let (files, activity) = (Arc::default(), Activity::new());
        let mut near = Plain::new(Socket::Unix(near), files, activity, limit);
        let error = loop {
            if let Err(error) = near.write_all(&[0; 64 * 1024]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
