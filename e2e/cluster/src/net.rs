//! Two small clients for start-up checks: a plain HTTP GET and a DNS question.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Whether a GET of `path` on `address` is answered with status 200 within 2 s.
pub(crate) fn http_ok(address: SocketAddr, path: &str) -> bool {
    let timeout = Duration::from_secs(2);
    let get = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    get().unwrap_or(false)
}

/// The first IPv4 address that `server` knows for `name`; `None` where it does not answer within 1 s.
pub(crate) fn lookup(server: SocketAddr, name: &str) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    socket.send_to(&question(name), server).ok()?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).ok()?;
    address_in(&answer[..length], name)
}

/// A DNS question for an A record (RFC 1035, section 4.1).
fn question(name: &str) -> Vec<u8> {
    // Identity 1, recursion desired, one question.
    let mut message = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap_or(63));
        message.extend(label.as_bytes());
    }
    // The root label, type A, class IN.
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// The address in the first answer of a message that repeats our question.
fn address_in(message: &[u8], name: &str) -> Option<Ipv4Addr> {
    let answers = u16::from_be_bytes(message.get(6..8)?.try_into().ok()?);
    // Header 12 bytes, the question as it was asked, then a name of 2 (a pointer) or as long as the question's.
    let question_length = question(name).len();
    let answer = message.get(question_length..)?;
    let name_length = if answer.first()? & 0xc0 == 0xc0 { 2 } else { question_length - 12 - 4 };
    let record = answer.get(name_length..)?;
    // Type 2, class 2, time to live 4, length 2, data.
    let (kind, data) = (record.get(..2)?, record.get(10..14)?);
    let octets: [u8; 4] = data.try_into().ok()?;
    (answers > 0 && kind == [0, 1]).then(|| Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_from_an_answer_and_none_from_a_refusal() {
        let mut message = question("a.b");
        assert_eq!(message[12..], [1, b'a', 1, b'b', 0, 0, 1, 0, 1]);
        assert_eq!(address_in(&message, "a.b"), None);
        message[7] = 1;
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 96, 0, 1]);
        assert_eq!(address_in(&message, "a.b"), Some(Ipv4Addr::new(10, 96, 0, 1)));
        assert_eq!(address_in(&message[..20], "a.b"), None);
    }

    #[test]
    fn a_name_is_resolved_over_udp() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            let mut message = buffer[..length].to_vec();
            message[7] = 1;
            message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 127, 0, 0, 9]);
            server.send_to(&message, from).unwrap();
        });
        assert_eq!(lookup(address, "kubernetes.default"), Some(Ipv4Addr::new(127, 0, 0, 9)));
        answering.join().unwrap();
    }
}
