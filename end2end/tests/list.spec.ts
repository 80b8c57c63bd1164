// The list of somebody who talks with many people.

import type { Page } from '@playwright/test';

import { expect, register, signIn, test } from '../support/test';

const FRIENDS = 103;

/** Accepts every invitation to the person signed in here, from now on. */
function welcomeEverybody(page: Page): Promise<void> {
  return page.evaluate(
    () =>
      new Promise<void>((done) => {
        const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`);
        socket.onopen = () => socket.send(JSON.stringify({ type: 'Hello', Sessions: {} }));
        socket.onmessage = ({ data }) => {
          const frame = JSON.parse(data);
          if (frame.type === 'Welcome') done();
          if (frame.UserName) socket.send(JSON.stringify({ type: 'Search', InviteID: frame.InviteID, Status: 'Accepted' }));
        };
      }),
  );
}

/** Lets the person signed in here find somebody and send them a message, as a program would. */
function greet(page: Page, name: string, words: string): Promise<void> {
  return page.evaluate(
    ({ name, words }) =>
      new Promise<void>((done, failed) => {
        const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`);
        const say = (frame: object) => socket.send(JSON.stringify(frame));
        socket.onopen = () => {
          say({ type: 'Hello', Sessions: {} });
          say({ type: 'Search', Username: name });
        };
        socket.onmessage = ({ data }) => {
          const frame = JSON.parse(data);
          if (frame.type === 'Refused') failed(new Error(frame.Reason));
          if (['Accepted', 'AlreadyConnected'].includes(frame.Status)) {
            say({ type: 'Message', SessionID: frame.SessionID, MessageID: crypto.randomUUID(), Data: words });
          }
          if (frame.type === 'Ack') {
            socket.close();
            done();
          }
        };
      }),
    { name, words },
  );
}

test('a long list is drawn in parts, and nothing is fetched of what nobody looks at', async ({ natter, person, visitor }) => {
  test.setTimeout(600_000); // a hundred accounts, each with two passwords to hash
  const ada = await person('Ada');
  await welcomeEverybody(ada.page);
  const friend = await visitor();
  await friend.goto('/login');
  for (let n = 0; n < FRIENDS; n++) {
    await register(natter.url, `friend-${n}`);
    await signIn(friend, `friend-${n}`);
    await greet(friend, 'Ada', `words of ${n}`);
  }

  const fetched: string[] = [];
  await ada.reload();
  await ada.welcomed();
  ada.page.on('request', (request) => void (request.url().includes('/api/history') && fetched.push(request.url())));
  const lines = ada.list.locator('a[data-session]');
  await expect(lines).toHaveCount(100);
  await expect(lines.first()).toContainText(`words of ${FRIENDS - 1}`);
  const more = ada.list.getByRole('button', { name: 'Show more' });
  await expect(more).toBeVisible();
  expect(fetched).toEqual([]);

  await more.focus();
  await ada.page.keyboard.press('Enter');
  await expect(lines).toHaveCount(FRIENDS);
  await expect(more).toBeHidden();
  await expect(lines.nth(100), 'one goes on where the new ones begin').toBeFocused();
  for (let n = 0; n < 3; n++) await expect(lines.nth(FRIENDS - 1 - n)).toContainText(`words of ${n}`);
  expect(fetched).toHaveLength(3);

  await ada.openConversation('friend-1');
  await expect(ada.row('words of 1')).toBeVisible();
  await ada.send('so long ago');
  await expect(lines.first()).toContainText('so long ago');
  await signIn(friend, 'friend-0');
  await greet(friend, 'Ada', 'again');
  await expect(lines.first()).toContainText('again');
  await ada.reload();
  await expect(lines).toHaveCount(100);
  await expect(lines.first()).toContainText('again');
});
