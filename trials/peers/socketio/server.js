// A small durable chat server as people typically write it with Socket.IO and better-sqlite3: people share a room, and
// every message is stored and synced to disk before it is acknowledged and fanned out. `make bench` compares Natter
// with it.
//
// What it leaves out, in its favour: accounts and passwords, the check that the sender is in the room, deduping
// messages, anything after a reconnect, and reading messages back.
//
// Usage: node server.js DATABASE PORT

import { createServer } from "node:http";
import Database from "better-sqlite3";
import { Server } from "socket.io";

const db = new Database(process.argv[2]);
db.pragma("journal_mode = WAL");
db.pragma("synchronous = FULL"); // an acknowledgement means that the disk has it
db.exec(`CREATE TABLE IF NOT EXISTS messages (
  room INTEGER NOT NULL, seq INTEGER NOT NULL, message_id TEXT NOT NULL, sender INTEGER NOT NULL,
  data TEXT NOT NULL, time_stamp INTEGER NOT NULL, PRIMARY KEY (room, seq)) WITHOUT ROWID`);
const last = db.prepare("SELECT coalesce(max(seq), 0) FROM messages WHERE room = ?").pluck();
const insert = db.prepare("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)");

const rooms = new Map(); // the last number of each room
const number = (room) => {
  const seq = (rooms.get(room) ?? last.get(room)) + 1;
  rooms.set(room, seq);
  return seq;
};

// Group commit: everything the sockets sent in one turn of the event loop becomes one transaction, because
// better-sqlite3 works on the only thread, and one sync serves them all.
let queue = [];
const store = db.transaction((batch, now) => {
  for (const post of batch) {
    post.seq = number(post.room);
    insert.run(post.room, post.seq, post.id, post.sender, post.text, now);
  }
});
function flush() {
  const batch = queue;
  queue = [];
  store(batch, Date.now());
  for (const { socket, room, id, text, sender, seq, ack } of batch) {
    ack(id, seq);
    socket.to(room).emit("said", text, seq, id, sender);
  }
}

const server = createServer();
const io = new Server(server, { serveClient: false }); // compression is off by default, as it should be here
// "Memory usage" in Socket.IO's documentation: without this every socket keeps its HTTP request.
io.engine.on("connection", (connection) => {
  connection.request = null;
});
io.on("connection", (socket) => {
  const { person, room } = socket.handshake.auth;
  socket.join(room);
  socket.on("say", (id, text, ack) => {
    queue.push({ socket, room, id, text, sender: person, seq: 0, ack });
    if (queue.length === 1) setImmediate(flush);
  });
});
server.listen(Number(process.argv[3]), "127.0.0.1");
