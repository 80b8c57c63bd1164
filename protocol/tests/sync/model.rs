//! A server in miniature: a log of changes per session, and one socket to the client under test. It keeps the delivery
//! rules, and may do anything else to the client: lag, repeat, forget, disconnect.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::api::History;
use protocol::{
    ClientFrame, Code, Epoch, Head, Kind, LiveMessage, Message, MessageId, Position, Presence, Refused, Rev,
    SendMessage, Seq, ServerFrame, SessionHead, SessionId, SessionNotice, Snapshot, SnapshotSession, Span,
    TimeStamp, User, UserId,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// A text that this server refuses permanently.
pub const REFUSED: &str = "refused";

/// One session on the server.
pub struct Log {
    pub epoch: Epoch,
    pub rows: BTreeMap<Seq, Message>,
    /// Every state that ever existed, by the number of its change.
    pub history: BTreeMap<Rev, Message>,
    read_seq: Seq,
    /// After which message the user came; `None` while they are out.
    joined: Option<Seq>,
    /// Their earlier stays, each after one message and up to another.
    stays: Vec<(Seq, Seq)>,
}

impl Log {
    fn new(epoch: Epoch) -> Self {
        let (rows, history, joined) = (BTreeMap::new(), BTreeMap::new(), Some(Seq(0)));
        Self { epoch, rows, history, read_seq: Seq(0), joined, stays: vec![] }
    }

    /// Whether the user is in it.
    pub fn has_me(&self) -> bool {
        self.joined.is_some()
    }

    /// Whether the user may see this place.
    pub fn sees(&self, seq: Seq) -> bool {
        self.joined.is_some_and(|joined| seq > joined)
            || self.stays.iter().any(|(after, up_to)| *after < seq && seq <= *up_to)
    }

    /// Returns what the user may see.
    pub fn seen(&self) -> impl Iterator<Item = &Message> {
        self.rows.values().filter(|row| self.sees(row.seq))
    }

    fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = vec![];
        let stays = self.stays.iter().map(|(after, up_to)| (*after, Some(*up_to)));
        for (after, up_to) in stays.chain(self.joined.map(|joined| (joined, None))) {
            match spans.last_mut() {
                Some(last) if last.up_to == Some(after) => last.up_to = up_to,
                _ => spans.push(Span { after, up_to }),
            }
        }
        if spans == [Span { after: Seq(0), up_to: None }] { vec![] } else { spans }
    }

    pub fn head(&self) -> Head {
        Head { epoch: self.epoch, rev: self.history.keys().next_back().copied().unwrap_or_default() }
    }

    pub fn last_seq(&self) -> Seq {
        self.rows.keys().next_back().copied().unwrap_or_default()
    }

    /// Stores a new state of a row and gives it the next number.
    fn change(&mut self, mut message: Message) -> Message {
        message.rev = self.head().rev.next();
        self.rows.insert(message.seq, message.clone());
        self.history.insert(message.rev, message.clone());
        message
    }

    fn page(&self, session_id: SessionId, from: Rev, size: usize) -> ServerFrame {
        let mut changed: Vec<_> = self.seen().filter(|m| m.rev > from).cloned().collect();
        changed.sort_by_key(|m| m.rev);
        let more = changed.len() > size;
        changed.truncate(size);
        let to = if more { changed.last().map_or(from, |m| m.rev) } else { self.head().rev.max(from) };
        ServerFrame::Page { session_id, epoch: self.epoch, from, to, more, messages: changed }
    }
}

/// Rewrites the frame as a later server would send it: with values and fields that this client does not know.
pub fn said_later(frame: &ServerFrame) -> ServerFrame {
    let mut value = serde_json::to_value(frame).unwrap();
    add_to(&mut value);
    ServerFrame::decode(&value.to_string()).unwrap()
}

fn add_to(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(add_to);
            if let Some(code) = fields.get_mut("Code") {
                *code = json!("Tomorrow");
            }
            if fields.keys().all(|key| key.parse::<Uuid>().is_err()) && !fields.is_empty() {
                fields.insert("Tomorrow".into(), json!({ "More": [1, null] }));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(add_to),
        _ => {}
    }
}

fn is_published(frame: &ServerFrame) -> bool {
    use ServerFrame::{Heads, Left, Message, Session};
    matches!(frame, Message(_) | Session(_) | Left { .. } | Heads { .. })
}

/// The server.
pub struct Server {
    pub me: UserId,
    pub other: UserId,
    pub logs: BTreeMap<SessionId, Log>,
    pub page_size: usize,
    /// From the client, in order, not handled yet.
    pub inbox: VecDeque<ClientFrame>,
    /// To the client, in order, not delivered yet.
    pub outbox: VecDeque<ServerFrame>,
    /// What earlier sockets had not handled when they broke off: a zombie's frames arrive late.
    pub zombie: VecDeque<(usize, ClientFrame)>,
    /// The disk is nearly full: the server accepts nothing new.
    pub full: bool,
    /// The number of the open socket.
    socket: usize,
    /// Per socket and session, the first message that was temporarily refused, until it comes again.
    first: BTreeMap<(usize, SessionId), MessageId>,
    /// Whether the open socket has sent `Hello`.
    welcomed: bool,
    /// Messages that were refused because the user was out just then.
    pub refused_outside: BTreeSet<MessageId>,
    /// The client read too slowly: nothing is published to it until its next `Hello`.
    lagging: bool,
    made: u128,
}

impl Server {
    pub fn new(page_size: usize) -> Self {
        let id = |n| UserId(Uuid::from_u128(n));
        Self {
            me: id(1),
            other: id(2),
            logs: BTreeMap::new(),
            page_size,
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            zombie: VecDeque::new(),
            full: false,
            socket: 0,
            first: BTreeMap::new(),
            welcomed: false,
            refused_outside: BTreeSet::new(),
            lagging: false,
            made: 100,
        }
    }

    fn fresh(&mut self) -> Uuid {
        self.made += 1;
        Uuid::from_u128(self.made)
    }

    pub fn users(&self) -> BTreeMap<UserId, User> {
        let user = |name: &str| User { username: name.into(), status: Presence::Offline };
        [(self.me, user("Ada")), (self.other, user("Bob"))].into()
    }

    /// Starts a new session.
    pub fn begin(&mut self) {
        let session_id = SessionId(self.fresh());
        let epoch = Epoch(self.fresh());
        self.logs.insert(session_id, Log::new(epoch));
        self.announce(session_id);
    }

    fn announce(&mut self, session_id: SessionId) {
        let log = &self.logs[&session_id];
        let users = self.users().into_iter().map(|(id, user)| (id, user.username)).collect();
        self.publish(ServerFrame::Session(SessionNotice {
            session_id,
            epoch: log.epoch,
            rev: log.head().rev,
            last_seq: log.last_seq(),
            users,
            kind: Kind::Group,
            title: None,
            owner: None,
            began_at: TimeStamp(0),
            spans: log.spans(),
        }));
    }

    /// Takes the user out of a session, or back into it.
    pub fn come_or_go(&mut self, session_id: SessionId) {
        let log = self.logs.get_mut(&session_id).unwrap();
        let last = log.last_seq();
        match log.joined.take() {
            Some(joined) => {
                log.stays.extend((joined < last).then_some((joined, last)));
                self.publish(ServerFrame::Left { session_id });
            }
            None => {
                (log.joined, log.read_seq) = (Some(last), last);
                self.announce(session_id);
            }
        }
    }

    pub fn nth(&self, n: usize) -> Option<SessionId> {
        self.logs.keys().nth(n % self.logs.len().max(1)).copied()
    }

    /// Stores a message from somebody, maybe from the user's other device.
    pub fn say(&mut self, session_id: SessionId, sender: UserId) {
        let message_id = MessageId(self.fresh());
        let data = format!("said {}", self.made);
        self.store(session_id, message_id, sender, data);
    }

    /// Edits or deletes a row.
    pub fn alter(&mut self, session_id: SessionId, n: usize, delete: bool) {
        let text = format!("altered {}", self.fresh());
        let log = self.logs.get_mut(&session_id).unwrap();
        let Some(mut message) = log.rows.values().nth(n % log.rows.len().max(1)).cloned() else { return };
        match delete {
            true => (message.data, message.deleted_at) = (String::new(), Some(TimeStamp(2))),
            false => (message.data, message.edited_at) = (text, Some(TimeStamp(2))),
        }
        let message = log.change(message);
        self.changed(session_id, message);
    }

    /// Tells a change to the user, if they are in the session; of what they may not see, only that something changed.
    fn changed(&mut self, session_id: SessionId, message: Message) {
        let log = &self.logs[&session_id];
        match log.sees(message.seq) {
            _ if !log.has_me() => {}
            true => self.publish(ServerFrame::Message(LiveMessage { session_id, message })),
            false => {
                let sessions = [(session_id, log.head())].into();
                self.publish(ServerFrame::Heads { sessions });
            }
        }
    }

    fn store(&mut self, session_id: SessionId, message_id: MessageId, sender: UserId, data: String) {
        let log = self.logs.get_mut(&session_id).unwrap();
        let message = log.change(Message {
            message_id,
            data,
            time_stamp: TimeStamp(1),
            sender,
            seq: Seq(log.last_seq().0 + 1),
            rev: Rev(0),
            edited_at: None,
            deleted_at: None,
        });
        self.changed(session_id, message);
    }

    /// Publishes an event, if the socket can take it.
    fn publish(&mut self, frame: ServerFrame) {
        if !self.lagging {
            self.tell(frame);
        }
    }

    /// Sends a frame to the socket.
    fn tell(&mut self, frame: ServerFrame) {
        if self.welcomed {
            self.outbox.push_back(frame);
        }
    }

    /// Makes the reader slow: discards what is published and not delivered, or all that is not delivered, and sends
    /// `Lagged`.
    pub fn lag(&mut self, everything: bool) {
        if self.welcomed && !std::mem::replace(&mut self.lagging, true) {
            self.outbox.retain(|frame| !everything && !is_published(frame));
            self.tell(ServerFrame::Lagged);
        }
    }

    /// Announces where everything stands; every 15 s.
    pub fn heads(&mut self) {
        let own = self.logs.iter().filter(|(_, log)| log.has_me());
        let sessions = own.map(|(id, log)| (*id, log.head())).collect();
        self.publish(ServerFrame::Heads { sessions });
    }

    /// Sends a page nobody asked for, or one that was delivered before.
    pub fn stray_page(&mut self, session_id: SessionId, from: i64) {
        let log = &self.logs[&session_id];
        if !log.has_me() {
            return;
        }
        let frame = log.page(session_id, Rev(from.min(log.head().rev.0)), self.page_size);
        self.tell(frame);
    }

    /// Breaks off the socket. What the client sent may still be handled later; what the server sent and was not
    /// delivered is lost.
    pub fn disconnected(&mut self) {
        self.welcomed = false;
        self.lagging = false;
        self.outbox.clear();
        self.zombie.extend(self.inbox.drain(..).map(|frame| (self.socket, frame)));
        self.socket += 1;
    }

    /// Whether a socket that broke off has this message still to handle.
    pub fn may_come_late(&self, id: MessageId) -> bool {
        self.zombie.iter().any(|(_, frame)| matches!(frame, ClientFrame::Message(m) if m.message_id == id))
    }

    /// Restores the server from a backup: some messages are lost, and others took their numbers.
    pub fn restored(&mut self, session_id: SessionId, kept: usize, said: usize) {
        self.zombie.clear(); // no socket survives a restart
        let epoch = Epoch(self.fresh());
        let old = std::mem::replace(self.logs.get_mut(&session_id).unwrap(), Log::new(epoch));
        let log = self.logs.get_mut(&session_id).unwrap();
        for message in old.rows.into_values().take(kept) {
            log.change(message);
        }
        // In the backup they had never left.
        for _ in 0..said {
            self.say(session_id, self.other);
        }
    }

    /// Handles the next frame of the open socket, or of one that broke off long ago.
    pub fn handle(&mut self, from_zombie: bool) {
        let (socket, frame) = match from_zombie {
            true => self.zombie.pop_front().unzip(),
            false => (Some(self.socket), self.inbox.pop_front()),
        };
        match frame {
            Some(ClientFrame::Message(said)) => self.said(said, socket.unwrap(), from_zombie),
            Some(_) if from_zombie => {}
            Some(ClientFrame::Hello { sessions }) => self.hello(&sessions),
            Some(ClientFrame::Fetch { session_id, .. }) if !self.logs[&session_id].has_me() => {}
            Some(ClientFrame::Fetch { session_id, rev }) => {
                let page = self.logs[&session_id].page(session_id, rev, self.page_size);
                self.tell(page);
            }
            Some(ClientFrame::Read { session_id, seq }) => {
                let log = self.logs.get_mut(&session_id).unwrap();
                log.read_seq = log.read_seq.max(seq);
            }
            Some(ClientFrame::Pong {}) | None => {}
            Some(frame) => panic!("{frame:?} is nothing the state machine sends by itself"),
        }
    }

    fn hello(&mut self, named: &BTreeMap<SessionId, Position>) {
        (self.welcomed, self.lagging) = (true, false);
        let users = self.users();
        let own = self.logs.iter().filter(|(_, log)| log.has_me());
        let sessions = own.map(|(id, log)| (*id, head_of(log, users.clone())));
        let mut answers = vec![ServerFrame::Welcome { user_id: self.me, sessions: sessions.collect() }];
        for (session_id, position) in named {
            let log = &self.logs[session_id];
            let Head { epoch, rev } = log.head();
            if !log.has_me() {
                continue;
            }
            if position.epoch.is_some_and(|own| own != epoch) || position.rev > rev {
                answers.push(ServerFrame::Reset { session_id: *session_id, epoch, rev });
            } else if position.rev < rev {
                answers.push(log.page(*session_id, position.rev, self.page_size));
            }
        }
        self.outbox.extend(answers);
    }

    fn said(
        &mut self,
        SendMessage { session_id, message_id, data, .. }: SendMessage,
        socket: usize,
        from_zombie: bool,
    ) {
        let me = self.me;
        let stored = |log: &Log| log.rows.values().find(|m| m.message_id == message_id).cloned();
        let refused = |code, after_ms| {
            let (message_id, session_id) = (Some(message_id), Some(session_id));
            let reason = "No.".into();
            let refused =
                Refused { message_id, session_id, invite_id: None, username: None, code, reason, after_ms };
            ServerFrame::Refused(refused)
        };
        if data == REFUSED {
            if !from_zombie {
                self.tell(refused(Code::Invalid, None));
            }
            return;
        }
        let is_out = !self.logs[&session_id].has_me();
        if is_out && stored(&self.logs[&session_id]).is_none() {
            self.refused_outside.insert(message_id);
            if !from_zombie {
                self.tell(refused(Code::NotFound, None));
            }
            return;
        }
        let is_stored = |id: &MessageId| self.logs[&session_id].rows.values().any(|m| m.message_id == *id);
        let first = self.first.get(&(socket, session_id)).filter(|first| !is_stored(first)).copied();
        if !is_stored(&message_id) && (self.full || first.is_some_and(|first| first != message_id)) {
            self.first.insert((socket, session_id), first.unwrap_or(message_id));
            if !from_zombie {
                self.tell(refused(Code::TooMany, Some(1)));
            }
            return;
        }
        if first == Some(message_id) {
            self.first.remove(&(socket, session_id));
        }
        if stored(&self.logs[&session_id]).is_none() {
            // The acknowledgement replaces the live frame on the sending socket only.
            let welcomed = self.welcomed;
            self.welcomed &= from_zombie;
            self.store(session_id, message_id, me, data);
            self.welcomed = welcomed;
        }
        if !from_zombie {
            let Message { seq, rev, time_stamp, .. } = stored(&self.logs[&session_id]).unwrap();
            self.tell(ServerFrame::Ack { message_id, seq, rev, time_stamp });
        }
    }

    /// Returns the first snapshot: the newest `size` messages of every session.
    pub fn snapshot(&self, size: usize) -> Snapshot {
        let own = self.logs.iter().filter(|(_, log)| log.has_me());
        let sessions = own.map(|(id, log)| {
            let head = head_of(log, self.users());
            let older = log.seen().count().saturating_sub(size);
            let messages = log.seen().skip(older).cloned().collect();
            (*id, SnapshotSession { head, messages, more: older > 0 })
        });
        Snapshot {
            me: protocol::Me { user_id: self.me, username: "Ada".into() },
            sessions: sessions.collect(),
            invited: vec![],
            asked: vec![],
        }
    }

    /// Returns the history endpoint's answer: what stands before `before`, oldest first.
    pub fn older(&self, session_id: SessionId, before: Seq) -> History {
        let log = &self.logs[&session_id];
        let rows: Vec<_> = log.seen().filter(|row| row.seq < before).cloned().collect();
        let first = rows.len().saturating_sub(self.page_size);
        let (messages, more) = (rows[first..].to_vec(), first > 0);
        let after = messages.first().filter(|_| more).map_or(Seq(0), |oldest| Seq(oldest.seq.0 - 1));
        let up_to = Some(log.last_seq().min(Seq(before.0 - 1)));
        History { messages, more, covers: Some(Span { after, up_to }) }
    }
}

fn head_of(log: &Log, users: BTreeMap<UserId, User>) -> SessionHead {
    let Head { epoch, rev } = log.head();
    SessionHead {
        epoch,
        rev,
        last_seq: log.last_seq(),
        read_seq: log.read_seq,
        users,
        kind: Kind::Group,
        title: None,
        owner: None,
        began_at: TimeStamp(0),
        spans: log.spans(),
    }
}
