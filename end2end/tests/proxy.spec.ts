// Behind nginx, by the README's recipe: pages, the socket, the origin check, and limits per address.

import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { type RequestOptions, request } from 'node:https';

import type { Browser } from '@playwright/test';

import { Chat } from '../pages/chat';
import { Nginx } from '../support/nginx';
import { PASSWORD, expect, hydrated, test as base, watched } from '../support/test';

const ORIGIN = 'https://chat.example.org';

const test = base.extend<{ nginx: Nginx; outside: Browser }>({
  nginx: async ({ natter }, use) => {
    const nginx = await Nginx.before(natter.url);
    await use(nginx);
    await nginx.dispose();
  },

  // A browser that takes nginx for the real chat.example.org.
  outside: async ({ nginx, playwright, launchOptions, provokes: _watching }, use) => {
    const browser = await playwright.chromium.launch({
      ...launchOptions,
      args: [...(launchOptions.args ?? []), `--host-resolver-rules=MAP chat.example.org:443 127.0.0.1:${nginx.port}`],
    });
    await use(browser);
    await browser.close();
  },
});

test.use({
  settings: ['--public-origin', ORIGIN, '--trusted-proxy', '127.0.0.1/32', '--registrations-per-minute', '3'],
});

/** Sends one request from outside, as a client at another address would. */
async function ask(nginx: Nginx, path: string, options: RequestOptions, body?: object): Promise<IncomingMessage> {
  const asked = request({
    host: '127.0.0.1',
    port: nginx.port,
    servername: 'chat.example.org',
    rejectUnauthorized: false,
    path,
    ...options,
    headers: { Host: 'chat.example.org', 'Content-Type': 'application/json', ...(options.headers as object) },
  });
  asked.end(body && JSON.stringify(body));
  const answer = await Promise.race([
    once(asked, 'response').then(([answer]) => answer as IncomingMessage),
    once(asked, 'upgrade').then(([answer, socket]) => (socket.destroy(), answer as IncomingMessage)),
  ]);
  answer.resume();
  return answer;
}

test('two people talk behind nginx', async ({ outside }) => {
  const people = await Promise.all(
    ['Ada', 'Ben'].map(async (name) => {
      const context = await watched(outside, { baseURL: ORIGIN, ignoreHTTPSErrors: true });
      const page = await context.newPage();
      await page.goto('/register');
      await hydrated(page);
      await page.getByLabel('Name').fill(name);
      await page.getByLabel('Password').fill(PASSWORD);
      await page.getByRole('button', { name: 'Create account' }).click();
      await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
      await page.getByLabel('Password').fill(PASSWORD);
      await page.getByRole('button', { name: 'Sign in' }).click();
      const chat = new Chat(page, name);
      await expect(chat.list).toBeVisible();
      await chat.open();
      const cookie = (await context.cookies()).find(({ name }) => name === '__Host-authentication_token');
      expect(cookie).toMatchObject({ secure: true, httpOnly: true, sameSite: 'Lax', path: '/' });
      return chat;
    }),
  );
  const [ada, ben] = people as [Chat, Chat];
  await ada.invite('Ben');
  await ben.accept('Ada');
  await ada.openConversation('Ben');
  await ada.page.goto('/about');
  await expect(ada.page.getByText('chat.example.org')).toBeVisible();
  await ada.page.goBack(); // A new document: /about has no scripts.
  await hydrated(ada.page);
  await ada.send('through nginx');
  await expect(ben.row('through nginx')).toBeVisible();
  await ben.send('and back');
  await expect(ada.row('and back')).toBeVisible();
});

test('the origin that counts is the public one', async ({ nginx }) => {
  const upgrade = (origin: string) =>
    ask(nginx, '/ws', {
      headers: {
        Origin: origin,
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      },
    });
  expect((await upgrade('https://elsewhere.example')).statusCode).toBe(403);
  expect((await upgrade('http://127.0.0.1:3000')).statusCode).toBe(403);
  expect((await upgrade(ORIGIN)).statusCode, 'ours, but nobody is signed in').toBe(401);

  const login = (origin: string) =>
    ask(nginx, '/api/login', { method: 'POST', headers: { Origin: origin } }, { Username: 'Nobody', Password: PASSWORD });
  expect((await login('https://elsewhere.example')).statusCode).toBe(403);
  expect((await login(ORIGIN)).statusCode, 'ours, but there is no such user').toBe(400);
});

test('limits count for each address, and nobody can borrow another one', async ({ nginx }) => {
  let user = 0;
  const register = (forwarded: string) =>
    ask(
      nginx,
      '/api/register',
      { method: 'POST', headers: { 'X-Forwarded-For': forwarded } },
      { Username: `user${++user}`, Password: PASSWORD },
    );
  // nginx appends the address it sees, 127.0.0.1. Natter trusts that one, so the next to the left counts.
  for (let attempt = 1; attempt <= 3; attempt++) {
    expect((await register('203.0.113.7')).statusCode, `registration ${attempt}`).toBe(200);
  }
  const refused = await register('203.0.113.7');
  expect(refused.statusCode).toBe(429);
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  expect((await register('198.51.100.1, 203.0.113.7')).statusCode, 'an address made up by the client').toBe(429);
  expect((await register('203.0.113.8')).statusCode, 'somebody else').toBe(200);
});
