// What the page does not offer yet, done as a program does it: frames on a socket of the page's own login.

import type { Chat } from '../pages/chat';
import type { Frame } from './line';

/** Says these frames, and waits until the server has sent each of `answers`: frames with these fields. */
export async function program(chat: Chat, frames: Frame[], answers: object[]): Promise<void> {
  await chat.page.evaluate(
    ([frames, answers]) =>
      new Promise<void>((done) => {
        const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`);
        const waiting = new Set(answers.map((answer) => Object.entries(answer)));
        socket.onopen = () => {
          for (const frame of [{ type: 'Hello', Sessions: {} }, ...frames]) socket.send(JSON.stringify(frame));
        };
        socket.onmessage = ({ data }) => {
          const heard = JSON.parse(data);
          for (const answer of waiting) {
            if (answer.every(([name, value]) => heard[name] === value)) waiting.delete(answer);
          }
          if (waiting.size > 0) return;
          socket.close();
          done();
        };
      }),
    [frames, answers] as const,
  );
}

/** Begins a group and invites people who are online into it. Returns its session. */
export async function beginGroup(host: Chat, title: string, names: string[]): Promise<string> {
  const SessionID = crypto.randomUUID();
  const searches = names.map((Username) => ({ type: 'Search', Username, SessionID }));
  const pending = names.map((Username) => ({ type: 'Search', Username, Status: 'Pending' }));
  await program(host, [{ type: 'Begin', SessionID, Title: title }, ...searches], pending);
  return SessionID;
}
