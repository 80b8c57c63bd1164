//! People who talk over XMPP (RFC 6120, 6121) on a plain TCP stream.
//!
//! In groups of two, people write to each other (`type='chat'`) and request an acknowledgement after each message
//! (XEP-0198), as mobile clients do; the server answers after it has handled, and so archived, the message. Larger
//! groups share a room (XEP-0045), which acknowledges a message by sending it back to its author after archiving it;
//! stream management stays off there, which spares the server work.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::SocketAddr;

use base64::Engine as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::xml;
use crate::load::{Error, Heard, Line, Plan, Talk, dial};

/// The only domain served.
pub(super) const DOMAIN: &str = "localhost";
/// Everybody's password.
pub(super) const PASSWORD: &str = "correct horse battery staple";
/// Everybody's device.
const RESOURCE: &str = "bench";

/// Returns a person's account: the part of their address before the `@`.
pub(super) fn account(person: usize) -> String {
    format!("p{person}")
}

/// How one person talks over XMPP.
#[derive(Debug)]
pub struct Xmpp {
    /// The attributes of a message's tag besides its ID: recipient and type.
    to: String,
    /// In a room: the address under which this person's own messages come back.
    mine: Option<String>,
    /// Unacknowledged messages, oldest first, where the stream is managed.
    unacked: VecDeque<Uuid>,
    /// Stanzas that the server has acknowledged.
    acked: u32,
    /// Stanzas received.
    handled: u32,
}

impl Talk for Xmpp {
    fn say(&mut self, id: Uuid, text: &str, out: &mut Vec<u8>) {
        write!(out, "<message {} id='{id}'><body>", self.to).expect("a vector takes everything");
        xml::write_text(text, out);
        out.extend_from_slice(b"</body></message>");
        if self.mine.is_none() {
            self.unacked.push_back(id);
            out.extend_from_slice(b"<r xmlns='urn:xmpp:sm:3'/>");
        }
    }

    fn hear(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<usize, Error> {
        let mut taken = 0;
        while let Some(stanza) = xml::element(&input[taken..])? {
            taken += stanza.len();
            let tag = xml::tag(stanza);
            match xml::name(tag) {
                "message" => {
                    self.handled = self.handled.wrapping_add(1);
                    self.message(stanza, tag, heard);
                }
                "presence" | "iq" => self.handled = self.handled.wrapping_add(1),
                "a" => self.acked(tag, heard)?,
                "r" => write!(out, "<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.handled)
                    .expect("a vector takes everything"),
                "stream:error" => return Err(Error::protocol(format!("the server said {stanza}"))),
                _ => {}
            }
        }
        Ok(taken)
    }
}

impl Xmpp {
    fn message(&self, stanza: &str, tag: &str, heard: &mut dyn FnMut(Heard<'_>)) {
        if xml::attribute(tag, "type") == Some("error") {
            return heard(Heard::Refused { reason: stanza });
        }
        let Some(text) = xml::body(stanza) else { return }; // a room's subject, for instance
        if self.mine.is_some() && xml::attribute(tag, "from") == self.mine.as_deref() {
            if let Some(id) = xml::attribute(tag, "id").and_then(|id| id.parse().ok()) {
                heard(Heard::Acked { id, place: None });
            }
        } else {
            heard(Heard::Said { text: &text, place: None });
        }
    }

    /// Takes an acknowledgement: the number of our stanzas that the server has handled, modulo 2^32.
    fn acked(&mut self, tag: &str, heard: &mut dyn FnMut(Heard<'_>)) -> Result<(), Error> {
        let handled: u32 = xml::attribute(tag, "h")
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| Error::protocol(format!("an acknowledgement without a number: <{tag}>")))?;
        let new = handled.wrapping_sub(self.acked);
        self.acked = handled;
        for _ in 0..new {
            let Some(id) = self.unacked.pop_front() else {
                return Err(Error::protocol("more was acknowledged than was sent"));
            };
            heard(Heard::Acked { id, place: None });
        }
        Ok(())
    }
}

/// Signs a person in and, where their group has more than two members, joins its room.
pub(super) async fn connect(
    address: SocketAddr,
    person: usize,
    plan: Plan,
    rooms: &str,
) -> Result<Line<Xmpp>, Error> {
    let name = account(person);
    let mut stream = Greeting { stream: dial(address, person).await?, input: Vec::new() };
    stream.open().await?;
    let secret = base64::engine::general_purpose::STANDARD.encode(format!("\0{name}\0{PASSWORD}"));
    stream
        .ask(
            &format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>"),
            "<success",
        )
        .await?;
    stream.open().await?;
    stream
        .ask(
            &format!(
                "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                 <resource>{RESOURCE}</resource></bind></iq>"
            ),
            "type='result'",
        )
        .await?;
    let talk = if plan.group == 2 {
        stream.ask("<enable xmlns='urn:xmpp:sm:3'/>", "<enabled").await?;
        // The server echoes the person's presence: from then on messages to the account arrive here.
        stream.ask("<presence/>", "<presence").await?;
        Xmpp {
            to: format!("to='{}@{DOMAIN}' type='chat'", account(person ^ 1)),
            mine: None,
            unacked: VecDeque::new(),
            acked: 1,
            handled: 1,
        }
    } else {
        stream.ask("<presence/>", "<presence").await?;
        let room = format!("g{}@{rooms}", person / plan.group);
        let enter = format!(
            "<presence to='{room}/{name}'><x xmlns='http://jabber.org/protocol/muc'>\
             <history maxstanzas='0'/></x></presence>"
        );
        // A room's subject is the last thing that it sends to somebody who enters (XEP-0045, 7.1).
        stream.ask(&enter, "<subject").await?;
        Xmpp {
            to: format!("to='{room}' type='groupchat'"),
            mine: Some(format!("{room}/{name}")),
            unacked: VecDeque::new(),
            acked: 0,
            handled: 0,
        }
    };
    Line::new(stream.stream, talk, stream.input, Vec::new())
}

/// A stream before its person can talk: one request after another.
struct Greeting {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Greeting {
    /// Opens the stream, or reopens it after the login.
    async fn open(&mut self) -> Result<(), Error> {
        self.input.clear();
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{DOMAIN}' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
        );
        self.stream.write_all(header.as_bytes()).await?;
        let end = b"</stream:features>";
        while !self.input.ends_with(end) {
            self.more().await?;
        }
        self.input.clear();
        Ok(())
    }

    /// Sends a request and reads until a stanza contains `answer`. Drops everything else that arrives meanwhile.
    async fn ask(&mut self, question: &str, answer: &str) -> Result<(), Error> {
        self.stream.write_all(question.as_bytes()).await?;
        loop {
            while let Some(stanza) = xml::element(&self.input)? {
                let bytes = stanza.len();
                let found = stanza.contains(answer);
                if !found && (stanza.contains("<failure") || stanza.contains("type='error'")) {
                    return Err(Error::protocol(format!("{question} was answered with {stanza}")));
                }
                self.input.drain(..bytes);
                if found {
                    return Ok(());
                }
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Error> {
        if self.stream.read_buf(&mut self.input).await? == 0 {
            let said = String::from_utf8_lossy(&self.input).into_owned();
            return Err(Error::protocol(format!("the server closed the connection after {said:?}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(mine: Option<&str>) -> Xmpp {
        let to = "to='x' type='chat'".to_owned();
        Xmpp { to, mine: mine.map(str::to_owned), unacked: VecDeque::new(), acked: 1, handled: 1 }
    }

    fn hear(talk: &mut Xmpp, input: &str) -> (Vec<String>, String) {
        let (mut out, mut said) = (Vec::new(), Vec::new());
        let taken = talk.hear(input.as_bytes(), &mut out, &mut |heard| said.push(format!("{heard:?}")));
        assert_eq!(taken.unwrap(), input.len());
        (said, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_managed_stream_acks_by_counting_and_is_acked_the_same_way() {
        let (mut person, mut out) = (talk(None), Vec::new());
        let ids = [1, 2, 3].map(Uuid::from_u128);
        for id in ids {
            person.say(id, "<b>&", &mut out);
        }
        let sent = String::from_utf8(out).unwrap();
        assert!(sent.contains("<body>&lt;b&gt;&amp;</body></message><r xmlns='urn:xmpp:sm:3'/><message"));
        let (heard, _) = hear(&mut person, "<a h='3' xmlns='urn:xmpp:sm:3'/>");
        assert_eq!(heard.len(), 2, "presence and two messages were handled: {heard:?}");
        assert!(heard[1].contains(&ids[1].to_string()));
        let (heard, answer) =
            hear(&mut person, "<message from='y'><body>&lt;hello</body></message><r xmlns='urn:xmpp:sm:3'/>");
        assert_eq!(heard, ["Said { text: \"<hello\", place: None }"]);
        assert_eq!(answer, "<a xmlns='urn:xmpp:sm:3' h='2'/>");
        assert!(person.hear(b"<a h='9'/>", &mut Vec::new(), &mut |_| ()).is_err());
    }

    #[test]
    fn in_a_room_ones_own_message_comes_back_as_the_ack() {
        let mut person = talk(Some("g0@rooms.localhost/p0"));
        let id = Uuid::from_u128(7);
        let own = format!("<message id='{id}' from='g0@rooms.localhost/p0'><body>a</body></message>");
        assert!(hear(&mut person, &own).0[0].starts_with("Acked"));
        let other = format!("<message id='{id}' from='g0@rooms.localhost/p1'><body>a</body></message>");
        assert!(hear(&mut person, &other).0[0].starts_with("Said"));
        let refused = "<message type='error' from='g0@rooms.localhost'><body>a</body></message>";
        assert!(hear(&mut person, refused).0[0].starts_with("Refused"));
    }
}
